# shellcheck shell=bash disable=SC2154
# For test-clients: the index. Accounts, `docker login`, tokens, what is public and private, search, and
# another registry that believes our tokens; over TLS, by a name, as clients meet it.

part_index() {
  if [[ $target == docker-registry ]]; then
    skip "index: accounts, tokens, visibility, search" "registry:2 has none"
    return 0
  fi
  index=$work/index
  hub=hub.example:5443
  other=hub.example:5444
  start_dockerd
  index_starts
  check "index: the server prints a code once; 'layerhouse user create --admin' makes it needless" index_first
  check "index: docker login: a wrong password and an unknown user hear the same" index_wrong_login
  check "index: docker login with a password keeps an identity token and no password" index_login
  check "index: docker push to one's own namespace, pull, push again" index_push
  check "index: docker push elsewhere, and without login, is refused and says so" index_push_refused
  check "index: docker pull: private and missing are the same words, for an outsider and for nobody" index_hidden
  check "index: docker pull of a public repository without login; hidden again, it is gone" index_public
  check "index: docker login with an access token; its limits hold" index_token
  check "index: docker login as a robot, push; a new secret ends the old one, and what it signed in" index_robot
  check "index: nginx and library/nginx are one; administrators push it" index_library
  check "index: docker search: all find what is public, owners what is theirs" index_search
  check "index: podman search: what is public, and with credentials the list of all" index_podman_search
  check "index: docker and podman search show descriptions and stars, and find by them" index_described
  check "index: podman login, push, pull; a wrong password; logout" index_podman
  check "index: skopeo: a writer copies and may not delete, a maintainer deletes" index_skopeo
  check "index: buildah pushes with a token, pulls back" index_buildah
  check "index: containerd with hosts.toml and credentials pulls and pushes, without them not" index_containerd
  check "index: registry:2 believes our tokens: docker push and pull there, by our rights" index_other
  check "index: a user who is disabled is refused at once, though docker holds an identity token" index_disabled
  check "index: a member who is removed is refused at once" index_removed
  check "index: docker logout ends it" index_logout
  check "index: everything is in the audit, with who did it" index_audit
  check "index: ends with exit status 0, verify finds nothing wrong, no panic and no 5xx" index_ends
  umount /etc/hosts
  ip address del 10.78.0.1/32 dev lo
}

# --- The server, and how clients are called ------------------------------------------

index_starts() {
  mkdir -p "$index"/{data,other,certs,hosts.d/$hub} "/etc/docker/certs.d/$hub" "/etc/docker/certs.d/$other"
  # Docker trusts 127.0.0.0/8 without TLS: here it must not.
  ip address add 10.78.0.1/32 dev lo
  printf '%s\n' '127.0.0.1 localhost' '10.78.0.1 hub.example' >"$index/hosts"
  mount --bind "$index/hosts" /etc/hosts
  (
    cd "$index/certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=our own authority' \
      -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=hub.example -keyout hub.key -out hub.csr
    openssl x509 -req -in hub.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out hub.crt \
      -extfile <(printf 'subjectAltName=DNS:hub.example\n')
  ) >"$index/openssl.log" 2>&1
  cp "$index/certs/ca.crt" "/etc/docker/certs.d/$hub/"
  cp "$index/certs/ca.crt" "/etc/docker/certs.d/$other/"
  cat >"$index/hosts.d/$hub/hosts.toml" <<TOML
server = "https://$hub"
[host."https://$hub"]
  capabilities = ["pull", "resolve", "push"]
  ca = "$index/certs/ca.crt"
TOML
  cat >"$index/config.yml" <<YAML
version: 0.1
storage:
  filesystem: {rootdirectory: $index/data}
  delete: {enabled: true}
http:
  addr: 10.78.0.1:5443
  tls: {certificate: $index/certs/hub.crt, key: $index/certs/hub.key}
layerhouse:
  index:
    tokens: {services: [other]}
YAML
  shared "$index/config.yml" index
  index_serve
  # A dockerd that runs already looks at /etc/hosts every few seconds.
  within 20 index_is_known || die "dockerd does not find hub.example"
}

index_is_known() { [[ $(docker pull "$hub/is/known" 2>&1) != *lookup* ]]; }

