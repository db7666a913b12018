# shellcheck shell=bash disable=SC2154
# For test-clients: the mirror. Three upstreams stand for the internet: Debian's registry:2 with htpasswd is
# `docker.io`, the same over TLS of a private authority is `quay.example`, and a second registry of this kind, with
# accounts and tokens, is `corp.example`. Clients come by registry-mirrors, by ns, by prefix.

part_mirror() {
  if [[ $target == docker-registry ]]; then
    skip "mirror: many upstreams, four ways in" "registry:2 mirrors one upstream and takes no pushes then"
    return 0
  fi
  mirror=$work/mirror
  front=127.0.0.1:5100 hub_up=127.0.0.1:5101 quay_up=127.0.0.1:5102 corp_up=127.0.0.1:5103
  start_dockerd
  mirror_starts
  check "mirror: docker pulls from Docker Hub by registry-mirrors, with the upstream's digest" mirror_docker
  check "mirror: a second docker pull asks the upstream for no bytes" mirror_docker_again
  check "mirror: containerd pulls by hosts.toml and ns: Docker Hub, and a private upstream with tokens" mirror_containerd
  check "mirror: podman pulls by a mirror of registries.conf, and runs it" mirror_podman
  check "mirror: skopeo copies an index with all its images by prefix, over TLS of a private authority" mirror_skopeo
  check "mirror: skopeo inspects and lists tags" mirror_lists
  check "mirror: eight clients at once cause one request for each blob" mirror_at_once
  check "mirror: pushes beside it go on, pushes to copies are refused in words" mirror_pushes
  check "mirror: a tag that moved is pulled anew; its old digest still comes" mirror_moved
  check "mirror: an unknown tag is 'manifest unknown', an unknown upstream says which there are" mirror_unknown
  check "mirror: registry:2's proxy section serves names as they are and refuses pushes" mirror_as_proxy
  check "mirror: with accounts, public upstreams are everyone's and private ones are not: docker, skopeo, containerd" mirror_accounts
  check "mirror: no panic and no 5xx while its upstreams were there" mirror_kept_calm
  check "mirror: with all upstreams gone every client pulls what it pulled before" mirror_without_upstreams
  check "mirror: what was never pulled fails, and says which upstream is missing" mirror_says_which
  check "mirror: ends with exit status 0, verify finds nothing wrong, no panic" mirror_ends
  rm /etc/docker/daemon.json
  kill -HUP "$(<"$work/docker.pid")"
}

# --- The upstreams, and the mirror ---------------------------------------------------

