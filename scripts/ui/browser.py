"""A real browser that looks at every page it comes to: what is asserted of all of them stands here."""

import dataclasses
import json
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import axe_playwright_python

from servers import PASSWORD, Client

# What a first visit may cost: requests, bytes over the wire, and of these by kind.
REQUESTS, WHOLE, PARTS = 5, 50_000, {"document": 15_000, "stylesheet": 12_000, "script": 12_000}
# The smallest screen that pages must fit on without scrolling sideways, in CSS pixels.
NARROW = 320
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
    # Nothing is in frames, and no rule of these asks for files.
    "preload": False,
    "iframes": False,
}
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Runs before a page's own scripts: whoever comes through leaves a trace.
TRACE = "for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => { window.ran = name };"
FACTS = """() => {
  const wide = document.documentElement;
  return {
    headings: document.querySelectorAll('h1').length,
    lang: wide.lang,
    title: document.title,
    sideways: wide.scrollWidth - wide.clientWidth,
    text: document.body.innerText,
    ran: window.ran ?? null,
    injected: document.querySelectorAll('#injected').length,
    inline: [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on|^style$/.test(a.name))).map(e => e.outerHTML.slice(0, 120)),
    links: [...document.querySelectorAll('[href], [action], [src]')].map(e => e.getAttribute('href') ?? e.getAttribute('action') ?? e.getAttribute('src')),
    widest: [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide.clientWidth + 1)
      .slice(0, 3).map(e => e.outerHTML.slice(0, 120)),
  };
}"""


@dataclasses.dataclass(frozen=True)
class Look:
    """How somebody looks at pages; widths are in CSS pixels."""

    lang: str
    theme: str
    width: int
    has_script: bool

    def __str__(self):
        return f"{self.lang} {self.theme} {self.width} {'js' if self.has_script else 'no-js'}"


# Each value of each property with each other at least once, but for the widths in between.
LOOKS = [
    Look("en", "light", 1440, True),
    Look("zh", "dark", NARROW, True),
    Look("en", "dark", 768, False),
    Look("zh", "light", NARROW, False),
]
# The other pairs of language and theme, with the scripts that axe needs.
SCRIPTED = [Look("en", "dark", NARROW, True), Look("zh", "light", 1440, True)]


def text_keys(repository):
    """The keys of all texts of the pages, which none of them may show."""
    files = Path(repository, "crates/layerhouse/src/api/ui/text").glob("*.txt")
    return {key for file in files for key in re.findall(r"^\[([a-z0-9_.-]+)\]$", file.read_text(), re.M)}


class Problems:
    """What was found wrong, each once."""

    def __init__(self):
        self.found = []

    def add(self, where, what):
        if (where, what) not in self.found:
            self.found.append((where, what))
            print(f"  WRONG {where}: {what}", flush=True)


