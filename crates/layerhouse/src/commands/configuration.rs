//! `check` and `config print`: what a configuration means, without serving it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use layerhouse::Environment;
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Fail for warnings, too
    #[arg(long)]
    strict: bool,
    /// Show defaults, too
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what holds, as YAML with the origin of each value, without secrets
    Print(FileArguments),
}

/// A file, with or without `--config`.
#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// A configuration file in registry:2's format
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl FileArguments {
    fn load(self) -> Result<Config, layerhouse::config::ConfigError> {
        let arguments = Arguments {
            config: self.file.or(self.config),
            ..Arguments::default()
        };
        Config::load(&arguments, &Surroundings::system())
    }
}

/// Says everything that is wrong or doubtful, and what holds.
pub(crate) fn check(arguments: CheckArguments) -> ExitCode {
    let CheckArguments { file, strict, all } = arguments;
    let (config, mut problems, mut warnings) = match file.load() {
        Ok(mut config) => {
            let warnings = std::mem::take(&mut config.warnings);
            (Some(config), Vec::new(), warnings)
        }
        Err(error) => (None, error.problems, error.warnings),
    };
    if let Some(config) = &config {
        problems.extend(config.unreadable_files());
        // What a file holds is looked at once all can be read.
        if problems.is_empty() {
            let (found, odd) = layerhouse::check(config, &Environment::system());
            problems.extend(found);
            warnings.extend(odd);
        }
    }
    let mut text = String::new();
    for problem in &problems {
        let _ = writeln!(text, "error: {problem}");
    }
    for warning in &warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    if let Some(config) = config {
        let name = config.file.as_ref().map(|path| path.display().to_string());
        let name = name.unwrap_or_else(|| "no file".to_owned());
        let _ = writeln!(text, "# what holds ({name})");
        text.push_str(&config.origins(all));
    }
    let count = |count: usize, name: &str| match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    };
    let (errors, doubts) = (
        count(problems.len(), "error"),
        count(warnings.len(), "warning"),
    );
    let _ = writeln!(text, "{errors}, {doubts}");
    super::super::say(&text);
    if problems.is_empty() && (!strict || warnings.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub(crate) fn run(command: ConfigCommand) -> ExitCode {
    let ConfigCommand::Print(file) = command;
    match file.load() {
        Ok(config) => {
            super::super::say(&config.to_yaml());
            ExitCode::SUCCESS
        }
        Err(error) => {
            super::super::say_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
