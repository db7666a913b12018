//! `log`, and `loglevel`, which came before it.

use tracing_subscriber::EnvFilter;

use crate::config::LOG_VARIABLE;
use crate::config::meaning::{Formatter, Log};
use crate::config::reader::{Section, quoted};
use crate::config::tree::Origin;

/// `has_file`: registry:2's defaults hold, which are text and an access log.
pub(in crate::config) fn read(root: &Section<'_>, has_file: bool, overriding: Option<&str>) -> Log {
    let log = root.section("log");
    let old_level = root.text("loglevel");
    if old_level.is_some() {
        root.warn("loglevel", "is deprecated: write log.level");
    }
    let level = log.text("level");
    let filter = filter(&log, level.or(old_level), overriding);
    let formatter = [
        ("text", Formatter::Text),
        ("json", Formatter::Json),
        ("logstash", Formatter::Logstash),
        ("", Formatter::Text),
    ];
    let formatter = if has_file {
        log.word("formatter", &formatter, Some("text"))
    } else {
        log.word("formatter", &formatter, None)
    };
    let access = log.section("accesslog");
    let is_disabled = access.flag("disabled", !has_file);
    log.ignore(
        "hooks",
        "is accepted and does nothing: Layerhouse sends no mail; watch the log instead",
    );
    if log.flag_given("reportcaller").unwrap_or(false) {
        log.warn(
            "reportcaller",
            "is accepted and does nothing: events name the module that they come from",
        );
    }
    let mut fields = log.text_map("fields");
    fields.sort();
    Log {
        filter,
        formatter: formatter.unwrap_or(Formatter::Auto),
        fields,
        has_access_log: !is_disabled,
    }
}

fn filter(log: &Section<'_>, level: Option<String>, overriding: Option<&str>) -> String {
    const DEFAULT: &str = "info";
    if let Some(filter) = overriding {
        log.say(
            "level",
            quoted(filter),
            &Origin::Variable(LOG_VARIABLE.into()),
        );
        if let Err(error) = EnvFilter::try_new(filter) {
            log.refuse("level", format!("{LOG_VARIABLE}: {error}"));
        }
        return filter.to_owned();
    }
    let Some(level) = level else {
        log.say("level", DEFAULT.to_owned(), &Origin::Default);
        return DEFAULT.to_owned();
    };
    match level.to_lowercase().as_str() {
        known @ ("error" | "warn" | "info" | "debug" | "trace") => known.to_owned(),
        // A bare word would be a module's name in a filter, and all else would be silent.
        _ if !level.contains(['=', ',']) => {
            log.refuse(
                "level",
                format!(
                    "{level:?} is not a level: error, warn, info, debug, or a filter such as layerhouse=debug"
                ),
            );
            DEFAULT.to_owned()
        }
        _ => {
            if let Err(error) = EnvFilter::try_new(&level) {
                log.refuse("level", format!("{level:?} is not a filter: {error}"));
            }
            level
        }
    }
}
