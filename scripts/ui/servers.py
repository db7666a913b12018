"""Real servers of the binary under test, and requests to them as clients and the JSON API's users make them."""

import atexit
import base64
import hashlib
import http.client
import json
import re
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "correct horse battery"

INDEX = """version: 0.1
log: {level: warn}
storage: {delete: {enabled: true}, filesystem: {rootdirectory: /nowhere}}
layerhouse: {index: {signup: open}}
"""
HTPASSWD = """version: 0.1
log: {level: warn}
auth: {htpasswd: {realm: Registry, path: %s}}
storage: {delete: {enabled: true}, filesystem: {rootdirectory: /nowhere}}
"""


def free_port():
    """A port of 127.0.0.1 that nobody listened at a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server with a directory of its own; `text` is its configuration, none for no file at all."""

    def __init__(self, binary, directory, text=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        arguments = [binary, "serve", "--root", self.directory / "data", "--listen", self.host]
        if text is not None:
            (self.directory / "config.yml").write_text(text)
            arguments += ["--config", self.directory / "config.yml"]
        self.log = self.directory / "log"
        with self.log.open("wb") as log:
            # In a folder of its own: a server without a configuration looks for none of ours.
            self.process = subprocess.Popen(arguments, cwd=self.directory, stdout=log, stderr=log)
        atexit.register(self.stop)
        self._wait()

    def _wait(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise SystemExit(f"test-ui: the server did not start:\n{self.log.read_text()}")
            try:
                if Client(self).send("GET", "/healthz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"test-ui: the server does not answer:\n{self.log.read_text()}")

    def setup_code(self):
        """What makes the first administrator, from the log."""
        for _ in range(100):
            found = re.search(r"lhu_[a-z2-7]+", self.log.read_text())
            if found:
                return found.group()
            time.sleep(0.1)
        raise SystemExit("test-ui: the server printed no code")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def complaints(self):
        """Lines of its log that tell of errors of ours."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"\bERROR\b|\"level\": *\"error\"|panick", line)]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Client:
    """Asks a server, as somebody or nobody; `secret` is a password or a token."""

    def __init__(self, server, user=None, secret=None, agent="test-ui/1"):
        self.server = server
        self.headers = {"User-Agent": agent}
        self.user, self.secret = user, secret
        if user is not None:
            pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
            self.headers["Authorization"] = f"Basic {pair}"

    def send(self, method, path, body=None, headers=None):
        """One request on a connection of its own; the answer, whatever it is."""
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=60)
        try:
            connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def api(self, method, path, body=None, expect=(200, 201, 202, 204)):
        """A request of /api/v1, which must succeed; what it says."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        answer = self.send(method, f"/api/v1{path}", content, headers)
        if answer.status not in expect:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body) if answer.body else None

    def blob(self, repository, content):
        """Pushes a blob; its digest."""
        digest = digest_of(content)
        path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
        answer = self.send("POST", path, content, {"Content-Type": "application/octet-stream"})
        assert answer.status == 201, (path, answer.status, answer.body)
        return digest

    def manifest(self, repository, manifest, *tags):
        """Pushes a manifest under tags, or by its digest where there are none; its descriptor."""
        content = json.dumps(manifest).encode()
        digest = digest_of(content)
        for reference in tags or [digest]:
            answer = self.send(
                "PUT",
                f"/v2/{repository}/manifests/{reference}",
                content,
                {"Content-Type": manifest["mediaType"]},
            )
            assert answer.status == 201, (repository, reference, answer.status, answer.body)
        return {"mediaType": manifest["mediaType"], "digest": digest, "size": len(content)}


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
