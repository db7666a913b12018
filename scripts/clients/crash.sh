# shellcheck shell=bash disable=SC2154
# For test-clients: the registry is killed with SIGKILL in the middle of a push.

part_crash() {
  start_dockerd
  check "crash: kill -9 early in a docker push, restart, push again" crash_push 2
  check "crash: kill -9 late in a docker push, restart, push again" crash_push 80
  check "crash: kill -9 in a docker push, restart: the same push goes on" crash_push_goes_on
  check "crash: kill -9 right after a push: all of it is there" crash_after_push
  check "crash: kill -9 four times under skopeo" crash_skopeo
}

registry_bytes() { { du --total --summarize --bytes "$work"/{registry,s3} 2>/dev/null || true; } | tail -n 1 | cut -f 1; }
registry_grew() { (($(registry_bytes) >= $1)); }

# push_and_kill NAME:TAG MEGABYTES: begins to push, kills the registry when it has
# stored this much more; leaves the process of the push in $push.
push_and_kill() {
  local enough=$(($(registry_bytes) + $2 * 1000000))
  docker push "$registry/$1" &
  push=$!
  within 60 registry_grew "$enough" || fail "the push does not get far enough"
  kill -0 "$push" || fail "the push was over before it could be interrupted"
  signal_registry KILL
}

crash_push() {
  random_image "crash/push:$1" 128M
  push_and_kill "crash/push:$1" "$1"
  pkill -P "$push" -x timeout || true
  wait "$push" || true
  start_registry
  pushed_digest "crash/push:$1"
  docker_forget
  docker pull "$registry/crash/push:$1"
}

crash_push_goes_on() {
  random_image crash/goes-on:v1 64M 64M
  push_and_kill crash/goes-on:v1 40
  start_registry
  # dockerd tries a layer again after five seconds.
  wait "$push"
  manifest_digest crash/goes-on:v1
  docker_forget
  docker pull "$registry/crash/goes-on:v1"
}

crash_after_push() {
  local digest
  random_image crash/after:v1 10M 1M
  docker push "$registry/crash/after:v1"
  signal_registry KILL
  start_registry
  digest=$(manifest_digest crash/after:v1)
  docker_forget
  contains "$(docker pull "$registry/crash/after:v1")" "Digest: $digest"
}

crash_skopeo() {
  local number
  for number in 1 2 3 4; do
    # Each time with other blobs, so that each time something is under way.
    docker_forget
    rm -rf "$tmp/context" "$tmp/image"
    random_image "crash/skopeo:v$number" 30M
    skopeo copy --src-daemon-host "unix://$work/docker.sock" "docker-daemon:$registry/crash/skopeo:v$number" "dir:$tmp/image"
    skopeo copy --dest-tls-verify=false "dir:$tmp/image" "docker://$registry/crash/skopeo:v$number" &
    push=$!
    sleep "0.$((number * 15))"
    signal_registry KILL
    wait "$push" || true
    start_registry
    skopeo copy --dest-tls-verify=false "dir:$tmp/image" "docker://$registry/crash/skopeo:v$number"
    skopeo copy --src-tls-verify=false "docker://$registry/crash/skopeo:v$number" "dir:$tmp/back"
  done
}
