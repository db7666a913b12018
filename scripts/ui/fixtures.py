"""What stands in the servers: images as people push them, and others that nobody should."""

import json
import random

from servers import PASSWORD, Client

OCI = "application/vnd.oci.image"
MANIFEST, INDEX = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"
CONFIG, LAYER = f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip"
DOCKER = "application/vnd.docker"

# A script that gets to run leaves its name in `window.ran`; an element that should be text is found by its id.
PAYLOADS = [
    "<script>window.ran='script'</script>",
    '"><img id=injected src=x onerror="window.ran=\'onerror\'">',
    "<svg id=injected onload=\"window.ran='svg'\">",
    "'\"--></style></title></textarea><script>window.ran='closing'</script>",
    "javascript:window.ran='url'",
    "{{ 7*7 }}${window.ran='template'}",
    "\u202eevil\u2066\x1b[31m",
]
README = """# A project

Text with **strong** words, `code`, a [link](https://example.com/), a [local one](#usage) and a table.

| a | b |
|---|---|
| 1 | 2 |

## Usage

```sh
docker pull example
```

![picture](https://example.com/tracker.png)
"""
HOSTILE_README = README + "\n\n".join(
    [
        *PAYLOADS,
        "[click](javascript:window.ran='md')",
        "[click](JaVaScRiPt&colon;window.ran='md')",
        "[click](data:text/html,<script>window.ran='data'</script>)",
        "<a id=injected href='javascript:window.ran=1'>x</a>",
        "![x](x\" onerror=\"window.ran='alt')",
        "<iframe id=injected src='javascript:window.ran=1'></iframe>",
        "<details open ontoggle=window.ran=1 id=injected>",
        "```\"><script>window.ran='fence'</script>\ncode\n```",
        "<form id=injected action='/ui/logout' method=post><button>x</button></form>",
        "[x]: javascript:window.ran=1\n\n[reference][x]",
        "<style>body{display:none}</style>",
    ]
)


def noise(seed, size):
    """The same bytes for the same seed, which do not compress."""
    return random.Random(seed).randbytes(size)


def pushed_image(client, repository, layers, tags, config=None, manifest=None, kind="oci"):
    """Pushes an image of layers `(seed, bytes, command)`; a command alone is a step without a layer."""
    config_type, layer_type, manifest_type = {
        "oci": (CONFIG, LAYER, MANIFEST),
        "docker": (
            f"{DOCKER}.container.image.v1+json",
            f"{DOCKER}.image.rootfs.diff.tar.gzip",
            f"{DOCKER}.distribution.manifest.v2+json",
        ),
    }[kind]

    history, descriptors, diff_ids = [], [], []
    for number, step in enumerate(layers):
        created = f"2026-0{1 + number % 9}-03T04:05:06Z"
        if isinstance(step, str):
            history.append({"created": created, "created_by": step, "empty_layer": True})
            continue
        seed, size, command = step
        content = noise(seed, size)
        digest = client.blob(repository, content)
        descriptors.append({"mediaType": layer_type, "digest": digest, "size": size})
        diff_ids.append(digest)
        history.append({"created": created, "created_by": command, "comment": "buildkit.dockerfile.v0"})
    whole = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-09-03T04:05:06Z",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
        **(config or {}),
    }
    content = json.dumps(whole).encode()
    digest = client.blob(repository, content)
    described = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": {"mediaType": config_type, "digest": digest, "size": len(content)},
        "layers": descriptors,
        **(manifest or {}),
    }
    return client.manifest(repository, described, *tags)


def artifact(client, repository, tags, config_type, layer_type, content, **more):
    """Pushes what is no image: a chart, a signature, a bill of materials."""
    config = b"{}" if "helm" not in config_type else b'{"name":"web","version":"1.2.3","apiVersion":"v2"}'
    config_digest, digest = client.blob(repository, config), client.blob(repository, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": config_type, "digest": config_digest, "size": len(config)},
        "layers": [{"mediaType": layer_type, "digest": digest, "size": len(content)}],
        **more,
    }
    return client.manifest(repository, manifest, *tags)


BASE = [
    ("base", 300_000, "/bin/sh -c #(nop) ADD file:3f1b in / "),
    "/bin/sh -c #(nop)  CMD [\"bash\"]",
    ("runtime", 120_000, "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates # buildkit"),
]
VERSIONS = ["1.0.0", "1.2.0", "1.9.0", "1.10.0", "1.10.1", "2.0.0-rc.1", "2.0.0-rc.2", "2.0.0", "2.1.0"]


