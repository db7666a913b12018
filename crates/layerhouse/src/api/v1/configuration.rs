//! The configuration that holds, for who looks after the server: where each value was said, and no secret.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::Nothing;
use super::output::Found;
use super::problem::Problem;
use super::visit::AnyVisit;
use crate::auth::permits::OperatorPermit;
use crate::config::show::EffectiveValue;

/// The configuration that holds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Configuration {
    /// By key. Secrets are `<hidden>`, those in the address of a URL, too.
    values: Vec<ConfiguredValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ConfiguredValue {
    /// `http.tls.certificate`; the entries of a list are `[0]`, `[1]`.
    key: String,
    /// In YAML, on one line.
    value: String,
    /// Where it was said: a file with the line, a variable, an argument, or the default.
    origin: String,
    is_default: bool,
    /// It was changed since the server started, and holds from the next start on.
    waits_for_restart: bool,
}

impl From<EffectiveValue> for ConfiguredValue {
    fn from(value: EffectiveValue) -> Self {
        Self {
            key: value.key,
            value: value.value,
            origin: value.origin,
            is_default: value.is_default,
            waits_for_restart: value.waits_for_restart,
        }
    }
}

pub(super) async fn show(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Configuration>, Problem> {
    let values = visit.call.settings.said.values().into_iter();
    Ok(Found(Configuration {
        values: values.map(ConfiguredValue::from).collect(),
    }))
}
