# shellcheck shell=bash disable=SC2154
# For test-clients: skopeo (containers/image).

part_skopeo() {
  check "skopeo: OCI layout to the registry and back, same digest" skopeo_layout
  check "skopeo: dir to the registry and back, same digest" skopeo_dir
  check "skopeo: from repository to repository mounts the blobs" skopeo_mounts
  check "skopeo: --all copies an index with all its images" skopeo_all
  check "skopeo: without --all copies the image of this machine" skopeo_one_of_many
  check "skopeo: --format v2s2 and back to oci" skopeo_formats
  check "skopeo: inspect" skopeo_inspect
  check "skopeo: list-tags" skopeo_list_tags
  check "skopeo: sync of a repository to a directory and back" skopeo_sync
  check "skopeo: delete, then the manifest is a 404" skopeo_delete
  beyond_registry2 "answers some of them with 'blob unknown'" "skopeo: six copies of one image at the same time, again and again" skopeo_concurrent
  check "skopeo: an unknown tag is 'manifest unknown'" skopeo_unknown
}

to_registry=(--dest-tls-verify=false)
from_registry=(--src-tls-verify=false)
both_registry=("${from_registry[@]}" "${to_registry[@]}")

skopeo_layout() {
  skopeo copy "${to_registry[@]}" "oci:$work/layout:web" "docker://$registry/skopeo/web:v1"
  is "$(manifest_digest skopeo/web:v1)" "$web_digest" "digest in the registry"
  skopeo copy "${from_registry[@]}" "docker://$registry/skopeo/web:v1" "oci:$tmp/layout:v1"
  is "$(jq -r '.manifests[0].digest' "$tmp/layout/index.json")" "$web_digest" "digest of the copy"
  skopeo copy "${from_registry[@]}" "docker://$registry/skopeo/web@$web_digest" "oci:$tmp/layout:digest"
  # All that came back is as it was.
  for blob in "$tmp"/layout/blobs/sha256/*; do cmp "$blob" "$work/layout/blobs/sha256/${blob##*/}"; done
}

skopeo_dir() {
  local said
  skopeo copy "oci:$work/layout:web" "dir:$tmp/one"
  skopeo copy "${to_registry[@]}" "dir:$tmp/one" "docker://$registry/skopeo/dir:v1"
  is "$(manifest_digest skopeo/dir:v1)" "$(digest_of "$tmp/one/manifest.json")" "digest in the registry"
  skopeo copy "${from_registry[@]}" "docker://$registry/skopeo/dir:v1" "dir:$tmp/two"
  diff -r "$tmp/one" "$tmp/two"
  # Again: nothing to upload.
  said=$(skopeo --debug copy "${to_registry[@]}" "dir:$tmp/one" "docker://$registry/skopeo/dir:v2" 2>&1)
  is "$(grep -c 'Skipping blob .* (already present)' <<<"$said")" 2 "layers that were skipped"
}

skopeo_mounts() {
  skopeo copy "${both_registry[@]}" "docker://$registry/skopeo/web:v1" "docker://$registry/skopeo/other:v1"
  is "$(manifest_digest skopeo/other:v1)" "$web_digest" digest
}

skopeo_all() {
  skopeo copy --all "${to_registry[@]}" "oci:$work/layout:multi" "docker://$registry/skopeo/multi:v1"
  is "$(manifest_digest skopeo/multi:v1)" "$multi_digest" "digest in the registry"
  skopeo copy --all "${from_registry[@]}" "docker://$registry/skopeo/multi:v1" "oci:$tmp/layout:multi"
  is "$(jq -r '.manifests[0].digest' "$tmp/layout/index.json")" "$multi_digest" "digest of the copy"
  is "$(find "$tmp/layout/blobs/sha256" -type f | wc -l)" 7 "blobs of the copy"
}

