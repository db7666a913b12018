"""What `scripts/test-chart` does, after it has Helm's library, Kubernetes's schemas and a registry:

check.py CHART LAYERHOUSE REGISTRY DIRECTORY
"""

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

# The oldest that Chart.yaml allows, the first with a sleep before the stop, and the newest of the schemas.
VERSIONS = ["1.25", "1.30", "1.37"]
TRIED = {
    "postgresql": {"enabled": True, "password": "5db1b7"},
    "garage": {"enabled": True, "rpcSecret": "0" * 64},
    "s3": {"accessKey": "GK0123456789abcdef01234567", "secretKey": "1" * 64},
}
CASES = {
    "to try it": TRIED,
    "given by values": {
        "database": {"url": "postgres://layerhouse:secret@db.example.com/layerhouse?sslmode=verify-full"},
        "s3": {"bucket": "images", "region": "eu-central-1", "accessKey": "AKIA", "secretKey": "secret"},
        "host": "https://registry.example.com",
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["registry.example.com"],
            "tls": [{"secretName": "registry-tls", "hosts": ["registry.example.com"]}],
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
        },
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
        "podLabels": {"team": "platform"},
        "imagePullSecrets": [{"name": "pulls"}],
    },
    "secrets that are there": {
        "replicaCount": 5,
        "database": {"existingSecret": "database", "existingSecretKey": "uri"},
        "s3": {"bucket": "images", "endpoint": "https://s3.example.com", "existingSecret": "bucket", "redirect": False},
        "tls": {"existingSecret": "registry-tls"},
        "service": {"type": "LoadBalancer", "port": 443},
        "config": {
            "log": {"level": "debug"},
            "auth": {"htpasswd": {"realm": "Registry", "path": "/etc/layerhouse/users/htpasswd"}},
            "layerhouse": {"http": {"trustedproxies": ["10.0.0.0/8"]}},
        },
        "extraVolumes": [{"name": "users", "secret": {"secretName": "users"}}],
        "extraVolumeMounts": [{"name": "users", "mountPath": "/etc/layerhouse/users", "readOnly": True}],
    },
    "another cloud, as its pod": {
        "database": {"url": "postgres://layerhouse@db/layerhouse"},
        "config": {"storage": {"azure": {"accountname": "account", "container": "images"}}},
        "serviceAccount": {"annotations": {"azure.workload.identity/client-id": "0"}},
        "metrics": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "spread": False,
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "registry", "operator": "Exists"}],
    },
    "one": {"mode": "single", "config": {"layerhouse": {"index": {"signup": "closed"}}}},
    "one on a volume that is there": {"mode": "single", "persistence": {"existingClaim": "registry2"}, "delete": False},
}
# Secrets that a case says are there.
THERE = {"database": {"uri"}, "bucket": {"accessKey", "secretKey"}, "registry-tls": None, "users": None, "pulls": None}
REFUSED = {
    "mode replicas needs a PostgreSQL": {"s3": {"bucket": "images"}},
    "mode replicas needs a bucket": {"database": {"url": "postgres://db/layerhouse"}},
    "postgresql.password": {**TRIED, "postgresql": {"enabled": True}},
    "garage.rpcSecret": {**TRIED, "garage": {"enabled": True}},
    "s3.accessKey": {**TRIED, "s3": {}},
    "which of them": {**TRIED, "database": {"url": "postgres://db/layerhouse"}},
    "ingress.hosts": {**TRIED, "ingress": {"enabled": True}},
    "replicas', 'single'": {"mode": "both"},
    "replica": {**TRIED, "replicas": 3},  # a key that is not there
}


