# shellcheck shell=bash disable=SC2154
# For test-clients: the distribution protocol itself, spoken with curl.

part_curl() {
  check "curl: /v2/ answers with the version header" curl_version
  check "curl: upload with POST and PUT" curl_upload
  beyond_registry2 "ignores the digest of a POST" "curl: upload with one POST" curl_upload_post
  check "curl: upload in chunks with Content-Range" curl_upload_chunks
  beyond_registry2 "answers 404 to it" "curl: a chunk at the wrong place is a 416, and the upload goes on" curl_chunk_416
  check "curl: upload of a body of unknown length" curl_upload_streamed
  check "curl: a cancelled upload is gone" curl_cancel
  check "curl: a wrong digest is refused, and the blob not kept" curl_wrong_digest
  check "curl: mount from another repository" curl_mount
  check "curl: GET and HEAD of a blob" curl_blob
  check "curl: ranges of a blob" curl_range
  beyond_registry2 "announces a longer body than it sends" "curl: a range past the end of a blob is a 416" curl_range_416
  check "curl: If-None-Match is a 304" curl_not_modified
  check "curl: errors have the codes of the specification" curl_errors
  check "curl: manifest by tag and by digest, byte for byte" curl_manifest
  check "curl: tags are listed" curl_tags
  beyond_registry2 "lists all tags at once" "curl: tags are listed in pages" curl_tags_pages
  check "curl: repositories are listed in pages" curl_catalog
  beyond_registry2 "has no referrers" "curl: referrers of a subject" curl_referrers
  check "curl: DELETE of a blob" curl_delete_blob
  check "curl: DELETE of a manifest takes its tags along" curl_delete_manifest
  beyond_registry2 "cannot" "curl: DELETE of a tag leaves the manifest" curl_delete_tag
  beyond_registry2 "has no cleartext HTTP/2" "curl: cleartext HTTP/2" curl_http2
  check "curl: a TLS handshake on the cleartext port is answered in HTTP" curl_tls_hello
  check "curl: 64 requests over one connection" curl_keep_alive
}

octets='Content-Type: application/octet-stream'
oci_manifest=application/vnd.oci.image.manifest.v1+json

# put_image NAME TAG…: a small new image under these tags; prints its digest.
put_image() {
  local name=$1 tag
  shift
  random_file 2000 "$tmp/layer"
  echo '{}' >"$tmp/config"
  upload "$name" "$tmp/layer" >/dev/null
  upload "$name" "$tmp/config" >/dev/null
  jq -n -c --argjson config "$(descriptor application/vnd.oci.image.config.v1+json "$tmp/config")" \
    --argjson layer "$(descriptor application/vnd.oci.image.layer.v1.tar "$tmp/layer")" --arg type "$oci_manifest" \
    '{schemaVersion: 2, mediaType: $type, config: $config, layers: [$layer]}' >"$tmp/manifest"
  for tag in "$@"; do put_manifest "$name" "$tag" "$tmp/manifest"; done
}

# put_manifest NAME REFERENCE FILE: prints its digest.
put_manifest() {
  request PUT "/v2/$1/manifests/$2" -H "Content-Type: $oci_manifest" --data-binary "@$3"
  is "$status" 201 "status of PUT $2"
  is "$(header Docker-Content-Digest)" "$(digest_of "$3")" "digest"
  header Docker-Content-Digest
}

start_upload() {
  request POST "/v2/$1/blobs/uploads/" -H 'Content-Length: 0'
  is "$status" 202 "status of POST"
  header Location
}

curl_version() {
  request GET /v2/
  is "$status" 200 status
  is "$(header Docker-Distribution-Api-Version)" registry/2.0 "version header"
  request GET /v2/ -0
  is "$status" 200 "status over HTTP/1.0"
}

curl_upload() {
  local digest
  random_file 100000 "$tmp/blob"
  digest=$(upload curl/upload "$tmp/blob")
  request GET "/v2/curl/upload/blobs/$digest"
  is "$status" 200 status
  cmp "$tmp/blob" "$tmp/body"
  # The same blob again, as clients do that did not ask first.
  is "$(upload curl/upload "$tmp/blob")" "$digest" digest
}

curl_upload_post() {
  random_file 100000 "$tmp/blob"
  request POST "/v2/curl/post/blobs/uploads/?digest=$(digest_of "$tmp/blob")" -H "$octets" --data-binary "@$tmp/blob"
  is "$status" 201 status
  is "$(header Docker-Content-Digest)" "$(digest_of "$tmp/blob")" digest
  request GET "$(header Location)"
  is "$status" 200 "status of the Location"
  cmp "$tmp/blob" "$tmp/body"
}

