# shellcheck shell=bash disable=SC2154
# For test-clients: containerd, with its ctr command.

part_containerd() {
  start_containerd
  check "containerd: push of an imported image uploads it, same digest" ctr_upload
  check "containerd: pull of an OCI image, same content" ctr_pull
  check "containerd: push under another name mounts the blobs, same digest" ctr_push
  check "containerd: a second push uploads nothing" ctr_push_again
  check "containerd: pull and push of an index with all its images" ctr_index
  check "containerd: pull by digest" ctr_pull_digest
  check "containerd: runs the pulled image" ctr_run
  check "containerd: an unknown tag is 'not found'" ctr_unknown
}

ctr_digest() { ctr images list "name==$1" | awk 'NR == 2 { print $3 }'; }

# ctr_forget: removes every image and what it was made of.
ctr_forget() {
  local name
  for name in $(ctr images list --quiet); do ctr images remove --sync "$name"; done
  is "$(ctr content list --quiet | wc -l)" 0 "contents left"
}

ctr_upload() {
  skopeo copy "oci:$work/layout:web" "oci-archive:$tmp/web.tar:v1"
  ctr images import --base-name "$registry/containerd/web" "$tmp/web.tar"
  ctr images push --plain-http "$registry/containerd/web:v1"
  is "$(manifest_digest containerd/web:v1)" "$web_digest" "digest in the registry"
}

ctr_pull() {
  local digest
  ctr_forget
  ctr images pull --plain-http "$registry/containerd/web:v1"
  is "$(ctr_digest "$registry/containerd/web:v1")" "$web_digest" digest
  for digest in $(ctr content list --quiet); do
    ctr content get "$digest" | cmp - "$work/layout/blobs/sha256/${digest#sha256:}"
  done
}

ctr_push() {
  ctr images tag "$registry/containerd/web:v1" "$registry/containerd/pushed:v1"
  ctr images push --plain-http "$registry/containerd/pushed:v1"
  is "$(manifest_digest containerd/pushed:v1)" "$web_digest" "digest in the registry"
  ctr_forget
  ctr images pull --plain-http "$registry/containerd/pushed:v1"
  is "$(ctr_digest "$registry/containerd/pushed:v1")" "$web_digest" "digest of the pulled image"
}

ctr_push_again() {
  ctr images tag "$registry/containerd/pushed:v1" "$registry/containerd/pushed:v2"
  ctr images push --plain-http "$registry/containerd/pushed:v2"
  is "$(manifest_digest containerd/pushed:v2)" "$web_digest" "digest in the registry"
}

ctr_index() {
  skopeo copy --all --dest-tls-verify=false "oci:$work/layout:multi" "docker://$registry/containerd/multi:v1"
  ctr_forget
  ctr images pull --plain-http --all-platforms "$registry/containerd/multi:v1"
  is "$(ctr content list --quiet | wc -l)" 7 "contents pulled"
  ctr images tag "$registry/containerd/multi:v1" "$registry/containerd/multi-pushed:v1"
  ctr images push --plain-http "$registry/containerd/multi-pushed:v1"
  is "$(manifest_digest containerd/multi-pushed:v1)" "$multi_digest" "digest in the registry"
}

ctr_pull_digest() {
  ctr_forget
  ctr images pull --plain-http "$registry/containerd/web@$web_digest"
}

ctr_run() {
  ctr images pull --plain-http "$registry/containerd/web:v1"
  ctr run --detach --net-host --cgroup "/${work##*/}/ctr" "$registry/containerd/web:v1" web
  serves_page 8080
  ctr task kill --signal SIGKILL web
  within 10 ctr task delete web
  ctr container delete web
}

ctr_unknown() {
  contains "$(refused ctr images pull --plain-http "$registry/containerd/web:none")" "not found"
}