def shop(client):
    """`shop/…`: what a company has; the digests that tests ask for, by name."""
    known = {}
    for number, version in enumerate(VERSIONS):
        tags = [f"v{version}"]
        if version == "2.1.0":
            tags += ["2.1", "2", "latest"]
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/bin", f"APP_VERSION={version}"]
        if number > 4:
            environment.append("APP_FEATURES=compare,restore")
        config = {
            "Env": environment,
            "Entrypoint": ["/usr/local/bin/web"],
            "Cmd": ["--listen", ":8080"],
            "WorkingDir": "/srv",
            "User": "65532:65532",
            "ExposedPorts": {"8080/tcp": {}},
            "Volumes": {"/srv/data": {}},
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.source": "https://example.com/shop/web",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.description": "The shop's front",
            },
        }
        layers = [
            *BASE,
            ("assets", 90_000, "COPY assets /srv/assets # buildkit"),
            (f"app {version}", 40_000 + 9_000 * number, "COPY web /usr/local/bin/web # buildkit"),
            'ENTRYPOINT ["/usr/local/bin/web"]',
        ]
        known[version] = pushed_image(client, "shop/web", layers, tags, {"config": config})
    known["signature"] = artifact(
        client, "shop/web", [], f"{OCI}.config.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json",
        b'{"critical":{}}', artifactType="application/vnd.dev.cosign.artifact.sig.v1+json", subject=known["2.1.0"],
        annotations={"dev.cosignproject.cosign/signature": "MEUCIQ"},
    )
    known["sbom"] = artifact(
        client, "shop/web", [], "application/vnd.oci.empty.v1+json", "application/spdx+json",
        b'{"spdxVersion":"SPDX-2.3"}', artifactType="application/spdx+json", subject=known["2.1.0"],
    )
    children = []
    for os, architecture, variant in [("linux", "amd64", None), ("linux", "arm64", "v8"), ("linux", "arm", "v7")]:
        layers = [(f"base {architecture}", 200_000, "ADD rootfs / # buildkit"), (f"api {architecture}", 60_000, "COPY api /api")]
        platform = {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}
        child = pushed_image(client, "shop/api", layers, [], {"architecture": architecture, "os": os, "config": {"Env": ["A=1"]}})
        children.append({**child, "platform": platform})
    attestation = artifact(
        client, "shop/api", [], CONFIG, "application/vnd.in-toto+json", b'{"_type":"in-toto"}',
    )
    children.append(
        {
            **attestation,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": children[0]["digest"],
            },
        }
    )
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children, "annotations": {"org.example.note": "three platforms"}}
    known["index"] = client.manifest("shop/api", index, "1.4", "latest")
    known["child"] = children[1]
    known["chart"] = artifact(
        client, "shop/chart", ["1.2.3"], "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip", noise("chart", 3_000),
        annotations={"org.opencontainers.image.title": "web", "org.opencontainers.image.version": "1.2.3"},
    )
    known["legacy"] = pushed_image(client, "shop/legacy", BASE, ["old"], {"config": {"Cmd": ["sh"]}}, kind="docker")
    pushed_image(client, "shop/tools/build/cache/very-long-name-of-a-repository-that-has-to-wrap-somewhere", BASE, ["main"])
    # A tag that moved, one that went away, and enough of them for several pages.
    for number in range(3):
        known[f"main {number}"] = pushed_image(
            client, "shop/worker", [*BASE, (f"worker {number}", 20_000, f"COPY worker-{number} /worker")], ["main"]
        )
    pushed_image(client, "shop/worker", [*BASE, ("only here", 70_000, "COPY big /big")], ["lonely"])
    pushed_image(client, "shop/worker", [*BASE, ("worker 2", 20_000, "COPY worker-2 /worker")], ["shared-layers"])
    tiny = pushed_image(client, "shop/nightly", [("nightly", 900, "COPY . .")], [f"build-{n}" for n in range(1, 131)])
    known["nightly"] = tiny
    gone = pushed_image(client, "shop/gone", [("gone", 1_000, "COPY . .")], ["v1"])
    assert client.send("DELETE", f"/v2/shop/gone/manifests/{gone['digest']}").status == 202
    return known


HOSTILE_TAGS = ["__proto__", "constructor", "javascript_alert-1", "a" * 128, "1.0--", "0"]