curl_upload_chunks() {
  local location
  random_file 300000 "$tmp/blob"
  split -b 100000 -d -a 1 "$tmp/blob" "$tmp/chunk"
  location=$(start_upload curl/chunks)
  request PATCH "$location" -H "$octets" -H 'Content-Range: 0-99999' --data-binary "@$tmp/chunk0"
  is "$status" 202 "status of the first PATCH"
  is "$(header Range)" 0-99999 Range
  location=$(header Location)
  request GET "$location"
  is "$status" 204 "status of the upload"
  is "$(header Range)" 0-99999 "Range of the upload"
  request PATCH "$location" -H "$octets" -H 'Content-Range: 100000-199999' --data-binary "@$tmp/chunk1"
  is "$status" 202 "status of the second PATCH"
  is "$(header Range)" 0-199999 Range
  # The last chunk may come with the PUT.
  request PUT "$(with_query "$(header Location)" "digest=$(digest_of "$tmp/blob")")" \
    -H "$octets" -H 'Content-Range: 200000-299999' --data-binary "@$tmp/chunk2"
  is "$status" 201 "status of PUT"
  request GET "/v2/curl/chunks/blobs/$(digest_of "$tmp/blob")"
  cmp "$tmp/blob" "$tmp/body"
}

curl_chunk_416() {
  local location
  random_file 200000 "$tmp/blob"
  split -b 100000 -d -a 1 "$tmp/blob" "$tmp/chunk"
  location=$(start_upload curl/chunk-416)
  request PATCH "$location" -H "$octets" -H 'Content-Range: 0-99999' --data-binary "@$tmp/chunk0"
  is "$status" 202 "status of the first PATCH"
  location=$(header Location)
  request PATCH "$location" -H "$octets" -H 'Content-Range: 50000-149999' --data-binary "@$tmp/chunk1"
  is "$status" 416 "status of a PATCH too early"
  request PATCH "$location" -H "$octets" -H 'Content-Range: 150000-249999' --data-binary "@$tmp/chunk1"
  is "$status" 416 "status of a PATCH too late"
  request GET "$location"
  is "$(header Range)" 0-99999 "Range after the refusals"
  request PATCH "$location" -H "$octets" -H 'Content-Range: 100000-199999' --data-binary "@$tmp/chunk1"
  is "$status" 202 "status of the right PATCH"
  request PUT "$(with_query "$(header Location)" "digest=$(digest_of "$tmp/blob")")" -H 'Content-Length: 0'
  is "$status" 201 "status of PUT"
}

curl_upload_streamed() {
  random_file 3000000 "$tmp/blob"
  # With Expect: 100-continue and chunked transfer encoding, as docker streams.
  request PATCH "$(start_upload curl/streamed)" -H "$octets" -H 'Transfer-Encoding: chunked' \
    -H 'Expect: 100-continue' -H 'Content-Length:' -T "$tmp/blob"
  is "$status" 202 "status of PATCH"
  is "$(header Range)" 0-2999999 Range
  request PUT "$(with_query "$(header Location)" "digest=$(digest_of "$tmp/blob")")" -H 'Content-Length: 0'
  is "$status" 201 "status of PUT"
}

curl_cancel() {
  local location
  location=$(start_upload curl/cancel)
  request DELETE "$location"
  is "$status" 204 "status of DELETE"
  request GET "$location"
  is "$status" 404 "status of the cancelled upload"
  is "$(error_code)" BLOB_UPLOAD_UNKNOWN "error code"
}

curl_wrong_digest() {
  local wrong
  random_file 1000 "$tmp/blob"
  wrong=sha256:$(printf '0%.0s' {1..64})
  request PUT "$(with_query "$(start_upload curl/wrong)" "digest=$wrong")" -H "$octets" --data-binary "@$tmp/blob"
  is "$status" 400 status
  is "$(error_code)" DIGEST_INVALID "error code"
  request HEAD "/v2/curl/wrong/blobs/$wrong"
  is "$status" 404 "status of the wrong digest"
  request HEAD "/v2/curl/wrong/blobs/$(digest_of "$tmp/blob")"
  is "$status" 404 "status of the true digest"
}

