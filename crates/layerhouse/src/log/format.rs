//! An event as a line: logrus's text and JSON, as registry:2 writes them, Logstash's JSON, or a form
//! for people.

use std::fmt::{self, Write};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape;
use crate::clock::{Clock, Timestamp};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// For people on a terminal; with colours.
    Terminal,
    Text,
    Json,
    Logstash,
}

/// What a reload may change.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) shape: Shape,
    /// Added to each event.
    pub(super) fields: Vec<(String, String)>,
}

/// Formats events in the style of the moment.
#[derive(Clone, Debug)]
pub(super) struct Format {
    pub(super) style: Arc<ArcSwap<Style>>,
    pub(super) clock: Clock,
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut read = Read::default();
        event.record(&mut read);
        let metadata = event.metadata();
        let target = metadata.target();
        if !target.starts_with("layerhouse") {
            let target = Value::Text(target.to_owned());
            read.fields.push(("target".to_owned(), target));
        }
        let style = self.style.load();
        for (name, value) in &style.fields {
            read.fields.push((name.clone(), Value::Text(value.clone())));
        }
        let now = instant(self.clock.now());
        write_line(&mut writer, style.shape, &now, *metadata.level(), &read)
    }
}

/// An event's message and fields.
#[derive(Debug, Default)]
struct Read {
    message: String,
    fields: Vec<(String, Value)>,
}

/// What a field holds.
#[derive(Debug)]
enum Value {
    /// A number or a boolean: the same in every form.
    Bare(String),
    Text(String),
}

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Capped(String::new());
        // It fails when there is enough.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text.0);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = escape::cut(value).to_owned();
        if field.name() == "message" {
            self.message = value;
        } else {
            self.add(field, Value::Text(value));
        }
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Bare(value.to_string()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Bare(value.to_string()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bare(value.to_string()));
    }
}

impl Read {
    fn add(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name().to_owned(), value));
    }
}

/// Takes so much as is logged and refuses the rest: nothing huge is made to be cut.
struct Capped(String);

impl Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if escape::VALUE_BYTES_MAX < self.0.len() {
            return Err(fmt::Error);
        }
        self.0.push_str(escape::cut(text));
        Ok(())
    }
}

fn instant(now: Timestamp) -> String {
    now.rfc3339().unwrap_or_default()
}

/// Names that a line has of itself; a field of the same name is called `fields.<name>`, as in logrus.
const RESERVED: [&str; 6] = ["time", "level", "msg", "message", "@timestamp", "@version"];

fn write_line(
    out: &mut dyn Write,
    shape: Shape,
    now: &str,
    level: Level,
    read: &Read,
) -> fmt::Result {
    match shape {
        Shape::Terminal => {
            write!(out, "\u{1b}[2m{now}\u{1b}[0m {} ", coloured(level))?;
            escape::shown(out, &read.message)?;
        }
        Shape::Text => {
            write!(out, "time=\"{now}\" level={} msg=", name(level))?;
            escape::logfmt(out, &read.message)?;
        }
        Shape::Json => {
            write!(
                out,
                "{{\"time\":\"{now}\",\"level\":\"{}\",\"msg\":",
                name(level)
            )?;
            escape::json(out, &read.message)?;
        }
        Shape::Logstash => {
            write!(
                out,
                "{{\"@timestamp\":\"{now}\",\"@version\":\"1\",\"level\":\"{}\",\"message\":",
                name(level)
            )?;
            escape::json(out, &read.message)?;
        }
    }
    let is_json = matches!(shape, Shape::Json | Shape::Logstash);
    for (field, value) in &read.fields {
        let prefix = if RESERVED.contains(&field.as_str()) {
            "fields."
        } else {
            ""
        };
        if is_json {
            out.write_char(',')?;
            escape::json(out, &format!("{prefix}{field}"))?;
            out.write_char(':')?;
        } else {
            out.write_char(' ')?;
            out.write_str(prefix)?;
            // Names are ours or the operator's; whatever else they are, they are one word.
            escape::logfmt(out, field)?;
            out.write_char('=')?;
        }
        match value {
            Value::Bare(text) => out.write_str(text)?,
            Value::Text(text) if is_json => escape::json(out, text)?,
            Value::Text(text) => escape::logfmt(out, text)?,
        }
    }
    out.write_str(if is_json { "}\n" } else { "\n" })
}

/// A level as logrus calls it.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn coloured(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31mERROR\u{1b}[0m",
        Level::WARN => "\u{1b}[33m WARN\u{1b}[0m",
        Level::INFO => "\u{1b}[32m INFO\u{1b}[0m",
        Level::DEBUG => "\u{1b}[34mDEBUG\u{1b}[0m",
        Level::TRACE => "\u{1b}[35mTRACE\u{1b}[0m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Read {
        let text = |text: &str| Value::Text(text.to_owned());
        Read {
            message: "a \"blob\"\nwas lost".to_owned(),
            fields: vec![
                ("path".to_owned(), text("/v2/\u{1b}[31m")),
                ("status".to_owned(), Value::Bare("404".to_owned())),
                ("level".to_owned(), text("forged")),
                ("service".to_owned(), text("registry")),
            ],
        }
    }

    #[test]
    fn each_form_is_what_its_readers_expect() {
        let check = |shape, expected: &str| {
            let mut line = String::new();
            let now = instant(Timestamp(1_800_000_000_123));
            write_line(&mut line, shape, &now, Level::WARN, &event()).expect("strings take all");
            assert_eq!(line, expected);
        };
        check(
            Shape::Text,
            "time=\"2027-01-15T08:00:00.123Z\" level=warning msg=\"a \\\"blob\\\"\\nwas lost\" \
             path=\"/v2/\\x1b[31m\" status=404 fields.level=forged service=registry\n",
        );
        check(
            Shape::Json,
            "{\"time\":\"2027-01-15T08:00:00.123Z\",\"level\":\"warning\",\
             \"msg\":\"a \\\"blob\\\"\\nwas lost\",\"path\":\"/v2/\\u001b[31m\",\"status\":404,\
             \"fields.level\":\"forged\",\"service\":\"registry\"}\n",
        );
        check(
            Shape::Logstash,
            "{\"@timestamp\":\"2027-01-15T08:00:00.123Z\",\"@version\":\"1\",\"level\":\"warning\",\
             \"message\":\"a \\\"blob\\\"\\nwas lost\",\"path\":\"/v2/\\u001b[31m\",\"status\":404,\
             \"fields.level\":\"forged\",\"service\":\"registry\"}\n",
        );
        check(
            Shape::Terminal,
            "\u{1b}[2m2027-01-15T08:00:00.123Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m \
             a \"blob\"\\nwas lost path=\"/v2/\\x1b[31m\" status=404 fields.level=forged \
             service=registry\n",
        );
    }
}
