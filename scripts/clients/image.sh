# shellcheck shell=bash disable=SC2154
# For test-clients: Layerhouse in a container, from the image of scripts/image, in place of registry:2's.

part_image() {
  if [[ $target != layerhouse ]]; then skip "image" "it is of Layerhouse"; return; fi
  start_dockerd
  check "image: scripts/image makes it, the registry takes it, docker pulls it" image_made
  check "image: docker makes the same of the Dockerfile, with and without BuildKit, if something compiles" image_dockerfile
  check "image: as nobody, without rights, / not to be written: push, pull, console; a volume keeps it" image_served
  check "image: users, doctor and a backup, as docs/how-to/containers.md has them" image_documented
  check "image: SIGTERM ends it within a second, exit status 0" image_stops
  check "image: registry:2's file, mounted where registry:2 and registry:3 have it" image_file
  check "image: registry:2's variables and command lines" image_variables
  check "image: a directory that registry:2 filled as root" image_takes_over
  check "image: a directory that it may not write says so" image_not_its_own
  check "image: podman runs it, as nobody, without rights, / not to be written" image_podman
  docker ps --quiet --all | xargs -r /usr/bin/docker --host "unix://$work/docker.sock" rm --force --volumes >/dev/null
}

image=layerhouse:test
# In the registry under test; image_made puts it there.
image_there() { echo "$registry/$image"; }

image_made() {
  local said
  LAYERHOUSE_BIN=$program DOCKER_HOST=unix://$work/docker.sock "$here/image" --insecure "docker://$(image_there)" \
    "oci:$work/layerhouse-oci:latest" docker-daemon:layerhouse:daemon
  docker inspect layerhouse:daemon
  docker pull "$(image_there)"
  docker tag "$(image_there)" "$image"
  said=$(docker inspect --format '{{json .Config}}' "$image")
  is "$(jq -r .User <<<"$said")" 65532:65532 user
  is "$(jq -c .Volumes <<<"$said")" '{"/var/lib/registry":{}}' volumes
  is "$(jq -c .ExposedPorts <<<"$said")" '{"5000/tcp":{}}' ports
  is "$(jq -r '.Labels["org.opencontainers.image.title"]' <<<"$said")" Layerhouse title
  is "$(docker inspect --format '{{len .RootFS.Layers}}' "$image")" 1 layers
}

# In place of the image that compiles, one whose cargo has done so already.
image_dockerfile() {
  local file library from kit
  mkdir -p "$tmp/rust"/{etc/ssl/certs,usr/bin,tmp} "$tmp/context"
  for file in /bin/bash /usr/bin/{env,dirname,mkdir,chmod,install,ln,realpath,ldd,grep,cat}; do
    install -D "$(realpath "$file")" "$tmp/rust$file"
    while read -r library; do
      install -D "$(realpath "$library")" "$tmp/rust$library"
    done < <(ldd "$file" 2>/dev/null | grep -o '/[^ ]*')
  done
  while read -r library; do
    install -D "$(realpath "$library")" "$tmp/rust$library"
  done < <(ldd "$program" | grep -o '/[^ ]*')
  ln -s bash "$tmp/rust/bin/sh"
  cp /etc/ssl/certs/ca-certificates.crt "$tmp/rust/etc/ssl/certs/"
  cp "$program" "$tmp/rust/compiled"
  printf '#!/bin/sh\n[ "$*" = "build --release --locked --package layerhouse --bin layerhouse" ] && install -D /compiled target/release/layerhouse\n' \
    >"$tmp/rust/usr/bin/cargo"
  chmod 755 "$tmp/rust/usr/bin/cargo"
  from=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' "$here/../Dockerfile")
  tar -C "$tmp/rust" -c . | docker import --change 'ENV PATH=/usr/bin:/bin' - "$from"
  cp -r "$here/../Dockerfile" "$here/../.dockerignore" "$here/../packaging" "$tmp/context/"
  is "$(image_says "$image" | jq -c '[.User, .Volumes]')" '["65532:65532",{"/var/lib/registry":{}}]' "user and volumes"
  image_files "$image" >"$tmp/files"
  grep -x 'drwxr-xr-x 65532/65532 var/lib/registry/' "$tmp/files"
  is "$(grep -c 65532 "$tmp/files")" 1 "files that are the user's"
  for kit in 0 1; do
    DOCKER_BUILDKIT=$kit docker build --tag "layerhouse:kit$kit" "$tmp/context"
    is "$(image_says "layerhouse:kit$kit")" "$(image_says "$image")" "what the image says"
    image_files "layerhouse:kit$kit" | diff "$tmp/files" -
  done
}
image_says() { docker inspect --format '{{json .Config}}' "$1" | jq '{User, Entrypoint, Cmd, Env, WorkingDir, Volumes, ExposedPorts, StopSignal}'; }
# Modes, owners and names, but for what docker adds.
image_files() {
  docker create --name files "$1" >/dev/null
  docker export files | tar -tv --numeric-owner | awk '{ print $1, $2, $6 }' | grep -v -E ' (dev|proc|sys|etc/(hosts|hostname|resolv.conf|mtab))' | sort
  docker rm --volumes files >/dev/null
}

