"""Pushes small images through one address while things break, each again until it is acknowledged, and later reads all back.

    clients.py push HOST:PORT NOTES SECONDS [WORKERS]   what was acknowledged goes to NOTES, a line each
    clients.py check HOST:PORT NOTES                    all of it is there, whole

Standard library alone. An image is two blobs (one sent in chunks) and a manifest under a tag of its own and under one that
all share.
"""

import hashlib
import http.client
import json
import random
import sys
import threading
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Refused(Exception):
    pass


def ask(place, method, path, body=b"", headers=None, wanted=()):
    connection = http.client.HTTPConnection(place, timeout=40)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status not in wanted:
        # What only a mistake explains is no refusal to be tried again.
        if answer.status not in (404, 416, 429, 499, 500, 502, 503, 504):
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        raise Refused(f"{method} {path}: {answer.status}")
    return answer, content


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push_blob(place, repository, content, in_chunks):
    if ask(place, "HEAD", f"/v2/{repository}/blobs/{digest(content)}", wanted=(200, 404))[0].status == 200:
        return
    answer, _ = ask(place, "POST", f"/v2/{repository}/blobs/uploads/", wanted=(202,))
    upload = answer.getheader("Location")
    rest = content
    if in_chunks:
        half = len(content) // 2
        for begin, end in ((0, half // 2), (half // 2, half)):
            headers = {"Content-Range": f"{begin}-{end - 1}"}
            ask(place, "PATCH", upload, content[begin:end], headers, wanted=(202,))
        rest = content[half:]
    separator = "&" if "?" in upload else "?"
    ask(place, "PUT", f"{upload}{separator}digest={digest(content)}", rest, wanted=(201,))


def image(tag, seed):
    """Config, layer and manifest, each different for each tag."""
    source = random.Random(f"{seed} {tag}")
    config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
    layer = source.randbytes(source.randrange(1_000, 60_000))
    descriptor = lambda media_type, content: {"mediaType": media_type, "digest": digest(content), "size": len(content)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        "annotations": {"tag": tag},
    }
    return config, layer, json.dumps(manifest).encode()


def push(place, repository, tag, seed):
    config, layer, manifest = image(tag, seed)
    push_blob(place, repository, config, False)
    push_blob(place, repository, layer, True)
    for name in (tag, "latest"):
        ask(place, "PUT", f"/v2/{repository}/manifests/{name}", manifest, {"Content-Type": MANIFEST}, wanted=(201,))


def push_for(place, notes, seconds, workers):
    end = time.monotonic() + seconds
    lock = threading.Lock()
    counts = {"pushed": 0, "again": 0, "longest": 0.0}
    failures = []
    with open(notes, "a") as kept:

        def work(worker):
            number = 0
            while time.monotonic() < end:
                number += 1
                repository, tag = f"team/app-{worker % 4}", f"w{worker}-{number}-{int(time.time() * 1000)}"
                began = time.monotonic()
                while True:
                    try:
                        push(place, repository, tag, notes)
                        break
                    except (OSError, http.client.HTTPException, Refused):
                        with lock:
                            counts["again"] += 1
                        if end + 60 < time.monotonic():
                            failures.append(f"{repository}:{tag} was never acknowledged")
                            return
                        time.sleep(0.2)
                with lock:
                    counts["pushed"] += 1
                    counts["longest"] = max(counts["longest"], time.monotonic() - began)
                    kept.write(f"{repository} {tag}\n")
                    kept.flush()

        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"{counts['pushed']} images acknowledged, {counts['again']} attempts made again, longest {counts['longest']:.1f} s")
    if failures:
        raise SystemExit("\n".join(failures))


def check(place, notes):
    lines = [line.split() for line in open(notes)]
    wrong = []
    for repository, tag in lines:
        config, layer, manifest = image(tag, notes)
        try:
            found = ask(place, "GET", f"/v2/{repository}/manifests/{tag}", wanted=(200,))[1]
            if found != manifest:
                wrong.append(f"{repository}:{tag} is another manifest")
            for content in (config, layer):
                found = ask(place, "GET", f"/v2/{repository}/blobs/{digest(content)}", wanted=(200,))[1]
                if found != content:
                    wrong.append(f"{repository}:{tag}: a blob is not what was pushed")
        except Refused as refused:
            wrong.append(f"{repository}:{tag}: {refused}")
    print(f"{len(lines)} acknowledged images read back, {len(wrong)} wrong")
    if wrong or not lines:
        raise SystemExit("\n".join(wrong[:20]) or "nothing was pushed")


if __name__ == "__main__":
    command, place, notes, *more = sys.argv[1:]
    if command == "push":
        push_for(place, notes, float(more[0]), int(more[1]) if more[1:] else 8)
    else:
        check(place, notes)
