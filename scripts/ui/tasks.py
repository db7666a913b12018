"""What people come to do, each from where they would begin, with scripts and without."""

import json
import re
import time
from urllib.parse import quote

from browser import LOOKS, Look, Visitor
from fixtures import BASE, pushed_image
from security import sign_in
from servers import INDEX, PASSWORD, Client, Server

TASKS = []


def task(who="ann", looks=LOOKS):
    """A task, done by somebody in each of these looks; `turn` tells it from the others who did the same."""

    def add(function):
        TASKS.append((function, who, looks))
        return function

    return add


def check(world, some, said):
    """Does all tasks, or those whose names have `some` in them."""
    for function, who, looks in TASKS:
        if not re.search(some, function.__name__):
            continue
        for turn, look in enumerate(looks):
            visitor = Visitor(world.browser, world.index, look, world.problems, world.keys, world.sessions.get(who))
            try:
                function(world, visitor, turn)
            except Exception as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                world.problems.add(f"{function.__name__} ({look})", f"{type(error).__name__}: {' | '.join(lines[:3])[:400]}; at {visitor.page.url}")
            visitor.close()
        said(f"task: {function.__name__.replace('_', ' ')}")


def search(visitor, text):
    """Types into the box at the top of every page, and presses Enter."""
    visitor.go("")
    box = visitor.find("header input[name=q]")
    box.fill(text)
    with visitor.page.expect_navigation(wait_until="load"):
        box.press("Enter")
    visitor.check()


def opens(visitor, end):
    """The page whose address has this end: it is open already, or a link leads there."""
    if not visitor.page.url.split("?")[0].endswith(end):
        visitor.press(visitor.find(f'main a[href$="{end}"]').first)
    assert visitor.page.url.split("?")[0].endswith(end), visitor.page.url


@task(None)
def find_an_image_by_pasted_reference(world, visitor, turn):
    host = world.index.host
    digest = world.known["2.0.0"]["digest"]
    for text, end in [
        (f"{host}/shop/web:v2.1.0", "/ui/r/shop/web/-/t/v2.1.0"),
        (f"docker pull {host}/shop/web:v1.10.0", "/ui/r/shop/web/-/t/v1.10.0"),
        (f"shop/web@{digest}", f"/ui/r/shop/web/-/m/{digest}"),
        ("shop/web:2.1", "/ui/r/shop/web/-/t/2.1"),
    ][: 4 if turn == 0 else 1]:
        search(visitor, text)
        opens(visitor, end)
    visitor.go("/shop/web:v2.1.0")
    assert visitor.page.url.endswith("/ui/r/shop/web/-/t/v2.1.0"), visitor.page.url


@task("ann")
def find_an_image_by_name(world, visitor, turn):
    search(visitor, "worker")
    opens(visitor, "/ui/r/shop/worker")
    search(visitor, "there is nothing of this name")
    assert visitor.find("main .list li").count() == 0
    visitor.go("n/shop")
    visitor.press(visitor.find('main a[href$="/ui/r/shop/api"]').first)


@task("ann")
def find_an_image_by_its_digest(world, visitor, turn):
    digest = world.known["2.1.0"]["digest"]
    search(visitor, digest)
    opens(visitor, f"/ui/r/shop/web/-/m/{digest}")
    search(visitor, digest[:19])
    opens(visitor, f"/ui/r/shop/web/-/m/{digest}")
    visitor.sees("v2.1.0", "latest")


@task(None)
def nobody_finds_what_is_private(world, visitor, turn):
    search(visitor, "worker")
    assert visitor.find('main a[href*="/ui/r/shop/worker"]').count() == 0
    search(visitor, world.known["main 2"]["digest"][:19])
    assert visitor.find('main a[href*="/ui/r/shop/worker"]').count() == 0
    visitor.go("")
    visitor.misses("shop/worker")


def tags_shown(visitor):
    return visitor.order("table.tags tbody th > a.mono")


