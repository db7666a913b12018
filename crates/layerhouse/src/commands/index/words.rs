//! What is written as one word and means two: `acme/core`, `acme+ci`, `acme/*=pull,push`; and how long from now.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use layerhouse::clock::{Clock, Timestamp};
use serde_json::{Value, json};

/// `ORGANIZATION/TEAM`.
#[derive(Clone, Debug)]
pub(crate) struct TeamName {
    pub(super) organization: String,
    pub(super) team: String,
}

impl FromStr for TeamName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .filter(|(organization, team)| !organization.is_empty() && !team.is_empty());
        let (organization, team) = parts.ok_or("write ORGANIZATION/TEAM")?;
        Ok(Self {
            organization: organization.to_owned(),
            team: team.to_owned(),
        })
    }
}

/// `NAMESPACE+NAME`.
#[derive(Clone, Debug)]
pub(crate) struct RobotName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl FromStr for RobotName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('+')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        let (namespace, name) = parts.ok_or("write NAMESPACE+NAME")?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// `PATTERN=pull,push`.
#[derive(Clone, Debug)]
pub(crate) struct LimitWord(Value);

impl FromStr for LimitWord {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, actions) = text
            .split_once('=')
            .ok_or("write PATTERN=ACTIONS, as acme/*=pull,push")?;
        let actions: Vec<&str> = actions.split(',').collect();
        if let Some(other) = actions
            .iter()
            .find(|action| !["pull", "push", "delete"].contains(action))
        {
            return Err(format!("{other:?} is none of pull, push, delete"));
        }
        Ok(Self(json!({ "pattern": pattern, "actions": actions })))
    }
}

impl LimitWord {
    /// Absent where nothing is limited.
    pub(super) fn all(limits: Vec<Self>) -> Value {
        if limits.is_empty() {
            return Value::Null;
        }
        limits.into_iter().map(|Self(limit)| limit).collect()
    }
}

/// What a role is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// Pulls what is private
    Reader,
    /// Pushes, too
    Writer,
    /// Deletes, describes, shows and hides, too
    Maintainer,
    /// Decides who has which role, too
    Owner,
}

impl RoleWord {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Maintainer => "maintainer",
            Self::Owner => "owner",
        }
    }
}

/// `90d`, `12h`, `30m`: how long something is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting(Duration);

impl FromStr for Lasting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no time; write it as 90d, 12h or 30m");
        let unit = text.chars().next_back().ok_or_else(error)?;
        let seconds: u64 = match unit {
            'd' => 24 * 60 * 60,
            'h' => 60 * 60,
            'm' => 60,
            _ => return Err(error()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| error())?;
        // A hundred years, so that no sum overflows.
        let seconds = number.checked_mul(seconds).ok_or_else(error)?;
        if seconds == 0 || 100 * 365 * 24 * 60 * 60 < seconds {
            return Err(error());
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl Lasting {
    /// The moment at which it ends, in the API's form; null for one that does not end.
    pub(super) fn end(lasting: Option<Self>) -> Value {
        let Some(Self(duration)) = lasting else {
            return Value::Null;
        };
        let lasting_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let end = Clock::system().now().0.saturating_add_unsigned(lasting_ms);
        let end = Timestamp(end).second().rfc3339();
        end.map_or(Value::Null, Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_two() {
        let robot: RobotName = "acme+ci".parse().expect("a robot");
        assert_eq!((&*robot.namespace, &*robot.name), ("acme", "ci"));
        let team: TeamName = "acme/core".parse().expect("a team");
        assert_eq!((&*team.organization, &*team.team), ("acme", "core"));
        let LimitWord(limit) = "acme/*=pull,push".parse().expect("a limit");
        let expected = json!({ "pattern": "acme/*", "actions": ["pull", "push"] });
        assert_eq!(limit, expected);
        for text in ["", "acme", "+ci", "acme+"] {
            assert!(text.parse::<RobotName>().is_err(), "{text}");
        }
        for text in ["", "acme", "/core", "acme/"] {
            assert!(text.parse::<TeamName>().is_err(), "{text}");
        }
        for text in ["", "acme/*", "acme/*=", "acme/*=pull,own"] {
            assert!(text.parse::<LimitWord>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_from_now() {
        for text in ["90d", "12h", "1m", "36500d"] {
            assert!(text.parse::<Lasting>().is_ok(), "{text}");
        }
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "1",
            "1y",
            "36501d",
            "99999999999999999d",
            "é",
        ] {
            assert!(text.parse::<Lasting>().is_err(), "{text}");
        }
    }
}