index_serve() {
  (
    set +ex
    (echo "$BASHPID" >"$index/pid" && exec "$program" serve "$index/config.yml") >>"$index/out" 2>>"$index/log"
    echo $? >"$index/exit"
  ) 2>>"$index/log" &
  within 10 curl -sS --cacert "$index/certs/ca.crt" -o "$index/ready" "https://$hub/v2/" ||
    { tail -n 20 "$index/log" >&2; die "the registry with an index does not answer"; }
}

password() { echo "$1 has a good password"; }
# operate COMMAND…: on the machine, on the server that runs.
operate() { timeout 30 "$program" "$@" --config "$index/config.yml"; }
# docker_as WHO …: with what WHO is signed in with; `nobody` never is.
docker_as() { DOCKER_CONFIG=$index/clients/$1 docker "${@:2}"; }
sign_in_as() { docker_as "$1" login --username "$2" --password-stdin "${4:-$hub}" <<<"$3" 2>&1; }
api() { curl -sS --max-time 30 --cacert "$index/certs/ca.crt" "${@:2}" "https://$hub/api/v1$1"; }
podman_login() { podman login --authfile "$index/$1.json" --username "$1" --password-stdin "$hub" <<<"$2"; }

# index_image NAME:TAG: an image of one layer of random bytes.
index_image() {
  mkdir -p "$tmp/image"
  random_file 50000 "$tmp/image/file"
  tar -C "$tmp/image" -c . | docker import - "$hub/$1"
}

# index_pushed WHO NAME:TAG [REGISTRY]: pushes, and prints the digest.
index_pushed() {
  local said
  said=$(docker_as "$1" push "${3:-$hub}/$2")
  matches "$said" "digest: (sha256:[0-9a-f]{64}) size: [0-9]+"
  echo "${BASH_REMATCH[1]}"
}

# index_pulled WHO NAME:TAG [REGISTRY]: pulls what dockerd does not have, and prints the digest.
index_pulled() {
  local said
  docker rmi --force "${3:-$hub}/$2" >/dev/null 2>&1 || true
  said=$(docker_as "$1" pull "${3:-$hub}/$2")
  matches "$said" "Digest: (sha256:[0-9a-f]{64})"
  echo "${BASH_REMATCH[1]}"
}

# --- Accounts and docker login -------------------------------------------------------

index_first() {
  local name
  is "$(grep -c lhu_ "$index/out")" 1 "times that the code is printed"
  if grep -q lhu_ "$index/log"; then fail "the code is in the log"; fi
  operate user create root --admin <<<"$(password root)"
  # It is over: there is an administrator.
  is "$(api /users -o "$tmp/body" -w '%{http_code}' -H 'Content-Type: application/json' \
    -d "{\"name\": \"eve\", \"password\": \"$(password eve)\", \"code\": \"$(grep -o 'lhu_[a-z2-7]*' "$index/out")\"}")" \
    403 "status with the code"
  for name in alice bob max will rita; do operate user create "$name" <<<"$(password "$name")"; done
  operate org create acme --owner alice
  operate org member set acme max maintainer
  operate org member set acme will writer
  operate org member set acme rita reader
  is "$(operate user list -o json | jq -c '[.[] | select(.is_admin) | .name]')" '["root"]' administrators
  refused operate user create root --admin <<<"$(password root)"
}

index_wrong_login() {
  local wrong unknown
  wrong=$(refused docker_as alice login --username alice --password-stdin "$hub" <<<'not her password')
  unknown=$(refused docker_as alice login --username nobody1 --password-stdin "$hub" <<<"$(password alice)")
  contains "$wrong" 'unauthorized: wrong user name, password or token'
  is "$wrong" "$unknown" "what an unknown user hears"
  if [[ -e $index/clients/alice/config.json ]]; then
    is "$(jq -c '.auths // {}' "$index/clients/alice/config.json")" '{}' "what config.json keeps"
  fi
}

index_login() {
  local config=$index/clients/alice/config.json
  contains "$(sign_in_as alice alice "$(password alice)")" "Login Succeeded"
  matches "$(jq -r ".auths[\"$hub\"].identitytoken" "$config")" '^lhi_[a-z2-7]{52}$'
  is "$(jq -r ".auths[\"$hub\"].auth" "$config" | base64 -d)" 'alice:' "what else config.json keeps"
  for name in root bob max will rita; do
    contains "$(sign_in_as "$name" "$name" "$(password "$name")")" "Login Succeeded"
  done
}

