# shellcheck shell=bash disable=SC2154
# For test-clients: dockerd and the docker command.

part_docker() {
  start_dockerd
  check "docker: builds an image from scratch, with a second tag" docker_build
  check "docker: push prints the digest" docker_push
  check "docker: push of the second tag, same digest" docker_push_second_tag
  check "docker: a second push says 'Layer already exists'" docker_push_again
  check "docker: push to a second repository says 'Mounted from'" docker_mount
  check "docker: pull after rmi, same image and digest" docker_pull
  check "docker: runs the pulled image" docker_run
  check "docker: pull by digest" docker_pull_digest
  check "docker: pull --all-tags" docker_pull_all_tags
  check "docker: an unknown tag or repository is 'manifest unknown'" docker_unknown
  check "docker: push and pull of a 64 MiB layer" docker_large
  check "docker: two pushes at the same time" docker_concurrent
  check "docker: manifest create and push of a manifest list" docker_manifest
  check "docker: build with BuildKit from an image of the registry, push" docker_buildkit
  check "docker: an image pushed as OCI by skopeo runs" docker_oci
  beyond_registry2 "cannot delete a tag" "docker: pull of a deleted tag is 'manifest unknown', its digest still comes" docker_deleted_tag
  check "docker: pull of a deleted digest is 'manifest unknown'" docker_deleted_digest
  docker ps --quiet --all | xargs -r /usr/bin/docker --host "unix://$work/docker.sock" rm --force >/dev/null
}

# docker_forget: removes every image, so that a pull has to download.
docker_forget() { docker image prune --all --force; }

# pushed_digest NAME:TAG: pushes and prints the digest docker tells, after comparing it
# with the registry's.
pushed_digest() {
  local said digest
  said=$(docker push "$registry/$1")
  matches "$said" "${1##*:}: digest: (sha256:[0-9a-f]{64}) size: [0-9]+"
  digest=${BASH_REMATCH[1]}
  is "$(manifest_digest "$1")" "$digest" "digest in the registry"
  echo "$digest"
}

# random_image NAME:TAG SIZE…: builds an image with a layer of random bytes for each size.
random_image() {
  local name=$1 number=0
  shift
  mkdir "$tmp/context"
  echo FROM scratch >"$tmp/context/Dockerfile"
  for size in "$@"; do
    number=$((number + 1))
    random_file "$size" "$tmp/context/file$number"
    echo "COPY file$number /" >>"$tmp/context/Dockerfile"
  done
  echo 'CMD ["/none"]' >>"$tmp/context/Dockerfile"
  docker build --quiet --tag "$registry/$name" "$tmp/context"
}

docker_build() {
  docker build --tag "$registry/docker/web:v1" --tag "$registry/docker/web:latest" "$work/context"
  is "$(docker inspect --format '{{len .RootFS.Layers}}' "$registry/docker/web:v1")" 3 layers
}

docker_push() { pushed_digest docker/web:v1; }

docker_push_second_tag() {
  local digest
  digest=$(pushed_digest docker/web:latest)
  is "$digest" "$(manifest_digest docker/web:v1)" digest
}

docker_push_again() {
  local said
  said=$(docker push "$registry/docker/web:v1")
  is "$(grep -c 'Layer already exists' <<<"$said")" 3 "layers that exist already"
}

docker_mount() {
  local said
  docker tag "$registry/docker/web:v1" "$registry/docker/second:v1"
  said=$(docker push "$registry/docker/second:v1")
  is "$(grep -c 'Mounted from docker/web' <<<"$said")" 3 "layers that were mounted"
  is "$(manifest_digest docker/second:v1)" "$(manifest_digest docker/web:v1)" digest
}

docker_pull() {
  local image said
  image=$(docker inspect --format '{{.Id}}' "$registry/docker/web:v1")
  docker_forget
  said=$(docker pull "$registry/docker/web:v1")
  is "$(grep -c 'Pull complete' <<<"$said")" 3 "layers that were pulled"
  contains "$said" "Digest: $(manifest_digest docker/web:v1)"
  is "$(docker inspect --format '{{.Id}}' "$registry/docker/web:v1")" "$image" image
  contains "$(docker pull "$registry/docker/web:v1")" "Image is up to date"
}

docker_run() {
  docker run --detach --name web --publish 127.0.0.1:8082:8080 "$registry/docker/web:v1"
  serves_page 8082 || { docker logs web; fail "no page"; }
  docker rm --force web
}

docker_pull_digest() {
  local digest
  digest=$(manifest_digest docker/web:v1)
  docker_forget
  contains "$(docker pull "$registry/docker/web@$digest")" "Digest: $digest"
  docker create --name by-digest "$registry/docker/web@$digest"
  docker rm by-digest
}

