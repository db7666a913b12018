# shellcheck shell=bash disable=SC2154
# For test-clients: the walk that people follow from tutorials, with the file of the official
# image, its environment variables, and two docker hosts: `hub`, where the registry runs,
# and `second`, at the other end of a cable.

part_tutorial() {
  tutorial=$work/tutorial
  tutorial_program=$program
  tutorial_hosts
  check "tutorial: open on :5000, docker push to localhost, _catalog, tags/list" tutorial_open
  check "tutorial: what was pushed is in the mounted directory, and there after a restart" tutorial_restart
  check "tutorial: plain HTTP by name is refused by dockerd, and taken with insecure-registries" tutorial_insecure
  check "tutorial: openssl makes an authority and a certificate, htpasswd the users" tutorial_secrets
  check "tutorial: on :443 with TLS and htpasswd, a host without the CA does not trust it" tutorial_untrusted
  check "tutorial: docker pull and push before login are refused" tutorial_before_login
  check "tutorial: docker login refuses a wrong password and an unknown user" tutorial_wrong_login
  check "tutorial: docker login, push; config.json is used again; logout ends it" tutorial_login
  check "tutorial: the second docker host logs in and pulls the same digest" tutorial_second
  check "tutorial: podman pushes and pulls with --creds, wrong ones are refused" tutorial_podman
  check "tutorial: skopeo copies and lists with --creds, wrong ones are refused" tutorial_skopeo
  if [[ $target == layerhouse ]]; then
    check "tutorial: 'layerhouse htpasswd -Bbn' makes a user that logs in, without a restart" tutorial_own_htpasswd
  else
    skip "tutorial: 'layerhouse htpasswd -Bbn' makes a user that logs in, without a restart" "it is another program's"
  fi
  check "tutorial: DELETE by digest is 405, and 202 with REGISTRY_STORAGE_DELETE_ENABLED=true" tutorial_delete
  check "tutorial: push and pull through nginx with TLS" tutorial_nginx
  check "tutorial: push and pull through nginx, REGISTRY_HTTP_RELATIVEURLS=true" tutorial_nginx REGISTRY_HTTP_RELATIVEURLS=true
  check "tutorial: push and pull through nginx, REGISTRY_HTTP_HOST" tutorial_nginx REGISTRY_HTTP_HOST=https://hub.example
  check "tutorial: push and pull through nginx that keeps the host to itself, REGISTRY_HTTP_HOST" tutorial_nginx_silent
  check "tutorial: one directory served by registry:2, by this one, by registry:2: each tag keeps its digest" tutorial_round_trip
  tutorial_ends
}

# --- The two hosts -------------------------------------------------------------------

tutorial_hosts() {
  local host
  mkdir -p "$tutorial"/{data,auth,certs} /etc/docker/registry /etc/docker/certs.d /run/netns /var/lib/registry
  # `docker run -v DIR:/var/lib/registry`
  mount --bind "$tutorial/data" /var/lib/registry
  printf '%s\n' '127.0.0.1 localhost' '10.77.0.1 hub.example open.example stranger.example' >"$tutorial/hosts"
  mount --bind "$tutorial/hosts" /etc/hosts
  # The file in the official image of registry:2, word for word.
  cat >/etc/docker/registry/config.yml <<'YAML'
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
YAML
  ip netns add hub
  ip netns add second
  ip link add to-second netns hub type veth peer name to-hub netns second
  on hub ip address add 10.77.0.1/24 dev to-second
  on second ip address add 10.77.0.2/24 dev to-hub
  for host in hub second; do
    on "$host" ip link set lo up
    mkdir -p "$tutorial/$host"
    echo '{}' >"$tutorial/$host/daemon.json"
  done
  on hub ip link set to-second up
  on second ip link set to-hub up

  start_containerd
  for host in hub second; do tutorial_dockerd "$host"; done
  for host in hub second; do
    within 40 docker_on "$host" info || { tail "$tutorial/$host/log"; die "the dockerd of $host does not start"; }
  done
}

tutorial_dockerd() {
  local driver
  driver=$(storage_driver)
  if [[ $driver == overlay ]]; then driver=overlay2; fi
  # No container runs here, so neither bridge nor firewall is needed.
  on "$1" dockerd --containerd "$work/containerd.sock" --containerd-namespace "$1" \
    --data-root "$tutorial/$1/data" --exec-root "$tutorial/$1/run" --pidfile "$tutorial/$1/pid" \
    --host "unix://$tutorial/$1/sock" --group root --storage-driver "$driver" --config-file "$tutorial/$1/daemon.json" \
    --bridge none --iptables=false --ip-forward=false --cgroup-parent "/${work##*/}" >"$tutorial/$1/log" 2>&1 &
}