index_push() {
  local digest
  index_image alice/web:v1
  digest=$(index_pushed alice alice/web:v1)
  is "$(index_pulled alice alice/web:v1)" "$digest" digest
  contains "$(docker_as alice push "$hub/alice/web:v1")" "Layer already exists"
  index_image acme/app:v1
  digest=$(index_pushed will acme/app:v1)
  is "$(index_pulled rita acme/app:v1)" "$digest" digest
  # From one's own private repository a layer is mounted.
  docker tag "$hub/alice/web:v1" "$hub/alice/second:v1"
  contains "$(docker_as alice push "$hub/alice/second:v1")" "Mounted from alice/web"
}

index_push_refused() {
  local who said
  index_image bob/web:v1
  docker tag "$hub/bob/web:v1" "$hub/alice/theft:v1"
  docker tag "$hub/bob/web:v1" "$hub/acme/app:v2"
  docker tag "$hub/bob/web:v1" "$hub/none/web:v1"
  for who in bob nobody; do
    for name in alice/theft:v1 acme/app:v2 none/web:v1; do
      said=$(refused docker_as "$who" push "$hub/$name")
      matches "$said" 'denied|unauthorized: authentication required|no basic auth credentials'
    done
  done
  said=$(refused docker_as rita push "$hub/acme/app:v2")
  matches "$said" 'denied|unauthorized: authentication required'
  # Nothing of it is there.
  matches "$(refused docker_as alice pull "$hub/alice/theft:v1")" 'manifest unknown|not found'
}

index_hidden() {
  local who there missing nowhere
  for who in bob nobody; do
    there=$(refused docker_as "$who" pull "$hub/alice/web:v1")
    missing=$(refused docker_as "$who" pull "$hub/alice/non:v1")
    nowhere=$(refused docker_as "$who" pull "$hub/nobod/web:v1")
    matches "$there" "repository does not exist or may require 'docker login'|unauthorized"
    is "${there//alice\/web/ANY}" "${missing//alice\/non/ANY}" "what $who hears of what is not there"
    is "${there//alice\/web/ANY}" "${nowhere//nobod\/web/ANY}" "what $who hears of a namespace that is not there"
  done
}

index_public() {
  local digest
  digest=$(index_pulled alice alice/web:v1)
  operate repo visibility alice/web public
  is "$(index_pulled nobody alice/web:v1)" "$digest" "digest without login"
  is "$(index_pulled bob alice/web:v1)" "$digest" "digest for an outsider"
  matches "$(refused docker_as nobody push "$hub/alice/web:v1")" 'denied|unauthorized'
  operate repo visibility alice/web private
  refused docker_as nobody pull "$hub/alice/web:v1"
  operate repo visibility alice/web public
}

# --- Tokens and robots ---------------------------------------------------------------

index_token() {
  local whole narrow digest
  whole=$(operate token create alice laptop)
  narrow=$(operate token create alice puller --limit 'acme/*=pull')
  matches "$narrow" '^lhp_[a-z2-7]{52}$'
  contains "$(sign_in_as laptop alice "$whole")" "Login Succeeded"
  index_image acme/token:v1
  digest=$(index_pushed laptop acme/token:v1)
  contains "$(sign_in_as puller alice "$narrow")" "Login Succeeded"
  is "$(index_pulled puller acme/token:v1)" "$digest" digest
  matches "$(refused docker_as puller push "$hub/acme/token:v1")" 'denied|unauthorized'
  refused docker_as puller pull "$hub/alice/second:v1"
  # Another's name does not go with it.
  refused sign_in_as wrong bob "$whole"
  operate token revoke alice "$(operate token list alice -o json | jq -r '.[] | select(.name == "laptop") | .id')"
  refused docker_as laptop push "$hub/acme/token:v1"
  is "$(index_pulled puller acme/token:v1)" "$digest" "digest with the other token"
}

index_robot() {
  local secret second digest
  secret=$(operate robot create acme+ci)
  matches "$secret" '^lhr_[a-z2-7]{52}$'
  operate acl grant acme/app writer --to acme+ci
  contains "$(sign_in_as robot acme+ci "$secret")" "Login Succeeded"
  index_image acme/app:ci
  digest=$(index_pushed robot acme/app:ci)
  is "$(index_pulled rita acme/app:ci)" "$digest" digest
  refused docker_as robot pull "$hub/acme/token:v1"
  second=$(operate robot rotate acme+ci)
  refused docker_as robot pull "$hub/acme/app:ci"
  refused sign_in_as wrong acme+ci "$secret"
  contains "$(sign_in_as robot acme+ci "$second")" "Login Succeeded"
  is "$(index_pulled robot acme/app:ci)" "$digest" digest
}