class Visitor:
    """Somebody with a browser of their own: nothing kept from others. `session` is a cookie's value, `scale` the
    pixels of the screen for one of CSS."""

    def __init__(self, browser, server, look, problems, keys, session=None, basic=None, root="/ui", scale=1):
        self.server, self.look, self.problems, self.keys, self.root = server, look, problems, keys, root
        options = {"http_credentials": {"username": basic[0], "password": basic[1]}} if basic else {}
        self.context = browser.new_context(
            java_script_enabled=look.has_script,
            color_scheme=look.theme,
            locale={"en": "en-US", "zh": "zh-CN"}[look.lang],
            viewport={"width": look.width, "height": 900},
            device_scale_factor=scale,
            **options,
        )
        self.context.set_default_timeout(8_000)
        self.context.add_init_script(TRACE)
        if session:
            self.context.add_cookies([{"name": "layerhouse_session", "value": session, "url": server.url, "httpOnly": True, "sameSite": "Strict"}])
        self.page = self.context.new_page()
        self.finished, self.asked, self.said = [], [], []
        self.page.on("request", lambda request: self.asked.append(request))
        self.page.on("requestfinished", lambda request: self.finished.append(request))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(f"exception: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _console(self, message):
        # A page that is a 404 on purpose is no mistake of the page's.
        is_status = message.text.startswith("Failed to load resource")
        is_document = message.location.get("url", "").split("#")[0] == self.page.url.split("#")[0]
        if message.type in ("error", "warning") and not (is_status and is_document):
            self.said.append(f"console: {message.text}")

    def close(self):
        self.context.close()

    def where(self):
        parts = urlsplit(self.page.url)
        return f"{parts.path}{'?' + parts.query if parts.query else ''} ({self.look})"

    def wrong(self, what):
        self.problems.add(self.where(), what)

    def go(self, path, status=200, **checks):
        """Opens a page and looks at it. `path` is below the pages' root, or whole with a host's slash in front."""
        self.finished.clear(), self.asked.clear(), self.said.clear()
        url = self.server.url + (path if path.startswith("/") else f"{self.root}/{path}")
        answer = self.page.goto(url, wait_until="load")
        if answer.status != status:
            self.wrong(f"answers {answer.status}, not {status}")
        self.check(**checks)
        return answer

    def press(self, locator, **checks):
        """Presses what leads to another page, and looks at that."""
        self.finished.clear(), self.asked.clear(), self.said.clear()
        with self.page.expect_navigation(wait_until="load") as navigation:
            locator.click()
        self.check(**checks)
        return navigation.value

    def check(self, is_first=False, is_other=False, with_axe=False):
        """What holds for all pages; `is_first` if the browser has nothing of this host yet, `is_other` where no page of ours is."""
        facts = self.page.evaluate(FACTS)
        for request in self.asked:
            if not request.url.startswith((self.server.url + "/", "data:")):
                self.wrong(f"asks another host: {request.url}")
        for said in self.said:
            self.wrong(said)
        self.said.clear()
        if facts["ran"] or facts["injected"]:
            self.wrong(f"a script came through: {facts['ran']}, {facts['injected']} elements")
        if is_other:
            return
        if facts["headings"] != 1:
            self.wrong(f"{facts['headings']} h1")
        if not facts["lang"].startswith(self.look.lang):
            self.wrong(f"lang is {facts['lang']!r}")
        if not facts["title"].strip():
            self.wrong("no title")
        if 0 < facts["sideways"]:
            self.wrong(f"{facts['sideways']} px too wide: {facts['widest']}")
        for inline in facts["inline"]:
            self.wrong(f"inline: {inline}")
        for link in facts["links"]:
            if link and re.match(r"\s*(javascript|data:text|vbscript)", link, re.I):
                self.wrong(f"leads to a script: {link}")
        shown = [key for key in re.findall(r"\b[a-z]+\.[a-z0-9_.-]+[a-z0-9]\b", facts["text"]) if key in self.keys]
        if shown:
            self.wrong(f"shows keys of texts: {sorted(set(shown))}")
        if is_first:
            self._weigh()
        # Without scripts its timers would never fire.
        if with_axe and self.look.has_script:
            self._axe()

    def _weigh(self):
        whole, parts = 0, {}
        finished = [request for request in self.finished if not request.url.startswith("data:")]
        for request in finished:
            sizes = request.sizes()
            size = sizes["responseBodySize"] + sizes["responseHeadersSize"]
            whole += size
            parts[request.resource_type] = parts.get(request.resource_type, 0) + size
        # The picture of the tab is that of the page's head.
        urls = {request.url for request in finished}
        if REQUESTS < len(urls):
            self.wrong(f"{len(urls)} requests: {sorted(urls)}")
        if WHOLE < whole:
            self.wrong(f"{whole} bytes for a first visit")
        for kind, most in PARTS.items():
            if most < parts.get(kind, 0):
                self.wrong(f"{parts[kind]} bytes of {kind}")
        self.weight = (len(urls), whole, parts)

    def _axe(self):
        if not self.page.evaluate("() => !!window.axe"):
            self.page.evaluate(AXE)
        found = self.page.evaluate(f"async () => (await axe.run(document, {json.dumps(RULES)})).violations")
        for violation in found:
            if violation["impact"] in ("serious", "critical"):
                nodes = [f"{node['target'][0]}: {node['html'][:140]} ({node['failureSummary'].splitlines()[-1].strip()[:160]})" for node in violation["nodes"][:3]]
                self.wrong(f"axe {violation['id']} ({violation['impact']}, {len(violation['nodes'])}): {nodes}")

    # What tasks are told in.

    def find(self, selector):
        return self.page.locator(selector)

    def text(self):
        return self.page.evaluate("() => document.body.innerText")

    def sees(self, *texts):
        shown = self.text()
        for text in texts:
            if text not in shown:
                raise AssertionError(f"{self.where()} does not show {text!r}")

    def misses(self, *texts):
        shown = self.text()
        for text in texts:
            if text in shown:
                raise AssertionError(f"{self.where()} shows {text!r}")

    def link(self, part):
        """The first link that leads to where `part` ends its path."""
        return self.find(f'a[href$="{part}"]').first

    def order(self, selector):
        """The texts of what the selector finds, from the top."""
        return [text.strip() for text in self.find(selector).all_inner_texts()]


def begin_session(server, name):
    """A session's cookie for somebody, as the API gives it."""
    form = json.dumps({"user": name, "password": PASSWORD})
    headers = {"Content-Type": "application/json", "Origin": server.url}
    answer = Client(server).send("POST", "/api/v1/session", form, headers)
    assert answer.status == 201, (answer.status, answer.body)
    return re.match(r"layerhouse_session=([^;]+)", answer.headers["Set-Cookie"]).group(1)


def leads_to(visitor, location):
    """Where a `Location` leads from the page that somebody is at."""
    return urljoin(visitor.page.url, location)
