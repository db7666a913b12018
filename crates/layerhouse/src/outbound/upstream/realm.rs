//! Which token service is asked, for what, and whether it is told who we are (S30). Pure.

use reqwest::Url;

use super::challenge::Challenge;
use super::resource::Resource;

/// A question for a token service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenQuestion {
    /// Where it is.
    pub(super) realm: Url,
    /// The same, with service and scope in its query.
    pub(super) url: Url,
    /// Why it is not told the login; `None` if it may be.
    pub(super) distrust: Option<&'static str>,
    pub(super) service: String,
    pub(super) scope: String,
}

/// What to ask for `resource`; in words, why nothing is asked.
///
/// The realm is the upstream's word. It is told the login only if it is on the endpoint's own host, or on one
/// that the operator named, and over TLS; over plain HTTP only on the host of an endpoint that is itself
/// spoken to so. `endpoint` is `None` for a host that a redirection led to: that one has no login.
pub(super) fn question(
    challenge: &Challenge,
    resource: Resource<'_>,
    endpoint: Option<&Url>,
    auth_hosts: &[String],
) -> Result<TokenQuestion, String> {
    let said = challenge
        .parameter("realm")
        .ok_or("its challenge names no realm")?;
    let mut url = Url::parse(said).map_err(|_| "the realm of its challenge is no URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "the realm of its challenge begins with {}:",
            url.scheme()
        ));
    }
    let distrust = distrust(&url, endpoint, auth_hosts);
    let wrong = |()| "the realm of its challenge is no URL of a host";
    url.set_username("").map_err(wrong)?;
    url.set_password(None).map_err(wrong)?;
    url.set_fragment(None);
    let service = challenge
        .parameter("service")
        .unwrap_or_default()
        .to_owned();
    let scope = scope(challenge.parameter("scope"), resource);
    let realm = url.clone();
    {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", &service);
        }
        query.append_pair("scope", &scope);
    }
    Ok(TokenQuestion {
        realm,
        url,
        distrust,
        service,
        scope,
    })
}

/// Why a realm is not told the login of an endpoint.
fn distrust(realm: &Url, endpoint: Option<&Url>, auth_hosts: &[String]) -> Option<&'static str> {
    const ELSEWHERE: &str =
        "it is neither the upstream's own host nor in `authhosts` (`--auth-host`)";
    let Some(endpoint) = endpoint else {
        return Some(ELSEWHERE);
    };
    let host = realm.host_str().unwrap_or_default();
    if !realm.username().is_empty() || realm.password().is_some() {
        return Some("its URL has a login of its own in it");
    }
    let is_own = endpoint.host_str() == Some(host);
    let is_named = auth_hosts
        .iter()
        .any(|named| named.eq_ignore_ascii_case(host));
    if !is_own && !is_named {
        return Some(ELSEWHERE);
    }
    let is_plain_alike = is_own && endpoint.scheme() == "http" && realm.scheme() == "http";
    (realm.scheme() != "https" && !is_plain_alike).then_some("it is not asked over TLS")
}