docker_pull_all_tags() {
  local said
  docker_forget
  said=$(docker pull --all-tags "$registry/docker/web")
  contains "$said" "latest: Pulling from docker/web"
  contains "$said" "v1: Pulling from docker/web"
}

docker_unknown() {
  contains "$(refused docker pull "$registry/docker/web:none")" "manifest unknown"
  contains "$(refused docker pull "$registry/docker/none:none")" "manifest unknown"
}

docker_large() {
  local sum
  random_image docker/large:v1 64M
  sum=$(sha256sum <"$tmp/context/file1")
  pushed_digest docker/large:v1
  docker_forget
  docker pull "$registry/docker/large:v1"
  docker create --name large "$registry/docker/large:v1"
  is "$(docker cp large:/file1 - | tar -xO | sha256sum)" "$sum" "sum of the file"
  docker rm large
}

docker_concurrent() {
  local one two
  # Two images with one layer in common, into one new repository.
  random_image docker/concurrent:one 20M 10M
  { head -n 2 "$tmp/context/Dockerfile"; echo 'COPY file2 /other'; } >"$tmp/context/Second"
  docker build --quiet --tag "$registry/docker/concurrent:two" --file "$tmp/context/Second" "$tmp/context"
  docker push "$registry/docker/concurrent:one" &
  one=$!
  docker push "$registry/docker/concurrent:two" &
  two=$!
  wait "$one"
  wait "$two"
  docker_forget
  docker pull "$registry/docker/concurrent:one"
  docker pull "$registry/docker/concurrent:two"
}

docker_manifest() {
  local child
  random_image docker/manifest:amd64 1000
  pushed_digest docker/manifest:amd64
  rm -r "$tmp/context"
  random_image docker/manifest:arm64 1000
  pushed_digest docker/manifest:arm64
  child=$(manifest_digest docker/manifest:arm64)
  docker manifest create --insecure "$registry/docker/manifest:v1" "$registry/docker/manifest:amd64" "$registry/docker/manifest:arm64"
  docker manifest annotate --arch arm64 "$registry/docker/manifest:v1" "$registry/docker/manifest:arm64"
  docker manifest push --insecure "$registry/docker/manifest:v1"
  request GET /v2/docker/manifest/manifests/v1 -H "Accept: $manifest_types"
  is "$(header Content-Type)" application/vnd.docker.distribution.manifest.list.v2+json type
  is "$(jq -r '.manifests[] | select(.platform.architecture == "arm64") | .digest' "$tmp/body")" "$child" "arm64 image"
  docker_forget
  docker pull "$registry/docker/manifest:v1"
  docker pull --platform linux/arm64 "$registry/docker/manifest:v1"
}

docker_buildkit() {
  local digest
  docker_forget
  printf 'FROM %s\nCOPY index.html /srv/second.html\n' "$registry/docker/web:v1" >"$tmp/Dockerfile"
  DOCKER_BUILDKIT=1 docker build --progress plain --build-arg BUILDKIT_INLINE_CACHE=1 \
    --tag "$registry/docker/buildkit:v1" --file "$tmp/Dockerfile" "$work/context"
  digest=$(pushed_digest docker/buildkit:v1)
  # The next build takes the layer from the registry.
  docker_forget
  docker builder prune --all --force
  contains "$(DOCKER_BUILDKIT=1 docker build --progress plain --cache-from "$registry/docker/buildkit:v1" \
    --file "$tmp/Dockerfile" "$work/context" 2>&1)" "importing cache manifest from $registry/docker/buildkit:v1"
  docker pull "$registry/docker/buildkit@$digest"
}

docker_oci() {
  skopeo copy --dest-tls-verify=false "oci:$work/layout:web" "docker://$registry/docker/oci:v1"
  docker run --detach --name oci --publish 127.0.0.1:8083:8080 "$registry/docker/oci:v1"
  serves_page 8083 || { docker logs oci; fail "no page"; }
  docker rm --force oci
  contains "$(docker inspect --format '{{.RepoDigests}}' "$registry/docker/oci:v1")" "$web_digest"
}

docker_deleted_tag() {
  local digest
  random_image docker/deleted:tag 1000
  digest=$(pushed_digest docker/deleted:tag)
  docker_forget
  request DELETE /v2/docker/deleted/manifests/tag
  is "$status" 202 "status of DELETE"
  contains "$(refused docker pull "$registry/docker/deleted:tag")" "manifest unknown"
  docker pull "$registry/docker/deleted@$digest"
}

docker_deleted_digest() {
  local digest
  random_image docker/deleted:digest 1000
  digest=$(pushed_digest docker/deleted:digest)
  docker_forget
  request DELETE "/v2/docker/deleted/manifests/$digest"
  is "$status" 202 "status of DELETE"
  contains "$(refused docker pull "$registry/docker/deleted@$digest")" "manifest unknown"
  contains "$(refused docker pull "$registry/docker/deleted:digest")" "manifest unknown"
}