def hostile(client):
    """`hostile/web`: text that wants to be markup wherever a client can put some."""
    angry = Client(client.server, client.user, client.secret, agent=PAYLOADS[0].replace("\n", ""))
    everything = {f"label{number} {text}": text for number, text in enumerate(PAYLOADS)}
    layers = [("hostile", 2_000, PAYLOADS[1]), PAYLOADS[0], ("other", 3_000, " && ".join(PAYLOADS[:5]))]
    config = {
        "architecture": PAYLOADS[0],
        "os": PAYLOADS[1],
        "author": PAYLOADS[2],
        "config": {
            "Env": [f"X{n}={text}" for n, text in enumerate(PAYLOADS)],
            "Labels": {
                **everything,
                "org.opencontainers.image.source": "javascript:window.ran='source'",
                "org.opencontainers.image.url": "data:text/html,<script>window.ran='url'</script>",
                "org.opencontainers.image.documentation": "//evil.example/",
                "org.opencontainers.image.description": PAYLOADS[0],
                "org.opencontainers.image.title": PAYLOADS[1],
            },
            "Entrypoint": PAYLOADS,
            "Cmd": PAYLOADS,
            "User": PAYLOADS[0],
            "WorkingDir": PAYLOADS[1],
            "ExposedPorts": {text: {} for text in PAYLOADS},
            "Volumes": {text: {} for text in PAYLOADS},
        },
    }
    manifest = {"annotations": {**everything, "org.opencontainers.image.description": PAYLOADS[0]}}
    image = pushed_image(angry, "hostile/web", layers, HOSTILE_TAGS, config, manifest)
    artifact(
        angry, "hostile/web", [], CONFIG, "text/html", b"<script>window.ran='blob'</script>",
        artifactType="text/html", subject=image, annotations=everything,
    )
    other = pushed_image(angry, "hostile/web", [*layers, ("more", 100, PAYLOADS[3])], ["other", "__proto__"], config, manifest)
    # Configs that are no configs: pages must stand them.
    for number, content in enumerate([b"", b"[]", b"\xff\xfe", b'{"config": 7, "history": "x", "rootfs": []}', b"[" * 5000]):
        content = content or b" "
        digest = angry.blob("hostile/broken", content)
        described = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest, "size": len(content)},
            "layers": [],
        }
        angry.manifest("hostile/broken", described, f"config{number}")
    return {"first": image, "second": other}


def people(server):
    """Accounts of the index: `root` rules, `ann` owns shop, `rita` reads there, `otto` is a stranger; their clients."""
    Client(server).api(
        "POST", "/users", {"name": "root", "password": PASSWORD, "code": server.setup_code(), "full_name": PAYLOADS[0]}
    )
    root = Client(server, "root", PASSWORD)
    clients = {}
    for name in ["ann", "rita", "otto", "mallory"]:
        root.api("POST", "/users", {"name": name, "password": PASSWORD, "full_name": name.title(), "email": f"{name}@example.com"})
    root.api("PATCH", "/users/mallory", {"full_name": PAYLOADS[1]})
    root.api("PUT", "/organizations/shop", {"description": "Everything that is sold", "owner": "ann"})
    root.api("PUT", "/organizations/hostile", {"description": PAYLOADS[0], "owner": "mallory"})
    root.api("PUT", "/organizations/shop/members/rita", {"role": "reader"})
    for name in ["root", "ann", "rita", "otto", "mallory"]:
        # Tokens, for passwords cost a hash each time.
        token = root.api("POST", f"/users/{name}/tokens", {"name": "for the tests"})["token"]
        clients[name] = Client(server, name, token)
    return clients


def fill_index(server):
    """An index with people, what they pushed, and text that is theirs to write; clients and digests by name."""
    clients = people(server)
    known = shop(clients["ann"])
    known["hostile"] = hostile(clients["mallory"])
    clients["ann"].api("PATCH", "/repositories/shop/web", {"visibility": "public", "description": "The shop's front", "readme": README})
    clients["ann"].api("PATCH", "/repositories/shop/api", {"visibility": "public"})
    change = {"visibility": "public", "description": PAYLOADS[1].replace("\n", " "), "readme": HOSTILE_README}
    clients["mallory"].api("PATCH", "/repositories/hostile/web", change)
    clients["root"].api("PUT", "/organizations/shop/teams/front", {})
    clients["root"].api("POST", "/namespaces/shop/robots", {"name": "ci", "description": PAYLOADS[0]})
    clients["root"].api("POST", "/invitations", {"email": "new@example.com"})
    clients["otto"].api("PUT", "/repositories/shop/web/-/star")
    return clients, known
