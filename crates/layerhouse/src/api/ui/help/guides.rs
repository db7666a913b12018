//! What each client is told: its steps, with the same commands in every language. `{host}` stands for this
//! server in references of images, `{url}` for its address, `{space}` for where the reader may push, and
//! `{name}` for who they are.

/// What commands say where plain HTTP is spoken, by the place where they say it.
pub(super) const OF_HTTP: [(&str, &str); 5] = [
    ("{plain_http}", " --plain-http"),
    ("{insecure}", " --insecure"),
    ("{no_tls}", " --tls-verify=false"),
    ("{no_tls_there}", " --dest-tls-verify=false"),
    ("{allow_http}", " --allow-http-registry"),
];

/// How to use this server with one client.
#[derive(Debug)]
pub(super) struct Guide {
    /// What stands in the address.
    pub(super) slug: &'static str,
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) steps: &'static [Step],
}

/// Clients that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Engines,
    Clusters,
    Building,
    Tools,
    Server,
}

impl Group {
    pub(super) const ALL: [Self; 5] = [
        Self::Engines,
        Self::Clusters,
        Self::Building,
        Self::Tools,
        Self::Server,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Engines => "help.engines",
            Self::Clusters => "help.clusters",
            Self::Building => "help.building",
            Self::Tools => "help.tools",
            Self::Server => "help.server",
        }
    }

    pub(super) fn guides(self) -> impl Iterator<Item = &'static Guide> {
        GUIDES.iter().filter(move |guide| guide.group == self)
    }
}

/// One thing to do.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) when: When,
    /// The key of what is said of it.
    pub(super) said: &'static str,
    /// The file that `code` is in; commands, a line each, if none.
    pub(super) file: Option<&'static str>,
    pub(super) code: &'static str,
}

/// For whom a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Where this server speaks plain HTTP to its clients.
    Http,
    Https,
    /// Where clients must sign in.
    SignIn,
}

const fn run(said: &'static str, code: &'static str) -> Step {
    Step {
        when: When::Always,
        said,
        file: None,
        code,
    }
}

const fn write(said: &'static str, file: &'static str, code: &'static str) -> Step {
    Step {
        when: When::Always,
        said,
        file: Some(file),
        code,
    }
}