index_library() {
  local digest
  docker tag "$hub/alice/web:v1" "$hub/nginx:v1"
  refused docker_as alice push "$hub/nginx:v1"
  digest=$(index_pushed root nginx:v1)
  operate repo visibility nginx public
  is "$(index_pulled nobody library/nginx:v1)" "$digest" digest
  docker tag "$hub/nginx:v1" "$hub/library/nginx:v2"
  digest=$(index_pushed root library/nginx:v2)
  is "$(index_pulled nobody nginx:v2)" "$digest" digest
  # Nobody else makes a namespace of that name.
  refused operate user create library <<<"$(password library)"
}

# --- Search --------------------------------------------------------------------------

# index_found WHO TERM: what docker search prints, a line each.
index_found() {
  docker_as "$1" search --no-trunc --format '{{.Name}}|{{.Description}}|{{.StarCount}}|{{.IsOfficial}}' "$hub/$2" | sort
}

index_search() {
  local header
  is "$(index_found nobody web)" 'alice/web||0|' "what nobody finds"
  is "$(index_found nobody nginx)" 'nginx||0|[OK]' "what nobody finds that is official"
  is "$(index_found nobody library/nginx)" 'nginx||0|[OK]' "what nobody finds by its other name"
  is "$(index_found nobody app)$(index_found bob app)" "" "what nobody and an outsider find of what is private"
  is "$(index_found rita app)" 'acme/app||0|' "what a member finds"
  is "$(docker_as rita search --filter is-official=true --format '{{.Name}}' "$hub/nginx")" nginx "what is official"
  header=$(docker_as nobody search "$hub/web" | head -n 1)
  matches "$header" '^NAME +DESCRIPTION +STARS +OFFICIAL'
}

# podman_found TERM: what podman search prints, a line each.
podman_found() {
  podman search --no-trunc --format '{{.Name}}|{{.Description}}|{{.Stars}}|{{.Official}}' "$hub/$1" | sort
}

index_podman_search() {
  local said
  is "$(podman_found web)" "$hub/alice/web||0|" "what podman finds"
  is "$(podman_found nginx)" "$hub/nginx||0|[OK]" "what podman finds that is official"
  # Podman searches without credentials; its list of all is with them.
  podman_login rita "$(password rita)"
  said=$(podman search --authfile "$index/rita.json" --format '{{.Name}}' "$hub/")
  contains "$said" "$hub/acme/app"
  said=$(podman search --authfile "$index/rita.json" --list-tags "$hub/acme/app")
  contains "$said" ci
  echo '{}' >"$tmp/none.json"
  said=$(podman search --authfile "$tmp/none.json" --format '{{.Name}}' "$hub/")
  contains "$said" "$hub/alice/web"
  if [[ $said == *acme/app* ]]; then fail "nobody finds what is private: $said"; fi
}

index_described() {
  operate repo describe alice/web --description 'a page of Alice, to look at'
  operate repo describe nginx --description 'looks after pages'
  operate repo describe acme/app --description "a page that is nobody else's"
  is "$(api /repositories/alice/web/-/star -X PUT -u "bob:$(password bob)" -o "$tmp/body" -w '%{http_code}')" 200 "status of a star"
  is "$(index_found nobody page)" $'alice/web|a page of Alice, to look at|1|\nnginx|looks after pages|0|[OK]' "what nobody finds"
  is "$(index_found bob page)" "$(index_found nobody page)" "what an outsider finds"
  contains "$(index_found rita page)" "acme/app|a page that is nobody else's|0|"
  is "$(index_found rita page | wc -l)" 3 "what a member finds"
  is "$(docker_as nobody search --filter stars=1 --format '{{.Name}}' "$hub/page")" alice/web "what has a star"
  is "$(docker_as rita search --limit 1 --format '{{.Name}}' "$hub/page" | wc -l)" 1 "results of one"
  is "$(podman_found page)" "$hub/alice/web|a page of Alice, to look at|1|"$'\n'"$hub/nginx|looks after pages|0|[OK]" "what podman finds"
}

# --- Other clients -------------------------------------------------------------------

