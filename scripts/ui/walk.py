"""Every page there is, opened by those whom it is for, in every look; of each kind one in each look is held against axe."""

import re
from urllib.parse import quote

from browser import LOOKS, SCRIPTED, Visitor
from fixtures import HOSTILE_TAGS, PAYLOADS

CLIENTS = [
    "docker", "podman", "nerdctl", "containerd", "kubernetes", "k3s", "cri-o", "buildx",
    "github-actions", "skopeo", "crane", "helm", "oras", "cosign", "mirror", "close",
]
ADMIN = [
    "", "users", "robots", "organizations", "invitations", "access", "storage", "collection", "retention", "scrub",
    "mirrors", "audit", "health", "config", "doctor", "deleted",
]


def of_image(repository, reference, views=("", "/layers", "/referrers", "/raw")):
    return [f"r/{repository}/-/{reference}{view}" for view in views]


def browsing(known):
    """Pages that show what is stored."""
    web, index = known["2.1.0"]["digest"], known["index"]["digest"]
    return [
        "", "search", "search?q=shop", "search?q=web&sort=updated", "search?q=nothing-has-this-name", "search?q=2.1.0",
        "n/shop", "r/shop/web", "r/shop/api", "r/shop/chart", "r/shop/legacy", "r/shop/gone",
        "r/shop/tools/build/cache/very-long-name-of-a-repository-that-has-to-wrap-somewhere",
        *(f"r/shop/web/-/tags?sort={sort}&order={order}" for sort in ("pushed", "semver", "pulled", "size", "name") for order in ("asc", "desc")),
        "r/shop/nightly/-/tags", "r/shop/nightly/-/tags?page=2", "r/shop/web/-/tags?q=rc", "r/shop/web/-/tags?q=none-of-them",
        *of_image("shop/web", "t/v2.1.0", ("", "/layers", "/referrers", "/history", "/raw")),
        *of_image("shop/web", f"m/{web}"),
        *of_image("shop/api", "t/latest"), *of_image("shop/api", f"m/{index}"), *of_image("shop/api", f"m/{known['child']['digest']}"),
        *of_image("shop/chart", "t/1.2.3"), *of_image("shop/legacy", "t/old"), *of_image("shop/web", f"m/{known['signature']['digest']}"),
        "r/shop/web/-/compare", "r/shop/web/-/compare?a=v2.0.0&b=v2.1.0", "r/shop/api/-/compare?a=1.4&b=latest",
        "r/shop/web/-/history", "r/shop/worker/-/history", "r/shop/worker/-/history?tag=main",
    ]


def changing(known):
    """Pages from which something is changed."""
    return [
        "r/shop/web/-/delete?tag=v1.0.0", "r/shop/web/-/delete?tag=v2.1.0&tag=2.1&tag=2&tag=latest",
        f"r/shop/web/-/delete?digest={known['2.1.0']['digest']}", "r/shop/worker/-/delete?repository=yes",
        "r/shop/worker/-/deleted", "r/shop/gone/-/deleted",
    ]


def hostile(known):
    """The same of what was pushed to do harm."""
    digest = known["hostile"]["first"]["digest"]
    pages = ["n/hostile", "r/hostile/web", "r/hostile/web/-/tags", "r/hostile/web/-/history"]
    for tag in HOSTILE_TAGS[:3]:
        pages += of_image("hostile/web", f"t/{tag}", ("", "/layers", "/referrers", "/history", "/raw"))
    pages += of_image("hostile/web", f"m/{digest}")
    pages += ["r/hostile/web/-/compare?a=constructor&b=other", f"r/hostile/web/-/delete?digest={digest}", "r/hostile/broken"]
    for number in range(5):
        pages += of_image("hostile/broken", f"t/config{number}", ("", "/layers"))
    pages += [f"search?q={quote(text)}" for text in PAYLOADS]
    pages += [f"search?q=shop&sort={quote(PAYLOADS[1])}&os={quote(PAYLOADS[1])}&page={quote(PAYLOADS[1])}"]
    return pages