bounds=(--read-only --cap-drop ALL --security-opt no-new-privileges)

# image_runs NAME PORT [DOCKER OPTION…] [-- ARGUMENT…]: starts it, and waits until it can take pushes.
image_runs() {
  local name=$1 port=$2 options=()
  shift 2
  while (($#)) && [[ $1 != -- ]]; do options+=("$1"); shift; done
  if (($#)); then shift; fi
  docker run --detach --name "$name" --publish "127.0.0.1:$port:5000" "${options[@]}" "$image" "$@"
  within 10 curl -fsS "http://127.0.0.1:$port/readyz" || { docker logs "$name"; fail "$name does not answer"; }
}

# image_keeps PORT REPOSITORY: pushes the page's image there and has it back.
image_keeps() {
  skopeo copy --dest-tls-verify=false "oci:$work/layout:web" "docker://127.0.0.1:$1/$2:v1"
  image_has "$1" "$2"
}
image_has() {
  rm -rf "$tmp/back"
  skopeo copy --src-tls-verify=false "docker://127.0.0.1:$1/$2:v1" "dir:$tmp/back"
  is "$(digest_of "$tmp/back/manifest.json")" "$web_digest" "digest of what came back"
}

image_served() {
  image_runs bounded 5100 "${bounds[@]}" --volume bounded:/var/lib/registry
  image_keeps 5100 acme/web
  contains "$(docker exec bounded layerhouse tags acme/web)" "$web_digest"
  contains "$(docker exec bounded registry garbage-collect --dry-run /etc/docker/registry/config.yml)" "eligible for deletion"
  docker rm --force bounded
  image_runs bounded 5100 "${bounds[@]}" --volume bounded:/var/lib/registry
  image_has 5100 acme/web
}

image_documented() {
  docker run --rm "$image" htpasswd -Bbn ann 'a password' >"$tmp/users"
  mkdir "$tmp/backup"
  chown 65532:65532 "$tmp/backup"
  image_runs documented 5106 "${bounds[@]}" --volume "$tmp/users:/etc/layerhouse/users:ro" --volume "$tmp/backup:/backup" \
    --env REGISTRY_AUTH='{htpasswd: {realm: Registry, path: /etc/layerhouse/users}}'
  contains "$(refused skopeo list-tags --tls-verify=false docker://127.0.0.1:5106/acme/web)" nauthorized
  skopeo copy --dest-creds 'ann:a password' --dest-tls-verify=false "oci:$work/layout:web" docker://127.0.0.1:5106/acme/web:v1
  docker exec documented layerhouse doctor
  docker exec documented layerhouse backup create --to /backup
  docker exec documented layerhouse backup verify --from /backup
  docker rm --force --volumes documented
}

image_stops() {
  local began=${EPOCHREALTIME/./}
  docker stop --time 20 bounded
  local took=$(((${EPOCHREALTIME/./} - began) / 1000))
  is "$(docker inspect --format '{{.State.ExitCode}}' bounded)" 0 "exit status"
  # Far less than what it would be killed after; docker itself takes its time.
  ((took < 10000)) || fail "it took $took ms"
  docker rm bounded
}

image_file() {
  mkdir -p "$tmp/etc"
  cat >"$tmp/etc/config.yml" <<-'YAML'
	version: 0.1
	log: {fields: {service: registry}}
	storage:
	  cache: {blobdescriptor: inmemory}
	  filesystem: {rootdirectory: /var/lib/registry}
	http:
	  addr: :5000
	  headers: {X-Content-Type-Options: [nosniff], X-Mine: [here]}
	YAML
  local volume
  for volume in "$tmp/etc/config.yml:/etc/docker/registry/config.yml" "$tmp/etc/config.yml:/etc/distribution/config.yml" \
    "$tmp/etc:/etc/docker/registry" "$tmp/etc:/etc/distribution"; do
    image_runs filed 5101 --volume "$volume:ro"
    request GET http://127.0.0.1:5101/v2/
    is "$(header X-Mine)" here "header of the file at $volume"
    image_keeps 5101 acme/web
    docker rm --force --volumes filed
  done
}

image_variables() {
  local arguments
  image_runs told 5102 --env REGISTRY_STORAGE_DELETE_ENABLED=true --env REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/var/lib/registry/below
  image_keeps 5102 acme/web
  request DELETE "http://127.0.0.1:5102/v2/acme/web/manifests/$web_digest"
  is "$status" 202 "status of DELETE"
  docker rm --force --volumes told
  for arguments in serve "serve /etc/docker/registry/config.yml" /etc/distribution/config.yml; do
    # shellcheck disable=SC2086
    image_runs told 5102 -- $arguments
    image_keeps 5102 acme/web
    request DELETE "http://127.0.0.1:5102/v2/acme/web/manifests/$web_digest"
    is "$status" 405 "status of DELETE"
    docker rm --force --volumes told
  done
}

image_takes_over() {
  local id
  mkdir "$tmp/data"
  cat >"$tmp/registry2.yml" <<-YAML
	version: 0.1
	storage: {filesystem: {rootdirectory: $tmp/data}}
	http: {addr: "127.0.0.1:5103"}
	YAML
  docker-registry serve "$tmp/registry2.yml" &
  id=$!
  within 10 curl -fsS http://127.0.0.1:5103/v2/
  image_keeps 5103 acme/web
  kill "$id"
  wait "$id" || true
  # As it is, as root...
  image_runs taken 5104 --user 0:0 --volume "$tmp/data:/var/lib/registry"
  image_has 5104 acme/web
  docker stop taken
  docker rm taken
  # ... or given to the user of the image.
  chown -R 65532:65532 "$tmp/data"
  image_runs taken 5104 "${bounds[@]}" --volume "$tmp/data:/var/lib/registry"
  image_has 5104 acme/web
  docker rm --force taken
}

image_not_its_own() {
  mkdir -m 755 "$tmp/data"
  contains "$(refused docker run --rm --volume "$tmp/data:/var/lib/registry" "$image")" "/var/lib/registry"
}

image_podman() {
  skopeo copy "oci:$work/layerhouse-oci:latest" "oci-archive:$tmp/image.tar:localhost/$image"
  podman load --input "$tmp/image.tar"
  podman run --detach --name bounded --cgroup-parent "/${work##*/}" --publish 127.0.0.1:5105:5000 "${bounds[@]}" \
    --volume bounded:/var/lib/registry "localhost/$image"
  within 10 curl -fsS http://127.0.0.1:5105/readyz || { podman logs bounded; fail "it does not answer"; }
  image_keeps 5105 acme/web
  podman stop --time 20 bounded
  is "$(podman inspect --format '{{.State.ExitCode}}' bounded)" 0 "exit status"
  podman rm --volumes bounded
}