impl Step {
    const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

const fn guide(
    slug: &'static str,
    name: &'static str,
    group: Group,
    steps: &'static [Step],
) -> Guide {
    Guide {
        slug,
        name,
        group,
        steps,
    }
}

/// All of them, in the order of the menu.
pub(super) static GUIDES: [Guide; 16] = [
    guide("docker", "Docker", Group::Engines, &DOCKER),
    guide("podman", "Podman", Group::Engines, &PODMAN),
    guide("nerdctl", "nerdctl", Group::Engines, &NERDCTL),
    guide("containerd", "containerd", Group::Engines, &CONTAINERD),
    guide("kubernetes", "Kubernetes", Group::Clusters, &KUBERNETES),
    guide("k3s", "k3s, RKE2", Group::Clusters, &K3S),
    guide("cri-o", "CRI-O", Group::Clusters, &CRI_O),
    guide("buildx", "Buildx, BuildKit", Group::Building, &BUILDX),
    guide(
        "github-actions",
        "GitHub Actions",
        Group::Building,
        &GITHUB_ACTIONS,
    ),
    guide("skopeo", "Skopeo", Group::Tools, &SKOPEO),
    guide("crane", "crane", Group::Tools, &CRANE),
    guide("helm", "Helm", Group::Tools, &HELM),
    guide("oras", "ORAS", Group::Tools, &ORAS),
    guide("cosign", "Cosign", Group::Tools, &COSIGN),
    guide("mirror", "Docker Hub mirror", Group::Server, &MIRROR),
    guide("close", "Close an open registry", Group::Server, &CLOSE),
];

static DOCKER: [Step; 4] = [
    write(
        "help.docker_http",
        "/etc/docker/daemon.json",
        r#"{"insecure-registries": ["{host}"]}"#,
    )
    .when(When::Http),
    run("help.sign_in", "docker login {host} -u {name}").when(When::SignIn),
    run(
        "help.push",
        "docker tag nginx:latest {host}/{space}/nginx:latest\ndocker push {host}/{space}/nginx:latest",
    ),
    run("help.pull", "docker pull {host}/{space}/nginx:latest"),
];

static PODMAN: [Step; 4] = [
    write(
        "help.containers_http",
        "/etc/containers/registries.conf.d/layerhouse.conf",
        "[[registry]]\nlocation = \"{host}\"\ninsecure = true",
    )
    .when(When::Http),
    run("help.sign_in", "podman login {host} -u {name}").when(When::SignIn),
    run(
        "help.push",
        "podman tag docker.io/library/nginx:latest {host}/{space}/nginx:latest\npodman push {host}/{space}/nginx:latest",
    ),
    run("help.pull", "podman pull {host}/{space}/nginx:latest"),
];

static NERDCTL: [Step; 4] = [
    write(
        "help.hosts_http",
        "/etc/containerd/certs.d/{host}/hosts.toml",
        HOSTS,
    )
    .when(When::Http),
    run("help.sign_in", "nerdctl login {host} -u {name}").when(When::SignIn),
    run(
        "help.push",
        "nerdctl tag nginx:latest {host}/{space}/nginx:latest\nnerdctl push {host}/{space}/nginx:latest",
    ),
    run("help.pull", "nerdctl pull {host}/{space}/nginx:latest"),
];

/// One host of containerd's.
const HOSTS: &str = "server = \"{url}\"

[host.\"{url}\"]
  capabilities = [\"pull\", \"resolve\", \"push\"]";

static CONTAINERD: [Step; 6] = [
    write(
        "help.hosts",
        "/etc/containerd/certs.d/{host}/hosts.toml",
        HOSTS,
    ),
    write("help.hosts_ca", "hosts.toml", "  ca = \"/etc/ssl/certs/my-ca.pem\"").when(When::Https),
    write(
        "help.containerd_2",
        "/etc/containerd/config.toml",
        "version = 3

[plugins.\"io.containerd.cri.v1.images\".registry]
  config_path = \"/etc/containerd/certs.d\"",
    ),
    write(
        "help.containerd_1",
        "/etc/containerd/config.toml",
        "version = 2

[plugins.\"io.containerd.grpc.v1.cri\".registry]
  config_path = \"/etc/containerd/certs.d\"",
    ),
    run(
        "help.ctr_login",
        "ctr images pull --user {name} --hosts-dir /etc/containerd/certs.d {host}/{space}/nginx:latest",
    )
    .when(When::SignIn),
    run(
        "help.pull",
        "ctr images pull --hosts-dir /etc/containerd/certs.d {host}/{space}/nginx:latest",
    ),
];

static KUBERNETES: [Step; 4] = [
    run("help.kubernetes_http", "").when(When::Http),
    run(
        "help.kubernetes_secret",
        "kubectl create secret docker-registry layerhouse --docker-server={host} --docker-username={name} --docker-password=TOKEN",
    )
    .when(When::SignIn),
    run(
        "help.kubernetes_account",
        r#"kubectl patch serviceaccount default -p '{"imagePullSecrets": [{"name": "layerhouse"}]}'"#,
    )
    .when(When::SignIn),
    write(
        "help.kubernetes_pod",
        "pod.yaml",
        "apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  imagePullSecrets:          # not needed for what everyone may pull
    - name: layerhouse
  containers:
    - name: web
      image: {host}/{space}/nginx:latest",
    ),
];

static K3S: [Step; 3] = [
    write(
        "help.k3s",
        "/etc/rancher/k3s/registries.yaml",
        "mirrors:
  \"{host}\":
    endpoint:
      - \"{url}\"",
    ),
    write(
        "help.k3s_login",
        "/etc/rancher/k3s/registries.yaml",
        "configs:
  \"{host}\":
    auth:
      username: {name}
      password: TOKEN",
    )
    .when(When::SignIn),
    run("help.k3s_restart", "sudo systemctl restart k3s"),
];

static CRI_O: [Step; 4] = [
    write(
        "help.containers_http",
        "/etc/containers/registries.conf.d/layerhouse.conf",
        "[[registry]]\nlocation = \"{host}\"\ninsecure = true",
    )
    .when(When::Http),
    run("help.crio_reload", "sudo systemctl reload crio").when(When::Http),
    run(
        "help.crio_login",
        "podman login {host} -u {name} --authfile /var/lib/kubelet/config.json",
    )
    .when(When::SignIn),
    run("help.pull", "crictl pull {host}/{space}/nginx:latest"),
];

static BUILDX: [Step; 5] = [
    write(
        "help.buildkit_http",
        "buildkitd.toml",
        "[registry.\"{host}\"]\n  http = true",
    )
    .when(When::Http),
    run(
        "help.buildx_create",
        "docker buildx create --use --driver docker-container --buildkitd-config buildkitd.toml",
    )
    .when(When::Http),
    run("help.sign_in", "docker login {host} -u {name}").when(When::SignIn),
    run(
        "help.buildx_build",
        "docker buildx build --platform linux/amd64,linux/arm64 -t {host}/{space}/app:latest --push .",
    ),
    run(
        "help.buildx_cache",
        "docker buildx build --cache-to type=registry,ref={host}/{space}/app:cache,mode=max --cache-from type=registry,ref={host}/{space}/app:cache -t {host}/{space}/app:latest --push .",
    ),
];

static GITHUB_ACTIONS: [Step; 2] = [
    write(
        "help.actions",
        ".github/workflows/image.yml",
        "on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: docker/setup-buildx-action@v3
      - uses: docker/login-action@v3
        with:
          registry: {host}
          username: ${{ secrets.REGISTRY_USER }}
          password: ${{ secrets.REGISTRY_TOKEN }}
      - uses: docker/build-push-action@v6
        with:
          push: true
          tags: {host}/{space}/app:${{ github.sha }}
          cache-from: type=registry,ref={host}/{space}/app:cache
          cache-to: type=registry,ref={host}/{space}/app:cache,mode=max",
    ),
    run("help.actions_http", "").when(When::Http),
];

static SKOPEO: [Step; 4] = [
    run("help.says_http", "").when(When::Http),
    run("help.sign_in", "skopeo login{no_tls} {host} -u {name}").when(When::SignIn),
    run(
        "help.copy",
        "skopeo copy --all{no_tls_there} docker://docker.io/library/nginx:latest docker://{host}/{space}/nginx:latest",
    ),
    run(
        "help.list",
        "skopeo list-tags{no_tls} docker://{host}/{space}/nginx",
    ),
];

static CRANE: [Step; 4] = [
    run("help.says_http", "").when(When::Http),
    run(
        "help.sign_in_stdin",
        "crane auth login {host} -u {name} --password-stdin",
    )
    .when(When::SignIn),
    run(
        "help.copy",
        "crane copy{insecure} nginx:latest {host}/{space}/nginx:latest",
    ),
    run("help.list", "crane ls{insecure} {host}/{space}/nginx"),
];

static HELM: [Step; 6] = [
    run("help.says_http", "").when(When::Http),
    run(
        "help.sign_in",
        "helm registry login{plain_http} {host} -u {name}",
    )
    .when(When::SignIn),
    run("help.helm_package", "helm create app\nhelm package app"),
    run(
        "help.push",
        "helm push{plain_http} app-0.1.0.tgz oci://{host}/{space}/charts",
    ),
    run(
        "help.helm_install",
        "helm install{plain_http} app oci://{host}/{space}/charts/app --version 0.1.0",
    ),
    run("help.helm_note", ""),
];

static ORAS: [Step; 5] = [
    run("help.says_http", "").when(When::Http),
    run("help.sign_in", "oras login{plain_http} {host} -u {name}").when(When::SignIn),
    run(
        "help.oras_push",
        "oras push{plain_http} {host}/{space}/notes:v1 notes.txt:text/plain",
    ),
    run(
        "help.oras_attach",
        "oras attach{plain_http} --artifact-type application/spdx+json {host}/{space}/nginx:latest sbom.spdx.json",
    ),
    run(
        "help.oras_discover",
        "oras discover{plain_http} {host}/{space}/nginx:latest",
    ),
];

static COSIGN: [Step; 5] = [
    run("help.says_http", "").when(When::Http),
    run("help.sign_in", "cosign login {host} -u {name}").when(When::SignIn),
    run("help.cosign_key", "cosign generate-key-pair"),
    run(
        "help.cosign_sign",
        "cosign sign{allow_http} --key cosign.key {host}/{space}/nginx@sha256:DIGEST",
    ),
    run(
        "help.cosign_verify",
        "cosign verify{allow_http} --key cosign.pub {host}/{space}/nginx:latest",
    ),
];

static MIRROR: [Step; 6] = [
    write(
        "help.mirror_server",
        "config.yml",
        "layerhouse:
  mirror:
    upstreams:
      - name: docker.io
      - name: quay.io
    default: docker.io",
    ),
    write(
        "help.mirror_docker",
        "/etc/docker/daemon.json",
        r#"{"registry-mirrors": ["{url}"]}"#,
    ),
    write(
        "help.mirror_containerd",
        "/etc/containerd/certs.d/docker.io/hosts.toml",
        "server = \"https://registry-1.docker.io\"

[host.\"{url}\"]
  capabilities = [\"pull\", \"resolve\"]",
    ),
    write(
        "help.mirror_podman",
        "/etc/containers/registries.conf.d/mirror.conf",
        "[[registry]]
location = \"docker.io\"

[[registry.mirror]]
location = \"{host}/docker.io\"",
    ),
    write(
        "help.mirror_k3s",
        "/etc/rancher/k3s/registries.yaml",
        "mirrors:
  docker.io:
    endpoint:
      - \"{url}\"",
    ),
    run(
        "help.mirror_prefix",
        "docker pull {host}/docker.io/library/nginx:1.27",
    ),
];

static CLOSE: [Step; 6] = [
    run(
        "help.close_file",
        "layerhouse htpasswd -Bc /etc/layerhouse/htpasswd ann\ndocker login {host} -u ann",
    ),
    write(
        "help.close_file_config",
        "config.yml",
        "auth:
  htpasswd: {realm: Registry, path: /etc/layerhouse/htpasswd}",
    ),
    write(
        "help.close_pull",
        "config.yml",
        "layerhouse:
  auth:
    anonymous: pull",
    ),
    write("help.close_index", "config.yml", "layerhouse:\n  index: {}"),
    run(
        "help.close_admin",
        "layerhouse user create root --admin\ndocker login {host} -u root",
    ),
    run("help.close_tls", ""),
];