def check_objects(objects, binary, work):
    """What objects name is there, and no pod may do more than it must."""
    by_kind = {}
    for one in objects:
        by_kind.setdefault(one["kind"], {})[one["metadata"]["name"]] = one
    secrets = {name: set(one["stringData"]) for name, one in by_kind.get("Secret", {}).items()} | THERE
    pods = {
        (kind, name): one["spec"]
        for kind in ("Deployment", "StatefulSet")
        for name, one in by_kind.get(kind, {}).items()
    }
    for (kind, name), spec in pods.items():
        template = spec["template"]
        labels = template["metadata"]["labels"]
        fits = lambda selector: selector.items() <= labels.items()
        assert fits(spec["selector"]["matchLabels"]), (kind, name)
        others = [other for other in pods if other != (kind, name)]
        for other in others:
            assert not spec["selector"]["matchLabels"].items() <= pods[other]["template"]["metadata"]["labels"].items()
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in by_kind["ConfigMap"], volume
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, volume
        for container in pod["containers"]:
            bounds = container["securityContext"]
            assert not bounds["allowPrivilegeEscalation"] and bounds["capabilities"]["drop"] == ["ALL"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert reference["key"] in secrets[reference["name"]], reference
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if request := container.get(probe, {}).get("httpGet"):
                    assert request["path"] in ("/healthz", "/readyz"), request
    services = by_kind["Service"]
    for name, service in services.items():
        chosen = [
            spec["template"]
            for spec in pods.values()
            if service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
        ]
        assert len(chosen) == 1, (name, len(chosen))
        ports = {port["name"] for one in chosen[0]["spec"]["containers"] for port in one["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name
    for (kind, name), spec in pods.items():
        assert kind == "Deployment" or spec["serviceName"] in services, name
    for budget in by_kind.get("PodDisruptionBudget", {}).values():
        selector = budget["spec"]["selector"]["matchLabels"]
        assert sum(selector.items() <= spec["template"]["metadata"]["labels"].items() for spec in pods.values()) == 1
    for ingress in by_kind.get("Ingress", {}).values():
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert backend["port"]["number"] in [port["port"] for port in services[backend["name"]]["spec"]["ports"]]
    for monitor in by_kind.get("ServiceMonitor", {}).values():
        selector = monitor["spec"]["selector"]["matchLabels"]
        assert sum(selector.items() <= service["metadata"]["labels"].items() for service in services.values()) == 1

    # The configuration is one that the server takes, with the variables that its pod has.
    (registry,) = [spec for spec in pods.values() if spec["template"]["spec"]["containers"][0]["name"] == "layerhouse"]
    environment = {"PATH": os.environ["PATH"]}
    for variable in registry["template"]["spec"]["containers"][0].get("env", []):
        reference = variable["valueFrom"]["secretKeyRef"]
        given = by_kind.get("Secret", {}).get(reference["name"], {}).get("stringData", {})
        stand_in = "postgres://u:p@db/layerhouse" if variable["name"] == "LAYERHOUSE_DATABASE" else "key"
        environment[variable["name"]] = given.get(reference["key"], stand_in)
    (config,) = [one["data"]["config.yml"] for one in by_kind["ConfigMap"].values() if "config.yml" in one["data"]]
    file = work / "config.yml"
    # What Secrets bring as files.
    text = config.replace("/etc/layerhouse/users/htpasswd", str(work / "htpasswd"))
    file.write_text(text.replace("/etc/layerhouse/tls/", f"{work}/"))
    told = subprocess.run([binary, "check", "--strict", file], env=environment, cwd=work, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr + config
    return by_kind


def check_artifact(chart, registry, work):
    """Packaged, pushed, as what it lies there, and pulled again."""
    archive = Path(helm.package(chart, destination=work))
    helm.push(archive, f"oci://{registry}/charts", plain_http=True)
    metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
    kind = "application/vnd.oci.image.manifest.v1+json"
    url = f"http://{registry}/v2/charts/{metadata['name']}/manifests/{metadata['version']}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": kind})) as answer:
        manifest = json.load(answer)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json", manifest
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip", manifest
    assert layer["digest"] == "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    back = work / "back"
    back.mkdir()
    helm.pull(
        f"oci://{registry}/charts/{metadata['name']}", version=metadata["version"], destination=back, plain_http=True
    )
    assert (back / archive.name).read_bytes() == archive.read_bytes()
    with helm.Chart.load(back / archive.name) as pulled:
        assert pulled.render(TRIED, name="registry", namespace="images")


def main():
    chart, binary, registry, work = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
    (work / "htpasswd").write_text("")
    key = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    key += ["-subj", "/CN=registry", "-addext", "subjectAltName=DNS:registry.example.com", "-keyout", work / "tls.key", "-out", work / "tls.crt"]
    subprocess.run(key, check=True, capture_output=True)
    for name, values in CASES.items():
        report = helm.lint(chart, values, strict=True)
        assert not report["errors"] and all(one["severity"] < 2 for one in report["messages"]), report
        loaded = helm.Chart.load(chart)
        loaded.validate_schema(values)
        rendered = loaded.render(values, name="registry", namespace="images")
        texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
        objects = [one for text in texts for one in yaml.safe_load_all(text) if one]
        for one in objects:
            if one["kind"] == "ServiceMonitor":
                continue  # of Prometheus's operator
            for version in VERSIONS:
                # A field that a version does not know is one that Helm leaves out for it.
                strict = version != "1.25"
                kubernetes_validate.validate(one, version, strict=strict)
        kinds = check_objects(objects, binary, work)
        (notes,) = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]
        assert "Layerhouse" in notes
        print(f"ok   {name}: {sum(map(len, kinds.values()))} objects", flush=True)
    for reason, values in REFUSED.items():
        loaded = helm.Chart.load(chart)
        try:
            loaded.validate_schema(values)
            loaded.render(values, name="registry", namespace="images")
        except helm.HelmError as error:
            assert reason in str(error), (reason, str(error))
        else:
            raise AssertionError(f"this should be refused: {reason}")
    print(f"ok   {len(REFUSED)} sets of values that are refused")
    check_artifact(chart, registry, work)
    print("ok   packaged, pushed and pulled as an OCI artifact")
    print(f"test-chart: all is well with Helm {helm.helm_sdk_version()} and Kubernetes {', '.join(VERSIONS)}")


main()
