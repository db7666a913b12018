//! Where a redirection leads. Pure.

use reqwest::Url;

/// Redirections followed before it is a loop.
pub(super) const HOPS_MAX: usize = 5;

/// Whether a status says that the answer is elsewhere.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The next URL: never from TLS to plain HTTP, and without a login in it (S31).
///
/// # Errors
/// Why it is not followed, in words that show its scheme and host alone, for the rest may be a signature.
pub(super) fn next_hop(from: &Url, location: Option<&str>) -> Result<Url, String> {
    let location = location.filter(|location| !location.is_empty());
    let location = location.ok_or("it redirects without saying where to")?;
    let wrong = || "it redirects to what is no URL".to_owned();
    let mut to = from.join(location).map_err(|_| wrong())?;
    let shown = || {
        let host = to.host_str().unwrap_or_default();
        format!("{}://{host}", to.scheme())
    };
    if !matches!(to.scheme(), "http" | "https") {
        return Err(format!("it redirects to {}, which is not HTTP", shown()));
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(format!("it redirects from TLS to {}", shown()));
    }
    to.set_username("").map_err(|()| wrong())?;
    to.set_password(None).map_err(|()| wrong())?;
    to.set_fragment(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S31
    #[test]
    fn sec_s31_redirections_lead_from_http_to_http_or_tls_alone() {
        let check = |from: &str, location: Option<&str>, expected: Result<&str, &str>| {
            let found = next_hop(&from.parse().expect("a URL"), location);
            let found = found.as_ref().map(Url::as_str).map_err(String::as_str);
            assert_eq!(found, expected, "{from} to {location:?}");
        };
        let tls = "https://registry.example.com/v2/a/blobs/b";
        let moved = "https://registry.example.com/v2/c";
        check(tls, Some("/v2/c"), Ok(moved));
        check(tls, Some("../../c"), Ok(moved));
        check(
            tls,
            Some("https://u:p@cdn.example.com/x?s=1#f"),
            Ok("https://cdn.example.com/x?s=1"),
        );
        check(
            tls,
            Some("//cdn.example.com:8443/"),
            Ok("https://cdn.example.com:8443/"),
        );
        let down = "it redirects from TLS to http://registry.example.com";
        check(
            tls,
            Some("http://registry.example.com/v2/c?secret"),
            Err(down),
        );
        let file = "it redirects to file://, which is not HTTP";
        check(tls, Some("file:///etc/passwd"), Err(file));
        let gopher = "it redirects to gopher://127.0.0.1, which is not HTTP";
        check(tls, Some("gopher://127.0.0.1:6379/_x"), Err(gopher));
        check(tls, Some("https://"), Err("it redirects to what is no URL"));
        check(tls, Some(""), Err("it redirects without saying where to"));
        check(tls, None, Err("it redirects without saying where to"));
        let plain = "http://registry.example.com/v2/";
        check(
            plain,
            Some("https://cdn.example.com/"),
            Ok("https://cdn.example.com/"),
        );
        // As browsers do, so that the filter of addresses sees what is connected to.
        check(plain, Some("http://0x7f.1/"), Ok("http://127.0.0.1/"));
    }

    #[test]
    fn some_statuses_redirect() {
        let found: Vec<u16> = (300..400).filter(|status| is_redirect(*status)).collect();
        assert_eq!(found, [301, 302, 303, 307, 308]);
    }
}
