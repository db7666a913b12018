//! What requests ask for, as tables, and what holds for all of them.

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UPLOAD: &str = "6b3c9a93-af5d-473f-a4ff-9710022185cd";

/// `$digest` and `$upload` in the path stand for valid ones, and do so in what is told.
fn check(request: &str, expected: &str) {
    let (method, path) = request.split_once(' ').expect("method and path");
    let path = path.replace("$digest", DIGEST).replace("$upload", UPLOAD);
    let told = match Route::parse(method, &path) {
        Ok(route) => told(&route),
        Err(error) => error.to_string(),
    };
    let told = told.replace(DIGEST, "$digest").replace(UPLOAD, "$upload");
    assert_eq!(told, expected, "{request}");
}

fn told(route: &Route) -> String {
    match route {
        Route::Base => "base".to_owned(),
        Route::Catalog => "catalog".to_owned(),
        Route::Preflight => "preflight".to_owned(),
        Route::ListTags { repository } => format!("list tags of {repository}"),
        Route::ListReferrers {
            repository,
            subject,
        } => {
            format!("list referrers in {repository} to {subject}")
        }
        Route::PullManifest {
            repository,
            reference,
        } => {
            format!("pull manifest {reference} of {repository}")
        }
        Route::PushManifest {
            repository,
            reference,
        } => {
            format!("push manifest {reference} to {repository}")
        }
        Route::DeleteManifest {
            repository,
            reference,
        } => {
            format!("delete manifest {reference} of {repository}")
        }
        Route::PullBlob { repository, digest } => format!("pull blob {digest} of {repository}"),
        Route::DeleteBlob { repository, digest } => {
            format!("delete blob {digest} of {repository}")
        }
        Route::StartUpload { repository } => format!("start upload to {repository}"),
        Route::UploadStatus { repository, upload } => format!("status of {upload} to {repository}"),
        Route::PushChunk { repository, upload } => format!("chunk of {upload} to {repository}"),
        Route::FinishUpload { repository, upload } => format!("finish {upload} to {repository}"),
        Route::CancelUpload { repository, upload } => format!("cancel {upload} to {repository}"),
    }
}

#[test]
fn every_endpoint_has_its_route() {
    check("GET /v2/", "base");
    check("GET /v2", "base");
    check("GET /v2/_catalog", "catalog");
    check("GET /v2/acme/web/tags/list", "list tags of acme/web");
    check(
        "GET /v2/acme/web/referrers/$digest",
        "list referrers in acme/web to $digest",
    );
    check(
        "GET /v2/acme/web/manifests/v1.0",
        "pull manifest v1.0 of acme/web",
    );
    check(
        "HEAD /v2/web/manifests/$digest",
        "pull manifest $digest of web",
    );
    check(
        "PUT /v2/acme/web/manifests/latest",
        "push manifest latest to acme/web",
    );
    check(
        "DELETE /v2/acme/web/manifests/$digest",
        "delete manifest $digest of acme/web",
    );
    check(
        "GET /v2/acme/web/blobs/$digest",
        "pull blob $digest of acme/web",
    );
    check(
        "HEAD /v2/acme/web/blobs/$digest",
        "pull blob $digest of acme/web",
    );
    check(
        "DELETE /v2/acme/web/blobs/$digest",
        "delete blob $digest of acme/web",
    );
    check(
        "POST /v2/acme/web/blobs/uploads/",
        "start upload to acme/web",
    );
    check(
        "POST /v2/acme/web/blobs/uploads",
        "start upload to acme/web",
    );
    check(
        "GET /v2/acme/web/blobs/uploads/$upload",
        "status of $upload to acme/web",
    );
    check(
        "PATCH /v2/acme/web/blobs/uploads/$upload",
        "chunk of $upload to acme/web",
    );
    check(
        "PUT /v2/acme/web/blobs/uploads/$upload",
        "finish $upload to acme/web",
    );
    check(
        "DELETE /v2/acme/web/blobs/uploads/$upload",
        "cancel $upload to acme/web",
    );
}

