# shellcheck shell=bash disable=SC2154
# For test-clients: what one client pushed, the others pull, with the same digest.

part_interop() {
  start_dockerd
  check "interop: pushed by docker, pulled by skopeo, podman, buildah and containerd" interop_docker
  check "interop: pushed by podman, pulled by docker, skopeo and containerd" interop_podman
  check "interop: pushed by containerd, pulled by docker, podman and skopeo" interop_containerd
  check "interop: skopeo copies from dockerd to the registry and back" interop_skopeo_daemon
}

# pulls_with CLIENT NAME:TAG DIGEST: the client gets exactly this manifest.
pulls_with() {
  local reference=$registry/$2
  case $1 in
    docker)
      docker pull "$reference"
      contains "$(docker inspect --format '{{.RepoDigests}}' "$reference")" "@$3"
      ;;
    podman)
      # An image podman has already keeps the digest it first came with.
      podman rmi --all --force
      podman pull --tls-verify=false "$reference"
      is "$(podman inspect --format '{{.Digest}}' "$reference")" "$3" "digest in podman"
      ;;
    buildah)
      buildah pull --tls-verify=false "$reference"
      is "$(buildah inspect --type image --format '{{.FromImageDigest}}' "$reference")" "$3" "digest in buildah"
      ;;
    skopeo)
      skopeo copy --src-tls-verify=false "docker://$reference" "dir:$tmp/skopeo"
      is "$(digest_of "$tmp/skopeo/manifest.json")" "$3" "digest in skopeo"
      ;;
    containerd)
      ctr images pull --plain-http "$reference"
      is "$(ctr images list "name==$reference" | awk 'NR == 2 { print $3 }')" "$3" "digest in containerd"
      ;;
  esac
}

interop_docker() {
  local digest client
  docker build --quiet --tag "$registry/interop/docker:v1" "$work/context"
  docker push "$registry/interop/docker:v1"
  digest=$(manifest_digest interop/docker:v1)
  for client in skopeo podman buildah containerd; do pulls_with "$client" interop/docker:v1 "$digest"; done
}

interop_podman() {
  local digest client
  podman build --tag "$registry/interop/podman:v1" "$work/context"
  podman push --tls-verify=false "$registry/interop/podman:v1"
  digest=$(manifest_digest interop/podman:v1)
  for client in docker skopeo containerd; do pulls_with "$client" interop/podman:v1 "$digest"; done
}

interop_containerd() {
  local client
  skopeo copy "oci:$work/layout:web" "oci-archive:$tmp/web.tar:v1"
  ctr images import --base-name "$registry/interop/containerd" "$tmp/web.tar"
  ctr images push --plain-http "$registry/interop/containerd:v1"
  is "$(manifest_digest interop/containerd:v1)" "$web_digest" digest
  for client in docker podman skopeo; do pulls_with "$client" interop/containerd:v1 "$web_digest"; done
}

interop_skopeo_daemon() {
  local image
  image=$(docker inspect --format '{{.Id}}' "$registry/interop/docker:v1")
  skopeo copy --src-daemon-host "unix://$work/docker.sock" --dest-tls-verify=false \
    "docker-daemon:$registry/interop/docker:v1" "docker://$registry/interop/daemon:v1"
  docker images --quiet | sort -u | xargs -r /usr/bin/docker --host "unix://$work/docker.sock" rmi --force
  skopeo copy --dest-daemon-host "unix://$work/docker.sock" --src-tls-verify=false \
    "docker://$registry/interop/daemon:v1" "docker-daemon:$registry/interop/back:v1"
  is "$(docker inspect --format '{{.Id}}' "$registry/interop/back:v1")" "$image" "image after the way round"
}
