//! Lends the terminal: the result to standard output, progress to standard error if someone looks at it.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use layerhouse_bench::{Stop, run};

fn main() -> ExitCode {
    let mut progress: Box<dyn Write> = if io::stderr().is_terminal() {
        Box::new(io::stderr())
    } else {
        Box::new(io::sink())
    };
    match run(
        std::env::args_os(),
        &mut io::stdout().lock(),
        &mut *progress,
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Usage(error)) => error.exit(),
        Err(Stop::Failed(message)) => {
            let _ = write!(progress, "\r\x1b[K");
            let _ = writeln!(io::stderr(), "layerhouse-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
