//! How long a server takes from its process to the first 200.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::arguments::Start;
use crate::figures::{median, short};

/// Between two knocks at the door.
const PAUSE: Duration = Duration::from_micros(500);
/// For a server to end after SIGTERM, before it is killed.
const END: Duration = Duration::from_secs(15);

pub(crate) fn run(arguments: &Start) -> Result<String, String> {
    if arguments.url.tls {
        return Err("start asks over plain HTTP".to_owned());
    }
    let mut milliseconds = Vec::new();
    for _ in 0..arguments.runs {
        if answers(arguments) {
            return Err(format!(
                "something answers at {} already",
                arguments.url.authority()
            ));
        }
        milliseconds.push(1_000.0 * once(arguments)?.as_secs_f64());
    }
    let min = milliseconds.iter().copied().fold(f64::INFINITY, f64::min);
    let max = milliseconds.iter().copied().fold(0.0, f64::max);
    let median = median(milliseconds.iter().copied()).unwrap_or(f64::NAN);
    if arguments.json {
        let value = json!({
            "tool": "layerhouse-bench",
            "command": "start",
            "median_ms": median,
            "min_ms": min,
            "max_ms": max,
            "runs_ms": milliseconds,
        });
        return Ok(format!("{value:#}\n"));
    }
    Ok(format!(
        "start to first 200: {} ms ({}–{}, {} runs)\n",
        short(median),
        short(min),
        short(max),
        arguments.runs
    ))
}

fn once(arguments: &Start) -> Result<Duration, String> {
    let (program, rest) = arguments.command.split_first().ok_or("no command")?;
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let result = loop {
        if answers(arguments) {
            break Ok(begun.elapsed());
        }
        if let Ok(Some(status)) = child.try_wait() {
            break Err(format!("{program} ended before it answered: {status}"));
        }
        if arguments.timeout < begun.elapsed() {
            break Err(format!("{program} did not answer in time"));
        }
        std::thread::sleep(PAUSE);
    };
    end(&mut child);
    result
}

/// Whether a request gets a 200 now.
fn answers(arguments: &Start) -> bool {
    let ask = || {
        let host = arguments.url.host.trim_matches(['[', ']']);
        let address = (host, arguments.url.port).to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(arguments.timeout)).ok()?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            arguments.path,
            arguments.url.authority()
        )
        .ok()?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).ok()?;
        Some(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn end(child: &mut Child) {
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
    let begun = Instant::now();
    while begun.elapsed() < END {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}