mirror_starts() {
  mkdir -p "$mirror"/{data,proxy,hub,quay,corp,certs,trust} "$mirror"/hosts.d/{docker.io,corp.example}
  (
    cd "$mirror/certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=an authority of theirs' \
      -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=upstream -keyout up.key -out up.csr
    openssl x509 -req -in up.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out up.crt \
      -extfile <(printf 'subjectAltName=IP:127.0.0.1\n')
  ) >"$mirror/openssl.log" 2>&1
  # Keys beside certificates would be taken for a client's.
  cp "$mirror/certs/ca.crt" "$mirror/trust/"
  htpasswd -nbB hubuser "hub's password" >"$mirror/htpasswd"
  mirror_upstream hub "http: {addr: $hub_up}
auth: {htpasswd: {realm: hub, path: $mirror/htpasswd}}"
  mirror_upstream quay "http: {addr: $quay_up, tls: {certificate: $mirror/certs/up.crt, key: $mirror/certs/up.key}}"
  cat >"$mirror/corp.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $mirror/corp}}
http: {addr: $corp_up, tls: {certificate: $mirror/certs/up.crt, key: $mirror/certs/up.key}}
layerhouse:
  index: {}
YAML
  mirror_serve corp "https://$corp_up"
  timeout 30 "$program" user create corpuser --config "$mirror/corp.yml" <<<"corp's good password" >>"$mirror/corp.log" 2>&1

  skopeo copy -q --dest-tls-verify=false --dest-creds "hubuser:hub's password" "oci:$work/layout:web" "docker://$hub_up/library/web:v1"
  skopeo copy -q --all --dest-cert-dir "$mirror/trust" "oci:$work/layout:multi" "docker://$quay_up/acme/multi:v1"
  skopeo copy -q --dest-cert-dir "$mirror/trust" "oci:$work/layout:web" "docker://$quay_up/acme/web:v1"
  skopeo copy -q --dest-cert-dir "$mirror/trust" --dest-creds "corpuser:corp's good password" \
    "oci:$work/layout:web" "docker://$corp_up/corpuser/web:v1"

  cat >"$mirror/front.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $mirror/data}, delete: {enabled: true}}
http: {addr: $front}
layerhouse:
  mirror:
    default: docker.io
    ttl: 1s
    negativettl: 1s
    upstreams:
      - {name: docker.io, url: "http://$hub_up", username: hubuser, password: "hub's password"}
      - {name: quay.example, url: "https://$quay_up", ca: $mirror/certs/ca.crt}
      - name: corp.example
        url: https://$corp_up
        ca: $mirror/certs/ca.crt
        username: corpuser
        password: corp's good password
YAML
  shared "$mirror/front.yml" front
  mirror_serve front "http://$front"

  # dockerd takes this over without a restart.
  echo "{\"registry-mirrors\": [\"http://$front\"]}" >/etc/docker/daemon.json
  kill -HUP "$(<"$work/docker.pid")"
  within 10 mirror_is_dockers || die "dockerd does not take over registry-mirrors"
  cat >"$mirror/hosts.d/docker.io/hosts.toml" <<TOML
server = "https://registry-1.docker.io"
[host."http://$front"]
  capabilities = ["pull", "resolve"]
TOML
  sed 's/registry-1.docker.io/corp.example/' "$mirror/hosts.d/docker.io/hosts.toml" >"$mirror/hosts.d/corp.example/hosts.toml"
  cat >"$mirror/registries.conf" <<TOML
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "$front/docker.io"
insecure = true
TOML
}

mirror_is_dockers() { docker info --format '{{.RegistryConfig.Mirrors}}' | grep -q "$front"; }

# mirror_upstream NAME YAML: Debian's registry:2, whose requests are lines of $mirror/NAME.log.
mirror_upstream() {
  printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n%s\n' "$mirror/$1" "$2" >"$mirror/$1.yml"
  # The outer one hears of its end, and says so to nobody.
  (
    set +e
    (echo "$BASHPID" >"$mirror/$1.pid" && exec /usr/bin/docker-registry serve "$mirror/$1.yml") >"$mirror/$1.log" 2>&1
    true
  ) 2>/dev/null &
  within 10 grep -q 'listening on' "$mirror/$1.log" || { tail "$mirror/$1.log" >&2; die "the upstream $1 does not start"; }
}

# mirror_serve NAME URL: our registry with $mirror/NAME.yml.
mirror_serve() {
  rm -f "$mirror/$1.exit"
  (
    set +ex
    (echo "$BASHPID" >"$mirror/$1.pid" && exec "$program" serve "$mirror/$1.yml") >>"$mirror/$1.log" 2>&1
    echo $? >"$mirror/$1.exit"
  ) 2>>"$mirror/$1.log" &
  within 10 curl -sS --cacert "$mirror/certs/ca.crt" -o "$mirror/ready" "$2/v2/" ||
    { tail -n 20 "$mirror/$1.log" >&2; die "the registry $1 does not answer"; }
}

# mirror_ended NAME: SIGTERM, and its exit status.
mirror_ended() {
  kill -TERM "$(<"$mirror/$1.pid")"
  within 30 test -s "$mirror/$1.exit" || fail "$1 did not end within 30 s"
  cat "$mirror/$1.exit"
}