@task("ann")
def list_tags_sorted(world, visitor, turn):
    visitor.go("r/shop/web")
    visitor.press(visitor.find('main .tabs a[href$="/-/tags"]'))
    expected = ["v2.1.0", "v2.0.0", "v2.0.0-rc.2", "v2.0.0-rc.1", "v1.10.1", "v1.10.0", "v1.9.0", "v1.2.0", "v1.0.0"]
    visitor.go("r/shop/web/-/tags?sort=semver")
    found = [tag for tag in tags_shown(visitor) if re.match(r"v\d+\.\d+\.\d", tag)]
    assert found in (expected, expected[::-1]), found
    visitor.go("r/shop/web/-/tags?sort=semver&order=desc")
    found = [tag for tag in tags_shown(visitor) if re.match(r"v\d+\.\d+\.\d", tag)]
    assert found == expected, found
    # The application grows by 9 kB with each version.
    visitor.go("r/shop/web/-/tags?sort=size&order=desc")
    found = [tag for tag in tags_shown(visitor) if re.match(r"v\d+\.\d+\.\d", tag)]
    assert found == expected, found
    visitor.go("r/shop/web/-/tags?sort=name&order=asc")
    found = tags_shown(visitor)
    assert found == sorted(found), found
    visitor.go("r/shop/web/-/tags?q=rc")
    assert sorted(tags_shown(visitor)) == ["v2.0.0-rc.1", "v2.0.0-rc.2"], tags_shown(visitor)
    # Aliases of one digest stand together, and lead to each other.
    visitor.go("r/shop/web/-/tags?q=latest")
    assert visitor.find('table.tags a.chip[href$="/-/t/v2.1.0"]').count() == 1


@task("ann", LOOKS[:3:2])
def turn_pages_of_tags(world, visitor, turn):
    visitor.go("r/shop/nightly/-/tags?sort=name&order=asc")
    seen = tags_shown(visitor)
    while visitor.find("main a[rel=next]").count():
        visitor.press(visitor.find("main a[rel=next]"))
        seen += tags_shown(visitor)
    assert len(seen) == len(set(seen)) == 130, len(seen)


@task(None)
def read_what_an_image_runs(world, visitor, turn):
    visitor.go("r/shop/web/-/t/v2.1.0")
    visitor.sees("APP_VERSION", "2.1.0", "org.opencontainers.image.licenses", "Apache-2.0", "/usr/local/bin/web", "8080/tcp", "/srv", "65532", "linux/amd64")
    visitor.misses("application/vnd.oci.image.config.v1+json")
    visitor.press(visitor.find('main .tabs a[href$="/layers"]'))
    visitor.sees("COPY web /usr/local/bin/web", "COPY assets /srv/assets")
    visitor.press(visitor.find('main .tabs a[href$="/raw"]'))
    visitor.sees('"schemaVersion"', world.known["2.1.0"]["digest"][:19])


@task("ann")
def see_layers_and_what_is_shared(world, visitor, turn):
    visitor.go("r/shop/web/-/t/v2.1.0/layers")
    assert visitor.find("main table.layers tbody tr").count() == 4
    assert visitor.find("main figure svg").count() >= 1
    row = visitor.find("main table.layers tbody tr").nth(0)
    assert "shop/worker" in row.inner_text(), row.inner_text()
    assert visitor.find("main table.layers tbody tr").nth(3).locator('a[href*="/ui/r/"]').count() == 0


@task("ann")
def see_what_refers_to_an_image(world, visitor, turn):
    visitor.go("r/shop/web/-/t/v2.1.0/referrers")
    for name in ("signature", "sbom"):
        assert visitor.find(f'main a[href*="{world.known[name]["digest"]}"]').count() == 1, name
    visitor.go("r/shop/api/-/t/latest")
    visitor.sees("linux/amd64", "linux/arm64/v8", "linux/arm/v7")


@task("ann")
def compare_two_tags(world, visitor, turn):
    if turn % 2 == 0:
        visitor.go("r/shop/web/-/tags?sort=semver")
        for tag in ("v2.0.0", "v2.1.0"):
            visitor.find(f'table.tags input[name=tag][value="{tag}"]').check()
        visitor.press(visitor.find("main .bulk button:not([formaction])"))
        # However the rows are sorted, the older is held against the newer.
        assert [visitor.find(f"main input[name={side}]").input_value() for side in "ab"] == ["v2.0.0", "v2.1.0"]
    else:
        visitor.go("r/shop/web/-/compare")
        visitor.find("main input[name=a]").fill("v2.0.0")
        visitor.find("main input[name=b]").fill("v2.1.0")
        visitor.press(visitor.find("main form button[type=submit]").first)
    visitor.sees("APP_VERSION", "2.0.0", "2.1.0", "COPY web /usr/local/bin/web")
    assert visitor.find("main figure svg").count() >= 1
    visitor.go("r/shop/web/-/compare?a=v2.1.0&b=latest")
    assert visitor.find("main table.difference tbody tr.added, main table.difference tbody tr.removed").count() == 0


