//! Which images of an index are wanted. Pure.

use layerhouse_oci::descriptor::{Descriptor, Platform};

/// What somebody wants images for, as `linux/amd64` or `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    os: String,
    architecture: String,
    /// Absent for all.
    variant: Option<String>,
}

impl Wanted {
    /// `None` if the text is no platform.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return None,
        };
        let is_whole = parts.iter().all(|part| !part.is_empty());
        is_whole.then(|| Self {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant: variant.map(|variant| (*variant).to_owned()),
        })
    }

    fn fits(&self, platform: &Platform) -> bool {
        let variant = platform.variant.as_deref().filter(|text| !text.is_empty());
        // There is one kind of arm64, and many do not say it.
        let variant = match (platform.architecture.as_str(), variant) {
            ("arm64", None) => Some("v8"),
            (_, variant) => variant,
        };
        let fits_variant = match &self.variant {
            None => true,
            Some(wanted) => variant == Some(wanted),
        };
        self.os == platform.os && self.architecture == platform.architecture && fits_variant
    }
}

/// Whether a manifest that an index names is wanted: all are, if nothing is said. One that says nothing of
/// platforms is for all.
pub(super) fn is_wanted(child: &Descriptor, wanted: &[Wanted]) -> bool {
    let Some(platform) = &child.platform else {
        return true;
    };
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.fits(platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_fit() {
        let check = |text: &str, platform: (&str, &str, Option<&str>), expected: bool| {
            let (os, architecture, variant) = platform;
            let platform = Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
            };
            let wanted = Wanted::read(text).expect("a platform");
            assert_eq!(wanted.fits(&platform), expected, "{text} {platform:?}");
        };
        check("linux/amd64", ("linux", "amd64", None), true);
        check("linux/amd64", ("windows", "amd64", None), false);
        check("linux/amd64", ("linux", "arm64", None), false);
        check("linux/arm64", ("linux", "arm64", Some("v8")), true);
        check("linux/arm64/v8", ("linux", "arm64", Some("v8")), true);
        check("linux/arm64/v8", ("linux", "arm64", None), true);
        check("linux/arm/v7", ("linux", "arm", Some("v7")), true);
        check("linux/arm/v7", ("linux", "arm", Some("v6")), false);
        check("linux/arm/v7", ("linux", "arm", None), false);
        check("linux/arm", ("linux", "arm", Some("v6")), true);
        // What BuildKit calls its attestations.
        check("linux/amd64", ("unknown", "unknown", None), false);
        for text in ["linux", "linux/", "linux/arm/v7/x", ""] {
            assert_eq!(Wanted::read(text), None, "{text}");
        }
    }
}
