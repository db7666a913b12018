"""What others try: to send people elsewhere, to have their browsers change things, to put the pages into theirs."""

import http.server
import json
import re
import threading
from html import escape
from urllib.parse import quote, urlencode, urljoin, urlsplit

from browser import LOOKS, Visitor
from fixtures import PAYLOADS
from servers import PASSWORD, Client

EN = LOOKS[0]

# S36: what is no path of ours, in the spellings that browsers take for another host.
ELSEWHERE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil.example", "///evil.example", "/\t/evil.example",
    "/\n/evil.example", " //evil.example", "/%2f/evil.example", "/%5cevil.example", "/.//evil.example", "/ui/..//evil.example", "/ui/../../..//evil.example",
    "javascript:window.ran=1", "data:text/html,x", "http:///evil.example", "//evil.example@127.0.0.1", "/ui/\r\nSet-Cookie: a=b",
]


class Attacker:
    """A web server of somebody else's, at another origin; its pages are set by the tests."""

    def __init__(self):
        pages = self.pages = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = pages.get(self.path, "").encode()
                self.send_response(200 if content else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def urls(self, path):
        """The same site by another port, and another site."""
        return [f"http://{host}:{self.server.server_port}{path}" for host in ("127.0.0.1", "localhost")]

    def close(self):
        self.server.shutdown()


def fields_of(page, action):
    """What a form that posts to where `action` ends would send, and where to."""
    return page.evaluate(
        """end => {
          const form = [...document.forms].find(f => f.method === 'post' && new URL(f.action).pathname.endsWith(end));
          if (!form) return null;
          return { action: form.action, fields: [...new FormData(form)].map(([k, v]) => [k, String(v)]) };
        }""",
        action,
    )


def is_local(server, location):
    """Whether a browser would stay at this host."""
    cleaned = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    return urlsplit(urljoin(server.url + "/ui/login", cleaned)).netloc == server.host and not re.match(r"[a-z]+:(?!//)", cleaned)


def check_returns(world):
    """S36: nobody is sent elsewhere after signing in, nor when choosing a language."""
    server, problems = world.index, world.problems
    answer = Client(server).send("GET", "/ui/r/shop/worker", headers={"Accept": "text/html"})
    location = answer.headers.get("Location", "")
    found = re.search(r"/ui/login\?&?(\w+)=", location)
    if answer.status != 303 or not found:
        problems.add("S36", f"nobody is not sent to sign in: {answer.status} {location}")
        return
    name = found.group(1)
    own = {"Origin": server.url, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    session = {"Cookie": f"layerhouse_session={world.sessions['otto']}"}
    for text in ELSEWHERE:
        for spelled in (text, quote(text, safe="")):
            asked = [("GET", f"/ui/login?{name}={quote(spelled, safe='')}", None, session)]
            asked.append(("POST", "/ui/preferences", urlencode({"lang": "en", name: spelled, "back": spelled, "next": spelled}), own))
            asked.append(("POST", f"/ui/logout?{name}={quote(spelled, safe='')}", urlencode({name: spelled}), own))
            for method, path, body, headers in asked:
                answer = Client(server).send(method, path, body, headers)
                location = answer.headers.get("Location")
                if 500 <= answer.status or location and not is_local(server, location) or answer.headers.get("Set-Cookie", "").startswith("a=b"):
                    problems.add("S36", f"{method} {path} {body}: {answer.status} {location}")
                if method == "GET" and answer.status == 200 and re.search(rf'href="{re.escape(escape(text))}', answer.body.decode()):
                    problems.add("S36", f"{path} links to {text}")
    # With a password, too; few, for each costs a hash.
    for text in ELSEWHERE[:4] + ELSEWHERE[11:13]:
        page = Visitor(world.browser, server, LOOKS[2], problems, world.keys)
        page.go(f"login?{name}={quote(text, safe='')}")
        sign_in(page, "otto")
        if urlsplit(page.page.url).netloc != server.host:
            problems.add("S36", f"signing in with {text!r} leads to {page.page.url}")
        page.close()


def sign_in(visitor, name, password=PASSWORD):
    """Fills the form of the page that signs in, and sends it."""
    form = visitor.find('form[action*="/login"][method="post"]')
    form.locator('input[type="password"]').fill(password)
    form.locator('input[type="text"], input:not([type])').first.fill(name)
    return visitor.press(form.locator('button[type="submit"], button:not([type])').first)


def check_foreign_forms(world):
    """S53: a page elsewhere changes nothing with somebody's session or kept password."""
    attacker = Attacker()
    try:
        ann = Visitor(world.browser, world.index, EN, world.problems, world.keys, world.sessions["ann"])
        attacks(world, attacker, ann, world.index, "ann", world.clients["ann"], "shop/worker")
        ann.close()
        bob = Client(world.htpasswd, "bob", PASSWORD)
        if bob.send("GET", "/v2/shop/worker/tags/list").status == 404:
            from fixtures import BASE, pushed_image

            for tag in ("main", "lonely"):
                pushed_image(bob, "shop/worker", [*BASE, (tag, 5_000, f"COPY {tag} /")], [tag])
        basic = Visitor(world.browser, world.htpasswd, EN, world.problems, world.keys, basic=("bob", PASSWORD))
        attacks(world, attacker, basic, world.htpasswd, "bob", bob, "shop/worker")
        basic.close()
        framed(world, attacker)
    finally:
        attacker.close()


def attacks(world, attacker, visitor, server, name, client, repository):
    """Sends somebody who is signed in to pages that post to ours; nothing may have changed."""
    targets = []
    visitor.go(f"r/{repository}/-/delete?tag=lonely")
    form = fields_of(visitor.page, "/-/delete")
    if form:
        targets.append((form["action"], form["fields"]))
    else:
        world.problems.add("S53", f"{name}: no form to delete with")
    base = f"{server.url}/ui"
    targets.append((f"{base}/r/{repository}/-/star", []))
    targets.append((f"{base}/r/{repository}/-/settings", [["visibility", "public"], ["description", "owned"]]))
    targets.append((f"{base}/me/tokens", [["do", "create"], ["name", "stolen"], ["expires", "90"]]))
    targets.append((f"{base}/logout", []))
    before = standing(client, repository)
    for action, fields in targets:
        inputs = "".join(f'<input name="{escape(key)}" value="{escape(value)}">' for key, value in fields)
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            attacker.pages["/form"] = f'<form id=f method=post enctype="{kind}" action="{escape(action)}">{inputs}</form><script>f.submit()</script>'
            for url in attacker.urls("/form"):
                page = visitor.context.new_page()
                statuses = []
                page.on("response", lambda answer: statuses.append(answer.status) if answer.request.method == "POST" else None)
                page.goto(url, wait_until="commit")
                page.wait_for_url(lambda at: at.startswith(server.url), wait_until="commit")
                page.wait_for_load_state("load")
                if not statuses or statuses[-1] not in (401, 403, 415):
                    world.problems.add("S53", f"{name}: POST {action} ({kind}) from {url}: {statuses}")
                page.close()
    body = urlencode([tuple(field) for field in targets[0][1]]) if targets else ""
    script = f"""<script>window.done = Promise.all({json.dumps([t[0] for t in targets])}.map(url =>
      fetch(url, {{method: 'POST', mode: 'no-cors', credentials: 'include', headers: {{'Content-Type': 'application/x-www-form-urlencoded'}},
      body: {json.dumps(body)}}}).catch(e => String(e))));</script>"""
    attacker.pages["/fetch"] = script
    for url in attacker.urls("/fetch"):
        page = visitor.context.new_page()
        page.goto(url)
        page.evaluate("() => window.done.then(() => 1)")
        read = page.evaluate(f"() => fetch('{server.url}/ui/', {{credentials: 'include'}}).then(r => r.text()).catch(() => null)")
        if read is not None:
            world.problems.add("S53", f"{name}: a page at {url} reads ours")
        page.close()
    after = standing(client, repository)
    if after != before:
        world.problems.add("S53", f"{name}: a page elsewhere changed {before} to {after}")
    visitor.go("")
    if visitor.find('form[action*="/logout"]').count() == 0 and name == "ann":
        world.problems.add("S53", f"{name}: was signed out by a page elsewhere")


def standing(client, repository):
    """What the attacks are after."""
    tags = client.send("GET", f"/v2/{repository}/tags/list").json()
    about = client.send("GET", f"/api/v1/repositories/{repository}")
    tokens = client.send("GET", "/api/v1/me/tokens")
    items = [token["name"] for token in tokens.json()["items"]] if tokens.status == 200 and "items" in tokens.json() else tokens.status
    about = about.json() if about.status == 200 else {}
    return tags, {key: about.get(key) for key in ("visibility", "description", "stars")}, items


def framed(world, attacker):
    attacker.pages["/frame"] = f'<iframe src="{world.open.url}/ui/" width=800 height=600></iframe>'
    for url in attacker.urls("/frame"):
        page = world.browser.new_page()
        page.goto(url, wait_until="load")
        frames = [frame.url for frame in page.frames[1:]]
        if any(frame.startswith(world.open.url) for frame in frames):
            world.problems.add("S53", f"our pages are shown in a frame at {url}")
        page.close()


def check_links(world):
    """A link in somebody's chat finds its reader signed in, though the session is kept from other sites; and nobody goes in circles."""
    attacker = Attacker()
    attacker.pages["/chat"] = f'<a href="{world.index.url}/ui/r/shop/worker?page=1">look</a>'
    try:
        for look in (LOOKS[0], LOOKS[2]):
            for name, end in [("ann", "/ui/r/shop/worker?page=1"), (None, "/ui/login?next=%2Fui%2Fr%2Fshop%2Fworker%3Fpage%3D1")]:
                reader = Visitor(world.browser, world.index, look, world.problems, world.keys, world.sessions.get(name))
                for url in attacker.urls("/chat"):
                    reader.page.goto(url)
                    reader.asked.clear()
                    reader.page.click("a")
                    try:
                        reader.page.wait_for_url(lambda at: at.endswith(end), wait_until="load")
                        reader.find("h1").wait_for()
                    except Exception:
                        world.problems.add("link", f"{name} ({look}) comes from {url} to {reader.page.url}")
                    pages = [request for request in reader.asked if request.is_navigation_request()]
                    if 4 < len(pages):
                        world.problems.add("link", f"{name} ({look}) needs {len(pages)} requests from {url}")
                reader.close()
    finally:
        attacker.close()


def check_payloads(world):
    """S52: the payloads are there, as text: a walk over them proves nothing if they are hidden."""
    session = world.sessions["mallory"]
    for look in LOOKS[:3:2]:
        page = Visitor(world.browser, world.index, look, world.problems, world.keys, session)
        for path, some in [
            ("r/hostile/web/-/t/constructor", PAYLOADS[:3]),
            ("r/hostile/web/-/t/constructor/layers", PAYLOADS[:1]),
            ("r/hostile/web", [PAYLOADS[1]]),
            ("o/hostile", [PAYLOADS[0]]),
        ]:
            page.go(path)
            for text in some:
                if text not in page.page.content().replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#34;", '"').replace("&#60;", "<").replace("&#62;", ">").replace("&#39;", "'").replace("&amp;", "&").replace("&#x27;", "'").replace("&#38;", "&"):
                    world.problems.add("S52", f"{path} does not show {text!r}")
        page.close()
    client = world.clients["mallory"]
    blob = client.blob("hostile/web", b"<!doctype html><script>window.ran='blob'</script>")
    for path in (f"/v2/hostile/web/blobs/{blob}", f"/v2/hostile/web/manifests/{world.known['hostile']['first']['digest']}"):
        answer = client.send("GET", path, headers={"Accept": "text/html,*/*"})
        if "html" in answer.headers["Content-Type"] or answer.headers.get("X-Content-Type-Options") != "nosniff":
            world.problems.add("S52", f"{path}: {answer.headers['Content-Type']}, {answer.headers.get('X-Content-Type-Options')}")


def check_parameters(world):
    """S51: what stands in a query is a value, never a part of a statement; nothing of ours fails by it."""
    corpus = [
        "'", "''", "\"", "1' or '1'='1", "1; drop table tags", "name desc, (select password from accounts)", "password_hash", "%00", "\x00", "-1", "0", "9" * 30,
        "1e9", "NaN", "../../etc/passwd", "\ud7ff", "%", "_", "*", "[", "\\", "a" * 5_000, "sha256:", "sha256:zz", ":", "@", "/", "//", "-", "--",
    ]
    session = {"Cookie": f"layerhouse_session={world.sessions['root']}", "Accept": "text/html"}
    pages = {
        "/ui/search": ["q", "sort", "os", "arch", "type", "page"],
        "/ui/r/shop/web/-/tags": ["q", "sort", "order", "page"],
        "/ui/r/shop/web/-/compare": ["a", "b", "platform"],
        "/ui/r/shop/web/-/history": ["tag", "before"],
        "/ui/r/shop/web/-/delete": ["tag", "digest", "repository"],
        "/ui/admin/users": ["q", "page", "after", "sort"],
        "/ui/admin/audit": ["subject", "actor", "before", "after", "page", "action"],
        "/ui/admin/access": ["user", "deed", "repository", "who", "what", "where"],
        "/ui/": ["said", "lang", "page"],
    }
    for path, names in pages.items():
        for name in names:
            for value in corpus:
                answer = Client(world.index).send("GET", f"{path}?{name}={quote(value)}", headers=session)
                if 500 <= answer.status:
                    world.problems.add("S51", f"{path}?{name}={value[:40]!r}: {answer.status}")
                if b"argon2" in answer.body or b"SELECT " in answer.body:
                    world.problems.add("S51", f"{path}?{name}={value[:40]!r} tells too much")


def check(world):
    for each in (check_payloads, check_returns, check_foreign_forms, check_links, check_parameters):
        try:
            each(world)
        except Exception as error:
            world.problems.add(each.__name__, f"{type(error).__name__}: {str(error)[:300]}")
