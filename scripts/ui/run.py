"""Drives Chromium through the pages of real servers; `scripts/test-ui` says how it is called."""

import argparse
import signal
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

import fixtures
import pictures
import security
import tasks
from browser import LOOKS, Problems, begin_session, text_keys
from servers import HTPASSWD, INDEX, Client, Server
from walk import MISSING, WITHOUT_ACCOUNTS, Walk, browsing, on_index, on_open

HERE = Path(__file__).resolve().parents[2]


class World:
    """The servers, what is in them, and a browser."""

    def __init__(self, browser, chromium, binary, work):
        self.browser, self.chromium, self.binary, self.work = browser, chromium, binary, work
        self.problems, self.keys = Problems(), text_keys(HERE)
        self.index = Server(binary, work / "index", INDEX)
        self.clients, self.known = fixtures.fill_index(self.index)
        self.sessions = {name: begin_session(self.index, name) for name in self.clients}
        self.open = Server(binary, work / "open")
        self.known_open = fixtures.shop(Client(self.open))
        self.known_open["hostile"] = fixtures.hostile(Client(self.open))
        users = work / "htpasswd"
        # bob, with the password of all, hashed once: bcrypt at cost 5.
        users.write_text("bob:$2y$05$8ozPS9twulVcAH.Lu028F.JVWxNTqR4DbJg6t0Na9KxVkzy17EZ2i\n")
        self.htpasswd = Server(binary, work / "htpasswd-server", HTPASSWD % users)

    def servers(self):
        return [self.index, self.open, self.htpasswd]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the main pages")
    parser.add_argument("--only", help="a part; behind a colon, a pattern of addresses, or of names of tasks or pictures")
    parser.add_argument("--thorough", action="store_true", help="hold each kind of page against axe in all four looks, not in two")
    arguments = parser.parse_args()
    started = time.monotonic()
    # So that whoever ends this early leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    part, _, some = (arguments.only or "").partition(":")

    with sync_playwright() as playwright:
        # Without its sandbox, for tests often run as root; no page of others is opened.
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        world = World(browser, arguments.chromium, arguments.binary, arguments.work)
        said = lambda text: print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)
        said("servers are up and filled")
        try:
            if arguments.pictures and part in ("", "pictures"):
                pictures.take(world, arguments.pictures, some)
                said(f"pictures are in {arguments.pictures}")
            if part in ("", "walk"):
                walk = Walk(browser, world.problems, world.keys, some)
                walk.first_visits(world.index, world.sessions["ann"], browsing(world.known)[:24:2] + ["r/shop/web/-/t/v2.1.0/layers"])
                for path, (requests, whole, parts) in walk.weights.items():
                    print(f"          {requests} requests, {whole:6} bytes  {path or '/'}  {parts}")
                pages = on_index(world.known)
                walk.through(world.index, pages, world.sessions)
                said(f"walk: {walk.opened} pages of a registry with accounts")
                if arguments.thorough:
                    walk.of_each_kind(world.index, pages, world.sessions)
                walk.through(world.open, on_open(world.known_open), {}, LOOKS[1:3], with_axe=False)
                walk.missing(world.index, world.sessions["ann"], MISSING)
                walk.missing(world.open, None, WITHOUT_ACCOUNTS)
                said(f"walk: {walk.opened} pages in all")
            if part in ("", "security"):
                security.check(world)
                said("security")
            if part in ("", "tasks"):
                tasks.check(world, some, said)
        finally:
            browser.close()
            for server in world.servers():
                server.stop()
        for server in world.servers():
            for line in server.complaints()[:5]:
                world.problems.add(server.directory.name, line)
    found = world.problems.found
    said(f"{len(found)} problems" if found else "all is well")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
