//! `layerhouse doctor`: asks the server if one runs, and looks at the directory itself if none does.

use std::process::ExitCode;

use layerhouse::config::meaning::Config;
use layerhouse::{Ailment, Console, Diagnosis, examine_configured};
use serde_json::{Value, json};

use crate::commands::console::session::Failure;
use crate::commands::console::shown::{Form, text};
use crate::commands::console::{Place, failed};
use crate::say;

/// Says how a data directory is: 0 healthy, 6 not.
pub(crate) fn run(place: &Place) -> ExitCode {
    match diagnose(place) {
        Ok(diagnosis) => show(&diagnosis, place.form()),
        Err(failure) => failed(&failure),
    }
}

fn diagnose(place: &Place) -> Result<Diagnosis, Failure> {
    let config = place.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("it cannot start: {error}")))?;
    let asked = runtime.block_on(ask(&config))?;
    Ok(asked.unwrap_or_else(|| examine_configured(&config)))
}

/// What the server says, if one runs.
async fn ask(config: &Config) -> Result<Option<Diagnosis>, Failure> {
    let console = Console::reach(config).await;
    let Some(mut console) = console.map_err(|error| Failure::of_console(&error))? else {
        return Ok(None);
    };
    let reply = console.ask("GET", "/api/v1/doctor", None).await;
    let reply = reply.map_err(|error| Failure::of_console(&error))?;
    if reply.status != 200 {
        let said = text(&reply.body["errors"][0]["message"]);
        return Ok(Some(Diagnosis {
            facts: Vec::new(),
            ailments: vec![Ailment {
                what: format!("the server cannot look: {said}"),
                advice: "its log says why".to_owned(),
            }],
        }));
    }
    let list = |name: &str| reply.body[name].as_array().cloned().unwrap_or_default();
    let facts = list("facts");
    let facts = facts
        .iter()
        .map(|fact| (text(&fact["name"]), text(&fact["said"])));
    let ailments = list("findings");
    let ailments = ailments.iter().map(|finding| Ailment {
        what: text(&finding["what"]),
        advice: text(&finding["advice"]),
    });
    Ok(Some(Diagnosis {
        facts: facts.collect(),
        ailments: ailments.collect(),
    }))
}

fn show(diagnosis: &Diagnosis, form: Form) -> ExitCode {
    let Diagnosis { facts, ailments } = diagnosis;
    match form {
        Form::Json => {
            let facts = facts
                .iter()
                .map(|(name, said)| json!({ "name": name, "said": said }));
            let findings = ailments
                .iter()
                .map(|ailment| json!({ "what": ailment.what, "advice": ailment.advice }));
            let shown = json!({
                "facts": facts.collect::<Vec<Value>>(),
                "findings": findings.collect::<Vec<Value>>(),
            });
            say(&format!("{shown:#}\n"));
        }
        Form::Table => {
            let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
            for (name, said) in facts {
                say(&format!("{name:width$}{said}\n"));
            }
            for ailment in ailments {
                say(&format!("\n{}\n-> {}\n", ailment.what, ailment.advice));
            }
            let end = match ailments.len() {
                0 => "healthy\n".to_owned(),
                1 => "\n1 finding\n".to_owned(),
                count => format!("\n{count} findings\n"),
            };
            say(&end);
        }
    }
    if ailments.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(6)
    }
}
