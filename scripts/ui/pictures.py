"""Pictures of the main pages, to be looked at and to stand in the README."""

import shutil
import subprocess

from browser import LOOKS, Look, Visitor

WIDE = Look("en", "light", 1280, True)
PAGES = {
    "home": "",
    "search": "search?q=shop",
    "repository": "r/shop/web",
    "tags": "r/shop/web/-/tags?sort=semver",
    "image": "r/shop/web/-/t/v2.1.0",
    "layers": "r/shop/web/-/t/v2.1.0/layers",
    "compare": "r/shop/web/-/compare?a=v2.0.0&b=v2.1.0",
    "history": "r/shop/worker/-/history",
    "delete": "r/shop/worker/-/delete?tag=lonely",
    "settings": "r/shop/web/-/settings",
    "tokens": "me/tokens",
    "login": "login",
    "help": "help/docker",
    "organization": "o/shop/members",
    "storage": "admin/storage",
    "users": "admin/users",
    "collection": "admin/collection",
    "audit": "admin/audit",
    "config": "admin/config",
}


def take(world, folder):
    """PNGs of what fits on a screen, 1280 by 800; and of each page as narrow and dark as can be, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for look, name in [(WIDE, "{}"), (Look("zh", "dark", 1280, True), "{}-zh-dark"), (LOOKS[1], "{}-narrow")]:
        for page, path in PAGES.items():
            who = {"login": None}.get(page, "root" if path.startswith("admin/") else "ann")
            visitor = Visitor(world.browser, world.index, look, world.problems, world.keys, world.sessions.get(who))
            visitor.page.set_viewport_size({"width": look.width, "height": 800})
            file = folder / f"{name.format(page)}.png"
            try:
                visitor.go(path)
                visitor.page.screenshot(path=file, full_page=look.width < 1000)
                if shutil.which("pngquant"):
                    subprocess.run(["pngquant", "--force", "--ext", ".png", "128", file], check=False)
            except Exception as error:
                world.problems.add(f"picture of {page}", str(error).splitlines()[0])
            visitor.close()