curl_mount() {
  local digest
  random_file 1000 "$tmp/blob"
  digest=$(upload curl/mount-from "$tmp/blob")
  request HEAD "/v2/curl/mount-to/blobs/$digest"
  is "$status" 404 "status before the mount"
  request POST "/v2/curl/mount-to/blobs/uploads/?mount=$digest&from=curl/mount-from" -H 'Content-Length: 0'
  is "$status" 201 "status of the mount"
  is "$(header Docker-Content-Digest)" "$digest" digest
  request GET "/v2/curl/mount-to/blobs/$digest"
  cmp "$tmp/blob" "$tmp/body"
  # What is not there begins an upload instead.
  request POST "/v2/curl/mount-to/blobs/uploads/?mount=sha256:$(printf '1%.0s' {1..64})&from=curl/mount-from" -H 'Content-Length: 0'
  is "$status" 202 "status of an impossible mount"
  matches "$(header Location)" /blobs/uploads/
}

curl_blob() {
  local digest
  random_file 5000 "$tmp/blob"
  digest=$(upload curl/blob "$tmp/blob")
  request GET "/v2/curl/blob/blobs/$digest"
  is "$status" 200 "status of GET"
  is "$(header Docker-Content-Digest)" "$digest" digest
  is "$(header Content-Length)" 5000 Content-Length
  is "$(header Content-Type)" application/octet-stream Content-Type
  cmp "$tmp/blob" "$tmp/body"
  request HEAD "/v2/curl/blob/blobs/$digest"
  is "$status" 200 "status of HEAD"
  is "$(header Docker-Content-Digest)" "$digest" digest
  is "$(header Content-Length)" 5000 "Content-Length of HEAD"
  is "$(header Accept-Ranges)" bytes Accept-Ranges
}

curl_range() {
  local digest range
  random_file 5000 "$tmp/blob"
  digest=$(upload curl/range "$tmp/blob")
  for range in "1000-1999 1000 1000" "4000- 4000 1000" "-10 4990 10" "4990-9999 4990 10"; do
    # shellcheck disable=SC2086
    set -- $range
    request GET "/v2/curl/range/blobs/$digest" -r "$1"
    is "$status" 206 "status of $1"
    is "$(header Content-Range)" "bytes $2-$(($2 + $3 - 1))/5000" "Content-Range of $1"
    cmp "$tmp/body" <(tail -c "+$(($2 + 1))" "$tmp/blob" | head -c "$3")
  done
}

curl_range_416() {
  local digest
  random_file 5000 "$tmp/blob"
  digest=$(upload curl/range "$tmp/blob")
  request GET "/v2/curl/range/blobs/$digest" -r 5000-
  is "$status" 416 "status past the end"
  is "$(header Content-Range)" "bytes */5000" "Content-Range past the end"
}

curl_not_modified() {
  local digest etag
  digest=$(put_image curl/etag v1)
  request GET /v2/curl/etag/manifests/v1 -H "Accept: $manifest_types"
  etag=$(header ETag)
  is "$etag" "\"$digest\"" ETag
  request GET /v2/curl/etag/manifests/v1 -H "Accept: $manifest_types" -H "If-None-Match: $etag"
  is "$status" 304 "status of the manifest"
  is "$(stat -c %s "$tmp/body")" 0 "size of the body"
  request GET /v2/curl/etag/manifests/v1 -H "Accept: $manifest_types" -H 'If-None-Match: "other"'
  is "$status" 200 "status with another tag"
  request GET "/v2/curl/etag/blobs/$(digest_of "$tmp/layer")" -H "If-None-Match: \"$(digest_of "$tmp/layer")\""
  is "$status" 304 "status of the blob"
}