@task(None)
def copy_a_pull_command(world, visitor, turn):
    visitor.go("r/shop/web/-/t/v2.1.0")
    command = f"docker pull {world.index.host}/shop/web:v2.1.0"
    shown = visitor.find("main .tools .command code").first
    assert shown.inner_text().strip() == command, shown.inner_text()
    button = visitor.find("main .tools .command").first.locator("button.copy")
    assert button.is_visible() == visitor.look.has_script
    if visitor.look.has_script:
        visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button.click()
        copied = visitor.page.evaluate("() => navigator.clipboard.readText()")
        assert copied == command, copied
        assert visitor.find("#said").inner_text()


def own_repository(world, turn, name):
    """A repository of this turn's, with two images that share a layer, and a third tag beside the second."""
    repository = f"shop/{name}-{turn}"
    ann = world.clients["ann"]
    seed = f"{repository} small"
    pushed_image(ann, repository, [*BASE[:1], (seed, 30_000, "COPY small /")], ["kept", "beside"])
    gone = pushed_image(ann, repository, [*BASE[:1], (f"{repository} big", 2_097_152, "COPY big /")], ["goes"])
    return repository, gone["digest"]


def tags_of(world, repository):
    answer = world.clients["ann"].send("GET", f"/v2/{repository}/tags/list")
    return sorted(answer.json().get("tags") or []) if answer.status == 200 else None


@task("ann")
def delete_a_tag_and_take_it_back(world, visitor, turn):
    repository, digest = own_repository(world, turn, "delete")
    visitor.go(f"r/{repository}/-/t/goes")
    visitor.press(visitor.find('main a[href*="/-/delete?"]').first)
    # What goes, what stays, and how many bytes come back, before anything happens.
    # The last tag of an image goes alone, unless one says that the image goes, too.
    visitor.sees("goes", "2.00 MiB")
    assert visitor.find('main .ways a[aria-current]:not([href*="images=yes"])').count() == 1
    visitor.press(visitor.find('main .ways a[href*="images=yes"]'))
    visitor.sees("goes", "2.00 MiB")
    assert visitor.find('main .ways a[aria-current][href*="images=yes"]').count() == 1
    assert tags_of(world, repository) == ["beside", "goes", "kept"]
    visitor.press(visitor.find('main form[action$="/-/delete"] button[type=submit]').last)
    assert tags_of(world, repository) == ["beside", "kept"], tags_of(world, repository)
    assert visitor.find("[role=status].notice").count() == 1, "no notice"
    undo = visitor.find('form[action$="/-/undelete"] button[type=submit]')
    if undo.count() == 0:
        visitor.press(visitor.find('a[href*="/-/deleted"]').first)
        undo = visitor.find('form[action$="/-/undelete"] button[type=submit]')
    visitor.press(undo.first)
    assert tags_of(world, repository) == ["beside", "goes", "kept"], tags_of(world, repository)
    # One of two names of an image: nothing comes back.
    visitor.go(f"r/{repository}/-/delete?tag=beside")
    visitor.sees("beside", "kept")
    visitor.misses("2.00 MiB")


@task("ann", LOOKS[:3:2])
def delete_several_tags_at_once(world, visitor, turn):
    repository, _ = own_repository(world, turn, "bulk")
    visitor.go(f"r/{repository}/-/tags")
    if visitor.look.has_script:
        visitor.find("input[data-all]").check()
        visitor.find('input[name=tag][value="kept"]').uncheck()
    else:
        for tag in ("beside", "goes"):
            visitor.find(f'input[name=tag][value="{tag}"]').check()
    visitor.press(visitor.find('main button[formaction$="/-/delete"]'))
    visitor.sees("beside", "goes")
    visitor.press(visitor.find('main form[action$="/-/delete"] button[type=submit]').last)
    assert tags_of(world, repository) == ["kept"], tags_of(world, repository)