/// What the upstream wants asked for, unless it is more than is meant to be done.
fn scope(said: Option<&str>, resource: Resource<'_>) -> String {
    const SCOPE_BYTES_MAX: usize = 1 << 10;
    let is_meant = |scope: &&str| scope.len() <= SCOPE_BYTES_MAX && resource.covers(scope);
    said.filter(is_meant)
        .map_or_else(|| resource.scope(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::challenge::parse;
    use super::*;

    fn ask(realm: &str, endpoint: Option<&str>, hosts: &[&str]) -> Result<bool, String> {
        let challenge = parse(&format!("Bearer realm=\"{realm}\""));
        let endpoint = endpoint.map(|url| url.parse::<Url>().expect("a URL"));
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let name = "a/b".parse().expect("a name");
        question(
            &challenge[0],
            Resource::Pull(&name),
            endpoint.as_ref(),
            &hosts,
        )
        .map(|asked| asked.distrust.is_none())
    }

    /// S30
    #[test]
    fn sec_s30_only_the_own_realm_is_told_the_login() {
        let check = |realm: &str, endpoint: &str, hosts: &[&str], expected: bool| {
            let found = ask(realm, Some(endpoint), hosts);
            assert_eq!(found, Ok(expected), "{realm} of {endpoint}");
        };
        let hub = "https://registry-1.docker.io";
        let auth: &[&str] = &["auth.docker.io"];
        check("https://auth.docker.io/token", hub, auth, true);
        check("https://AUTH.docker.io/token", hub, auth, true);
        check("https://auth.docker.io:8443/token", hub, auth, true);
        check("http://auth.docker.io/token", hub, auth, false);
        check(
            "https://auth.docker.io.evil.example/token",
            hub,
            auth,
            false,
        );
        check("https://evil.example/auth.docker.io", hub, auth, false);
        check(
            "https://auth.docker.io@evil.example/token",
            hub,
            auth,
            false,
        );
        check("https://evil@auth.docker.io/token", hub, auth, false);
        check("https://auth.docker.io\\\\@evil.example/", hub, auth, true);
        check("https://xauth.docker.io/token", hub, auth, false);
        check("https://docker.io/token", hub, auth, false);
        check("https://registry-1.docker.io/token", hub, auth, true);
        check("https://registry-1.docker.io./token", hub, auth, false);
        check("http://registry-1.docker.io/token", hub, auth, false);
        check("https://1.2.3.4/token", hub, auth, false);
        check(
            "https://auth.example/token",
            "https://r.example",
            &[],
            false,
        );
        let plain = "http://127.0.0.1:5000";
        check("http://127.0.0.1:5001/token", plain, &[], true);
        check("https://127.0.0.1/token", plain, &[], true);
        check("http://[::ffff:127.0.0.1]/token", plain, &[], false);
        check("http://auth.example/token", plain, &["auth.example"], false);
        assert_eq!(
            ask("https://cdn.example/token", None, &["cdn.example"]),
            Ok(false)
        );
    }

    #[test]
    fn realms_are_urls() {
        let check = |realm: &str, expected: &str| {
            let found = ask(realm, Some("https://r.example"), &[]);
            assert_eq!(found, Err(expected.to_owned()), "{realm}");
        };
        check("", "its challenge names no realm");
        check("/token", "the realm of its challenge is no URL");
        check("token", "the realm of its challenge is no URL");
        check(
            "file:///etc/passwd",
            "the realm of its challenge begins with file:",
        );
        check(
            "gopher://r.example/",
            "the realm of its challenge begins with gopher:",
        );
        check("https://", "the realm of its challenge is no URL");
    }

    #[test]
    fn it_is_asked_for_a_pull_and_no_more() {
        let name = "a/b".parse().expect("a name");
        let pull = Resource::Pull(&name);
        let check = |said: &str, expected: &str| {
            assert_eq!(scope(Some(said), pull), expected, "{said}");
        };
        check(
            "repository:library/nginx:pull",
            "repository:library/nginx:pull",
        );
        check("repository:host:5000/x:pull", "repository:host:5000/x:pull");
        check("repository:a/b:pull,push", "repository:a/b:pull");
        check("repository:a/b:*", "repository:a/b:pull");
        check("registry:catalog:*", "repository:a/b:pull");
        check("repository:pull", "repository:a/b:pull");
        check("", "repository:a/b:pull");
        check(
            &format!("repository:{}:pull", "x".repeat(2000)),
            "repository:a/b:pull",
        );
        let challenge = parse(
            "Bearer realm=\"https://u:p@r.example/t?x=1#f\",service=\"a b\",scope=\"repository:c:pull\"",
        );
        let asked = question(&challenge[0], pull, None, &[]).expect("it is a URL");
        let url = "https://r.example/t?x=1&service=a+b&scope=repository%3Ac%3Apull";
        assert_eq!(asked.url.as_str(), url);
    }
}
