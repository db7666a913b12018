"""An upstream for who measures mirrors: blobs of noise, each connection at a pace.

    paced.py HOST:PORT COUNT MIB MIB_PER_SECOND

Prints the digests of its blobs, one in a line; then, for each answer, from which byte it was, and how many were sent in all.
"""

import hashlib
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST, PORT = sys.argv[1].split(":")
COUNT, MIB, PACE = (int(argument) for argument in sys.argv[2:])
WINDOW = 256 << 10
blobs = {}
sent = 0
lock = threading.Lock()


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        global sent
        blob = blobs.get(self.path.rpartition("/")[2])
        if blob is None:
            self.send_response(200 if self.path == "/v2/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(blob) - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(blob) - 1}/{len(blob)}")
        self.end_headers()
        due = time.monotonic()
        for at in range(first, len(blob), WINDOW):
            self.wfile.write(blob[at : at + WINDOW])
            due += WINDOW / (PACE << 20)
            time.sleep(max(0, due - time.monotonic()))
        with lock:
            sent += len(blob) - first
            print(first, sent, flush=True)


for _ in range(COUNT):
    content = os.urandom(1 << 20) * (MIB - 1) + os.urandom(1 << 20)
    blobs["sha256:" + hashlib.sha256(content).hexdigest()] = content
server = ThreadingHTTPServer((HOST, int(PORT)), Upstream)
print(*blobs, sep="\n", flush=True)
server.serve_forever()
