# shellcheck shell=bash disable=SC2154
# For test-clients: the compose files of packaging/, by docker-compose. Nothing can be pulled, so the images of others are
# stand-ins made of this machine's PostgreSQL and haproxy, and of the S3 of the tests in place of Garage.

part_compose() {
  if [[ $target != layerhouse ]]; then skip "compose" "it is of Layerhouse"; return; fi
  start_dockerd
  compose_env=$work/compose.env
  : >"$compose_env"
  check "compose: one Layerhouse: push, pull, a new container has it" compose_single
  if [[ ! -x $S3_BIN ]]; then
    skip "compose: replicas" "no S3: cargo build --example s3, or S3_BIN"
    return
  fi
  check "compose: replicas without passwords are refused" compose_unset
  # The keys that this S3 has.
  printf '%s\n' POSTGRES_PASSWORD=5db1b7 S3_ACCESS_KEY=key S3_SECRET_KEY=secret GARAGE_RPC_SECRET=00 >"$compose_env"
  check "compose: three replicas on a PostgreSQL and an S3: push, pull, each knows it" compose_replicas
  check "compose: a replica is killed, and each is replaced, while clients pull" compose_rolling
  check "compose: a dump of the database, restored, and verified" compose_backup
  check "compose: all end with exit status 0" compose_stops
}

# composed NAME [ARGUMENT…]: the folder of that name in packaging/.
composed() {
  local name=$1
  shift
  DOCKER_HOST="unix://$work/docker.sock" LAYERHOUSE_IMAGE=layerhouse:test POSTGRES_IMAGE=postgres:test GARAGE_IMAGE=garage:test \
    HAPROXY_IMAGE=haproxy:test LISTEN=127.0.0.1:5110 timeout 180 /usr/bin/docker-compose --ansi never --project-name "$name" \
    --file "$here/../packaging/$name/compose.yaml" --env-file "$compose_env" "$@"
}

compose_image() {
  if docker image inspect layerhouse:test >/dev/null 2>&1; then return; fi
  LAYERHOUSE_BIN=$program "$here/image" "docker-archive:$tmp/image.tar:layerhouse:test"
  docker load --input "$tmp/image.tar"
}

compose_single() {
  compose_image
  composed single up -d
  within 15 curl -fsS http://127.0.0.1:5110/readyz || { composed single logs; fail "it does not answer"; }
  image_keeps 5110 acme/web
  composed single up -d --force-recreate
  within 15 curl -fsS http://127.0.0.1:5110/readyz || { composed single logs; fail "it does not answer"; }
  image_has 5110 acme/web
  within 30 compose_healthy single layerhouse || fail "it is not healthy"
  composed single down --volumes
}

# compose_healthy NAME SERVICE: whether its health check says so.
compose_healthy() {
  local id
  id=$(composed "$1" ps --quiet "$2")
  [[ $(docker inspect --format '{{.State.Health.Status}}' "$id") == healthy ]]
}

compose_unset() {
  contains "$(refused composed replicas config)" "set it in .env"
}

# stand_in NAME USER PROGRAM…: an image of these programs and what they are linked to, and of what $tmp/root has.
stand_in() {
  local name=$1 user=$2 library file
  shift 2
  for file in "$@"; do
    install -D "$(realpath "$file")" "$tmp/root$file"
    while read -r library; do
      install -D "$(realpath "$library")" "$tmp/root$library"
    done < <(ldd "$file" | grep -o '/[^ ]*')
  done
  mkdir -p "$tmp/root"/{etc,tmp,bin}
  chmod 1777 "$tmp/root/tmp"
  ln -sf bash "$tmp/root/bin/sh"
  printf 'root:x:0:0::/:/bin/sh\nmine:x:999:999::/tmp:/bin/sh\n' >"$tmp/root/etc/passwd"
  printf 'root:x:0:\nmine:x:999:\n' >"$tmp/root/etc/group"
  tar -C "$tmp/root" -cf "$tmp/$name.tar" .
  docker import --change "USER $user" --change "ENV PATH=/bin:/usr/bin:/usr/sbin:$programs" "${changes[@]}" \
    "$tmp/$name.tar" "$name:test"
  rm -r "$tmp/root" "$tmp/$name.tar"
}

