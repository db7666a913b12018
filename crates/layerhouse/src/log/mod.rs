//! The log, on standard error: which events, and how they are written. The access log's lines go
//! through [`queue`] to standard output.

pub(crate) mod escape;
mod format;
pub(crate) mod queue;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use self::format::{Format, Shape, Style};
use self::queue::{End, LineQueue};
use crate::clock::Clock;
use crate::config::meaning::{Formatter, Log};

/// The log of this process, for changing it while it runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    style: Arc<ArcSwap<Style>>,
    queue: Arc<LineQueue>,
}

/// How long the end of the process waits for who reads the log.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Gathers one event, and hands it over as one line when it is written.
#[derive(Debug)]
struct Event<'a> {
    line: Vec<u8>,
    queue: &'a LineQueue,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        self.queue.push(std::mem::take(&mut self.line));
    }
}

/// Where events go: a thread that writes stalls with who reads, and no request does.
#[derive(Clone, Debug)]
struct Events(Arc<LineQueue>);

impl<'a> MakeWriter<'a> for Events {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event {
            line: Vec::with_capacity(512),
            queue: &self.0,
        }
    }
}

/// Starts the log of this process.
///
/// # Errors
/// The filter is not one, or there is a log already.
pub fn start(log: &Log) -> Result<LogHandle, String> {
    let queue = Arc::new(LineQueue::new(End::Error));
    let (subscriber, handle) = build(log, Events(Arc::clone(&queue)), queue)?;
    subscriber
        .try_init()
        .map_err(|error| format!("the log cannot start: {error}"))?;
    Ok(handle)
}

fn build<W>(
    log: &Log,
    writer: W,
    queue: Arc<LineQueue>,
) -> Result<(impl Subscriber + Send + Sync, LogHandle), String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(log)?);
    let style = Arc::new(ArcSwap::from_pointee(style(log)));
    let format = Format {
        style: Arc::clone(&style),
        clock: Clock::system(),
    };
    let events = fmt::layer().event_format(format).with_writer(writer);
    let subscriber = tracing_subscriber::registry().with(filter).with(events);
    let filter = handle;
    Ok((
        subscriber,
        LogHandle {
            filter,
            style,
            queue,
        },
    ))
}

impl LogHandle {
    /// Waits a moment until all events so far are written. Blocks.
    pub fn flush(&self) {
        self.queue.flush(FLUSH_PATIENCE);
    }

    /// Takes over another configuration; what was wrong changes nothing.
    ///
    /// # Errors
    /// The filter is not one.
    pub fn reload(&self, log: &Log) -> Result<(), String> {
        let filter = filter(log)?;
        self.filter
            .reload(filter)
            .map_err(|error| format!("log level: {error}"))?;
        self.style.store(Arc::new(style(log)));
        Ok(())
    }
}

fn filter(log: &Log) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&log.filter).map_err(|error| format!("log level: {error}"))
}

fn style(log: &Log) -> Style {
    let shape = match log.formatter {
        Formatter::Auto if std::io::stderr().is_terminal() => Shape::Terminal,
        Formatter::Auto | Formatter::Json => Shape::Json,
        Formatter::Text => Shape::Text,
        Formatter::Logstash => Shape::Logstash,
    };
    Style {
        shape,
        fields: log.fields.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reload_changes_level_form_and_fields() {
        let log = |filter: &str, formatter, fields: &[(&str, &str)]| Log {
            filter: filter.to_owned(),
            formatter,
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            has_access_log: false,
        };
        let written = Written::default();
        let writer = written.clone();
        let queue = Arc::new(LineQueue::new(End::Error));
        let first = log("info", Formatter::Text, &[]);
        let (subscriber, handle) = build(&first, move || writer.clone(), queue).expect("a log");
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("hidden");
            tracing::info!(count = 1, "shown");
            let second = log("debug", Formatter::Json, &[("service", "registry")]);
            handle.reload(&second).expect("it is right");
            tracing::debug!("shown");
            let wrong = log("layerhouse=nonsense", Formatter::Text, &[]);
            handle.reload(&wrong).expect_err("no such level");
            tracing::debug!("shown");
        });
        let written = written.0.lock().expect("nobody panicked").clone();
        let text = String::from_utf8(written).expect("it is text");
        let untimed: Vec<&str> = text
            .lines()
            .map(|line| &line[line.find("level").expect("a level")..])
            .collect();
        let json = "level\":\"debug\",\"msg\":\"shown\",\"service\":\"registry\"}";
        assert_eq!(untimed, ["level=info msg=shown count=1", json, json]);
    }
}