# asked NAME PATTERN: how many requests that match an upstream of Debian's answered with bytes.
asked() { grep -a -c -E "\"GET [^\"]*$2[^\"]*\" 200 " "$mirror/$1.log" || true; }
with_mirrors() { CONTAINERS_REGISTRIES_CONF=$mirror/registries.conf "$@"; }

# --- Clients -------------------------------------------------------------------------

mirror_docker() {
  docker rmi --force web:v1 >/dev/null 2>&1 || true
  contains "$(docker pull web:v1)" "Digest: $web_digest"
  # Config and two layers.
  is "$(asked hub /v2/library/web/blobs/)" 3 "blobs that the upstream sent"
  docker run --detach --name mirrored --publish 127.0.0.1:8084:8080 web:v1
  serves_page 8084 || { docker logs mirrored; fail "no page"; }
  docker rm --force mirrored
}

mirror_docker_again() {
  docker rmi --force web:v1
  contains "$(docker pull web:v1)" "Digest: $web_digest"
  docker rmi --force web:v1
  contains "$(docker pull "$front/docker.io/library/web@$web_digest")" "Digest: $web_digest"
  contains "$(docker pull "$front/library/web:v1")" "Digest: $web_digest"
  is "$(asked hub /v2/library/web/blobs/)" 3 "blobs that the upstream sent"
}

mirror_containerd() {
  local name
  ctr_forget
  for name in docker.io/library/web:v1 corp.example/corpuser/web:v1; do
    ctr images pull --hosts-dir "$mirror/hosts.d" "$name"
    is "$(ctr_digest "$name")" "$web_digest" "digest of $name"
    ctr_forget
  done
  is "$(asked hub /v2/library/web/blobs/)" 3 "blobs that the upstream sent"
}

mirror_podman() {
  podman rmi --all --force
  with_mirrors podman pull docker.io/library/web:v1
  is "$(podman inspect --format '{{.Digest}}' docker.io/library/web:v1)" "$web_digest" digest
  podman rmi --all --force
  podman pull --tls-verify=false "$front/corp.example/corpuser/web:v1"
  is "$(podman inspect --format '{{.Digest}}' "$front/corp.example/corpuser/web:v1")" "$web_digest" digest
  podman run --detach --name mirrored --cgroup-parent "/${work##*/}" --publish 127.0.0.1:8085:8080 "$front/corp.example/corpuser/web:v1"
  serves_page 8085 || { podman logs mirrored; fail "no page"; }
  podman rm --force --time 5 mirrored
  podman rmi --all --force
}

mirror_skopeo() {
  skopeo copy --all --src-tls-verify=false "docker://$front/quay.example/acme/multi:v1" "oci:$tmp/layout:multi"
  is "$(jq -r '.manifests[0].digest' "$tmp/layout/index.json")" "$multi_digest" "digest of the copy"
  is "$(find "$tmp/layout/blobs/sha256" -type f | wc -l)" 7 "blobs of the copy"
  for blob in "$tmp"/layout/blobs/sha256/*; do cmp "$blob" "$work/layout/blobs/sha256/${blob##*/}"; done
}

mirror_lists() {
  is "$(skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/web:v1" | jq -r .Digest)" "$web_digest" digest
  skopeo copy -q --dest-cert-dir "$mirror/trust" "oci:$work/layout:web" "docker://$quay_up/acme/web:v2"
  is "$(skopeo list-tags --tls-verify=false "docker://$front/quay.example/acme/web" | jq -c '.Tags | sort')" '["v1","v2"]' tags
}

