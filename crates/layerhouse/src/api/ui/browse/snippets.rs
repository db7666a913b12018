//! How to get a thing with the tools that people have: a command for each, to be copied.

use crate::registry::browse::kind::Kind;

/// A command of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Snippet {
    pub(in crate::api::ui) tool: &'static str,
    pub(in crate::api::ui) command: String,
}

/// Commands that bring `NAME:TAG`, or `NAME@DIGEST`, from `host`. `reference` is the tag or digest.
pub(in crate::api::ui) fn pull(
    kind: Kind,
    host: &str,
    name: &str,
    reference: &str,
) -> Vec<Snippet> {
    let separator = separator(reference);
    let whole = format!("{host}/{name}{separator}{reference}");
    let file = name.rsplit('/').next().unwrap_or(name);
    let snippet = |tool, command| Snippet { tool, command };
    let oras = || snippet("oras", format!("oras pull {whole}"));
    let crane = || snippet("crane", format!("crane pull {whole} {file}.tar"));
    match kind {
        Kind::Image | Kind::Index => vec![
            snippet("docker", format!("docker pull {whole}")),
            snippet("podman", format!("podman pull {whole}")),
            snippet("nerdctl", format!("nerdctl pull {whole}")),
            snippet("skopeo", format!("skopeo copy docker://{whole} oci:{file}")),
            crane(),
        ],
        Kind::Helm => {
            let command = if separator == '@' {
                format!("helm pull oci://{whole}")
            } else {
                // In tags Helm writes an underscore for the plus sign, which no tag may have.
                let version = reference.replace('_', "+");
                format!("helm pull oci://{host}/{name} --version {version}")
            };
            vec![snippet("helm", command), oras()]
        }
        Kind::Signature | Kind::Sbom | Kind::Attestation | Kind::Wasm | Kind::Artifact => {
            vec![oras(), snippet("crane", format!("crane manifest {whole}"))]
        }
    }
}

/// Commands that make a repository's first tag.
pub(in crate::api::ui) fn push(host: &str, name: &str) -> [String; 3] {
    [
        "docker pull alpine".to_owned(),
        format!("docker tag alpine {host}/{name}"),
        format!("docker push {host}/{name}"),
    ]
}

/// What stands between a name and a tag, or a digest.
pub(in crate::api::ui) fn separator(reference: &str) -> char {
    if reference.contains(':') { '@' } else { ':' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_tools() {
        let check = |kind, reference, expected: &[&str]| {
            let commands: Vec<String> = pull(kind, "h:5000", "acme/web", reference)
                .into_iter()
                .map(|snippet| snippet.command)
                .collect();
            assert_eq!(commands, expected);
        };
        check(
            Kind::Index,
            "1.2",
            &[
                "docker pull h:5000/acme/web:1.2",
                "podman pull h:5000/acme/web:1.2",
                "nerdctl pull h:5000/acme/web:1.2",
                "skopeo copy docker://h:5000/acme/web:1.2 oci:web",
                "crane pull h:5000/acme/web:1.2 web.tar",
            ],
        );
        check(
            Kind::Helm,
            "1.2_a",
            &[
                "helm pull oci://h:5000/acme/web --version 1.2+a",
                "oras pull h:5000/acme/web:1.2_a",
            ],
        );
        check(
            Kind::Sbom,
            "sha256:ab",
            &[
                "oras pull h:5000/acme/web@sha256:ab",
                "crane manifest h:5000/acme/web@sha256:ab",
            ],
        );
    }
}