@task("ann", LOOKS[:3:2])
def delete_a_repository(world, visitor, turn):
    repository, _ = own_repository(world, turn, "whole")
    visitor.go(f"r/{repository}/-/delete?repository=yes")
    typed = visitor.find('main form[action$="/-/delete"] input[type=text], main form[action$="/-/delete"] input:not([type])')
    if typed.count():
        typed.first.fill(repository)
    visitor.press(visitor.find('main form[action$="/-/delete"] button[type=submit]').last)
    assert not tags_of(world, repository), tags_of(world, repository)
    visitor.go(f"r/{repository}/-/deleted")
    visitor.press(visitor.find('form[action$="/-/undelete"] button[type=submit]').first)
    assert tags_of(world, repository) == ["beside", "goes", "kept"], tags_of(world, repository)


@task("ann")
def restore_a_tag_from_its_history(world, visitor, turn):
    repository, before = own_repository(world, turn, "restore")
    ann = world.clients["ann"]
    pushed_image(ann, repository, [(f"{repository} new", 1_000, "COPY new /")], ["goes"])
    visitor.go(f"r/{repository}/-/t/goes")
    visitor.press(visitor.find('main .tabs a[href*="/-/history?tag=goes"]'))
    # A button for what it pointed at before, then a page that says what would be, with another.
    visitor.press(visitor.find(f'main form[action$="/-/history/restore"]:has(input[value="{before}"]) button').first)
    visitor.press(visitor.find('main form[action$="/-/history/restore"]:has(input[name=sure]) button[type=submit]'))
    answer = ann.send("HEAD", f"/v2/{repository}/manifests/goes", headers={"Accept": "*/*"})
    assert answer.headers["Docker-Content-Digest"] == before


@task("rita", LOOKS[:1])
def readers_are_offered_nothing_that_they_may_not(world, visitor, turn):
    for path in ("r/shop/worker", "r/shop/worker/-/tags", "r/shop/worker/-/t/main", "r/shop/worker/-/history"):
        visitor.go(path)
        for selector in ('a[href*="/-/delete?"]', 'button[formaction*="/-/delete"]', 'form[action*="/restore"]', 'a[href$="/-/settings"]'):
            assert visitor.find(selector).count() == 0, (path, selector)
    for path in ("r/shop/worker/-/delete?tag=main", "r/shop/worker/-/settings"):
        visitor.go(path, status=403)


@task(None)
def sign_up_sign_in_and_out(world, visitor, turn):
    name = f"new-{turn}"
    visitor.go("")
    visitor.press(visitor.find('header a[href*="/ui/login"]'))
    visitor.press(visitor.find('a[href*="/ui/signup"]').first)
    form = visitor.find('main form[action*="/signup"]')
    form.locator("input[name=name]").fill(name)
    # Too short: the form says so, and keeps the name.
    for field in form.locator("input[type=password]").all():
        field.fill("short")
        field.evaluate("e => { e.removeAttribute('minlength'); e.required = false; }")
    visitor.press(form.locator("button[type=submit]").first)
    assert visitor.find("main [role=alert]").count() >= 1, "no word of what is wrong"
    form = visitor.find('main form[action*="/signup"]')
    assert form.locator("input[name=name]").input_value() == name
    for field in form.locator("input[type=password]").all():
        assert field.input_value() == ""
        field.fill(PASSWORD)
    visitor.press(form.locator("button[type=submit]").first)
    if visitor.find('form[action$="/ui/logout"]').count() == 0:
        visitor.go("login")
        sign_in(visitor, name)
    assert name in visitor.find("header").inner_text()
    cookies = {cookie["name"]: cookie for cookie in visitor.context.cookies()}
    assert cookies["layerhouse_session"]["httpOnly"] and cookies["layerhouse_session"]["sameSite"] == "Strict", cookies
    visitor.press(visitor.find('header form[action$="/ui/logout"] button'))
    assert visitor.find('header a[href*="/ui/login"]').count() == 1
    assert not [cookie for cookie in visitor.context.cookies() if cookie["name"] == "layerhouse_session"]
    # Back to where one wanted to go; a wrong password says no more than that.
    visitor.go(f"r/shop/worker/-/tags?sort=name")
    assert "/ui/login?" in visitor.page.url
    sign_in(visitor, name, "not the password")
    assert visitor.find("main [role=alert]").count() >= 1
    sign_in(visitor, "ann" if turn == 0 else name)
    assert visitor.page.url.endswith("/ui/r/shop/worker/-/tags?sort=name"), visitor.page.url


