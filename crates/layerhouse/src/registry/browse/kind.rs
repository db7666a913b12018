//! What a manifest is, in one word: what lists show and search parts by.

use layerhouse_oci::manifest::Manifest;

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// An image of one platform.
    Image,
    /// Images of several platforms.
    Index,
    /// A Helm chart.
    Helm,
    Signature,
    Sbom,
    /// How something was built, or what was found in it.
    Attestation,
    Wasm,
    /// Anything else.
    Artifact,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Image,
        Self::Index,
        Self::Helm,
        Self::Signature,
        Self::Sbom,
        Self::Attestation,
        Self::Wasm,
        Self::Artifact,
    ];

    /// As it is stored, and stands in addresses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Helm => "helm",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Attestation => "attestation",
            Self::Wasm => "wasm",
            Self::Artifact => "artifact",
        }
    }

    /// The kind that is called so.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What the manifest says it is; its artifact type, or the types of its config and its layers.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        if manifest.kind.is_index() {
            let artifact = manifest.artifact_type.as_deref();
            return artifact.and_then(of_type).unwrap_or(Self::Index);
        }
        let config = manifest.config.as_ref();
        let config = config.map(|config| config.media_type.as_str());
        let layers = manifest
            .layers
            .iter()
            .map(|layer| layer.media_type.as_str());
        // Builders and cosign push what they say of an image as an image.
        let of_layers = layers.clone().find_map(of_type);
        let said = [manifest.artifact_type.as_deref(), config];
        let of_said = said.into_iter().flatten().find_map(of_type);
        match of_said.or(of_layers) {
            Some(kind) => kind,
            None if config.is_some_and(is_image_config) => Self::Image,
            None => Self::Artifact,
        }
    }
}

/// Configs of images, which say what they run on.
pub(crate) fn is_image_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

/// What a media type says, if it is one that is known here.
pub(crate) fn of_type(media_type: &str) -> Option<Kind> {
    const KNOWN: [(&str, Kind); 15] = [
        ("application/vnd.cncf.helm.", Kind::Helm),
        ("application/vnd.cncf.notary.signature", Kind::Signature),
        ("application/vnd.dev.cosign.simplesigning.", Kind::Signature),
        ("application/vnd.dev.cosign.artifact.sig.", Kind::Signature),
        ("application/vnd.dev.sigstore.bundle", Kind::Signature),
        ("application/vnd.dev.cosign.artifact.sbom.", Kind::Sbom),
        ("application/spdx", Kind::Sbom),
        ("text/spdx", Kind::Sbom),
        ("application/vnd.cyclonedx", Kind::Sbom),
        ("application/vnd.syft+json", Kind::Sbom),
        ("application/vnd.in-toto", Kind::Attestation),
        ("application/vnd.dsse.envelope", Kind::Attestation),
        ("application/vnd.wasm.", Kind::Wasm),
        ("application/vnd.module.wasm.", Kind::Wasm),
        ("application/wasm", Kind::Wasm),
    ];
    let found = KNOWN
        .iter()
        .find(|(start, _)| media_type.starts_with(start));
    found.map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let check = |artifact: &str, config: &str, layer: &str, expected: Kind| {
            let digest = format!("sha256:{}", "a".repeat(64));
            let mut json = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": config, "digest": digest, "size": 2},
                "layers": [{"mediaType": layer, "digest": digest, "size": 2}],
            });
            if !artifact.is_empty() {
                json["artifactType"] = artifact.into();
            }
            let manifest = Manifest::parse(json.to_string().as_bytes(), None);
            assert_eq!(
                Kind::of(&manifest.expect("a good one")),
                expected,
                "{artifact} {config} {layer}"
            );
        };
        let (image, tar) = (
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        );
        let empty = "application/vnd.oci.empty.v1+json";
        check("", image, tar, Kind::Image);
        check(
            "",
            "application/vnd.docker.container.image.v1+json",
            tar,
            Kind::Image,
        );
        check("", image, "application/vnd.in-toto+json", Kind::Attestation);
        check(
            "",
            image,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            Kind::Signature,
        );
        check(
            "",
            image,
            "application/vnd.dsse.envelope.v1+json",
            Kind::Attestation,
        );
        check("", image, "application/vnd.cyclonedx+json", Kind::Sbom);
        check(
            "",
            "application/vnd.cncf.helm.config.v1+json",
            tar,
            Kind::Helm,
        );
        check(
            "",
            "application/vnd.wasm.config.v0+json",
            "application/wasm",
            Kind::Wasm,
        );
        check("application/spdx+json", empty, tar, Kind::Sbom);
        check(
            "application/vnd.cncf.notary.signature",
            empty,
            tar,
            Kind::Signature,
        );
        check("application/vnd.example+json", empty, tar, Kind::Artifact);
    }

    #[test]
    fn words_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::from_word("other"), None);
    }
}
