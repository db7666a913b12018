//! What somebody who searches may mean: words, or a thing they name, perhaps as they copied it from a terminal.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

/// Longest text that is looked at, in bytes: a host, a name, a tag, a digest and a command around them.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// Fewest digits that are taken for the start of a digest: as many as Git shows of a commit.
const DIGITS_MIN: usize = 7;
/// Commands that a reference is copied with.
const TOOLS: [&str; 12] = [
    "docker", "podman", "nerdctl", "buildah", "skopeo", "crane", "regctl", "oras", "helm", "ctr",
    "crictl", "kubectl",
];
const SCHEMES: [&str; 4] = ["docker://", "oci://", "https://", "http://"];

/// What a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Aim {
    Repository(RepositoryName),
    Tag(RepositoryName, Tag),
    Manifest(RepositoryName, Digest),
    /// The start of a digest: `sha256:` and at least one digit.
    Digest(String),
    /// Nothing that could be told.
    Words,
}

/// What `text` names, where `host` is what this registry is called: `registry.example:5000`.
pub(in crate::api::ui) fn aim(text: &str, host: &str) -> Aim {
    let text = text.trim().trim_matches(['`', '"', '\'', '$']).trim();
    if TEXT_BYTES_MAX < text.len() {
        return Aim::Words;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [word] => named(word, host, None),
        ["sudo", rest @ ..] => command(rest, host),
        _ => command(&words, host),
    }
}

/// `docker pull HOST/NAME:TAG`, with whatever options.
fn command(words: &[&str], host: &str) -> Aim {
    let Some((tool, rest)) = words.split_first() else {
        return Aim::Words;
    };
    if !TOOLS.contains(tool) {
        return Aim::Words;
    }
    let version = rest
        .windows(2)
        .find_map(|pair| (pair[0] == "--version").then_some(pair[1]));
    // Options have values that look like names (`linux/amd64`), so what has our host in front comes first.
    let with_host = rest.iter().find(|word| without_host(word, host).is_some());
    let other = || rest.iter().rev().find(|word| !word.starts_with('-'));
    match with_host.or_else(other) {
        Some(word) => named(word, host, version),
        None => Aim::Words,
    }
}

/// What follows our own host, if that is in front.
fn without_host<'a>(word: &'a str, host: &str) -> Option<&'a str> {
    without_scheme(word).strip_prefix(host)?.strip_prefix('/')
}

fn without_scheme(word: &str) -> &str {
    let stripped = SCHEMES.iter().find_map(|scheme| word.strip_prefix(scheme));
    stripped.unwrap_or(word)
}

fn named(word: &str, host: &str, version: Option<&str>) -> Aim {
    if let Some(digest) = digest(word) {
        return Aim::Digest(digest);
    }
    let bare = without_scheme(word);
    let ours = without_host(word, host);
    let reference = ours.unwrap_or(bare).trim_end_matches('/');
    match parsed(reference) {
        // A name alone is a word like any other, unless somebody wrote more around it than a word needs.
        Aim::Repository(name) => match version.and_then(|version| version.parse().ok()) {
            Some(tag) => Aim::Tag(name, tag),
            None if ours.is_some() || bare.len() != word.len() => Aim::Repository(name),
            None => Aim::Words,
        },
        // Another host with a port in front, which no name can have: what of that name is here?
        Aim::Words => match reference.split_once('/') {
            Some((other, rest)) if other.contains(':') => parsed(rest),
            _ => Aim::Words,
        },
        aim @ (Aim::Tag(..) | Aim::Manifest(..) | Aim::Digest(_)) => aim,
    }
}

