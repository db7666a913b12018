"""Pictures of the main pages, to be looked at and to stand in the documentation."""

import re
import shutil
import subprocess

import showcase
from browser import LOOKS, Look, Visitor, begin_session
from servers import INDEX, Server

# As addresses show it; the browser is told where that is.
HOST = "registry.example.com"
PAGES = {
    "home": "",
    "search": "search?q=acme",
    "repository": "r/acme/storefront",
    "tags": "r/acme/storefront/-/tags?sort=semver",
    "image": "r/acme/storefront/-/t/3.8.1",
    "layers": "r/acme/storefront/-/t/3.8.1/layers",
    "compare": "r/acme/storefront/-/compare?a=3.7.0&b=3.8.1",
    "history": "r/acme/storefront/-/history",
    "delete": "r/acme/search-indexer/-/delete?tag=try-new-tokenizer&images=yes",
    "settings": "r/acme/storefront/-/settings",
    "tokens": "me/tokens",
    "login": "login",
    "help": "help/docker",
    "organization": "o/acme/members",
    "storage": "admin/storage",
    "users": "admin/users",
    "collection": "admin/collection",
    "audit": "admin/audit",
    "config": "admin/config",
}
# In CSS pixels; what is below is not seen.
WIDTH, HEIGHT = 1120, 720
TALLER = {"delete": 890, "compare": 920}


def take(world, folder, some):
    """PNGs of a registry of its own: what fits on a screen of two pixels for each of CSS, and each page as narrow and
    dark as can be, whole; of 64 colours, where `pngquant` is there. Those that have `some` in their names."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(world.binary, world.work / "showcase", INDEX)
    showcase.fill(server)
    sessions = {name: begin_session(server, name) for name in ("maya", "root")}
    address = server.host
    server.url, server.host = f"http://{HOST}", HOST
    # Else the console says of each page that its headers are for HTTPS.
    flags = ["--no-sandbox", f"--host-resolver-rules=MAP {HOST}:80 {address}", f"--unsafely-treat-insecure-origin-as-secure={server.url}"]
    browser = world.browser.browser_type.launch(executable_path=world.chromium, args=flags)
    try:
        for look, name in [(Look("en", "light", WIDTH, True), "{}"), (Look("zh", "dark", WIDTH, True), "{}-zh-dark"), (LOOKS[1], "{}-narrow")]:
            for page, path in PAGES.items():
                if not re.search(some, name.format(page)):
                    continue
                who = {"login": None}.get(page, "root" if path.startswith("admin/") else "maya")
                is_wide = look.width != LOOKS[1].width
                visitor = Visitor(browser, server, look, world.problems, world.keys, sessions.get(who), scale=2 if is_wide else 1)
                visitor.page.set_viewport_size({"width": look.width, "height": TALLER.get(page, HEIGHT)})
                file = folder / f"{name.format(page)}.png"
                try:
                    visitor.go(path)
                    visitor.page.screenshot(path=file, full_page=not is_wide)
                    if shutil.which("pngquant"):
                        subprocess.run(["pngquant", "--force", "--ext", ".png", "--strip", "64", file], check=False)
                except Exception as error:
                    world.problems.add(f"picture of {page}", str(error).splitlines()[0])
                visitor.close()
    finally:
        browser.close()
        server.stop()
