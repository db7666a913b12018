"""A registry as a company has it, for pictures: plausible names, sizes and texts, and nothing that wants to do harm."""

import time

from fixtures import INDEX, MANIFEST, OCI, artifact, noise, pushed_image
from servers import PASSWORD, Client

MIB = 1 << 20
README = """# Storefront

What customers see: catalogue, search, basket. It keeps nothing itself and asks `checkout` and `catalogue` for the rest.

```sh
docker run --rm -p 8080:8080 registry.example.com/acme/storefront:3.8
```

| Variable | Meaning | Default |
|---|---|---|
| `CATALOGUE_URL` | where the catalogue is | `http://catalogue:8080` |
| `SESSION_TTL` | how long a basket is kept | `72h` |
"""
# Steps of an image: layers with their bytes, and steps that make none.
DEBIAN = [
    ("debian", 27 * MIB + 611_000, "/bin/sh -c #(nop) ADD file:9d0ac1c9c0bd2b6f6 in / "),
    '/bin/sh -c #(nop)  CMD ["bash"]',
]
NODE = [
    *DEBIAN,
    ("certificates", 3 * MIB + 902_000, "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates tini # buildkit"),
    ("node", 41 * MIB + 87_000, "COPY --from=node:22-slim /usr/local /usr/local # buildkit"),
]
VERSIONS = ["3.6.0", "3.6.1", "3.7.0", "3.8.0-rc.1", "3.8.0", "3.8.1"]


def storefront(client):
    """`acme/storefront`: a web application with its versions, signed, for two architectures."""
    newest = None
    for number, version in enumerate(VERSIONS):
        dependencies = "3.8" if "3.8" <= version else "3.7"
        platforms = []
        for architecture in ("amd64", "arm64"):
            config = {
                "architecture": architecture,
                "config": {
                    "User": "node",
                    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "NODE_ENV=production", f"APP_VERSION={version}", *(["SESSION_TTL=72h"] if "3.8" <= version else [])],
                    "Entrypoint": ["tini", "--", "node"],
                    "Cmd": ["server.js"],
                    "WorkingDir": "/app",
                    "ExposedPorts": {"8080/tcp": {}},
                    "Labels": {
                        "org.opencontainers.image.version": version,
                        "org.opencontainers.image.source": "https://git.example.com/acme/storefront",
                        "org.opencontainers.image.licenses": "Apache-2.0",
                    },
                },
            }
            layers = [
                *(step if isinstance(step, str) else (f"{step[0]} {architecture}", *step[1:]) for step in NODE),
                (f"modules {dependencies} {architecture}", 18 * MIB + (3 * MIB if dependencies == "3.8" else 0), "RUN /bin/sh -c npm ci --omit=dev # buildkit"),
                (f"assets {version[:3]}", 6 * MIB + 200_000, "COPY dist/assets ./assets # buildkit"),
                (f"app {version} {architecture}", 2 * MIB + 97_000 * number, "COPY dist/server.js ./ # buildkit"),
                'ENTRYPOINT ["tini" "--" "node"]',
            ]
            image = pushed_image(client, "acme/storefront", layers, [], config)
            platforms.append({**image, "platform": {"os": "linux", "architecture": architecture}})
        tags = {"3.8.0-rc.1": [version], "3.8.1": [version, "3.8", "3", "latest"]}.get(version, [version])
        newest = client.manifest("acme/storefront", {"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms}, *tags)
        artifact(
            client, "acme/storefront", [], f"{OCI}.config.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json",
            f"signature of {version}".encode(), artifactType="application/vnd.dev.cosign.artifact.sig.v1+json", subject=newest,
        )
        artifact(
            client, "acme/storefront", [], "application/vnd.oci.empty.v1+json", "application/spdx+json",
            f"packages of {version}".encode(), artifactType="application/spdx+json", subject=newest,
        )
    return newest


def fill(server):
    """An index with an organization and what it pushed; sessions can be begun for `maya` and `root`."""
    Client(server).api("POST", "/users", {"name": "root", "password": PASSWORD, "code": server.setup_code()})
    root = Client(server, "root", PASSWORD)
    clients = {}
    for name, full_name in [("maya", "Maya Okafor"), ("jonas", "Jonas Lind"), ("wei", "Wei Zhang")]:
        root.api("POST", "/users", {"name": name, "password": PASSWORD, "full_name": full_name, "email": f"{name}@example.com"})
        token = root.api("POST", f"/users/{name}/tokens", {"name": "laptop"})["token"]
        clients[name] = Client(server, name, token)
    for organization, about in [("acme", "The shop"), ("platform", "What all teams build on")]:
        root.api("PUT", f"/organizations/{organization}", {"description": about, "owner": "maya"})
        root.api("PUT", f"/organizations/{organization}/members/jonas", {"role": "writer"})
    maya, jonas = clients["maya"], clients["jonas"]
    pushed_image(jonas, "platform/base", NODE[:3], ["bookworm", "bookworm-20261116"])
    pushed_image(jonas, "platform/python", [*DEBIAN, ("python", 33 * MIB, "COPY --from=python:3.13-slim /usr/local /usr/local # buildkit")], ["3.13"])
    pushed_image(jonas, "acme/checkout", [*NODE, ("checkout", 9 * MIB, "COPY dist ./ # buildkit")], ["1.14.2", "1.14"])
    pushed_image(maya, "acme/search-indexer", [*DEBIAN, ("indexer", 12 * MIB, "COPY indexer /usr/local/bin/ # buildkit")], ["0.9.4"])
    pushed_image(maya, "acme/search-indexer", [*DEBIAN, ("indexer branch", 13 * MIB, "COPY indexer /usr/local/bin/ # buildkit")], ["try-new-tokenizer"])
    artifact(
        maya, "acme/charts/storefront", ["2.3.0"], "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip", noise("chart", 14_000),
    )
    storefront(maya)
    for repository, about in [
        ("acme/storefront", "The shop as customers see it"),
        ("acme/checkout", "Payments and orders"),
        ("acme/search-indexer", "Feeds the search from the catalogue"),
        ("platform/base", "Debian with certificates and an init"),
    ]:
        maya.api("PATCH", f"/repositories/{repository}", {"description": about, **({"readme": README} if "storefront" in repository else {})})
    maya.api("PATCH", "/repositories/platform/base", {"visibility": "public"})
    for name in ("maya", "jonas"):
        clients[name].api("PUT", "/repositories/acme/storefront/-/star")
    docker = Client(server, "wei", clients["wei"].secret, agent="docker/29.0.1 go/go1.25")
    root.api("PUT", "/organizations/acme/members/wei", {"role": "reader"})
    for tag in ("3.8.1", "3.8.0", "latest", "latest"):
        path = "/v2/acme/storefront/manifests"
        index = docker.send("GET", f"{path}/{tag}", headers={"Accept": INDEX}).json()
        # The index says where the image is; getting that is the pull.
        for platform in index["manifests"]:
            docker.send("GET", f"{path}/{platform['digest']}", headers={"Accept": MANIFEST})
    # Pulls are written down together, after a while.
    for _ in range(900):
        if maya.api("GET", "/repositories/acme/storefront")["pulls"]:
            return
        time.sleep(0.1)
    raise SystemExit("test-ui: pulls are not counted")
