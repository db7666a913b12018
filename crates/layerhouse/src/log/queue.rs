//! Lines on their way to standard output or standard error: who has one never waits for who reads them.
//! A pipe that nobody empties costs lines, which are counted, and no request.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait at most: 4 KiB each at the worst, so 16 MiB.
const LINES_MAX: usize = 4096;
/// Lines are written together while they come faster than they can be written, up to this.
const BATCH_BYTES: usize = 64 << 10;

/// A queue with a thread at its end, which begins with the first line.
#[derive(Debug)]
pub(crate) struct LineQueue {
    end: End,
    sender: OnceLock<SyncSender<Message>>,
    dropped: AtomicU64,
}

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Output,
    Error,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// All before it was written.
    Flush(SyncSender<()>),
}

impl LineQueue {
    pub(crate) fn new(end: End) -> Self {
        Self {
            end,
            sender: OnceLock::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes a line, with its end, or drops it if too many wait.
    pub(crate) fn push(&self, line: Vec<u8>) {
        let sender = self.sender.get_or_init(|| begin(self.end));
        if sender.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was pushed is written, not longer than `patience`. Blocks.
    pub(crate) fn flush(&self, patience: Duration) {
        let Some(sender) = self.sender.get() else {
            return;
        };
        let (done, written) = sync_channel(1);
        if sender.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }
}

fn begin(end: End) -> SyncSender<Message> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    let name = match end {
        End::Output => "access-log",
        End::Error => "log",
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || match end {
        End::Output => write(&receiver, &mut io::stdout()),
        End::Error => write(&receiver, &mut io::stderr()),
    });
    // Without it the receiver is gone, so every line counts as dropped.
    if let Err(error) = started {
        let _ = writeln!(io::stderr(), "layerhouse: {name} cannot start: {error}");
    }
    sender
}

fn write(receiver: &Receiver<Message>, out: &mut impl Write) {
    let mut batch = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut flushes = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushes.push(done),
            }
            next = if batch.len() < BATCH_BYTES {
                receiver.try_recv().ok()
            } else {
                None
            };
        }
        // Nobody may read it: that is no reason to end.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        for done in flushes {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order() {
        let (sender, receiver) = sync_channel(8);
        let (done, written) = sync_channel(1);
        for line in ["a\n", "b\n", "c\n"] {
            sender
                .send(Message::Line(line.into()))
                .expect("there is room");
        }
        sender.send(Message::Flush(done)).expect("there is room");
        drop(sender);
        let mut out = Vec::new();
        write(&receiver, &mut out);
        assert_eq!(out, b"a\nb\nc\n");
        assert!(written.try_recv().is_ok());
    }
}
