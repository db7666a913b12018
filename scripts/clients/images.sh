# shellcheck shell=bash disable=SC2154,SC2034
# For test-clients: the images the clients push, made by hand from files of this
# machine, since nothing can be downloaded: Debian's nginx with its libraries and a page,
# as a docker build context ($work/context) and as an OCI layout ($work/layout) with
# the tags `web` (runs, amd64) and `multi` (an index of amd64 and arm64).

make_images() {
  local root=$work/rootfs library
  page="layerhouse test page $RANDOM$RANDOM$RANDOM"
  mkdir -p "$root"/{etc/nginx,srv,tmp,dev,proc,sys,run,usr/sbin,var/lib/nginx,var/log/nginx} "$work/context"
  cp /usr/sbin/nginx "$root/usr/sbin/nginx"
  for library in $(ldd /usr/sbin/nginx | grep -o '/[^ ]*'); do
    install -D "$(realpath "$library")" "$root$library"
  done
  echo 'root:x:0:0:root:/:/none' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  tar -C "$root" -cf "$work/context/rootfs.tar" .

  echo "$page" >"$work/context/index.html"
  cat >"$work/context/nginx.conf" <<'CONF'
daemon off;
user root root;
pid /tmp/nginx.pid;
events {}
http { access_log off; server { listen 8080; root /srv; } }
CONF
  cat >"$work/context/Dockerfile" <<'DOCKERFILE'
FROM scratch
ADD rootfs.tar /
COPY nginx.conf /etc/nginx/nginx.conf
COPY index.html /srv/index.html
EXPOSE 8080
CMD ["/usr/sbin/nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"]
DOCKERFILE

  mkdir -p "$work"/layers/{site/srv,site/etc/nginx,amd64,arm64}
  cp "$work/context/index.html" "$work/layers/site/srv/"
  cp "$work/context/nginx.conf" "$work/layers/site/etc/nginx/"
  echo "for amd64 $page" >"$work/layers/amd64/file"
  echo "for arm64 $page" >"$work/layers/arm64/file"
  tar -C "$work/layers/site" -cf "$work/layers/site.tar" .
  tar -C "$work/layers/amd64" -cf "$work/layers/amd64.tar" .
  tar -C "$work/layers/arm64" -cf "$work/layers/arm64.tar" .

  local web amd64 arm64 multi
  mkdir -p "$work/layout/blobs/sha256"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$work/layout/oci-layout"
  web=$(add_image amd64 "$work/context/rootfs.tar" "$work/layers/site.tar")
  amd64=$(add_image amd64 "$work/layers/amd64.tar")
  arm64=$(add_image arm64 "$work/layers/arm64.tar")
  jq -n -c --argjson amd64 "$amd64" --argjson arm64 "$arm64" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [$amd64 + {platform: {architecture: "amd64", os: "linux"}},
                $arm64 + {platform: {architecture: "arm64", os: "linux"}}]}' >"$work/layers/multi.json"
  multi=$(add_blob application/vnd.oci.image.index.v1+json "$work/layers/multi.json")
  jq -n --argjson web "$web" --argjson multi "$multi" '{
    schemaVersion: 2,
    manifests: [$web + {annotations: {"org.opencontainers.image.ref.name": "web"}},
                $multi + {annotations: {"org.opencontainers.image.ref.name": "multi"}}]}' >"$work/layout/index.json"
  web_digest=$(jq -r .digest <<<"$web")
  multi_digest=$(jq -r .digest <<<"$multi")
}

# add_blob MEDIATYPE FILE: puts the file into the layout, prints its descriptor.
add_blob() {
  local digest
  digest=$(digest_of "$2")
  cp "$2" "$work/layout/blobs/sha256/${digest#sha256:}"
  jq -n -c --arg type "$1" --arg digest "$digest" --argjson size "$(stat -c %s "$2")" \
    '{mediaType: $type, digest: $digest, size: $size}'
}

# add_image ARCHITECTURE TAR…: puts an image of these layers into the layout, prints
# the descriptor of its manifest.
add_image() {
  local architecture=$1 layer layers=() diffs=() config
  shift
  for layer in "$@"; do
    gzip -n -1 <"$layer" >"$layer.gz"
    layers+=("$(add_blob application/vnd.oci.image.layer.v1.tar+gzip "$layer.gz")")
    diffs+=("$(digest_of "$layer")")
  done
  jq -n -c --arg architecture "$architecture" '{
    architecture: $architecture, os: "linux",
    config: {ExposedPorts: {"8080/tcp": {}}, Cmd: ["/usr/sbin/nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"]},
    rootfs: {type: "layers", diff_ids: $ARGS.positional}}' --args "${diffs[@]}" >"$work/layers/config.json"
  config=$(add_blob application/vnd.oci.image.config.v1+json "$work/layers/config.json")
  printf '%s\n' "${layers[@]}" | jq -s -c --argjson config "$config" '{
    schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: $config, layers: .}' >"$work/layers/manifest.json"
  add_blob application/vnd.oci.image.manifest.v1+json "$work/layers/manifest.json"
}
