# shellcheck shell=bash disable=SC2154
# For test-clients: podman.

part_podman() {
  check "podman: push" podman_push
  check "podman: a second push uploads nothing" podman_push_again
  check "podman: pull after rmi, same digest and image" podman_pull
  check "podman: runs the pulled image" podman_run
  check "podman: pull by digest" podman_pull_digest
  check "podman: push as v2s2, as oci, and with zstd layers" podman_formats
  check "podman: build from an image of the registry, push" podman_build
  check "podman: manifest create and push of an index" podman_manifest
  check "podman: search --list-tags" podman_search
  check "podman: an unknown tag is 'manifest unknown'" podman_unknown
}

podman_push() {
  skopeo copy "oci:$work/layout:web" "oci-archive:$tmp/web.tar:$registry/podman/web:v1"
  podman load --input "$tmp/web.tar"
  podman push --tls-verify=false --digestfile "$tmp/digest" "$registry/podman/web:v1"
  is "$(manifest_digest podman/web:v1)" "$(<"$tmp/digest")" digest
}

podman_push_again() {
  local said
  said=$(podman --log-level debug push --tls-verify=false "$registry/podman/web:v1" 2>&1)
  is "$(grep -c 'Skipping blob .* (already present)' <<<"$said")" 2 "layers that were skipped"
}

podman_pull() {
  local image
  image=$(podman inspect --format '{{.Id}}' "$registry/podman/web:v1")
  podman rmi --all --force
  podman pull --tls-verify=false "$registry/podman/web:v1"
  is "$(podman inspect --format '{{.Id}}' "$registry/podman/web:v1")" "$image" image
  is "$(podman inspect --format '{{.Digest}}' "$registry/podman/web:v1")" "$(manifest_digest podman/web:v1)" digest
}

podman_run() {
  podman run --detach --name web --cgroup-parent "/${work##*/}" --publish 127.0.0.1:8081:8080 "$registry/podman/web:v1"
  serves_page 8081 || { podman logs web; fail "no page"; }
  podman rm --force --time 5 web
}

podman_pull_digest() {
  local digest
  digest=$(manifest_digest podman/web:v1)
  podman rmi --all --force
  podman pull --tls-verify=false "$registry/podman/web@$digest"
}

podman_formats() {
  podman pull --tls-verify=false "$registry/podman/web:v1"
  podman push --tls-verify=false --format v2s2 "$registry/podman/web:v1" "$registry/podman/web:v2s2"
  request GET /v2/podman/web/manifests/v2s2 -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.docker.distribution.manifest.v2+json "type of v2s2"
  podman push --tls-verify=false --format oci "$registry/podman/web:v1" "$registry/podman/web:oci"
  request GET /v2/podman/web/manifests/oci -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.oci.image.manifest.v1+json "type of oci"
  podman push --tls-verify=false --format oci --compression-format zstd "$registry/podman/web:v1" "$registry/podman/zstd:v1"
  request GET /v2/podman/zstd/manifests/v1 -H "Accept: $manifest_types"
  is "$status" 200 status
  podman rmi --all --force
  podman pull --tls-verify=false "$registry/podman/zstd:v1"
}

podman_build() {
  local dockerfile="FROM $registry/podman/web:v1
COPY index.html /srv/second.html"
  podman build --tls-verify=false --tag "$registry/podman/built:v1" --file - "$work/context" <<<"$dockerfile"
  podman push --tls-verify=false "$registry/podman/built:v1"
  request GET /v2/podman/built/manifests/v1 -H "Accept: $manifest_types"
  is "$(jq '.layers | length' "$tmp/body")" 3 layers
}

podman_manifest() {
  podman manifest create podman-list
  podman manifest add --tls-verify=false --all podman-list "docker://$registry/podman/web:v1"
  podman manifest push --all --tls-verify=false podman-list "docker://$registry/podman/list:v1"
  request GET /v2/podman/list/manifests/v1 -H "Accept: $manifest_types"
  is "$(jq '.manifests | length' "$tmp/body")" 1 "images of the index"
  podman manifest inspect podman-list
}

podman_search() {
  local said
  said=$(podman search --tls-verify=false --list-tags "$registry/podman/web")
  for tag in oci v1 v2s2; do matches "$said" " $tag"; done
}

podman_unknown() {
  contains "$(refused podman pull --tls-verify=false "$registry/podman/web:none")" "manifest unknown"
}