tutorial_ends() {
  local host
  stop_tutorial_registry
  for host in hub second; do
    kill "$(<"$tutorial/$host/pid")"
    within 20 test ! -e "$tutorial/$host/pid" || true
  done
  umount /var/lib/registry /etc/hosts
}

# on HOST COMMAND…: in the host's network.
on() { nsenter --net="/run/netns/$1" "${@:2}"; }
docker_on() { DOCKER_CONFIG=$tutorial/$1/config timeout 60 /usr/bin/docker --host "unix://$tutorial/$1/sock" "${@:2}"; }
curl_on() { on "$1" curl -sS --max-time 30 --cacert "$tutorial/certs/ca.crt" "${@:2}"; }
podman_on() {
  on "$1" timeout 60 /usr/bin/podman --root "$work/containers" --runroot "$work/containers-run" \
    --storage-driver "$(storage_driver)" --runtime /usr/sbin/runc --cgroup-manager cgroupfs --events-backend file \
    --network-config-dir "$work/networks" "${@:2}"
}
skopeo_on() { on "$1" timeout 60 /usr/bin/skopeo --insecure-policy "${@:2}"; }

# serve_tutorial NAME=VALUE…: what `docker run -e NAME=VALUE … registry:2` starts, and nothing else in
# the environment. It takes the place of the one before.
serve_tutorial() {
  local port=5000 variable
  for variable in "$@"; do
    if [[ $variable == REGISTRY_HTTP_ADDR=* ]]; then port=${variable##*:}; fi
  done
  stop_tutorial_registry
  # Without `exec` the process in the background would be a shell that waits for it.
  (exec nsenter --net=/run/netns/hub env -i PATH="$PATH" HOME=/root "$@" \
    "$tutorial_program" serve /etc/docker/registry/config.yml) >>"$tutorial/registry.log" 2>&1 &
  echo $! >"$tutorial/registry.pid"
  within 20 on hub bash -c ": </dev/tcp/127.0.0.1/$port" ||
    { tail -n 20 "$tutorial/registry.log"; fail "nothing listens on port $port"; }
}

stop_tutorial_registry() {
  local pid
  [[ -e $tutorial/registry.pid ]] || return 0
  pid=$(<"$tutorial/registry.pid")
  kill "$pid" 2>/dev/null || true
  # A dead process that nobody waited for is still in the table.
  within 30 bash -c "! kill -0 $pid 2>/dev/null || grep -q '^State:.Z' /proc/$pid/status" ||
    fail "the registry did not end within 30 s of SIGTERM"
  rm "$tutorial/registry.pid"
}

secured=(
  REGISTRY_HTTP_ADDR=0.0.0.0:443
  REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt
  REGISTRY_HTTP_TLS_KEY=/certs/domain.key
  REGISTRY_AUTH=htpasswd
  'REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm'
  REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd
)

# with the files where they really are: nothing is mounted at /certs and /auth here.
serve_secured() {
  serve_tutorial "${secured[@]//=\//=$tutorial/}" "$@"
}

# new_image HOST NAME: an image of one layer of random bytes.
new_image() {
  mkdir -p "$tmp/image"
  random_file 100000 "$tmp/image/file"
  tar -C "$tmp/image" -c . | docker_on "$1" import - "$2"
}

# pushed HOST NAME: pushes, and prints the digest.
pushed() {
  local said
  said=$(docker_on "$1" push "$2")
  matches "$said" "digest: (sha256:[0-9a-f]{64}) size: [0-9]+"
  echo "${BASH_REMATCH[1]}"
}

# pulled HOST NAME: pulls what the host does not have, and prints the digest.
pulled() {
  local said
  docker_on "$1" rmi --force "$2" >/dev/null 2>&1 || true
  said=$(docker_on "$1" pull "$2")
  matches "$said" "Digest: (sha256:[0-9a-f]{64})"
  echo "${BASH_REMATCH[1]}"
}

# --- The walk ------------------------------------------------------------------------

tutorial_open() {
  local digest
  serve_tutorial
  new_image hub localhost:5000/my-image:v1
  digest=$(pushed hub localhost:5000/my-image:v1)
  echo "$digest" >"$tutorial/digest"
  docker_on hub tag localhost:5000/my-image:v1 localhost:5000/my-image:latest
  is "$(pushed hub localhost:5000/my-image:latest)" "$digest" "digest of the second tag"
  is "$(pulled hub localhost:5000/my-image:v1)" "$digest" "digest of the pull"
  is "$(curl_on hub http://localhost:5000/v2/_catalog | jq -c .repositories)" '["my-image"]' catalog
  is "$(curl_on hub http://localhost:5000/v2/my-image/tags/list | jq -c '[.name, (.tags | sort)]')" \
    '["my-image",["latest","v1"]]' tags
}

tutorial_restart() {
  local digest
  digest=$(<"$tutorial/digest")
  # Layerhouse writes it behind its answer.
  within 10 test -s "$tutorial/data/docker/registry/v2/blobs/sha256/${digest:7:2}/${digest:7}/data"
  serve_tutorial
  is "$(pulled hub localhost:5000/my-image:latest)" "$digest" digest
}

tutorial_insecure() {
  local digest
  new_image second open.example:5000/insecure:v1
  contains "$(refused docker_on second push open.example:5000/insecure:v1)" "server gave HTTP response to HTTPS client"
  echo '{"insecure-registries": ["open.example:5000"]}' >"$tutorial/second/daemon.json"
  kill -HUP "$(<"$tutorial/second/pid")"
  within 10 bash -c "DOCKER_HOST=unix://$tutorial/second/sock docker info | grep -q open.example:5000"
  digest=$(pushed second open.example:5000/insecure:v1)
  is "$(pulled second open.example:5000/insecure:v1)" "$digest" digest
}

tutorial_secrets() {
  cd "$tutorial/certs"
  openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 30 -subj '/CN=our own authority' -keyout ca.key -out ca.crt
  openssl req -newkey rsa:2048 -nodes -sha256 -subj /CN=hub.example -keyout domain.key -out domain.csr
  openssl x509 -req -in domain.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -sha256 -out domain.crt \
    -extfile <(printf 'subjectAltName=DNS:hub.example,DNS:stranger.example,IP:10.77.0.1\n')
  openssl verify -CAfile ca.crt domain.crt
  mkdir -p /etc/docker/certs.d/{hub.example,hub.example:443}
  cp ca.crt /etc/docker/certs.d/hub.example/
  cp ca.crt /etc/docker/certs.d/hub.example:443/
  htpasswd -Bbn alice 'pass:word' >"$tutorial/auth/htpasswd"
  htpasswd -Bbn bob geheim >>"$tutorial/auth/htpasswd"
}

tutorial_untrusted() {
  serve_secured
  contains "$(refused docker_on second login -u alice -p 'pass:word' stranger.example)" "x509"
  contains "$(refused on second curl -sS https://hub.example/v2/)" "certificate"
  is "$(curl_on second -o "$tmp/body" -D "$tmp/headers" -w '%{http_code}' https://hub.example/v2/)" 401 status
  is "$(header WWW-Authenticate)" 'Basic realm="Registry Realm"' challenge
  is "$(curl_on second -o "$tmp/body" -w '%{http_code}' -u 'alice:pass:word' https://hub.example/v2/)" 200 status
}

tutorial_before_login() {
  docker_on hub tag localhost:5000/my-image:v1 hub.example/my-image:v2
  contains "$(refused docker_on hub pull hub.example/my-image:v1)" "no basic auth credentials"
  contains "$(refused docker_on hub push hub.example/my-image:v2)" "no basic auth credentials"
}

tutorial_wrong_login() {
  contains "$(refused docker_on hub login -u alice -p wrong hub.example)" "401 Unauthorized"
  contains "$(refused docker_on hub login -u nobody -p 'pass:word' hub.example)" "401 Unauthorized"
  contains "$(refused docker_on hub pull hub.example/my-image:v1)" "no basic auth credentials"
}

tutorial_login() {
  local config=$tutorial/hub/config/config.json digest
  digest=$(<"$tutorial/digest")
  contains "$(docker_on hub login --username alice --password-stdin hub.example <<<'pass:word' 2>&1)" "Login Succeeded"
  is "$(jq -r '.auths["hub.example"].auth' "$config" | base64 -d)" alice:pass:word "what config.json keeps"
  is "$(pushed hub hub.example/my-image:v2)" "$digest" "digest of the push"
  contains "$(docker_on hub login hub.example 2>&1)" "Login Succeeded"
  is "$(pulled hub hub.example/my-image:v2)" "$digest" "digest of the pull"
  contains "$(refused docker_on hub pull hub.example:443/my-image:v1)" "no basic auth credentials"
  contains "$(docker_on hub logout hub.example)" "Removing login credentials"
  is "$(jq -c '.auths' "$config")" '{}' "what config.json keeps after logout"
  contains "$(refused docker_on hub pull hub.example/my-image:v1)" "no basic auth credentials"
}

tutorial_second() {
  local digest
  contains "$(docker_on second login -u bob -p geheim hub.example 2>&1)" "Login Succeeded"
  is "$(pulled second hub.example/my-image:v2)" "$(<"$tutorial/digest")" digest
  new_image second hub.example/team/second:v1
  digest=$(pushed second hub.example/team/second:v1)
  is "$(pulled second hub.example/team/second:v1)" "$digest" digest
}

tutorial_podman() {
  local own=(--cert-dir /etc/docker/certs.d/hub.example --authfile "$tmp/none.json")
  echo '{}' >"$tmp/none.json"
  contains "$(refused podman_on second pull "${own[@]}" docker://hub.example/my-image:v2)" "authentication required"
  contains "$(refused podman_on second pull "${own[@]}" --creds alice:wrong docker://hub.example/my-image:v2)" "authentication required"
  podman_on second pull "${own[@]}" --creds alice:pass:word docker://hub.example/my-image:v2
  podman_on second push "${own[@]}" --creds bob:geheim --digestfile "$tmp/digest" \
    hub.example/my-image:v2 docker://hub.example/team/podman:v1
  is "$(skopeo_on second inspect "${own[@]}" --creds bob:geheim --format '{{.Digest}}' docker://hub.example/team/podman:v1)" \
    "$(<"$tmp/digest")" digest
  podman_on second rmi --all --force
}

tutorial_skopeo() {
  local own=(--cert-dir /etc/docker/certs.d/hub.example)
  contains "$(refused skopeo_on second list-tags "${own[@]}" --creds alice:wrong docker://hub.example/my-image)" "uthentication required"
  skopeo_on second copy --all --dest-cert-dir /etc/docker/certs.d/hub.example --dest-creds alice:pass:word \
    "oci:$work/layout:multi" docker://hub.example/team/multi:v1
  skopeo_on second copy --all --src-cert-dir /etc/docker/certs.d/hub.example --src-creds bob:geheim \
    docker://hub.example/team/multi:v1 "dir:$tmp/copy"
  is "$(digest_of "$tmp/copy/manifest.json")" "$multi_digest" digest
  is "$(skopeo_on second list-tags "${own[@]}" --creds bob:geheim docker://hub.example/team/multi | jq -c .Tags)" '["v1"]' tags
}

tutorial_own_htpasswd() {
  "$program" htpasswd -Bbn carol 'corre ct' >"$tmp/line"
  matches "$(<"$tmp/line")" '^carol:\$2[aby]\$[0-9]{2}\$'
  # Apache's tool reads it, too.
  htpasswd -vb "$tmp/line" carol 'corre ct'
  cat "$tmp/line" >>"$tutorial/auth/htpasswd"
  within 10 docker_on second login -u carol -p 'corre ct' hub.example
  contains "$(refused docker_on second login -u carol -p correct hub.example)" "401 Unauthorized"
}

tutorial_delete() {
  local digest url=https://hub.example/v2/team/second/manifests as=(-o "$tmp/body" -w '%{http_code}' -u bob:geheim)
  digest=$(skopeo_on second inspect --cert-dir /etc/docker/certs.d/hub.example --creds bob:geheim \
    --format '{{.Digest}}' docker://hub.example/team/second:v1)
  is "$(curl_on hub "${as[@]}" -X DELETE "$url/$digest")" 405 "status without it"
  is "$(error_code)" UNSUPPORTED code
  serve_secured REGISTRY_STORAGE_DELETE_ENABLED=true
  is "$(curl_on hub "${as[@]}" -X DELETE "$url/$digest")" 202 "status with it"
  is "$(curl_on hub "${as[@]}" -H "Accept: $manifest_types" "$url/v1")" 404 "status of the deleted manifest's tag"
  is "$(curl_on hub "${as[@]}" -H "Accept: $manifest_types" "$url/$digest")" 404 "status of the deleted manifest"
}

# start_nginx LINES: nginx on :443 with TLS, and these lines beside proxy_pass.
start_nginx() {
  mkdir -p "$tutorial/nginx"
  cat >"$tutorial/nginx/nginx.conf" <<CONF
daemon off;
user root root;
pid $tutorial/nginx/pid;
events {}
http {
  access_log $tutorial/nginx/access.log;
  client_body_temp_path $tutorial/nginx/body;
  proxy_temp_path $tutorial/nginx/proxy;
  fastcgi_temp_path $tutorial/nginx/fastcgi;
  uwsgi_temp_path $tutorial/nginx/uwsgi;
  scgi_temp_path $tutorial/nginx/scgi;
  server {
    listen 443 ssl;
    server_name hub.example;
    ssl_certificate $tutorial/certs/domain.crt;
    ssl_certificate_key $tutorial/certs/domain.key;
    client_max_body_size 0;
    chunked_transfer_encoding on;
    location /v2/ {
      proxy_pass http://127.0.0.1:5000;
      $1
      proxy_read_timeout 900;
    }
  }
}
CONF
  (exec nsenter --net=/run/netns/hub nginx -e "$tutorial/nginx/error.log" -c "$tutorial/nginx/nginx.conf") &
  within 10 on hub bash -c ": </dev/tcp/127.0.0.1/443" || { cat "$tutorial/nginx/error.log"; fail "nginx does not listen"; }
}

stop_nginx() {
  kill "$(<"$tutorial/nginx/pid")"
  within 10 test ! -e "$tutorial/nginx/pid"
}

# through_nginx LINES NAME=VALUE…: the registry on :5000 behind nginx.
through_nginx() {
  local digest lines=$1
  shift
  serve_tutorial "$@"
  start_nginx "$lines"
  new_image second hub.example/proxied:v1
  digest=$(pushed second hub.example/proxied:v1)
  is "$(pulled hub hub.example/proxied:v1)" "$digest" "digest of the pull"
  skopeo_on second copy --all --dest-cert-dir /etc/docker/certs.d/hub.example "oci:$work/layout:web" docker://hub.example/proxied:web
  # Every page of a list is at the proxy's, too.
  is "$(curl_on second -o "$tmp/body" -D "$tmp/headers" -w '%{http_code}' 'https://hub.example/v2/_catalog?n=1')" 200 status
  matches "$(header Link)" '^<(https://hub\.example)?/v2/_catalog\?'
  stop_nginx
}

tutorial_nginx() {
  # shellcheck disable=SC2016 # nginx's own variables
  through_nginx '
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;' "$@"
}

tutorial_nginx_silent() { through_nginx '' REGISTRY_HTTP_HOST=https://hub.example; }

# every_tag: each tag of each repository, and its digest.
every_tag() {
  local repository tag
  for repository in $(curl_on hub 'http://localhost:5000/v2/_catalog?n=100' | jq -r '.repositories[]'); do
    for tag in $(curl_on hub "http://localhost:5000/v2/$repository/tags/list" | jq -r '.tags // [] | sort[]' 2>/dev/null); do
      rm -rf "$tmp/pulled"
      skopeo_on hub copy --quiet --all --src-tls-verify=false "docker://localhost:5000/$repository:$tag" "dir:$tmp/pulled" >&2
      echo "$repository:$tag $(digest_of "$tmp/pulled/manifest.json")"
    done
  done
}

tutorial_round_trip() {
  local before during
  # A directory that only registry:2 wrote to.
  stop_tutorial_registry
  mkdir "$tutorial/round"
  umount /var/lib/registry
  mount --bind "$tutorial/round" /var/lib/registry
  tutorial_program=/usr/bin/docker-registry
  serve_tutorial
  new_image hub localhost:5000/round/one:v1
  pushed hub localhost:5000/round/one:v1
  before=$(every_tag)

  tutorial_program=$program
  serve_tutorial
  is "$(every_tag)" "$before" "what this registry serves of registry:2's"
  new_image hub localhost:5000/round/two:v1
  pushed hub localhost:5000/round/two:v1
  docker_on hub tag localhost:5000/round/two:v1 localhost:5000/round/one:v2
  pushed hub localhost:5000/round/one:v2
  # A tag that moves.
  docker_on hub tag localhost:5000/round/two:v1 localhost:5000/round/one:v1
  pushed hub localhost:5000/round/one:v1
  skopeo_on hub copy --all --dest-tls-verify=false "oci:$work/layout:multi" docker://localhost:5000/round/multi:v1
  during=$(every_tag)
  contains "$during" "round/multi:v1 $multi_digest"

  tutorial_program=/usr/bin/docker-registry
  serve_tutorial
  is "$(every_tag)" "$during" "what registry:2 serves of this registry's"
  pulled second open.example:5000/round/two:v1

  tutorial_program=$program
  serve_tutorial
  is "$(every_tag)" "$during" "what this registry serves after registry:2 again"
}