skopeo_one_of_many() {
  skopeo --override-arch arm64 copy "${from_registry[@]}" "docker://$registry/skopeo/multi:v1" "dir:$tmp/arm64"
  is "$(digest_of "$tmp/arm64/manifest.json")" \
    "$(jq -r '.manifests[1].digest' "$work/layout/blobs/sha256/${multi_digest#sha256:}")" digest
}

skopeo_formats() {
  skopeo copy --format v2s2 "${to_registry[@]}" "oci:$work/layout:web" "docker://$registry/skopeo/formats:v2s2"
  request GET /v2/skopeo/formats/manifests/v2s2 -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.docker.distribution.manifest.v2+json "type of v2s2"
  is "$(jq -r .mediaType "$tmp/body")" application/vnd.docker.distribution.manifest.v2+json "type in v2s2"
  skopeo copy --format oci "${both_registry[@]}" "docker://$registry/skopeo/formats:v2s2" "docker://$registry/skopeo/formats:oci"
  request GET /v2/skopeo/formats/manifests/oci -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.oci.image.manifest.v1+json "type of oci"
  # A multi-platform image as a Docker manifest list.
  skopeo copy --all --format v2s2 "${to_registry[@]}" "oci:$work/layout:multi" "docker://$registry/skopeo/formats:list"
  request GET /v2/skopeo/formats/manifests/list -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.docker.distribution.manifest.list.v2+json "type of the list"
}

skopeo_inspect() {
  local said
  said=$(skopeo inspect --tls-verify=false "docker://$registry/skopeo/web:v1")
  is "$(jq -r .Digest <<<"$said")" "$web_digest" digest
  is "$(jq -r '.Layers | length' <<<"$said")" 2 layers
  is "$(jq -c .RepoTags <<<"$said")" '["v1"]' tags
  skopeo inspect --tls-verify=false --raw "docker://$registry/skopeo/multi:v1" >"$tmp/raw"
  is "$(digest_of "$tmp/raw")" "$multi_digest" "digest of the raw index"
  is "$(skopeo inspect --tls-verify=false --config "docker://$registry/skopeo/web:v1" | jq -r .architecture)" amd64 architecture
}

skopeo_list_tags() {
  local said
  for tag in v1 v2 latest; do
    skopeo copy "${both_registry[@]}" "docker://$registry/skopeo/web:v1" "docker://$registry/skopeo/tags:$tag"
  done
  said=$(skopeo list-tags --tls-verify=false "docker://$registry/skopeo/tags")
  is "$(jq -c '.Tags | sort' <<<"$said")" '["latest","v1","v2"]' tags
}

skopeo_sync() {
  skopeo copy --all "${to_registry[@]}" "oci:$work/layout:multi" "docker://$registry/skopeo/sync:multi"
  skopeo copy "${to_registry[@]}" "oci:$work/layout:web" "docker://$registry/skopeo/sync:web"
  skopeo sync --all --src docker --dest dir "${from_registry[@]}" "$registry/skopeo/sync" "$tmp"
  is "$(digest_of "$tmp/sync:web/manifest.json")" "$web_digest" "digest in the directory"
  skopeo sync --all --src dir --dest docker "${to_registry[@]}" "$tmp" "$registry/skopeo/synced"
  is "$(manifest_digest skopeo/synced/sync:web)" "$web_digest" "digest of web"
  is "$(manifest_digest skopeo/synced/sync:multi)" "$multi_digest" "digest of multi"
  skopeo sync --all --src docker --dest docker "${both_registry[@]}" "$registry/skopeo/sync" "$registry/skopeo/mirror"
  is "$(manifest_digest skopeo/mirror/sync:multi)" "$multi_digest" "digest in the mirror"
}

skopeo_delete() {
  skopeo copy "${both_registry[@]}" "docker://$registry/skopeo/web:v1" "docker://$registry/skopeo/delete:v1"
  skopeo delete --tls-verify=false "docker://$registry/skopeo/delete:v1"
  request GET /v2/skopeo/delete/manifests/v1 -H "Accept: $manifest_types"
  is "$status" 404 status
  contains "$(refused skopeo inspect --tls-verify=false "docker://$registry/skopeo/delete:v1")" "manifest unknown"
}

skopeo_concurrent() {
  local round number jobs
  for round in 1 2 3 4; do
    jobs=()
    for number in 1 2 3 4 5 6; do
      skopeo copy "${to_registry[@]}" "oci:$work/layout:web" "docker://$registry/skopeo/concurrent$round:v$number" &
      jobs+=("$!")
    done
    for number in "${jobs[@]}"; do wait "$number"; done
    for number in 1 2 3 4 5 6; do is "$(manifest_digest "skopeo/concurrent$round:v$number")" "$web_digest" "digest of v$number"; done
  done
}

skopeo_unknown() {
  contains "$(refused skopeo inspect --tls-verify=false "docker://$registry/skopeo/web:none")" "manifest unknown"
  refused skopeo inspect --tls-verify=false "docker://$registry/skopeo/none:none"
}
