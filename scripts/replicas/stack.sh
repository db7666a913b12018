# Sourced by who tests and measures several replicas: an S3 (that of LAYERHOUSE_TEST_S3, else crates/layerhouse/examples/s3.rs),
# replicas on it and on the PostgreSQL of LAYERHOUSE_TEST_POSTGRES, and a haproxy before them. Wants `layerhouse` and `s3`, the
# binaries, and `work`, a directory. All listen on 127.0.0.1, but replicas that have networks of their own (own_network).

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

last_port=$((20000 + RANDOM % 8000))
# Sets `port` to one that nobody listens on.
free_port() {
  local listening
  listening=$(ss -Hltn | awk '{ sub(/.*:/, "", $4); print $4 }')
  while last_port=$((last_port + 1)); grep -qx "$last_port" <<<"$listening"; do :; done
  port=$last_port
}

# await URL: until it answers 200, at most 30 s.
await() {
  local _
  for _ in {1..300}; do
    [[ $(curl -sk -m 2 -o /dev/null -w '%{http_code}' "$1") == 200 ]] && return 0
    sleep 0.1
  done
  return 1
}

# What is started like this ends with who started it, however that ends.
bound() { exec setpriv --pdeathsig KILL -- "$@"; }

# The S3: `s3_port`, and `s3_id` if it is ours. Started again, it has what it had.
start_s3() {
  if [[ -n ${LAYERHOUSE_TEST_S3-} ]]; then
    s3_port=${LAYERHOUSE_TEST_S3##*:} s3_key=${LAYERHOUSE_TEST_S3_KEY:-key} s3_secret=${LAYERHOUSE_TEST_S3_SECRET:-secret}
    curl -sS -f -o /dev/null -X PUT --aws-sigv4 aws:amz:us-east-1:s3 --user "$s3_key:$s3_secret" \
      -H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d ' ' -f 1)" "http://$LAYERHOUSE_TEST_S3/images" ||
      die "the S3 makes no bucket"
    return
  fi
  if [[ -z ${s3_port-} ]]; then free_port; s3_port=$port; fi
  mkdir -p "$work/s3/images"
  bound "$s3" "127.0.0.1:$s3_port" "$work/s3" >>"$work/s3.log" 2>&1 </dev/null &
  s3_id=$!
  local _
  for _ in {1..100}; do curl -s -o /dev/null "http://127.0.0.1:$s3_port/" && return; sleep 0.1; done
  die "the S3 does not answer"
}

# own_network NUMBER: a network namespace for that replica, with a wire to a bridge of ours, where we are `hub`.
hub=127.0.0.1 network_ids=()
own_network() {
  local number=$1
  if [[ $hub == 127.0.0.1 ]]; then
    hub=10.77.0.1
    ip link add replicas type bridge
    ip address add "$hub/24" dev replicas
    ip link set replicas up
  fi
  bound unshare --net sleep infinity &
  network_ids[number]=$!
  while [[ $(readlink "/proc/$!/ns/net") == "$(readlink /proc/self/ns/net)" ]]; do sleep 0.01; done
  replica_addresses[number]=10.77.0.1$number
  ip link add "replica-$number" master replicas up type veth peer name wire netns "${network_ids[number]}"
  in_network "$number" ip address add "${replica_addresses[number]}/24" dev wire
  in_network "$number" ip link set wire up
}
# in_network NUMBER COMMAND…: there.
in_network() { nsenter "--net=/proc/${network_ids[$1]}/ns/net" -- "${@:2}"; }

# far PORT MILLISECONDS [near]: `far_port` of `hub` is that port, so far away; `far_id` (far.py).
far() {
  free_port
  far_port=$port
  bound python3 scripts/replicas/far.py "$hub:$far_port" "$@" >>"$work/far.log" 2>&1 </dev/null &
  far_id=$!
  local _
  for _ in {1..100}; do ss -Hltn | grep -q ":$far_port " && return; sleep 0.1; done
  die "far.py does not listen"
}