@task(None, LOOKS[1:3])
def set_up_the_first_administrator(world, visitor, turn):
    server = Server(world.binary, world.work / f"setup-{turn}", INDEX)
    try:
        fresh = Visitor(world.browser, server, visitor.look, world.problems, world.keys)
        fresh.go("setup", with_axe=True)
        form = fresh.find('main form[action*="/setup"]')
        for code in ("lhu_" + "a" * 52, server.setup_code()):
            form.locator("input[name=code]").fill(code)
            form.locator("input[name=name]").fill("chief")
            for field in form.locator("input[type=password]:not([name=code])").all():
                field.fill(PASSWORD)
            fresh.press(form.locator("button[type=submit]").first)
        if fresh.find('form[action$="/ui/logout"]').count() == 0:
            fresh.go("login")
            sign_in(fresh, "chief")
        fresh.go("admin")
        # Nobody else becomes one.
        fresh.go("setup", status=fresh.page.goto(f"{server.url}/ui/setup").status)
        assert fresh.find('form[action*="/setup"] input[name=code]').count() == 0
        fresh.close()
    finally:
        server.stop()


@task("ann")
def make_a_token_and_use_it(world, visitor, turn):
    visitor.go("me/tokens")
    form = visitor.find('main form[action*="/me/tokens"]:has(input[name=name])')
    form.locator("input[name=name]").fill(f"laptop {turn}")
    visitor.press(form.locator("button[type=submit]").first)
    secret = re.search(r"lhp_[a-z2-7]{20,}", visitor.page.content()).group()
    assert Client(world.index, "ann", secret).send("GET", "/v2/shop/worker/tags/list").status == 200
    visitor.go("me/tokens")
    assert secret not in visitor.page.content()
    visitor.sees(f"laptop {turn}")
    visitor.press(visitor.find(f'main tr:has-text("laptop {turn}") a[href*="revoke="]'))
    visitor.press(visitor.find("main form button.danger"))
    assert Client(world.index, "ann", secret).send("GET", "/v2/shop/worker/tags/list").status == 401


@task("ann")
def add_a_member(world, visitor, turn):
    name = f"member-{turn}"
    world.clients["root"].api("POST", "/users", {"name": name, "password": PASSWORD})
    visitor.go("o/shop/members")
    form = visitor.find('main form[action$="/members"]:has(#user)')
    form.locator("#user").fill(name)
    form.locator("select[name=role]").select_option("writer")
    visitor.press(form.locator("button[type=submit]").first)
    visitor.sees(name)
    members = world.clients["ann"].api("GET", "/organizations/shop/members")["items"]
    assert {"user": name, "role": "writer"}.items() <= next(m for m in members if m["user"] == name).items()
    # Somebody who is not there: the page says so.
    form = visitor.find('main form[action$="/members"]:has(#user)')
    form.locator("#user").fill("no-such-user")
    visitor.press(form.locator("button[type=submit]").first)
    assert visitor.find("main [role=alert]").count() >= 1


@task("ann")
def hide_a_repository(world, visitor, turn):
    repository, _ = own_repository(world, turn, "hide")
    stranger = Visitor(world.browser, world.index, visitor.look, world.problems, world.keys, world.sessions["otto"])
    for visibility in ("public", "private"):
        visitor.go(f"r/{repository}/-/settings")
        form = visitor.find('main form:has([name=visibility])').first
        choice = form.locator("[name=visibility]")
        if choice.first.evaluate("e => e.tagName") == "SELECT":
            choice.select_option(visibility)
        else:
            form.locator(f'[name=visibility][value="{visibility}"]').check()
        visitor.press(form.locator("button[type=submit]").first)
        assert world.clients["ann"].api("GET", f"/repositories/{repository}")["visibility"] == visibility
        stranger.go(f"r/{repository}", status=200 if visibility == "public" else 404)
    # The same words for what is hidden and for what is not there.
    hidden = [stranger.go(f"r/{name}", status=404) and stranger.text() for name in (repository, f"{repository[:-1]}x")]
    shown = [re.sub(r"[0-9a-f-]{36}", "", text) for text in hidden]
    assert shown[0].replace(repository, "") == shown[1].replace(f"{repository[:-1]}x", ""), shown
    stranger.close()


