//! An image's config as the pages show it. Builders write all sorts of things; what is not as image-spec has it is
//! left out, and the rest is shown.

use serde_json::{Map, Value};

use super::model::{ImageConfig, Pair, Step};

/// Most entries of a list that are shown, and the longest text of one, in bytes.
const ENTRIES_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 8 << 10;
/// What Docker's builder puts before a command that the shell runs, and before what only changes the config.
const SHELLS: [&str; 2] = ["/bin/sh -c #(nop) ", "/bin/sh -c "];

impl ImageConfig {
    /// What the bytes of a config say; `None` if they are no JSON object.
    pub(in crate::api::ui) fn read(bytes: &[u8]) -> Option<Self> {
        let Ok(Value::Object(image)) = serde_json::from_slice(bytes) else {
            return None;
        };
        let nothing = Map::new();
        let run = image.get("config").and_then(Value::as_object);
        let run = run.unwrap_or(&nothing);
        Some(Self {
            platform: platform(&image),
            created: text(&image, "created"),
            author: text(&image, "author"),
            user: text(run, "User"),
            workdir: text(run, "WorkingDir"),
            stop_signal: text(run, "StopSignal"),
            entrypoint: texts(run, "Entrypoint"),
            command: texts(run, "Cmd"),
            environment: texts(run, "Env")
                .iter()
                .map(|line| variable(line))
                .collect(),
            ports: names(run, "ExposedPorts"),
            volumes: names(run, "Volumes"),
            labels: pairs(run.get("Labels")),
            history: history(&image),
        })
    }
}

/// `os/architecture/variant`.
fn platform(image: &Map<String, Value>) -> Option<String> {
    let (os, architecture) = (text(image, "os")?, text(image, "architecture")?);
    Some(match text(image, "variant") {
        None => format!("{os}/{architecture}"),
        Some(variant) => format!("{os}/{architecture}/{variant}"),
    })
}

fn history(image: &Map<String, Value>) -> Vec<Step> {
    let steps = image.get("history").and_then(Value::as_array);
    let steps = steps.into_iter().flatten().filter_map(Value::as_object);
    steps
        .take(ENTRIES_MAX)
        .map(|step| Step {
            command: command(&text(step, "created_by").unwrap_or_default()),
            created: text(step, "created"),
            has_layer: step.get("empty_layer") != Some(&Value::Bool(true)),
        })
        .collect()
}

/// What was to be done, without who does it: `RUN`, `COPY` and the like as BuildKit writes them stay.
fn command(created_by: &str) -> String {
    let line = created_by.trim();
    if let Some(run) = line.strip_prefix("RUN /bin/sh -c ") {
        let run = run.strip_suffix("# buildkit").unwrap_or(run);
        return format!("RUN {}", run.trim());
    }
    for shell in SHELLS {
        if let Some(rest) = line.strip_prefix(shell) {
            let is_instruction = shell.contains("nop");
            let rest = rest.trim();
            return if is_instruction {
                rest.to_owned()
            } else {
                format!("RUN {rest}")
            };
        }
    }
    line.strip_suffix("# buildkit")
        .unwrap_or(line)
        .trim()
        .to_owned()
}

fn variable(line: &str) -> Pair {
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    Pair {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// A text that says something.
fn text(object: &Map<String, Value>, field: &str) -> Option<String> {
    let text = object.get(field)?.as_str()?;
    (!text.is_empty()).then(|| cut(text))
}

fn texts(object: &Map<String, Value>, field: &str) -> Vec<String> {
    match object.get(field) {
        // Old ones have a command as one text.
        Some(Value::String(text)) if !text.is_empty() => vec![cut(text)],
        Some(Value::Array(items)) => {
            let texts = items.iter().filter_map(Value::as_str);
            texts.take(ENTRIES_MAX).map(cut).collect()
        }
        _ => Vec::new(),
    }
}

/// The names of an object whose values say nothing.
fn names(object: &Map<String, Value>, field: &str) -> Vec<String> {
    let names = object.get(field).and_then(Value::as_object);
    let names = names.into_iter().flat_map(Map::keys).take(ENTRIES_MAX);
    let mut names: Vec<String> = names.map(|name| cut(name)).collect();
    names.sort_unstable();
    names
}

/// Texts by name, in the order of their names.
fn pairs(value: Option<&Value>) -> Vec<Pair> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let pairs = entries.filter_map(|(name, value)| {
        Some(Pair {
            name: cut(name),
            value: cut(value.as_str()?),
        })
    });
    let mut pairs: Vec<Pair> = pairs.take(ENTRIES_MAX).collect();
    pairs.sort_unstable();
    pairs
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    if end == text.len() {
        return text.to_owned();
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_read_as_far_as_it_says_something() {
        let config = ImageConfig::read(
            br#"{"os":"linux","architecture":"arm64","variant":"v8","created":"2026-01-01T00:00:00Z",
            "config":{"User":"","WorkingDir":"/srv","Entrypoint":["/app","<x>"],"Cmd":"run it",
            "Env":["PATH=/bin:/x=y","EMPTY=","BARE"],"ExposedPorts":{"443/tcp":{},"80/tcp":{}},
            "Labels":{"b":"2","a":"1","n":3}},
            "history":[{"created_by":"/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by":"/bin/sh -c apt-get update","empty_layer":false},
            {"created_by":"RUN /bin/sh -c make all # buildkit"},
            {"created_by":"CMD [\"x\"]","empty_layer":true}, 7, {}]}"#,
        )
        .expect("an object");
        assert_eq!(config.platform.as_deref(), Some("linux/arm64/v8"));
        assert_eq!(config.user, None);
        assert_eq!(config.command, ["run it"]);
        let pairs = |pairs: &[Pair]| -> Vec<String> {
            pairs
                .iter()
                .map(|pair| format!("{}:{}", pair.name, pair.value))
                .collect()
        };
        assert_eq!(
            pairs(&config.environment),
            ["PATH:/bin:/x=y", "EMPTY:", "BARE:"]
        );
        assert_eq!(pairs(&config.labels), ["a:1", "b:2"]);
        assert_eq!(config.ports, ["443/tcp", "80/tcp"]);
        let steps: Vec<(&str, bool)> = config
            .history
            .iter()
            .map(|step| (step.command.as_str(), step.has_layer))
            .collect();
        assert_eq!(
            steps,
            [
                ("ADD file:1 in /", true),
                ("RUN apt-get update", true),
                ("RUN make all", true),
                ("CMD [\"x\"]", false),
                ("", true),
            ]
        );
    }

    #[test]
    fn what_is_no_config_says_nothing() {
        assert_eq!(ImageConfig::read(b"[]"), None);
        assert_eq!(ImageConfig::read(b"\xff"), None);
        assert_eq!(ImageConfig::read(b"{}"), Some(ImageConfig::default()));
        assert_eq!(
            ImageConfig::read(br#"{"config":[],"history":{},"os":1}"#),
            Some(ImageConfig::default())
        );
        let long = format!(r#"{{"author":"{}"}}"#, "é".repeat(TEXT_BYTES_MAX));
        let author = ImageConfig::read(long.as_bytes()).and_then(|config| config.author);
        assert!(author.is_some_and(|author| author.len() <= TEXT_BYTES_MAX + 3));
    }
}