compose_stand_ins() {
  local programs changes=()
  programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

  stand_in haproxy 999 /usr/sbin/haproxy

  # What Garage does with these arguments, for as much as is needed here.
  mkdir -p "$tmp/root"
  cat >"$tmp/root/garage" <<-'SH'
	#!/bin/sh
	set -eu
	case "$*" in
	  "server --single-node --default-bucket")
	    [ "$GARAGE_DEFAULT_ACCESS_KEY/$GARAGE_DEFAULT_SECRET_KEY" = key/secret ] && [ -n "$GARAGE_RPC_SECRET" ]
	    [ -r /etc/garage.toml ] && [ -d /var/lib/garage/meta ]
	    mkdir -p "/var/lib/garage/data/$GARAGE_DEFAULT_BUCKET"
	    exec /run/s3 0.0.0.0:3900 /var/lib/garage/data
	    ;;
	  status) exec 3<>/dev/tcp/127.0.0.1/3900 ;;
	esac
	SH
  chmod 755 "$tmp/root/garage"
  cp "$S3_BIN" /run/s3
  stand_in garage 0 /bin/bash /bin/mkdir /run/s3

  # What the official image does with its variables.
  mkdir -p "$tmp/root"/{usr/share/postgresql,var/lib/postgresql/data,usr/lib/postgresql,run/postgresql,var/run/postgresql}
  cp -a "${programs%/bin}" "$tmp/root/usr/lib/postgresql/"
  cp -a /usr/share/postgresql/* "$tmp/root/usr/share/postgresql/"
  cp -a /usr/share/zoneinfo "$tmp/root/usr/share/"
  cat >"$tmp/root/entrypoint" <<-'SH'
	#!/bin/sh
	set -eu
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
	  echo "$POSTGRES_PASSWORD" >/tmp/password
	  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --no-locale --encoding=UTF8
	  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	  echo "CREATE DATABASE $POSTGRES_DB;" | postgres --single -D "$PGDATA" postgres
	fi
	exec "$@" -c listen_addresses='*'
	SH
  chmod 755 "$tmp/root/entrypoint"
  chown -R 999:999 "$tmp/root"/{var/lib/postgresql,run/postgresql,var/run/postgresql}
  chmod 700 "$tmp/root/var/lib/postgresql/data"
  changes=(--change 'ENTRYPOINT ["/entrypoint"]' --change 'ENV PGDATA=/var/lib/postgresql/data' --change 'VOLUME /var/lib/postgresql/data')
  stand_in postgres 999 /bin/bash "$programs"/{postgres,initdb,pg_isready,pg_dump,pg_restore}
}

compose_ready() {
  within 60 curl -fsS http://127.0.0.1:5110/readyz || { composed replicas ps; composed replicas logs; fail "the replicas do not answer"; }
}

compose_replicas() {
  local number
  compose_image
  compose_stand_ins
  composed replicas up -d || { composed replicas logs; fail "it does not come up"; }
  compose_ready
  image_keeps 5110 acme/web
  for number in 1 2 3; do
    contains "$(composed replicas exec -T "layerhouse-$number" layerhouse tags acme/web)" "$web_digest"
  done
}

compose_rolling() {
  local number pulls
  (
    set +x
    until [[ -e $tmp/done || ! -d $tmp ]]; do
      curl -fsS -o /dev/null -H "Accept: $manifest_types" http://127.0.0.1:5110/v2/acme/web/manifests/v1 && echo pulled
      sleep 0.02
    done
  ) >"$tmp/pulled" 2>"$tmp/refused" &
  pulls=$!
  composed replicas kill -s KILL layerhouse-2
  sleep 3
  image_keeps 5110 acme/while-one-is-dead
  for number in 1 2 3; do
    composed replicas up -d --no-deps --force-recreate "layerhouse-$number"
    within 30 composed replicas exec -T "layerhouse-$number" layerhouse tags acme/web
    sleep 3
  done
  touch "$tmp/done"
  wait "$pulls"
  echo "pulled $(wc -l <"$tmp/pulled") times"
  is "$(<"$tmp/refused")" "" "pulls that failed"
  for number in 1 2 3; do
    within 30 compose_healthy replicas "layerhouse-$number" || fail "layerhouse-$number is not healthy"
  done
}

# Whether the proxy knows nobody to ask, which it says at once.
compose_is_away() {
  [[ $(curl -s --max-time 0.5 -o /dev/null -w '%{http_code}' http://127.0.0.1:5110/readyz) == 503 ]]
}

compose_backup() {
  trap '[[ $? == 0 ]] || composed replicas logs --no-color' EXIT
  composed replicas exec -T postgres pg_dump --username=layerhouse --format=custom layerhouse >"$tmp/dump"
  image_keeps 5110 acme/later
  composed replicas stop layerhouse-1 layerhouse-2 layerhouse-3
  # Else it may find out when they are there again, by other addresses.
  within 30 compose_is_away || fail "the proxy does not see that all are stopped"
  composed replicas exec -T postgres pg_restore --username=layerhouse --dbname=layerhouse --clean --if-exists --exit-on-error <"$tmp/dump"
  composed replicas run --rm --no-deps layerhouse-1 verify --config /etc/docker/registry/config.yml
  composed replicas start layerhouse-1 layerhouse-2 layerhouse-3
  compose_ready
  image_has 5110 acme/web
  request GET http://127.0.0.1:5110/v2/acme/later/tags/list
  is "$status" 404 "status of what was pushed after the dump"
}

compose_stops() {
  local id ids
  ids=$(composed replicas ps --quiet layerhouse-1 layerhouse-2 layerhouse-3)
  is "$(wc -w <<<"$ids")" 3 "replicas"
  composed replicas stop layerhouse-1 layerhouse-2 layerhouse-3
  for id in $ids; do
    is "$(docker inspect --format '{{.State.ExitCode}}' "$id")" 0 "exit status of a replica"
  done
  composed replicas down --volumes
}
