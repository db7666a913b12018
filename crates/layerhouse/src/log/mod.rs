//! The log, on standard error: which events, and how they are written. The access log's lines go
//! through [`queue`] to standard output.

pub(crate) mod escape;
mod format;
pub(crate) mod queue;

use std::io::IsTerminal;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use self::format::{Format, Shape, Style};
use crate::clock::Clock;
use crate::config::meaning::{Formatter, Log};

/// The log of this process, for changing it while it runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    style: Arc<ArcSwap<Style>>,
}

/// Starts the log of this process.
///
/// # Errors
/// The filter is not one, or there is a log already.
pub fn start(log: &Log) -> Result<LogHandle, String> {
    let (filter, handle) = reload::Layer::new(filter(log)?);
    let style = Arc::new(ArcSwap::from_pointee(style(log)));
    let format = Format {
        style: Arc::clone(&style),
        clock: Clock::system(),
    };
    let events = fmt::layer()
        .event_format(format)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(events)
        .try_init()
        .map_err(|error| format!("the log cannot start: {error}"))?;
    Ok(LogHandle {
        filter: handle,
        style,
    })
}

impl LogHandle {
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