mirror_at_once() {
  local number jobs=() digest
  mkdir "$tmp/image"
  random_file 20000000 "$tmp/image/layer"
  tar -C "$tmp/image" -c . | docker import - "$front/acme/large:v1"
  skopeo copy -q --src-daemon-host "unix://$work/docker.sock" --dest-cert-dir "$mirror/trust" \
    "docker-daemon:$front/acme/large:v1" "docker://$quay_up/acme/large:v1"
  digest=$(skopeo inspect --cert-dir "$mirror/trust" "docker://$quay_up/acme/large:v1" | jq -r .Digest)
  local before
  before=$(asked quay /v2/acme/large/blobs/)
  for number in 1 2 3 4 5 6 7 8; do
    skopeo copy -q --src-tls-verify=false "docker://$front/quay.example/acme/large:v1" "dir:$tmp/copy$number" &
    jobs+=("$!")
  done
  for number in "${jobs[@]}"; do wait "$number"; done
  for number in 1 2 3 4 5 6 7 8; do is "$(digest_of "$tmp/copy$number/manifest.json")" "$digest" "digest of copy $number"; done
  is "$(($(asked quay /v2/acme/large/blobs/) - before))" 2 "blobs that the upstream sent: config and layer"
}

mirror_pushes() {
  skopeo copy --dest-tls-verify=false "oci:$work/layout:web" "docker://$front/acme/own:v1"
  is "$(skopeo inspect --tls-verify=false "docker://$front/acme/own:v1" | jq -r .Digest)" "$web_digest" digest
  matches "$(refused skopeo copy --dest-tls-verify=false "oci:$work/layout:web" "docker://$front/docker.io/library/mine:v1")" \
    'nothing can be pushed|unsupported|405'
  docker tag "$front/library/web:v1" "$front/docker.io/library/mine:v1"
  matches "$(refused docker push "$front/docker.io/library/mine:v1")" 'nothing can be pushed|unsupported|405'
}

mirror_moved() {
  local old new
  skopeo copy -q --dest-cert-dir "$mirror/trust" "oci:$work/layout:web" "docker://$quay_up/acme/moves:v1"
  old=$(skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/moves:v1" | jq -r .Digest)
  skopeo copy -q --all --dest-cert-dir "$mirror/trust" "oci:$work/layout:multi" "docker://$quay_up/acme/moves:v1"
  sleep 1.2
  new=$(skopeo inspect --tls-verify=false --raw "docker://$front/quay.example/acme/moves:v1" | sha256sum | cut -d ' ' -f 1)
  is "sha256:$new" "$multi_digest" "digest once the time to live is over"
  skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/moves@$old"
}

mirror_unknown() {
  matches "$(refused skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/web:none")" 'manifest unknown'
  matches "$(refused skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/none:v1")" 'manifest unknown|name unknown'
  is "$(curl -sS -o "$tmp/body" -w '%{http_code}' "http://$front/v2/library/web/manifests/v1?ns=ghcr.io")" 404 status
  is "$(error_code)" NAME_UNKNOWN code
  contains "$(<"$tmp/body")" quay.example
}

mirror_as_proxy() {
  cat >"$mirror/proxy.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $mirror/proxy}}
http: {addr: 127.0.0.1:5104}
proxy: {remoteurl: "http://$hub_up", username: hubuser, password: "hub's password"}
YAML
  shared "$mirror/proxy.yml" proxy
  mirror_serve proxy http://127.0.0.1:5104
  skopeo copy --src-tls-verify=false docker://127.0.0.1:5104/library/web:v1 "dir:$tmp/copy"
  is "$(digest_of "$tmp/copy/manifest.json")" "$web_digest" digest
  contains "$(docker pull 127.0.0.1:5104/library/web:v1)" "Digest: $web_digest"
  refused skopeo copy --dest-tls-verify=false "oci:$work/layout:web" docker://127.0.0.1:5104/acme/web:v1
  is "$(mirror_ended proxy)" 0 "exit status"
  timeout 120 "$program" verify --config "$mirror/proxy.yml"
}

