//! `layerhouse.index.oidc` and `.workloads`: whose signatures say who somebody is.

use layerhouse_oci::namespace::NamespaceName;

use super::index_sources::{is_local, pattern, secret, teams};
use crate::auth::rights::{Limit, Limits, Pattern, TokenAction};
use crate::config::meaning::sources::{ClaimPattern, Oidc, Workload, WorkloadKeys, WorkloadRule};
use crate::config::reader::Section;

/// RFC 7518 and 8037, those with a private key.
const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

pub(super) fn oidc(index: &Section<'_>) -> Vec<Oidc> {
    let sections = index.sections("oidc");
    let mut providers: Vec<Oidc> = Vec::new();
    for section in &sections {
        let Some(provider) = provider(section) else {
            continue;
        };
        if providers.iter().any(|known| known.name == provider.name) {
            section.refuse("name", format!("{} is another provider's", provider.name));
        }
        providers.push(provider);
    }
    providers
}

fn provider(section: &Section<'_>) -> Option<Oidc> {
    let name = name(section);
    let issuer = url(section, "issuer");
    let client_id = section.text_needed("clientid");
    let client_secret = secret(section, "clientsecret");
    let mut scopes = section.texts("scopes");
    if scopes.is_empty() {
        scopes = ["openid", "profile", "email"].map(str::to_owned).to_vec();
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        section.refuse("scopes", "must have openid among them");
    }
    let name_claim = section.text_or("usernameclaim", "preferred_username");
    let groups_claim = section.text_or("groupsclaim", "groups");
    let name_pattern = pattern(section, "usernamepattern");
    let allowed_groups = section.texts("allowedgroups");
    let allowed_domains = section.texts("alloweddomains");
    for domain in &allowed_domains {
        if domain.contains('@') || !domain.contains('.') {
            section.refuse("alloweddomains", format!("{domain:?} is not a domain"));
        }
    }
    let algorithms = algorithms(section);
    let teams = teams(section);
    let name = name?;
    Some(Oidc {
        title: section.text_or("title", name.as_str()),
        name,
        issuer: issuer?,
        client_id,
        client_secret,
        scopes,
        name_claim,
        name_pattern,
        groups_claim,
        allowed_groups,
        allowed_domains: allowed_domains
            .iter()
            .map(|domain| domain.to_lowercase())
            .collect(),
        algorithms,
        teams,
    })
}

pub(super) fn workloads(index: &Section<'_>) -> Vec<Workload> {
    let sections = index.sections("workloads");
    let mut workloads: Vec<Workload> = Vec::new();
    for section in &sections {
        let Some(workload) = workload(section) else {
            continue;
        };
        if workloads
            .iter()
            .any(|known| known.issuer == workload.issuer)
        {
            section.refuse(
                "issuer",
                "is another entry's; give one entry both their rules",
            );
        }
        workloads.push(workload);
    }
    workloads
}

fn workload(section: &Section<'_>) -> Option<Workload> {
    let name = name(section);
    let issuer = url(section, "issuer");
    let audience = section.text_needed("audience");
    let jwks_url = section.has("jwksurl").then(|| url(section, "jwksurl"));
    let jwks_file = section.text("jwksfile");
    let keys = match (jwks_url, jwks_file) {
        (Some(_), Some(_)) => {
            section.refuse("jwksurl", "cannot go with jwksfile; one must go");
            WorkloadKeys::Discovered
        }
        (Some(url), None) => WorkloadKeys::Url(url?),
        (None, Some(path)) => WorkloadKeys::File(path.into()),
        (None, None) => WorkloadKeys::Discovered,
    };
    let algorithms = algorithms(section);
    let rules: Vec<_> = section.sections("rules").iter().map(rule).collect();
    if rules.is_empty() {
        section.refuse("rules", "is missing: without one, no token is for anybody");
    }
    Some(Workload {
        name: name?,
        issuer: issuer?,
        audience,
        keys,
        algorithms,
        rules: rules.into_iter().collect::<Option<Vec<_>>>()?,
    })
}

fn rule(section: &Section<'_>) -> Option<WorkloadRule> {
    let claims = section.text_map("claims");
    if claims.is_empty() {
        section.refuse(
            "claims",
            "is missing: a rule without one would let in whoever the issuer knows",
        );
    }
    // An issuer such as GitHub's signs for everybody.
    let names_somebody = claims
        .iter()
        .any(|(_, text)| !text.trim_matches('*').is_empty());
    if !claims.is_empty() && !names_somebody {
        section.refuse("claims", "fit everybody: one must be more than stars");
    }
    let account = section.text_needed("account");
    let entries = section.sections("limits");
    let limits: Vec<_> = entries.iter().map(limit).collect();
    let limits = limits.into_iter().collect::<Option<Vec<_>>>()?;
    let claims = claims
        .into_iter()
        .map(|(name, text)| (name, ClaimPattern::new(&text)));
    Some(WorkloadRule {
        claims: claims.collect(),
        account,
        limits: (!limits.is_empty()).then_some(Limits(limits)),
    })
}

fn limit(section: &Section<'_>) -> Option<Limit> {
    let pattern = section.text_needed("pattern").parse::<Pattern>();
    let pattern = pattern
        .map_err(|error| section.refuse("pattern", error))
        .ok();
    let mut actions = Vec::new();
    for text in section.texts("actions") {
        match text.as_str() {
            "pull" => actions.push(TokenAction::Pull),
            "push" => actions.push(TokenAction::Push),
            "delete" => actions.push(TokenAction::Delete),
            _ => section.refuse("actions", format!("{text:?} is none of pull, push, delete")),
        }
    }
    if actions.is_empty() {
        section.refuse("actions", "is missing: [pull, push]");
    }
    Some(Limit {
        pattern: pattern?,
        actions,
    })
}

/// What an entry of a list is called.
fn name(section: &Section<'_>) -> Option<NamespaceName> {
    let name = section.text_needed("name").parse();
    name.map_err(|error| section.refuse("name", error)).ok()
}

fn algorithms(section: &Section<'_>) -> Vec<String> {
    let mut algorithms = section.texts("algorithms");
    for name in &algorithms {
        if !ALGORITHMS.contains(&name.as_str()) {
            section.refuse(
                "algorithms",
                format!("{name:?} is none of {}", ALGORITHMS.join(", ")),
            );
        }
    }
    if algorithms.is_empty() {
        algorithms = ALGORITHMS.map(str::to_owned).to_vec();
    }
    algorithms
}

/// Where an issuer is: over TLS, so that nobody answers in its place; in the clear on this machine alone.
fn url(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key);
    let Some(text) = text else {
        section.refuse(key, "is missing: https://…");
        return None;
    };
    let parsed = text.parse::<http::Uri>().ok();
    let is_good = parsed.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        let has_user = uri
            .authority()
            .is_some_and(|own| own.as_str().contains('@'));
        let is_safe = match uri.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => is_local(host),
            _ => false,
        };
        is_safe && !has_user && uri.query().is_none()
    });
    if !is_good {
        section.refuse(
            key,
            format!(
                "{text:?} is no URL that begins with https:// (http:// for this machine alone)"
            ),
        );
        return None;
    }
    Some(text)
}