# new_database NAME: a new one; `database` becomes its URL.
new_database() {
  psql -q -X "$LAYERHOUSE_TEST_POSTGRES" -c "CREATE DATABASE $1" >/dev/null
  database=${LAYERHOUSE_TEST_POSTGRES%/*}/$1
}

# configure [DIRECTORY]: what replicas are told; the bucket is at `store_port`, if it is set; `collection` is
# the section about that.
configure() {
  cat >"$work/config.yml" <<-EOF
	version: 0.1
	log: { accesslog: { disabled: true } }
	storage:
	  s3: { bucket: images, region: us-east-1, accesskey: ${s3_key:-key}, secretkey: ${s3_secret:-secret}, regionendpoint: "http://$hub:${store_port:-$s3_port}", rootdirectory: "/${1:-registry}" }
	  redirect: { disable: true }
	  delete: { enabled: true }
	layerhouse:
	  collection: ${collection:-{\}}
	EOF
}

replica_ids=() replica_ports=() replica_addresses=() replica_binaries=()
# start_replica NUMBER: in its own network, if it has one, on its own port and directory, the same each time; runs
# `replica_binaries[NUMBER]` if that is set, else `layerhouse`.
start_replica() {
  local number=$1 there=()
  if [[ -n ${network_ids[number]-} ]]; then there=(nsenter "--net=/proc/${network_ids[number]}/ns/net" --); fi
  replica_addresses[number]=${replica_addresses[number]:-127.0.0.1}
  if [[ -z ${replica_ports[number]-} ]]; then free_port; replica_ports[number]=$port; fi
  LAYERHOUSE_LOG=${stack_log:-info} LAYERHOUSE_DATABASE=$database LAYERHOUSE_DIRECTORY=$work/replica-$number \
    bound "${there[@]}" "${replica_binaries[number]:-$layerhouse}" serve --config "$work/config.yml" --listen "$(place_of "$number")" \
    >>"$work/replica-$number.log" 2>&1 </dev/null &
  replica_ids[number]=$!
}

# place_of NUMBER: address and port of that replica.
place_of() { echo "${replica_addresses[$1]}:${replica_ports[$1]}"; }

# await_replica NUMBER: until it can take pushes.
await_replica() {
  await "http://$(place_of "$1")/readyz" || die "replica $1 does not answer: $(tail -3 "$work/replica-$1.log")"
}

# start_proxy: before all replicas that have a port; `proxy_port`, `proxy_id`. Its /all is 200 while it asks all of them.
start_proxy() {
  local number
  free_port
  proxy_port=$port
  {
    cat <<-EOF
	global
	  maxconn 4000
	defaults
	  mode http
	  timeout connect 2s
	  # A machine that is busy answers late.
	  timeout check 5s
	  timeout client 120s
	  timeout server 120s
	  timeout http-keep-alive 60s
	  retries 2
	  # What was sent to nobody yet is sent to another.
	  option redispatch
	  retry-on conn-failure empty-response
	  # Bodies of any size go through as they come.
	  no option http-buffer-request
	frontend registry
	  bind 127.0.0.1:$proxy_port
	  monitor-uri /all
	  monitor fail if { nbsrv(replicas) lt ${#replica_ports[@]} }
	  default_backend replicas
	backend replicas
	  balance roundrobin
	  option httpchk GET /readyz
	EOF
    for number in "${!replica_ports[@]}"; do
      echo "  server replica-$number $(place_of "$number") check inter 500ms fall 2 rise 1"
    done
  } >"$work/haproxy.cfg"
  bound haproxy -q -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 </dev/null &
  proxy_id=$!
  await "http://127.0.0.1:$proxy_port/v2/" || die "haproxy does not answer: $(tail -3 "$work/haproxy.log")"
}

# stop ID…: ends them, and waits.
stop() {
  local id _
  for id in "$@"; do kill "$id" 2>/dev/null || true; done
  for id in "$@"; do
    for _ in {1..150}; do kill -0 "$id" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$id" 2>/dev/null || true
    wait "$id" 2>/dev/null || true
  done
}
stop_replicas() {
  stop "${replica_ids[@]}"
  replica_ids=() replica_ports=()
}
stop_stack() {
  stop ${proxy_id:+"$proxy_id"} "${replica_ids[@]}" ${s3_id:+"$s3_id"} "${network_ids[@]}"
}