index_podman() {
  contains "$(refused podman_login will 'not his password')" "invalid username/password"
  contains "$(podman_login will "$(password will)")" "Login Succeeded"
  podman pull --authfile "$index/will.json" "$hub/acme/app:v1"
  podman push --authfile "$index/will.json" --digestfile "$tmp/digest" "$hub/acme/app:v1" "docker://$hub/acme/podman:v1"
  is "$(skopeo inspect --creds "rita:$(password rita)" --format '{{.Digest}}' "docker://$hub/acme/podman:v1")" \
    "$(<"$tmp/digest")" digest
  echo '{}' >"$tmp/none.json"
  matches "$(refused podman pull --authfile "$tmp/none.json" "$hub/acme/podman:v1")" 'authentication required|unauthorized'
  podman pull --authfile "$tmp/none.json" "$hub/alice/web:v1"
  podman logout --authfile "$index/will.json" "$hub"
  refused podman pull --authfile "$index/will.json" "$hub/acme/podman:v1"
  podman rmi --all --force
}

index_skopeo() {
  local writer maintainer secret
  writer=will:$(password will)
  maintainer=max:$(password max)
  skopeo copy --all --dest-creds "$writer" "oci:$work/layout:multi" "docker://$hub/acme/multi:v1"
  skopeo copy --all --src-creds "rita:$(password rita)" "docker://$hub/acme/multi:v1" "dir:$tmp/copy"
  is "$(digest_of "$tmp/copy/manifest.json")" "$multi_digest" digest
  # From one repository to another, each by who may.
  skopeo copy --all --src-creds "$writer" --dest-creds "alice:$(password alice)" \
    "docker://$hub/acme/multi:v1" "docker://$hub/alice/multi:v1"
  refused skopeo copy --all --src-creds "bob:$(password bob)" "docker://$hub/acme/multi:v1" "dir:$tmp/theft"
  refused skopeo copy --all --dest-creds "rita:$(password rita)" "oci:$work/layout:multi" "docker://$hub/acme/multi:v2"
  refused skopeo delete --creds "$writer" "docker://$hub/acme/multi:v1"
  is "$(skopeo list-tags --creds "$writer" "docker://$hub/acme/multi" | jq -c .Tags)" '["v1"]' tags
  skopeo delete --creds "$maintainer" "docker://$hub/acme/multi:v1"
  refused skopeo inspect --creds "$maintainer" "docker://$hub/acme/multi:v1"
  secret=$(operate token create max cleaner --limit 'acme/multi=pull,delete')
  skopeo copy --all --dest-creds "$writer" "oci:$work/layout:multi" "docker://$hub/acme/multi:v3"
  refused skopeo copy --all --dest-creds "max:$secret" "oci:$work/layout:web" "docker://$hub/acme/multi:v4"
  skopeo delete --creds "max:$secret" "docker://$hub/acme/multi:v3"
}

index_buildah() {
  local container secret
  secret=$(operate token create alice builder --limit 'acme/*=pull,push')
  container=$(buildah from scratch)
  random_file 10000 "$tmp/file"
  buildah copy "$container" "$tmp/file" /file
  buildah commit --rm "$container" index-image
  buildah push --creds "alice:$secret" --digestfile "$tmp/digest" index-image "docker://$hub/acme/buildah:v1"
  refused buildah push --creds "alice:$secret" index-image "docker://$hub/alice/buildah:v1"
  buildah rmi --all --force
  buildah pull --creds "rita:$(password rita)" "$hub/acme/buildah:v1"
  buildah rmi --all --force
}

index_containerd() {
  local hosts=(--hosts-dir "$index/hosts.d") writer
  writer=will:$(password will)
  skopeo copy "oci:$work/layout:web" "oci-archive:$tmp/web.tar:v1"
  ctr images import --base-name "$hub/acme/ctr" "$tmp/web.tar"
  refused ctr images push "${hosts[@]}" "$hub/acme/ctr:v1"
  refused ctr images push "${hosts[@]}" --user "bob:$(password bob)" "$hub/acme/ctr:v1"
  ctr images push "${hosts[@]}" --user "$writer" "$hub/acme/ctr:v1"
  ctr_forget
  refused ctr images pull "${hosts[@]}" "$hub/acme/ctr:v1"
  refused ctr images pull "${hosts[@]}" --user "rita:not her password" "$hub/acme/ctr:v1"
  ctr images pull "${hosts[@]}" --user "rita:$(password rita)" "$hub/acme/ctr:v1"
  is "$(ctr_digest "$hub/acme/ctr:v1")" "$web_digest" digest
  ctr images pull "${hosts[@]}" "$hub/alice/web:v1"
  ctr_forget
}