MISSING = [
    "nope", "r/shop/none", "r/shop/web/-/t/none", "r/shop/web/-/m/sha256:" + "0" * 64, "r/shop/web/-/nope", "admin/nope", "help/nope", "o/none",
    "r/" + quote("<script>window.ran=1</script>"), "help/" + quote(PAYLOADS[1], safe=""),
]
ACCOUNT = ["me", "me/tokens", "me/stars", "me/namespaces"]
ORGANIZATION = [f"o/shop{page}" for page in ("", "/members", "/teams", "/robots", "/grants", "/settings")]
REPOSITORY = ["r/shop/web/-/settings", "r/shop/web/-/access", "r/shop/worker/-/settings"]
HELP = ["help/", *(f"help/{client}" for client in CLIENTS)]


def on_index(known):
    """Who opens which pages of a registry with accounts."""
    return {
        None: ["login", "signup", "", "search?q=web", "r/shop/web", "r/shop/web/-/tags", *HELP[:2]],
        "ann": [*browsing(known), *changing(known), *ACCOUNT, *ORGANIZATION, *REPOSITORY],
        "mallory": [*hostile(known), "me", "o/hostile", "o/hostile/members", "r/hostile/web/-/settings"],
        "root": [*(f"admin/{page}" for page in ADMIN), "o/shop/robots", "me", *HELP],
        "otto": ["", "me/stars"],
    }


def on_open(known):
    """The same without accounts."""
    return {None: ["", *browsing(known)[2:30:3], *changing(known), *hostile(known)[:12], *HELP[:3]]}


# What there is with accounts only; the page says so, and how to have them.
WITHOUT_ACCOUNTS = ["me", "login", "r/shop/web/-/settings", "o/shop", "admin/", "admin/storage"]


def kind(path):
    """What pages of one template have in common: the address without names and values."""
    path = re.sub(r"^r/.+?(?=/-/|$)", "r/*", path)
    path = re.sub(r"(?<=/-/)[tm]/[^/?]+|(?<=^help/).+|(?<=^[no]/)[^/]+", "*", path)
    return re.sub(r"=[^&]*", "=", path)


def of_each_kind(paths, turn):
    """One path of each kind; of several, another one in each turn."""
    kinds = {}
    for path in paths:
        kinds.setdefault(kind(path), []).append(path)
    return {same[turn % len(same)] for same in kinds.values()}


class Walk:
    """Opens lists of pages, those that have `some` in their address."""

    def __init__(self, browser, problems, keys, some=""):
        self.browser, self.problems, self.keys, self.some = browser, problems, keys, some
        self.weights, self.opened = {}, 0

    def through(self, server, pages, sessions, looks=LOOKS, with_axe=True):
        for turn, look in enumerate(looks):
            for who, paths in pages.items():
                visitor = Visitor(self.browser, server, look, self.problems, self.keys, sessions.get(who))
                held = of_each_kind(paths, turn) if with_axe else set()
                # Without scripts a page is the same but for what they add: every second will do.
                for path in paths if look.has_script else paths[:: 2]:
                    self._open(visitor, path, 200, path in held)
                visitor.close()

    def of_each_kind(self, server, pages, sessions):
        """One page of each kind in the looks that axe sees nothing of in the walk through all."""
        for turn, look in enumerate(SCRIPTED, len(LOOKS)):
            for who, paths in pages.items():
                visitor = Visitor(self.browser, server, look, self.problems, self.keys, sessions.get(who))
                for path in sorted(of_each_kind(paths, turn)):
                    self._open(visitor, path, 200, True)
                visitor.close()

    def missing(self, server, session, paths):
        for look in LOOKS[1:3]:
            visitor = Visitor(self.browser, server, look, self.problems, self.keys, session)
            for path in paths:
                self._open(visitor, path, 404, path == paths[0])
            visitor.close()

    def _open(self, visitor, path, status, with_axe):
        if not re.search(self.some, path):
            return
        try:
            visitor.go(path, status, with_axe=with_axe)
            self.opened += 1
        except Exception as error:
            self.problems.add(f"{path} ({visitor.look})", f"{type(error).__name__}: {str(error).splitlines()[0]}")

    def first_visits(self, server, session, paths):
        """What a browser that knows nothing of this host loads for a page."""
        for path in paths:
            if not re.search(self.some, path):
                continue
            visitor = Visitor(self.browser, server, LOOKS[0], self.problems, self.keys, session)
            try:
                visitor.go(path, is_first=True)
                self.weights[path] = visitor.weight
            except Exception as error:
                self.problems.add(f"{path} (first visit)", f"{type(error).__name__}: {str(error).splitlines()[0]}")
            visitor.close()