curl_errors() {
  request GET /v2/curl/errors/manifests/none -H "Accept: $manifest_types"
  is "$status $(error_code)" "404 MANIFEST_UNKNOWN" "unknown manifest"
  matches "$(header Content-Type)" '^application/json'
  request GET "/v2/curl/errors/blobs/sha256:$(printf '2%.0s' {1..64})"
  is "$status $(error_code)" "404 BLOB_UNKNOWN" "unknown blob"
  request GET /v2/curl/errors/tags/list
  is "$status $(error_code)" "404 NAME_UNKNOWN" "unknown repository"
  request GET "/v2/curl/errors/blobs/sha256:12"
  is "$status $(error_code)" "400 DIGEST_INVALID" "bad digest"
  request PUT /v2/curl/errors/manifests/v1 -H "Content-Type: $oci_manifest" --data-binary '{'
  is "$status $(error_code)" "400 MANIFEST_INVALID" "bad manifest"
  request PUT /v2/curl/errors/manifests/v1 -H "Content-Type: $oci_manifest" --data-binary \
    "$(jq -c . "$work/layout/blobs/sha256/${web_digest#sha256:}")"
  contains "$(cat "$tmp/body")" MANIFEST_BLOB_UNKNOWN
  request POST /v2/_catalog
  is "$status" 405 "wrong method"
}

curl_manifest() {
  local digest
  digest=$(put_image curl/manifest v1)
  for reference in v1 "$digest"; do
    request GET "/v2/curl/manifest/manifests/$reference" -H "Accept: $manifest_types"
    is "$status" 200 "status of $reference"
    is "$(header Docker-Content-Digest)" "$digest" digest
    is "$(header Content-Type)" "$oci_manifest" Content-Type
    cmp "$tmp/manifest" "$tmp/body"
    request HEAD "/v2/curl/manifest/manifests/$reference" -H "Accept: $manifest_types"
    is "$status" 200 "status of HEAD $reference"
    is "$(header Content-Length)" "$(stat -c %s "$tmp/manifest")" Content-Length
  done
  # The digest in the address must be that of the content.
  request PUT "/v2/curl/manifest/manifests/sha256:$(printf '3%.0s' {1..64})" -H "Content-Type: $oci_manifest" --data-binary "@$tmp/manifest"
  is "$status $(error_code)" "400 DIGEST_INVALID" "wrong digest"
}

curl_tags() {
  put_image curl/tags c a b
  request GET /v2/curl/tags/tags/list
  is "$status" 200 status
  is "$(jq -c '[.name, (.tags | sort)]' "$tmp/body")" '["curl/tags",["a","b","c"]]' tags
}

# pages PATH KEY: follows the links, prints all entries in the order they came.
pages() {
  local next=$1 link
  while [[ -n $next ]]; do
    request GET "$next"
    is "$status" 200 "status of $next"
    jq -r "$2[]" "$tmp/body"
    link=$(header Link)
    if [[ -n $link ]]; then
      matches "$link" '^<([^>]+)>; *rel="next"$'
      next=${BASH_REMATCH[1]}
    else
      next=
    fi
  done
}

curl_tags_pages() {
  put_image curl/pages v3 v1 v5 v2 v4
  is "$(pages '/v2/curl/pages/tags/list?n=2' .tags | xargs)" "v1 v2 v3 v4 v5" "tags of all pages"
  request GET '/v2/curl/pages/tags/list?n=2&last=v1'
  is "$(jq -c .tags "$tmp/body")" '["v2","v3"]' "tags after v1"
  request GET '/v2/curl/pages/tags/list?n=0'
  is "$(jq -c .tags "$tmp/body")" '[]' "tags with n=0"
}

curl_catalog() {
  local all
  for name in curl/catalog/a curl/catalog/b curl/catalog/c; do put_image "$name" v1; done
  all=$(pages '/v2/_catalog?n=2' .repositories)
  is "$all" "$(sort -u <<<"$all")" "the catalog, sorted and without doubles"
  contains "$(xargs <<<"$all")" "curl/catalog/a curl/catalog/b curl/catalog/c"
}

curl_referrers() {
  local subject artifact
  subject=$(put_image curl/referrers v1)
  request GET "/v2/curl/referrers/referrers/$subject"
  is "$status $(jq -c .manifests "$tmp/body")" "200 []" "referrers before"
  cp "$tmp/manifest" "$tmp/subject"
  echo '{}' >"$tmp/empty"
  upload curl/referrers "$tmp/empty"
  jq -n -c --argjson subject "$(descriptor "$oci_manifest" "$tmp/subject")" \
    --argjson empty "$(descriptor application/vnd.oci.empty.v1+json "$tmp/empty")" --arg type "$oci_manifest" '{
      schemaVersion: 2, mediaType: $type, artifactType: "application/vnd.example.sbom",
      config: $empty, layers: [$empty], subject: $subject, annotations: {note: "hello"}}' >"$tmp/artifact"
  artifact=$(digest_of "$tmp/artifact")
  put_manifest curl/referrers "$artifact" "$tmp/artifact"
  is "$(header OCI-Subject)" "$subject" OCI-Subject
  request GET "/v2/curl/referrers/referrers/$subject"
  is "$status" 200 status
  is "$(header Content-Type)" application/vnd.oci.image.index.v1+json Content-Type
  is "$(jq -c '[.schemaVersion, (.manifests[] | .digest, .artifactType, .annotations.note)]' "$tmp/body")" \
    "[2,\"$artifact\",\"application/vnd.example.sbom\",\"hello\"]" referrers
  request GET "/v2/curl/referrers/referrers/$subject?artifactType=application/vnd.example.other"
  is "$(jq -c .manifests "$tmp/body")" '[]' "referrers of another type"
  is "$(header OCI-Filters-Applied)" artifactType OCI-Filters-Applied
  request DELETE "/v2/curl/referrers/manifests/$artifact"
  is "$status" 202 "status of DELETE"
  request GET "/v2/curl/referrers/referrers/$subject"
  is "$(jq -c .manifests "$tmp/body")" '[]' "referrers after"
}