#[test]
fn names_may_contain_the_words_of_paths() {
    check(
        "GET /v2/a/manifests/b/manifests/latest",
        "pull manifest latest of a/manifests/b",
    );
    check(
        "GET /v2/manifests/manifests/manifests",
        "pull manifest manifests of manifests",
    );
    check("GET /v2/a/manifests/tags/list", "list tags of a/manifests");
    check("GET /v2/tags/list/tags/list", "list tags of tags/list");
    check("GET /v2/tags/manifests/list", "pull manifest list of tags");
    check(
        "GET /v2/a/blobs/uploads/blobs/$digest",
        "pull blob $digest of a/blobs/uploads",
    );
    check(
        "POST /v2/blobs/uploads/blobs/uploads/",
        "start upload to blobs/uploads",
    );
    check(
        "GET /v2/a/blobs/uploads/manifests/uploads",
        "pull manifest uploads of a/blobs/uploads",
    );
    check("POST /v2/v2/blobs/uploads/", "start upload to v2");
    check(
        "GET /v2/a/blobs/manifests/blobs",
        "pull manifest blobs of a/blobs",
    );
}

#[test]
fn paths_are_decoded_once() {
    check("GET /v2/acme%2Fweb/tags/list", "list tags of acme/web");
    check("GET /v2%2f", "base");
    check(
        "GET /v2/web/manifests/%6catest",
        "pull manifest latest of web",
    );
    check(
        &format!("GET /v2/web/blobs/{}", DIGEST.replace(':', "%3A")),
        "pull blob $digest of web",
    );
    let takes = "cannot stand in a repository name: it takes a-z, 0-9, `.`, `_`, `-`, `/`";
    check("GET /v2/acme%252Fweb/tags/list", &format!("byte 4 {takes}"));
    check("GET /v2/a%/tags/list", &format!("byte 1 {takes}"));
    check("GET /v2/a+b/tags/list", &format!("byte 1 {takes}"));
    check("GET /v2/%c3%a9/tags/list", &format!("byte 0 {takes}"));
    check("GET /v2/%ff/tags/list", "there is nothing at this path");
    check("GET /v2/a%00/tags/list", "there is nothing at this path");
}

#[test]
fn names_cannot_climb() {
    let separator = "of the repository name does not part letters or digits";
    check(
        "GET /v2/../tags/list",
        &format!("the separator at byte 0 {separator}"),
    );
    check(
        "GET /v2/a/../b/tags/list",
        &format!("the separator at byte 2 {separator}"),
    );
    check(
        "GET /v2/a/%2e%2e/b/tags/list",
        &format!("the separator at byte 2 {separator}"),
    );
    check(
        "GET /v2//a/tags/list",
        &format!("the separator at byte 0 {separator}"),
    );
    check(
        "GET /v2/a//tags/list",
        &format!("the separator at byte 1 {separator}"),
    );
    check(
        "GET /v2/a/manifests/..",
        "byte 0 cannot stand there in a tag",
    );
    check("GET /v2/a/manifests/", "a tag has 1 to 128 bytes, not 0");
    check(
        "GET /v2/a/blobs/uploads/../../x",
        "there is nothing at this path",
    );
    check(
        "GET /v2/a/blobs/uploads/..",
        "the id of an upload has 36 bytes, not 2",
    );
}

#[test]
fn what_is_no_path_is_not_found() {
    for path in [
        "",
        "/",
        "*",
        "v2/",
        "/v1/",
        "/v2x",
        "/v2x/tags/list",
        "/v2a/tags/list",
        "/V2/",
        "//v2/",
        "/healthz",
        "/v2/_catalog/",
        "/v2/a",
        "/v2/a/tags",
        "/v2/a/tags/list/",
        "/v2/tags/list",
        "/v2/blobs/uploads/",
        "/v2/manifests/latest",
        "/v2/a/xblobs/b",
    ] {
        check(&format!("GET {path}"), "there is nothing at this path");
        check(&format!("OPTIONS {path}"), "there is nothing at this path");
    }
    check(
        "GET /v2//tags/list",
        "a repository name has 1 to 255 bytes, not 0",
    );
    check(
        "GET /v2/a/blobs/latest",
        "a digest is `sha256:` or `sha512:` and hex digits; there is no colon",
    );
}

