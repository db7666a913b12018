//! What an operator asks of manifests beside that they are whole (`validation`): where foreign layers
//! may be fetched from, and which images of an index must be there.

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::manifest::Manifest;
use regex::RegexSet;

use crate::config::meaning::{Platforms, Validation};

/// The rules, compiled.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRules {
    /// A URL must match one of these; absent, any will do.
    urls_allow: Option<RegexSet>,
    /// A URL must match none of these.
    urls_deny: RegexSet,
    platforms: Platforms,
}

/// Why a manifest breaks a rule.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("layer {layer} is to be fetched from {url:?}, which this registry does not allow")]
    Url { layer: String, url: String },
}

impl ManifestRules {
    /// Compiles the rules.
    ///
    /// # Errors
    /// What is no regular expression, and why.
    pub(crate) fn new(validation: &Validation) -> Result<Self, String> {
        let compile = |key: &str, patterns: &[String]| {
            RegexSet::new(patterns).map_err(|error| format!("{key}: {error}"))
        };
        if validation.is_disabled {
            return Ok(Self::none());
        }
        let urls_allow = compile("allow", &validation.urls_allow)?;
        Ok(Self {
            urls_allow: Some(urls_allow).filter(|patterns| !patterns.is_empty()),
            urls_deny: compile("deny", &validation.urls_deny)?,
            platforms: validation.platforms.clone(),
        })
    }

    /// No URL is refused, and every image of an index must be there.
    pub(crate) fn none() -> Self {
        Self {
            urls_allow: None,
            urls_deny: RegexSet::empty(),
            platforms: Platforms::All,
        }
    }

    /// What is here already is taken as it is: another registry's index may name images that were
    /// never pushed.
    pub(crate) fn of_adoption() -> Self {
        Self {
            platforms: Platforms::None,
            ..Self::none()
        }
    }

    /// Checks the URLs of foreign layers. They are never fetched; this says only what clients are
    /// told to fetch.
    ///
    /// # Errors
    /// The first one that is not allowed.
    pub(crate) fn check_urls(&self, manifest: &Manifest) -> Result<(), RuleError> {
        if self.urls_allow.is_none() && self.urls_deny.is_empty() {
            return Ok(());
        }
        for layer in &manifest.layers {
            for url in &layer.urls {
                let is_web = url.starts_with("http://") || url.starts_with("https://");
                let is_allowed = self
                    .urls_allow
                    .as_ref()
                    .is_none_or(|patterns| patterns.is_match(url));
                let is_plain = is_web && !url.contains('#');
                if !is_plain || !is_allowed || self.urls_deny.is_match(url) {
                    return Err(RuleError::Url {
                        layer: layer.digest.to_string(),
                        url: url.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether an index may name this image without its being there.
    pub(crate) fn may_be_absent(&self, child: &Descriptor) -> bool {
        match &self.platforms {
            Platforms::All => false,
            Platforms::None => true,
            // One that does not say what it is for could be any.
            Platforms::List(needed) => child.platform.as_ref().is_some_and(|platform| {
                !needed.iter().any(|(os, architecture)| {
                    *os == platform.os && *architecture == platform.architecture
                })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image(url: &str) -> Manifest {
        let content = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 0 },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
                "digest": DIGEST, "size": 0, "urls": [url],
            }],
        });
        Manifest::parse(content.to_string().as_bytes(), None).expect("a manifest")
    }

    #[test]
    fn urls_are_allowed_and_denied() {
        let check = |allow: &[&str], deny: &[&str], url: &str, expected: bool| {
            let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            let rules = ManifestRules::new(&Validation {
                urls_allow: texts(allow),
                urls_deny: texts(deny),
                ..Validation::default()
            });
            let checked = rules.expect("they compile").check_urls(&image(url));
            assert_eq!(checked.is_ok(), expected, "{allow:?} {deny:?} {url}");
        };
        check(&[], &[], "ftp://anything#at-all", true);
        check(&["^https://ok/"], &[], "https://ok/a", true);
        check(&["^https://ok/"], &[], "https://no/a", false);
        check(&["^https://ok/", "no"], &[], "https://no/a", true);
        check(&[], &["\\.exe$"], "https://ok/a.exe", false);
        check(&[], &["\\.exe$"], "https://ok/a", true);
        check(&["ok"], &["bad"], "https://ok/bad", false);
        check(&["."], &[], "file:///etc/passwd", false);
        check(&["."], &[], "https://ok/#part", false);
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let validation = Validation {
            urls_deny: vec!["(".to_owned()],
            ..Validation::default()
        };
        let problem = ManifestRules::new(&validation).expect_err("it does not compile");
        assert!(problem.starts_with("deny: "));
    }
}
