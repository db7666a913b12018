//! Many clients, an upstream that does everything wrong by turns, and one rule: who gets an answer to its end has
//! the right bytes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{COPY, LATEST, Mirror, NGINX};
use crate::faults::{noise, rounds};
use crate::harness::images;
use crate::harness::upstream::{Image, Trouble};

const CLIENTS: usize = 6;

/// Numbers that look random and are the same each time (SplitMix64).
fn mixed(number: usize) -> usize {
    let bytes = noise(number as u64, 8);
    usize::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

fn trouble(number: usize, length: usize) -> Trouble {
    let after = mixed(number) % length.max(1);
    match mixed(number + 1_000_000) % 16 {
        0 => Trouble::Flipped,
        1 => Trouble::Other(noise(number as u64, length)),
        2 => Trouble::Other(Vec::new()),
        3 => Trouble::Short {
            by: 1 + after.min(length - 1),
        },
        4 => Trouble::Long { by: 1 + after },
        5 => Trouble::BreaksOff { after },
        6 => Trouble::Resets { after },
        7 => Trouble::ChunkedBreaksOff { after },
        8 => Trouble::Chunked,
        9 => Trouble::IgnoresRange,
        10 => Trouble::WrongRange,
        11 => Trouble::status(503),
        12 => Trouble::status(404),
        13 => Trouble::page(),
        14 => Trouble::too_many("Retry-After: 1\r\n"),
        _ => Trouble::Closes,
    }
}

/// `LAYERHOUSE_TEST_CHAOS=2000` for a longer one.
#[test]
fn sec_s23_whoever_gets_all_of_it_gets_the_right_bytes() {
    let turns = rounds("LAYERHOUSE_TEST_CHAOS", 60);
    let mirror = Mirror::troubled(
        "timeout: 2s, stall: 1s",
        "ttl: 1s, negativettl: 1s, background: false",
    );
    let lengths = [1, 700, 70_000, 1_500_000];
    let contents: Vec<Vec<u8>> = (0..8)
        .map(|number| noise(number as u64, lengths[number % lengths.len()]))
        .collect();
    let digests: Vec<String> = contents
        .iter()
        .map(|content| mirror.upstream.give_blob(NGINX, content))
        .collect();
    let images = Mutex::new(vec![
        mirror.upstream.give_image(NGINX, "latest", "number 0"),
    ]);
    let next = AtomicUsize::new(0);
    let (client, upstream, server) = (mirror.server.client, &mirror.upstream, &mirror.server);
    let whole = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::SeqCst);
                    if turns <= turn {
                        return;
                    }
                    let which = mixed(turn) % digests.len();
                    upstream.once("GET /v2/", trouble(turn, contents[which].len()));
                    if turn.is_multiple_of(7) {
                        let image: Image =
                            upstream.give_image(NGINX, "latest", &format!("number {turn}"));
                        images.lock().unwrap().push(image);
                    }
                    if turn.is_multiple_of(5) {
                        server.advance(Duration::from_secs(20));
                    }
                    let path = format!("{COPY}/blobs/{}", digests[which]);
                    if let Ok(answer) = client.try_send("GET", &path, &[], b"") {
                        let text = answer.text();
                        assert!(answer.status != 500, "{text}");
                        if answer.status == 200 {
                            assert!(answer.body == contents[which], "turn {turn}");
                            whole.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    if let Ok(answer) = client.try_send("GET", LATEST, &[], b"")
                        && answer.status == 200
                    {
                        let digest = images::digest(&answer.body);
                        assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
                        let images = images.lock().unwrap();
                        let is_known = images.iter().any(|image| image.digest == digest);
                        assert!(is_known, "turn {turn}: {}", answer.text());
                    }
                }
            });
        }
    });
    assert!(0 < whole.load(Ordering::SeqCst), "some came through");
    // It is well again, and everything is there.
    mirror.upstream.heal();
    mirror.server.advance(Duration::from_mins(5));
    for (digest, content) in digests.iter().zip(&contents) {
        assert!(mirror.pull(&format!("{COPY}/blobs/{digest}")).body == *content);
    }
    let last = images.lock().unwrap().last().expect("there is one").clone();
    let latest = mirror.pull(LATEST).text();
    // Two clients may have moved it at once: it is what the upstream has, not what was given last.
    let given = images.lock().unwrap();
    assert!(
        given.iter().any(|image| image.manifest == latest),
        "{}",
        last.digest
    );
}
