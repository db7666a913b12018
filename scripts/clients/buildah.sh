# shellcheck shell=bash disable=SC2154
# For test-clients: buildah.

part_buildah() {
  check "buildah: builds from scratch, commits, pushes as oci" buildah_oci
  check "buildah: pushes as v2s2" buildah_v2s2
  check "buildah: pulls what it pushed and builds on it" buildah_pull
  check "buildah: manifest push --all of a multi-platform image" buildah_manifest
}

# buildah_image NAME ARCHITECTURE: commits an image with one new file.
buildah_image() {
  local container
  container=$(buildah from scratch)
  random_file 50000 "$tmp/file-$2"
  buildah copy "$container" "$tmp/file-$2" /file
  buildah config --arch "$2" --cmd /file --label "part=buildah" "$container"
  buildah commit --rm "$container" "$1"
}

buildah_oci() {
  buildah_image buildah-image amd64
  buildah push --tls-verify=false --format oci --digestfile "$tmp/digest" buildah-image "docker://$registry/buildah/image:oci"
  is "$(manifest_digest buildah/image:oci)" "$(<"$tmp/digest")" digest
  request GET /v2/buildah/image/manifests/oci -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.oci.image.manifest.v1+json type
}

buildah_v2s2() {
  buildah push --tls-verify=false --format v2s2 --digestfile "$tmp/digest" buildah-image "docker://$registry/buildah/image:v2s2"
  is "$(manifest_digest buildah/image:v2s2)" "$(<"$tmp/digest")" digest
  request GET /v2/buildah/image/manifests/v2s2 -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.docker.distribution.manifest.v2+json type
}

buildah_pull() {
  local container
  buildah rmi buildah-image
  container=$(buildah from --tls-verify=false "$registry/buildah/image:oci")
  buildah copy "$container" "$work/context/index.html" /page
  buildah commit --rm "$container" buildah-second
  buildah push --tls-verify=false buildah-second "docker://$registry/buildah/second:v1"
  request GET /v2/buildah/second/manifests/v1 -H "Accept: $manifest_types"
  is "$(jq '.layers | length' "$tmp/body")" 2 layers
}

buildah_manifest() {
  local architecture child
  buildah manifest create buildah-list
  for architecture in amd64 arm64; do
    buildah_image "buildah-$architecture" "$architecture"
    buildah manifest add --arch "$architecture" buildah-list "buildah-$architecture"
  done
  buildah manifest push --all --tls-verify=false --digestfile "$tmp/digest" buildah-list "docker://$registry/buildah/list:v1"
  is "$(manifest_digest buildah/list:v1)" "$(<"$tmp/digest")" digest
  request GET /v2/buildah/list/manifests/v1 -H "Accept: $manifest_types"
  is "$(jq -c '[.manifests[].platform.architecture] | sort' "$tmp/body")" '["amd64","arm64"]' architectures
  for child in $(jq -r '.manifests[].digest' "$tmp/body"); do
    request GET "/v2/buildah/list/manifests/$child" -H "Accept: $manifest_types"
    is "$status" 200 "status of a child"
  done
  buildah rmi buildah-amd64 buildah-arm64
  buildah pull --tls-verify=false --arch arm64 "$registry/buildah/list:v1"
}