# Debian's registry:2 verifies with our certificates, and sends its clients to us.
index_other() {
  local digest
  curl -fsS --cacert "$index/certs/ca.crt" -o "$index/bundle.pem" "https://$hub/auth/certificate.pem"
  openssl x509 -in "$index/bundle.pem" -noout -subject
  cat >"$index/other.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $index/other}}
http:
  addr: 10.78.0.1:5444
  tls: {certificate: $index/certs/hub.crt, key: $index/certs/hub.key}
auth:
  token: {realm: "https://$hub/auth/token", service: other, issuer: layerhouse, rootcertbundle: $index/bundle.pem}
YAML
  /usr/bin/docker-registry serve "$index/other.yml" >"$index/other.log" 2>&1 &
  within 10 curl -sS --cacert "$index/certs/ca.crt" -o "$tmp/body" "https://$other/v2/"
  refused sign_in_as alice alice 'not her password' "$other"
  contains "$(sign_in_as alice alice "$(password alice)" "$other")" "Login Succeeded"
  contains "$(sign_in_as bob bob "$(password bob)" "$other")" "Login Succeeded"
  docker tag "$hub/alice/web:v1" "$other/alice/there:v1"
  digest=$(index_pushed alice alice/there:v1 "$other")
  is "$(index_pulled alice alice/there:v1 "$other")" "$digest" digest
  refused docker_as bob pull "$other/alice/there:v1"
  refused docker_as nobody pull "$other/alice/there:v1"
  docker tag "$hub/alice/web:v1" "$other/alice/web:v1"
  refused docker_as bob push "$other/alice/web:v1"
  # What is public here, all may pull there.
  digest=$(index_pushed alice alice/web:v1 "$other")
  is "$(index_pulled nobody alice/web:v1 "$other")" "$digest" digest
}

# --- What is taken away --------------------------------------------------------------

index_disabled() {
  docker_as max pull "$hub/acme/app:v1"
  operate user disable max
  refused docker_as max pull "$hub/acme/app:v1"
  refused docker_as max push "$hub/acme/app:v1"
  matches "$(refused sign_in_as again max "$(password max)")" '401 Unauthorized|unauthorized'
  operate user enable max
  docker_as max pull "$hub/acme/app:v1"
}

index_removed() {
  docker_as will push "$hub/acme/app:v1"
  operate org member remove acme will
  refused docker_as will pull "$hub/acme/app:v1"
  refused docker_as will push "$hub/acme/app:v1"
  # Whose name is still good.
  docker_as will pull "$hub/alice/web:v1"
}

index_logout() {
  docker_as alice pull "$hub/alice/second:v1"
  contains "$(docker_as alice logout "$hub")" "Removing login credentials"
  is "$(jq -r ".auths[\"$hub\"]" "$index/clients/alice/config.json")" null "what config.json keeps"
  refused docker_as alice pull "$hub/alice/second:v1"
  refused docker_as alice push "$hub/alice/web:v1"
}

index_audit() {
  local events event
  events=$(operate audit list -o json -n 500)
  jq -r '.[] | [.actor, .address, .action, .subject] | join(" ")' <<<"$events" >"$tmp/events"
  for event in user.create\ alice organization.create\ acme member.set\ acme member.remove\ acme \
    repository.visibility\ alice/web token.create\ alice robot.rotate\ acme+ci user.update\ max; do
    contains "$(<"$tmp/events")" "console console $event"
  done
  if grep -E 'lh[pru]_|good password' <<<"$events"; then fail "a secret is in the audit"; fi
  if grep -E 'lh[priu]_[a-z2-7]|good password' "$index/log"; then fail "a secret is in the log"; fi
}

index_ends() {
  kill -TERM "$(<"$index/pid")"
  within 30 test -s "$index/exit" || fail "it did not end within 30 s"
  is "$(<"$index/exit")" 0 "exit status"
  timeout 120 "$program" verify --config "$index/config.yml"
  if grep -a -n -i -E 'panicked at|"?status"?[=:]5[0-9]{2}' "$index/log" "$index/out"; then fail "a panic or a 5xx answer"; fi
  # The commands open the directory themselves now.
  is "$(operate user show alice -o json | jq -r .name)" alice "a user of the stopped server"
}