#[test]
fn other_methods_learn_which_are_allowed() {
    check(
        "POST /v2/",
        "the methods of this path are GET, HEAD, OPTIONS",
    );
    check(
        "get /v2/",
        "the methods of this path are GET, HEAD, OPTIONS",
    );
    check(
        "PUT /v2/a/blobs/$digest",
        "the methods of this path are GET, HEAD, DELETE, OPTIONS",
    );
    check(
        "GET /v2/a/blobs/uploads/",
        "the methods of this path are POST, OPTIONS",
    );
    // The path decides, before anyone looks at the names in it.
    check(
        "POST /v2/A/manifests/..",
        "the methods of this path are GET, HEAD, PUT, DELETE, OPTIONS",
    );
    check("OPTIONS /v2/A/manifests/..", "preflight");
    check("OPTIONS /v2/", "preflight");
}

#[test]
fn the_table_agrees_with_itself() {
    let shapes = [
        Shape::Base,
        Shape::Catalog,
        Shape::Tags,
        Shape::Referrers,
        Shape::Manifest,
        Shape::Blob,
        Shape::Uploads,
        Shape::Upload,
    ];
    for shape in shapes {
        let of_shape = ENDPOINTS.iter().filter(|endpoint| endpoint.shape == shape);
        let mut methods: Vec<_> = of_shape
            .flat_map(|endpoint| endpoint.methods)
            .copied()
            .collect();
        methods.push("OPTIONS");
        methods.sort_unstable();
        let mut allowed: Vec<_> = shape.allow().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(methods, allowed, "{shape:?}");
    }
    let specs: Vec<_> = ENDPOINTS.iter().map(|endpoint| endpoint.spec).collect();
    assert_eq!(
        specs.join(" "),
        "end-1 end-2 end-3 end-4a end-4b end-11 end-5 end-6 end-7 end-8a end-8b end-9 end-10 \
         end-12a end-12b end-13 end-14 registry:2"
    );
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
    ])
}

proptest! {
    /// A repository named with the words of paths is never mistaken for another.
    #[test]
    fn the_right_end_decides(
        words in prop::collection::vec("blobs|uploads|manifests|tags|list|referrers|v2|a", 1..6),
        tag in "uploads|list|blobs|manifests|latest",
    ) {
        let repository: RepositoryName = words.join("/").parse().expect("words make names");
        let reference: Reference = tag.parse().expect("words are tags");
        let path = format!("/v2/{repository}/manifests/{tag}");
        let mut pulled = Route::PullManifest { repository: repository.clone(), reference };
        prop_assert_eq!(pulled.repository_mut(), Some(&mut repository.clone()));
        prop_assert_eq!(Route::parse("GET", &path), Ok(pulled));
        let digest: Digest = DIGEST.parse().expect("valid");
        let path = format!("/v2/{repository}/blobs/{digest}");
        let blob = Route::PullBlob { repository: repository.clone(), digest };
        prop_assert_eq!(Route::parse("GET", &path), Ok(blob));
        let path = format!("/v2/{repository}/blobs/uploads/");
        prop_assert_eq!(Route::parse("POST", &path), Ok(Route::StartUpload { repository }));
    }

    #[test]
    fn encoding_changes_nothing(path in "/v2/[a-z/]{0,9}/(tags/list|manifests/[a-z]{1,3}|blobs/uploads/)", method in method()) {
        let encode = |encoded, byte| format!("{encoded}%{byte:02x}");
        let encoded = path.bytes().fold(String::new(), encode);
        prop_assert_eq!(Route::parse(method, &path), Route::parse(method, &encoded));
    }

    #[test]
    fn any_path_has_an_answer(method in method(), path in "(/v2)?(/(blobs|uploads|tags|list|%[0-9a-f]{2}|[^a-z]{0,3}|_catalog)){0,6}|\\PC*") {
        if let Ok(mut route) = Route::parse(method, &path) {
            prop_assert!(path.starts_with("/v2"));
            let has_none = matches!(route, Route::Base | Route::Catalog | Route::Preflight);
            prop_assert_eq!(route.repository_mut().is_none(), has_none);
        }
    }
}