@task("otto")
def give_a_star(world, visitor, turn):
    count = lambda: world.clients["ann"].api("GET", "/repositories/shop/api")["stars"]
    visitor.go("r/shop/api")
    before = count()
    visitor.press(visitor.find('form[action$="/-/star"] button'))
    assert count() == before + 1
    visitor.go("me/stars")
    assert visitor.find('main a[href$="/ui/r/shop/api"]').count() >= 1
    visitor.go("r/shop/api")
    visitor.press(visitor.find('form[action$="/-/star"] button'))
    assert count() == before


@task("ann", LOOKS[:1])
def administration_is_for_administrators(world, visitor, turn):
    from walk import ADMIN

    for page in ADMIN:
        visitor.go(f"admin/{page}", status=403)
    assert visitor.find('header a[href$="/ui/admin"]').count() == 0
    nobody = Visitor(world.browser, world.index, visitor.look, world.problems, world.keys)
    for page in ADMIN:
        nobody.go(f"admin/{page}")
        assert "/ui/login?" in nobody.page.url, nobody.page.url
    nobody.close()


@task("root", LOOKS[:3:2])
def ask_whether_somebody_may(world, visitor, turn):
    visitor.go("admin/access")
    form = visitor.find("main form[method=get]:has(#account)")
    form.locator("#account").fill("rita")
    form.locator("#action").select_option("push")
    form.locator("#repository").fill("shop/worker")
    visitor.press(form.locator("button[type=submit]"))
    visitor.sees("rita", "shop/worker")


@task("root", LOOKS[:3:2])
def see_the_plan_of_a_collection_and_run_it(world, visitor, turn):
    visitor.go("admin/collection")
    visitor.press(visitor.find("main form[method=post] button.primary"))


@task("ann")
def change_language_and_theme(world, visitor, turn):
    visitor.go("r/shop/web")
    lang, theme = ("zh-CN", "dark") if visitor.look.lang == "en" else ("en", "light")
    visitor.finished.clear(), visitor.asked.clear()
    form = visitor.find('form[action$="/ui/preferences"]')
    if visitor.look.has_script:
        with visitor.page.expect_navigation(wait_until="load"):
            form.locator("select[name=lang]").select_option(lang)
        with visitor.page.expect_navigation(wait_until="load"):
            visitor.find('form[action$="/ui/preferences"] select[name=theme]').select_option(theme)
    else:
        form.locator("select[name=lang]").select_option(lang)
        form.locator("select[name=theme]").select_option(theme)
        with visitor.page.expect_navigation(wait_until="load"):
            form.locator("button").click()
    assert visitor.page.url.endswith("/ui/r/shop/web"), visitor.page.url
    for path in ("", "r/shop/web/-/tags"):
        visitor.page.goto(f"{world.index.url}/ui/{path}")
        root = visitor.find("html")
        assert (root.get_attribute("lang"), root.get_attribute("data-theme")) == (lang, theme)
        shade = visitor.page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0)")
        assert (shade < 200) == (theme == "dark"), shade


@task(None, LOOKS[:3:2])
def help_shows_this_host(world, visitor, turn):
    from walk import CLIENTS

    visitor.go("help/")
    for client in CLIENTS:
        assert visitor.find(f'main a[href$="/ui/help/{client}"]').count() >= 1, client
    for client in CLIENTS:
        visitor.go(f"help/{client}")
        if client != "close":
            visitor.sees(world.index.host)


@task("ann", LOOKS[:1])
def keys_lead_around(world, visitor, turn):
    visitor.go("r/shop/web/-/tags?sort=name&order=asc")
    page = visitor.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.classList.contains('skip')")
    page.locator("body").press("j")
    assert page.evaluate("() => document.activeElement.closest('tr') !== null")
    page.keyboard.press("x")
    assert visitor.find("table.tags input[name=tag]:checked").count() == 1
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "find"
