# shellcheck shell=bash disable=SC2154,SC2034
# For test-clients: HTTP requests and what several clients share.

manifest_types='application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,
 application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json'
manifest_types=${manifest_types//$'\n'/}

# request METHOD PATH|URL [CURL OPTION…]: leaves the status in $status, the body in
# $tmp/body and the headers in $tmp/headers.
request() {
  local - method=$1 url=$2
  set +x
  shift 2
  [[ $url == http://* ]] || url=http://$registry$url
  # `-X HEAD` would make curl wait for a body.
  if [[ $method == HEAD ]]; then method=-I; else method=-X$method; fi
  : >"$tmp/body"
  status=$(curl -sS --max-time 60 -o "$tmp/body" -D "$tmp/headers" -w '%{http_code}' "$method" "$@" "$url")
}

# header NAME: its value in the last answer, empty if it has none.
header() {
  local -
  set +x
  tr -d '\r' <"$tmp/headers" | sed -n "s/^$1: *//Ip" | tail -n 1
}
error_code() { jq -r '.errors[0].code' "$tmp/body"; }

# manifest_digest NAME:TAG: what the registry says it is.
manifest_digest() {
  request HEAD "/v2/${1%:*}/manifests/${1##*:}" -H "Accept: $manifest_types"
  is "$status" 200 "status of HEAD $1"
  header Docker-Content-Digest
}

# upload NAME FILE: puts a blob with POST and PUT, prints its digest.
upload() {
  local digest location
  digest=$(digest_of "$2")
  request POST "/v2/$1/blobs/uploads/" -H 'Content-Length: 0'
  is "$status" 202 "status of POST"
  request PUT "$(with_query "$(header Location)" "digest=$digest")" \
    -H 'Content-Type: application/octet-stream' --data-binary "@$2"
  is "$status" 201 "status of PUT"
  echo "$digest"
}

with_query() { if [[ $1 == *\?* ]]; then echo "$1&$2"; else echo "$1?$2"; fi; }

# descriptor MEDIATYPE FILE
descriptor() {
  jq -n -c --arg type "$1" --arg digest "$(digest_of "$2")" --argjson size "$(stat -c %s "$2")" \
    '{mediaType: $type, digest: $digest, size: $size}'
}

random_file() { head -c "$1" /dev/urandom >"$2"; }

# serves_page PORT: an HTTP server there answers with this run's page.
serves_page() {
  within 15 curl -fsS --max-time 5 "http://127.0.0.1:$1/" || fail "nothing answers on port $1"
  is "$(curl -fsS --max-time 5 "http://127.0.0.1:$1/")" "$page" "the page"
}

# Can an overlay be mounted where the clients keep their images? Else they copy.
storage_driver() {
  local - probe=$work/overlay-probe
  set +x
  if [[ ! -e $probe ]]; then
    mkdir -p "$probe"/{lower,upper,work,merged}
    if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null; then
      umount "$probe/merged"
      echo overlay >"$probe/answer"
    else
      echo vfs >"$probe/answer"
    fi
  fi
  cat "$probe/answer"
}

start_containerd() {
  [[ ! -S $work/containerd.sock ]] || return 0
  cat >"$work/containerd.toml" <<TOML
version = 2
root = "$work/containerd"
state = "$work/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$work/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$work/containerd-opt"
TOML
  containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
  within 20 ctr version || { tail "$work/containerd.log"; die "containerd does not start"; }
}

start_dockerd() {
  local driver
  [[ ! -S $work/docker.sock ]] || return 0
  start_containerd
  driver=$(storage_driver)
  if [[ $driver == overlay ]]; then driver=overlay2; fi
  # Stock settings otherwise: bridge, firewall rules and port publishing included.
  dockerd --containerd "$work/containerd.sock" --data-root "$work/docker" --exec-root "$work/docker-run" \
    --pidfile "$work/docker.pid" --host "unix://$work/docker.sock" --group root --storage-driver "$driver" \
    --cgroup-parent "/${work##*/}" >"$work/dockerd.log" 2>&1 &
  within 40 docker info || { tail "$work/dockerd.log"; die "dockerd does not start"; }
}

docker() { timeout 120 /usr/bin/docker --host "unix://$work/docker.sock" "$@"; }
ctr() { timeout 120 /usr/bin/ctr --address "$work/containerd.sock" --namespace clients "$@"; }
skopeo() { timeout 120 /usr/bin/skopeo --insecure-policy "$@"; }
podman() {
  timeout 120 /usr/bin/podman --root "$work/containers" --runroot "$work/containers-run" \
    --storage-driver "$(storage_driver)" --runtime /usr/sbin/runc --cgroup-manager cgroupfs --events-backend file \
    --network-config-dir "$work/networks" "$@"
}
buildah() {
  timeout 120 /usr/bin/buildah --root "$work/containers" --runroot "$work/containers-run" \
    --storage-driver "$(storage_driver)" "$@"
}
