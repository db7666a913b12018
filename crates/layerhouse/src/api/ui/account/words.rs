//! Words of the API's as people read them, and times that people choose.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::ui::form::Pairs;
use crate::api::ui::shell::Shell;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Deed, Role, Visibility};
use crate::clock::Timestamp;

/// Roles as a form offers them: the value, and what it is called.
pub(super) fn roles(shell: &Shell) -> [(&'static str, &'static str); 4] {
    [Role::Reader, Role::Writer, Role::Maintainer, Role::Owner]
        .map(|role| (role_value(role), self::role(shell, role)))
}

pub(super) fn role(shell: &Shell, role: Role) -> &'static str {
    shell.t(match role {
        Role::Reader => "account.role_reader",
        Role::Writer => "account.role_writer",
        Role::Maintainer => "account.role_maintainer",
        Role::Owner => "account.role_owner",
    })
}

pub(super) fn role_value(role: Role) -> &'static str {
    crate::auth::rights::Role::from(role).as_str()
}

pub(super) fn visibility(shell: &Shell, visibility: Visibility) -> &'static str {
    shell.t(match visibility {
        Visibility::Public => "account.public",
        Visibility::Private => "account.private",
    })
}

/// What can be done with a repository, as a form offers it.
pub(super) fn deeds(shell: &Shell) -> [(&'static str, &'static str); 5] {
    let all = [
        (Deed::Pull, "account.deed_pull"),
        (Deed::Push, "account.deed_push"),
        (Deed::Delete, "account.deed_delete"),
        (Deed::Maintain, "account.deed_maintain"),
        (Deed::Own, "account.deed_own"),
    ];
    all.map(|(deed, key)| (crate::auth::rights::Deed::from(deed).as_str(), shell.t(key)))
}

/// What lasts as long as nobody ends it.
const NO_END: &str = "never";
/// For how many days something is good, as forms offer it.
const DAYS: [&str; 5] = ["7", "30", "90", "180", "365"];

/// Ends that a form offers.
pub(super) fn ends(shell: &Shell) -> Vec<(&'static str, String)> {
    let days = DAYS.map(|days| (days, shell.say("account.days", days)));
    let never = (NO_END, shell.t("account.no_end").to_owned());
    days.into_iter().chain([never]).collect()
}

/// The end that a form chose, as the API is told: null for none.
///
/// # Errors
/// 422 for what no form offers.
pub(super) fn end(form: &Pairs, now: Timestamp) -> Result<Value, Problem> {
    const DAY: Duration = Duration::from_hours(24);
    let chosen = form.get("expires").unwrap_or(NO_END);
    if chosen == NO_END {
        return Ok(Value::Null);
    }
    let offered = DAYS.iter().find(|days| **days == chosen);
    let days = offered.and_then(|days| days.parse::<u32>().ok());
    let days = days.ok_or_else(|| Problem::invalid("expires: choose one of those offered"))?;
    Ok(json!(now.after(DAY * days).second().rfc3339()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_those_offered() {
        let now = Timestamp(1_800_000_000_123);
        let check = |form: &str, expected: Option<Value>| {
            let form = Pairs::parse(form.as_bytes());
            assert_eq!(end(&form, now).ok(), expected, "{form:?}");
        };
        check("expires=never", Some(Value::Null));
        check("", Some(Value::Null));
        check("expires=7", Some(json!("2027-01-22T08:00:00Z")));
        check("expires=8", None);
        check("expires=x", None);
    }
}
