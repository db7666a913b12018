//! The differences from registry:2 that were chosen: all that the comparison lets pass, and why.

use super::compare::matches;

/// A difference that may be, and is to be seen somewhere in the traffic.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The row of `docs/reference/differences.md` that says why.
    pub(super) id: &'static str,
    /// Settings, requests and differences that it is about, with `*` for anything.
    pub(super) setting: &'static str,
    pub(super) request: &'static str,
    pub(super) difference: &'static str,
}

const fn row(
    id: &'static str,
    setting: &'static str,
    request: &'static str,
    difference: &'static str,
) -> Chosen {
    Chosen {
        id,
        setting,
        request,
        difference,
    }
}

#[rustfmt::skip]
pub(super) const CHOSEN: &[Chosen] = &[
    // What stands around every answer.
    row("headers", "*", "*", "x-content-type-options: none → nosniff"),
    row("headers", "*", "*/", "docker-distribution-api-version: none → registry/2.0"),
    row("headers", "*", "GET / Authorization: -", "docker-distribution-api-version: none → registry/2.0"),
    row("location", "*", "*", "location: host/* → /*"),
    // Paths and methods.
    row("headers", "headers", "GET /", "*: none → *"),
    row("headers", "deletes", "DELETE /v2/acme/web/blobs/*", "docker-content-digest: none → sha256:*"),
    row("json-errors", "prefix", "GET ^/v2/", "outcome: 404 → 404 NAME_UNKNOWN"),
    row("json-errors", "prefix", "GET /", "outcome: 404 → 404 NAME_UNKNOWN"),
    row("json-errors", "*", "GET /v*", "outcome: 404 → 404 NAME_UNKNOWN"),
    row("json-errors", "*", "*", "outcome: 405 → 405 UNSUPPORTED"),
    row("json-errors", "*", "*", "allow: GET → GET, HEAD, OPTIONS"),
    row("json-errors", "*", "*", "allow: DELETE, GET, HEAD → GET, HEAD, DELETE, OPTIONS"),
    row("json-errors", "*", "*", "allow: DELETE, GET, HEAD, PUT → GET, HEAD, PUT, DELETE, OPTIONS"),
    row("methods", "*", "HEAD /v2/_catalog", "outcome: 405 → 200"),
    row("methods", "*", "HEAD /v2/_catalog", "allow: GET → none"),
    row("methods", "*", "POST /v2/", "*: * → *"),
    row("methods", "*", "BREW /v2/*", "*: * → *"),
    row("methods", "*", "* /v2/acme/web/blobs/uploads/", "allow: none → POST, OPTIONS"),
    row("methods", "*", "* /v2/acme/web/blobs/uploads/", "outcome: 404 BLOB_UPLOAD_UNKNOWN → 405 UNSUPPORTED"),
    row("slashes", "*", "GET /v2", "outcome: 301 → 200"),
    row("slashes", "*", "POST /v2/acme/web/blobs/uploads", "outcome: 301 → 202"),
    row("slashes", "*", "GET /v2/_catalog/", "outcome: 301 → 404 NAME_UNKNOWN"),
    row("slashes", "*", "GET /v2/acme/web/tags/list/", "outcome: 301 → 404 NAME_UNKNOWN"),
    row("slashes", "*", "GET /v2/acme//web/tags/list", "outcome: 301 → 400 NAME_INVALID"),
    row("slashes", "*", "GET /v2/acme/../web/tags/list", "outcome: 301 → 400 NAME_INVALID"),
    row("names", "*", "* /v2/Acme/*", "outcome: * → 400 NAME_INVALID"),
    row("names", "*", "*", "outcome: 404 → 400 NAME_INVALID"),
    row("names", "*", "*", "outcome: 404 → 400 TAG_INVALID"),
    row("names", "*", "GET *", "outcome: 500 UNKNOWN → 400 TAG_INVALID"),
    row("names", "*", "*", "outcome: 404 → 400 DIGEST_INVALID"),
    row("options", "*", "OPTIONS *", "outcome: 200 → 204"),
    row("options", "*", "OPTIONS * Authorization: -", "outcome: 401 UNAUTHORIZED → 204"),
    row("options", "*", "OPTIONS *", "allow: * → GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    // Blobs and uploads.
    row("unknown-upload", "*", "* /v2/acme/web/blobs/uploads/*", "outcome: 404 BLOB_UPLOAD_INVALID → 404 BLOB_UPLOAD_UNKNOWN"),
    row("upload-state", "*", "PATCH $opened *", "outcome: 404 BLOB_UPLOAD_INVALID → 202"),
    row("chunk-offset", "*", "PATCH $upload 8-11 *", "outcome: 202 → 416 BLOB_UPLOAD_INVALID"),
    row("chunk-offset", "*", "PATCH $upload Content-Range: x-y *", "outcome: 202 → 400 RANGE_INVALID"),
    row("single-post", "*", "POST /v2/acme/web/blobs/uploads/?digest=$sha256(single) *", "outcome: 202 → 201"),
    row("single-post", "*", "POST /v2/acme/web/blobs/uploads/?digest=abcd *", "outcome: 202 → 400 DIGEST_INVALID"),
    row("ranges", "*", "GET * Range: bytes=240000-", "outcome: broken → 416 RANGE_INVALID"),
    row("ranges", "*", "GET * Range: bytes=5-4", "outcome: broken → 200"),
    row("ranges", "*", "GET * Range: lines=1-2", "outcome: broken → 200"),
    row("ranges", "*", "GET * Range: bytes=0-0,2-3", "outcome: 206 → 200"),
    row("ranges", "*", "HEAD * Range: bytes=0-9", "outcome: 206 → 200"),
    row("not-modified", "*", "* If-None-Match: *", "accept-ranges: none → bytes"),
    row("not-modified", "*", "* If-None-Match: *", "content-type: none → application/*"),
    row("not-modified", "*", "* If-None-Match: *", "docker-content-digest: none → sha256:*"),
    row("not-modified", "*", "* If-None-Match: *", "etag: none → \"sha256:*\""),
    row("mounts", "*", "POST /v2/acme/api/blobs/uploads/?mount=abcd&from=acme/web", "outcome: 202 → 400 DIGEST_INVALID"),
    row("mounts", "*", "POST /v2/acme/api/blobs/uploads/?mount=$sha256(efgh)", "outcome: 202 → 201"),
    row("mounts", "*", "GET /v2/acme/api/blobs/$sha256(efgh)", "outcome: 404 BLOB_UNKNOWN → 200"),
    row("upload-restart", "plain", "GET $upload", "outcome: 404 BLOB_UPLOAD_INVALID → 204"),
    row("upload-restart", "plain", "PATCH $upload 'efgh'", "outcome: 404 BLOB_UPLOAD_INVALID → 202"),
    row("read-only", "readonly", "GET $upload", "outcome: 204 → 405 UNSUPPORTED"),
    row("read-only", "readonly", "GET $upload", "allow: none → GET, HEAD"),
    // Who may.
    row("upload-scope", "*", "GET /v2/acme/web/blobs/uploads/* Authorization: -", "www-authenticate: *:pull\" → *"),
    row("upload-scope", "*", "GET /v2/acme/web/blobs/uploads/* Authorization: -", "body: *\"pull\"* → *\"pull\"*\"push\"*"),
    row("upload-scope", "*", "DELETE /v2/acme/web/blobs/uploads/* Authorization: -", "www-authenticate: *:delete\" → *"),
    row("upload-scope", "*", "DELETE /v2/acme/web/blobs/uploads/* Authorization: -", "body: *\"delete\"* → *\"pull\"*\"push\"*"),
    row("mounts", "token", "POST /v2/acme/web/blobs/uploads/?mount=* Authorization: $star", "outcome: 401 UNAUTHORIZED → 202"),
    row("token-audience", "token", "* Authorization: $audiences", "outcome: 401 UNAUTHORIZED → *"),
    // Manifests.
    row("accept", "*", "GET /v2/acme/web/manifests/*", "outcome: 404 MANIFEST_UNKNOWN → 200"),
    row("schema1", "*", "GET /v2/acme/web/manifests/*", "outcome: 400 MANIFEST_INVALID → 200"),
    row("missing-content", "*", "PUT *", "outcome: 400 MANIFEST_BLOB_UNKNOWN* → 404 MANIFEST_BLOB_UNKNOWN"),
    row("manifest-invalid", "*", "PUT * '{}'", "outcome: 500 UNKNOWN → 400 MANIFEST_INVALID"),
    row("manifest-invalid", "*", "PUT * $oldVersion", "outcome: 500 UNKNOWN → 400 MANIFEST_INVALID"),
    row("manifest-invalid", "*", "PUT * $repeated", "outcome: 201 → 400 MANIFEST_INVALID"),
    row("manifest-size", "*", "PUT * $tooLarge", "outcome: 400 MANIFEST_INVALID → 413 SIZE_INVALID"),
    row("manifest-size", "*", "PUT * $large", "outcome: 400 MANIFEST_INVALID → 404 MANIFEST_BLOB_UNKNOWN"),
    row("manifest-size", "*", "PUT * $large", "outcome: 400 MANIFEST_INVALID → 201"),
    row("manifest-type", "*", "PUT /v2/acme/web/manifests/untyped $small", "outcome: 400 MANIFEST_INVALID → 201"),
    row("foreign-layers", "*", "PUT * $foreign", "outcome: 500 UNKNOWN UNKNOWN MANIFEST_BLOB_UNKNOWN → 201"),
    row("foreign-layers", "urls", "PUT *", "outcome: 500 UNKNOWN UNKNOWN MANIFEST_BLOB_UNKNOWN → 400 MANIFEST_INVALID"),
    row("delete-tag", "deletes", "DELETE /v2/acme/web/manifests/unknown", "outcome: 400 DIGEST_INVALID → 404 MANIFEST_UNKNOWN"),
    row("delete-tag", "deletes", "DELETE /v2/acme/web/manifests/v1", "outcome: 400 DIGEST_INVALID → 202"),
    row("delete-needed", "*", "DELETE *", "outcome: 202 → 405 UNSUPPORTED"),
    row("referrers", "*", "GET /v2/acme/web/referrers/*", "outcome: 404 → 200"),
    // Lists.
    row("catalog-limit", "*", "GET /v2/_catalog?n=*", "outcome: 400 PAGINATION_NUMBER_INVALID → 200"),
    row("page-number", "*", "GET /v2/_catalog?n=*", "outcome: 200 → 400 PAGINATION_NUMBER_INVALID"),
    row("no-tags", "*", "GET /v2/acme/*/tags/list", "outcome: 404 NAME_UNKNOWN → 200"),
    row("no-tags", "deletes", "GET /v2/acme/only/tags/list", "body: *null}* → *[]}*"),
    row("tags-list", "*", "GET /v2/acme/web/tags/list", "order of tags: true → false"),
    row("tags-list", "*", "GET /v2/acme/web/tags/list?n=2", "body: * → *[\\\"all\\\",\\\"docker\\\"]*"),
    row("tags-list", "*", "GET /v2/acme/web/tags/list?n=0", "body: * → *[]*"),
    row("tags-list", "*", "GET /v2/acme/web/tags/list?last=v1", "body: * → *[\\\"v2\\\"]*"),
    row("tags-list", "*", "GET /v2/acme/web/tags/list?n=2", "link: none → </v2/acme/web/tags/list?last=docker&n=2>; rel=\"next\""),
];

/// Differences that need more than requests, and the tests that show what Layerhouse does.
pub(super) const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    (
        "redirect-path",
        "middleware::objects_are_pulled_from_another_server",
    ),
    (
        "cloudfront-hash",
        "middleware::cloudfront_is_given_what_it_checks",
    ),
    (
        "token-keys",
        "auth::token::sec_s01_forged_tokens_are_all_refused_alike",
    ),
    ("weak-keys", "not shown: what aws-lc and webpki refuse"),
    (
        "users-file",
        "auth::htpasswd::the_file_changes_under_a_running_server",
    ),
    (
        "guessing",
        "auth::htpasswd::passwords::who_guesses_waits_and_others_do_not",
    ),
    (
        "health-paths",
        "health_checks::a_file_takes_the_registry_out_of_service",
    ),
    ("health-storage", "health_checks"),
    (
        "health-http",
        "health_checks::what_others_answer_is_checked",
    ),
    ("access-log", "logs::sec_s49_the_access_log_is_apaches"),
    (
        "request-event",
        "logs::sec_s49_json_events_have_the_names_of_their_form",
    ),
    ("profiles", "metrics::the_debug_address_has_these_paths"),
    ("head-size", "logs::sec_s49_the_access_log_is_apaches"),
    (
        "events-kept",
        "notifications::fault_f01_events_are_of_just_what_was_committed",
    ),
    (
        "pull-not-modified",
        "notifications::everything_that_happens_to_an_image_is_told",
    ),
    ("second-writer", "uploads::an_upload_has_one_writer"),
    (
        "abandoned-uploads",
        "uploads::fault_f21_abandoned_uploads_give_their_space_back",
    ),
    (
        "full-disk",
        "faults::full_disk::fault_f03_a_layer_larger_than_the_disk_leaves_no_trace",
    ),
    (
        "damaged-blob",
        "damage::sec_s22_damaged_blobs_are_not_served_and_heal",
    ),
    (
        "proxy-login",
        "mirror::credentials::sec_s30_a_foreign_token_service_gets_no_password",
    ),
    (
        "proxy-addresses",
        "mirror::addresses::sec_s32_redirections_into_private_networks_are_not_followed",
    ),
    (
        "proxy-herd",
        "mirror::streaming::sec_s34_two_hundred_cold_pulls_ask_once_for_each_part",
    ),
    (
        "proxy-broken",
        "mirror::faults::fault_f14_mirror_goes_on_where_an_upstream_broke_off",
    ),
    (
        "proxy-exec",
        "config::bad_configurations_are_told_what_is_wrong",
    ),
];

/// Which rows allow a difference.
pub(super) fn rows(setting: &str, request: &str, difference: &str) -> Vec<usize> {
    let request = request.split_whitespace().collect::<Vec<_>>().join(" ");
    let allows = |row: &Chosen| {
        matches(row.setting, setting)
            && matches(row.request, &request)
            && matches(row.difference, difference)
    };
    let rows = CHOSEN.iter().enumerate().filter(|(_, row)| allows(row));
    rows.map(|(at, _)| at).collect()
}