/// `NAME`, `NAME:TAG`, `NAME@DIGEST`, `NAME:TAG@DIGEST`.
fn parsed(reference: &str) -> Aim {
    let (front, digest) = match reference.split_once('@') {
        None => (reference, None),
        Some((front, digest)) => match digest.parse::<Digest>() {
            Ok(digest) => (front, Some(digest)),
            Err(_) => return Aim::Words,
        },
    };
    let (name, tag) = match front.split_once(':') {
        None => (front, None),
        Some((name, tag)) => match tag.parse::<Tag>() {
            Ok(tag) => (name, Some(tag)),
            Err(_) => return Aim::Words,
        },
    };
    let Ok(name) = name.parse::<RepositoryName>() else {
        return Aim::Words;
    };
    match (tag, digest) {
        (_, Some(digest)) => Aim::Manifest(name, digest),
        (Some(tag), None) => Aim::Tag(name, tag),
        (None, None) => Aim::Repository(name),
    }
}

/// A digest, its start, or the start of its digits.
fn digest(word: &str) -> Option<String> {
    let word = word.strip_prefix('@').unwrap_or(word);
    let is_digits = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if let Some(digits) = word.strip_prefix("sha256:") {
        let fits = !digits.is_empty() && digits.len() <= 64 && is_digits(digits);
        return fits.then(|| word.to_owned());
    }
    if let Some(digits) = word.strip_prefix("sha512:") {
        let fits = !digits.is_empty() && digits.len() <= 128 && is_digits(digits);
        return fits.then(|| word.to_owned());
    }
    let fits = (DIGITS_MIN..=64).contains(&word.len()) && is_digits(word);
    fits.then(|| format!("sha256:{word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "reg.example:5000";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let told = match aim(text, HOST) {
            Aim::Repository(name) => name.to_string(),
            Aim::Tag(name, tag) => format!("{name}:{tag}"),
            Aim::Manifest(name, digest) => {
                format!("{name}@{}", &digest.as_str()[..11])
            }
            Aim::Digest(start) => start,
            Aim::Words => "words".to_owned(),
        };
        assert_eq!(told, expected, "{text:?}");
    }

    #[test]
    fn what_was_copied_from_elsewhere_is_understood() {
        let digest = format!("sha256:{}", "ab12".repeat(16));
        check("web", "words");
        check("acme/web", "words");
        check("nginx stable", "words");
        check("", "words");
        check("acme/web:1.2", "acme/web:1.2");
        check(&format!("acme/web@{digest}"), "acme/web@sha256:ab12");
        check(&format!("acme/web:1@{digest}"), "acme/web@sha256:ab12");
        check("reg.example:5000/acme/web", "acme/web");
        check("reg.example:5000/acme/web:1", "acme/web:1");
        check("https://reg.example:5000/acme/web/", "acme/web");
        check("docker://reg.example:5000/web:1", "web:1");
        check("localhost:5000/acme/web:1", "acme/web:1");
        check("docker.io/library/nginx:1", "docker.io/library/nginx:1");
        check("docker pull reg.example:5000/web:1", "web:1");
        check("$ docker pull reg.example:5000/web:1", "web:1");
        check(
            "sudo podman pull --platform linux/arm64 reg.example:5000/a/b",
            "a/b",
        );
        check("docker run --rm reg.example:5000/web:1 sh -c true", "web:1");
        check("docker pull acme/web:1", "acme/web:1");
        check("skopeo copy docker://reg.example:5000/web:1 dir:x", "web:1");
        check(
            "helm pull oci://reg.example:5000/charts/web --version 1.2.3",
            "charts/web:1.2.3",
        );
        check("make pull reg.example:5000/web:1", "words");
    }

    #[test]
    fn the_start_of_a_digest_is_enough() {
        check("sha256:ab", "sha256:ab");
        check("abcdef1", "sha256:abcdef1");
        check("@sha256:12", "sha256:12");
        check("abcdef", "words");
        check("ABCDEF1", "words");
        check(&"a".repeat(65), "words");
        check(&"a".repeat(1 << 20), "words");
        check("sha512:0f", "sha512:0f");
    }

    #[test]
    fn what_cannot_be_is_words() {
        check("acme/web:", "words");
        check("acme/web@sha256:ab", "words");
        check("ACME/web:1", "words");
        check("reg.example:5000/", "words");
        check("reg.example:5000/../etc:1", "words");
        check("docker", "words");
        check("docker pull", "words");
        check("<script>:1", "words");
    }
}