# Docker asks for a token by the name that it was given, whatever the challenge says.
mirror_accounts() {
  local accounts=127.0.0.1:5105 said
  mkdir -p "$mirror/accounts" "$mirror/hosts.d/quay.example"
  cat >"$mirror/accounts.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $mirror/accounts}}
http: {addr: $accounts}
layerhouse:
  index: {}
  mirror:
    default: quay.example
    upstreams:
      - {name: quay.example, url: "https://$quay_up", ca: $mirror/certs/ca.crt}
      - {name: corp.example, url: "https://$corp_up", ca: $mirror/certs/ca.crt, username: corpuser, password: corp's good password}
YAML
  shared "$mirror/accounts.yml" accounts
  mirror_serve accounts "http://$accounts"
  timeout 30 "$program" user create boss --admin --config "$mirror/accounts.yml" <<<"boss's good password"
  timeout 30 "$program" user create otto --config "$mirror/accounts.yml" <<<"otto's good password"
  local name
  for name in quay.example/acme/web:v1 acme/web:v1; do
    contains "$(docker pull "$accounts/$name")" "Digest: $web_digest"
    docker rmi --force "$accounts/$name"
    is "$(skopeo inspect --tls-verify=false "docker://$accounts/$name" | jq -r .Digest)" "$web_digest" "digest of $name"
    ctr images pull --plain-http "$accounts/$name"
    is "$(skopeo inspect --tls-verify=false --creds "otto:otto's good password" "docker://$accounts/$name" | jq -r .Digest)" "$web_digest" digest
  done
  ctr_forget
  name=$accounts/corp.example/corpuser/web:v1
  matches "$(refused docker pull "$name")" 'denied|unauthorized'
  matches "$(refused skopeo inspect --tls-verify=false --creds "otto:otto's good password" "docker://$name")" 'denied|unauthorized|unknown'
  is "$(skopeo inspect --tls-verify=false --creds "boss:boss's good password" "docker://$name" | jq -r .Digest)" "$web_digest" digest
  refused docker pull "$name"
  said=$(mirror_ended accounts)
  is "$said" 0 "exit status"
  timeout 120 "$program" verify --config "$mirror/accounts.yml"
}

mirror_kept_calm() {
  if grep -a -n -i -E 'panicked at|"?status"?[=:]5[0-9]{2}' "$mirror/front.log"; then fail "a panic or a 5xx answer"; fi
  if grep -a -n -E "hub's password|corp's good password" "$mirror/front.log"; then fail "a password is in the log"; fi
}

# --- Without them --------------------------------------------------------------------

mirror_without_upstreams() {
  local name
  for name in hub quay corp; do kill -KILL "$(<"$mirror/$name.pid")"; done
  sleep 1.2
  docker rmi --force web:v1 "$front/library/web:v1" >/dev/null 2>&1 || true
  contains "$(docker pull web:v1)" "Digest: $web_digest"
  ctr images pull --hosts-dir "$mirror/hosts.d" docker.io/library/web:v1
  ctr images pull --hosts-dir "$mirror/hosts.d" corp.example/corpuser/web:v1
  ctr_forget
  with_mirrors podman pull docker.io/library/web:v1
  podman rmi --all --force
  skopeo copy --all --src-tls-verify=false "docker://$front/quay.example/acme/multi:v1" "oci:$tmp/layout:multi"
  is "$(curl -sS -o "$tmp/body" -D "$tmp/headers" -w '%{http_code}' -H "Accept: $manifest_types" \
    "http://$front/v2/quay.example/acme/multi/manifests/v1")" 200 status
  is "$(header Warning)" '110 - "Response is Stale"' "what it says of itself"
}

# Clients show no words of a 5xx but its status line.
mirror_says_which() {
  matches "$(refused skopeo inspect --tls-verify=false "docker://$front/quay.example/acme/never:v1")" '502 quay\.example: '
  matches "$(refused docker pull "$front/corp.example/corpuser/never:v1")" '502 corp\.example: '
}

mirror_ends() {
  is "$(mirror_ended front)" 0 "exit status"
  timeout 120 "$program" verify --config "$mirror/front.yml"
  if grep -a -n -i 'panicked at' "$mirror/front.log" "$mirror/proxy.log"; then fail "a panic"; fi
}
