//! Who a provider's token names, and whether they may sign in here.

use crate::auth::outsider::Outsider;
use crate::auth::sources::issuer::verify::Claims;
use crate::auth::sources::{account_name, kept, teams_of};
use crate::config::meaning::sources::Oidc;

/// Longest `sub` (OpenID Connect Core 1.0, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// # Errors
/// Why not, for the log.
pub(super) fn read(claims: &Claims, config: &Oidc) -> Result<Outsider, String> {
    let subject = claims.text("sub").filter(|subject| {
        subject.len() <= SUBJECT_BYTES_MAX && !subject.chars().any(char::is_control)
    });
    let subject = subject.ok_or("the token has no subject")?;
    let email = claims.text("email").unwrap_or_default();
    let is_verified = claims.is_true("email_verified");
    if !config.allowed_domains.is_empty() {
        let domain = email
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_lowercase());
        let is_allowed = domain.is_some_and(|domain| config.allowed_domains.contains(&domain));
        // An address that nobody verified is what somebody typed.
        if !is_allowed || !is_verified {
            return Err("no verified address of theirs is in alloweddomains".to_owned());
        }
    }
    let groups = claims.texts(&config.groups_claim);
    let is_in = |group: &String| groups.contains(&group.as_str());
    if !config.allowed_groups.is_empty() && !config.allowed_groups.iter().any(is_in) {
        return Err("they are in none of allowedgroups".to_owned());
    }
    let claim = &config.name_claim;
    let text = claims.text(claim);
    let text = text.ok_or_else(|| format!("the token has no claim {claim:?} (usernameclaim)"))?;
    if claim == "email" && !is_verified {
        return Err("their address is not verified, and would be their name".to_owned());
    }
    let name = account_name(text, config.name_pattern.as_ref());
    let name = name.ok_or_else(|| {
        let shown = kept(text);
        format!("{claim} is {shown:?}, which is no name here (usernamepattern may find one in it)")
    })?;
    Ok(Outsider {
        source: format!("oidc:{}", config.name),
        subject: subject.to_owned(),
        name: name.as_str().to_owned(),
        full_name: kept(claims.text("name").unwrap_or_default()),
        email: kept(email),
        teams: teams_of(groups.into_iter(), &config.teams, |one, other| one == other),
        is_name_assigned: false,
    })
}