curl_delete_blob() {
  local digest
  random_file 1000 "$tmp/blob"
  digest=$(upload curl/delete-blob "$tmp/blob")
  request DELETE "/v2/curl/delete-blob/blobs/$digest"
  is "$status" 202 "status of DELETE"
  request GET "/v2/curl/delete-blob/blobs/$digest"
  is "$status $(error_code)" "404 BLOB_UNKNOWN" "deleted blob"
  request DELETE "/v2/curl/delete-blob/blobs/$digest"
  is "$status" 404 "status of a second DELETE"
}

curl_delete_manifest() {
  local digest
  digest=$(put_image curl/delete-manifest v1)
  request DELETE "/v2/curl/delete-manifest/manifests/$digest"
  is "$status" 202 "status of DELETE"
  for reference in v1 "$digest"; do
    request GET "/v2/curl/delete-manifest/manifests/$reference" -H "Accept: $manifest_types"
    is "$status $(error_code)" "404 MANIFEST_UNKNOWN" "$reference"
  done
}

curl_delete_tag() {
  local digest
  digest=$(put_image curl/delete-tag v1 | tail -n 1)
  put_manifest curl/delete-tag v2 "$tmp/manifest"
  request DELETE /v2/curl/delete-tag/manifests/v1
  is "$status" 202 "status of DELETE"
  request GET /v2/curl/delete-tag/manifests/v1 -H "Accept: $manifest_types"
  is "$status" 404 "status of the deleted tag"
  for reference in v2 "$digest"; do
    request GET "/v2/curl/delete-tag/manifests/$reference" -H "Accept: $manifest_types"
    is "$status" 200 "status of $reference"
  done
}

curl_http2() {
  local digest
  is "$(curl -sS --max-time 30 --http2-prior-knowledge -o "$tmp/body" -w '%{http_version} %{http_code}' "http://$registry/v2/")" "2 200" "version and status"
  random_file 1000000 "$tmp/blob"
  digest=$(digest_of "$tmp/blob")
  request PUT "$(with_query "$(start_upload curl/http2)" "digest=$digest")" --http2-prior-knowledge -H "$octets" --data-binary "@$tmp/blob"
  is "$status" 201 "status of PUT"
  matches "$(head -n 1 "$tmp/headers")" '^HTTP/2 '
  request GET "/v2/curl/http2/blobs/$digest" --http2-prior-knowledge
  is "$status" 200 "status of GET"
  cmp "$tmp/blob" "$tmp/body"
}

curl_tls_hello() {
  local socket
  # Clients try HTTPS first. Go's say "server gave HTTP response to HTTPS client", and
  # `docker manifest` then falls back to HTTP, only if the answer starts like this.
  # A ClientHello: random, no session, two cipher suites, an extension with a line feed.
  printf '\x16\x03\x01\x00\x3f\x01\x00\x00\x3b\x03\x03%s\x00\x00\x04\x13\x01\x13\x02\x01\x00\x00\x0e\x00\x0a\x00\x0a\x00\x08\x00\x1d\x00\x17\x00\x18\x00\x19' \
    0123456789abcdef0123456789abcdef >"$tmp/hello"
  exec {socket}<>"/dev/tcp/${registry%:*}/${registry#*:}"
  cat "$tmp/hello" >&"$socket"
  is "$(timeout 10 head -c 5 <&"$socket")" HTTP/ "start of the answer"
}

curl_keep_alive() {
  local answers
  put_image curl/keep-alive v1
  answers=$(curl -sS --max-time 30 -H "Accept: $manifest_types" -o "$tmp/#1" -w '%{http_code} %{num_connects}\n' \
    "http://$registry/v2/curl/keep-alive/manifests/v1?[1-64]")
  is "$(sort <<<"$answers" | uniq -c | xargs)" "63 200 0 1 200 1" "answers and connections"
}
