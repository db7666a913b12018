//! Bytes of any size from a seed: incompressible, the same every time, and cheap to name.
//!
//! A blob is a body that many share and a tail of its own, so a thousand different blobs of 256 MiB cost
//! the memory of one, and the digest of the next one costs the hash of its tail.

use std::ops::Range;
use std::sync::Arc;

use layerhouse_oci::digest::{Algorithm, Digest, Hasher};

/// Bytes of a blob that no other blob has.
const TAIL_BYTES: usize = 32;
/// The body repeats after this many bytes: above any compressor's window, small enough to hold.
const PERIOD_BYTES: u64 = 64 << 20;

/// Fills `into` with the stream of `seed` (SplitMix64 over a counter, 8 bytes a step).
pub(crate) fn fill(seed: u64, into: &mut [u8]) {
    let mut state = mix(seed);
    for chunk in into.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bytes = mix(state).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// The finalizer of SplitMix64: every bit of the answer depends on every bit of the question.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// What blobs of one size share.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    seed: u64,
    length: u64,
    body: Arc<[u8]>,
    /// Has seen everything before the tail.
    hasher: Hasher,
}

impl Material {
    /// Material for blobs of `length` bytes. Hashes that much once.
    pub(crate) fn new(seed: u64, length: u64) -> Self {
        let tail = tail_length(length);
        let before_tail = length - tail as u64;
        let period = usize::try_from(before_tail.min(PERIOD_BYTES)).expect("64 MiB fit");
        let mut body = vec![0; period];
        fill(seed ^ mix(length), &mut body);
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for part in repeated(&body, 0..before_tail) {
            hasher.update(part);
        }
        Self {
            seed,
            length,
            body: body.into(),
            hasher,
        }
    }

    /// The blob of this number: all numbers give different blobs if `length` is 8 or more.
    pub(crate) fn blob(&self, number: u64) -> Blob {
        let mut tail = vec![0; tail_length(self.length)];
        fill(self.seed.rotate_left(32) ^ mix(number), &mut tail);
        let mut hasher = self.hasher.clone();
        hasher.update(&tail);
        Blob {
            digest: hasher.finish(),
            length: self.length,
            body: Arc::clone(&self.body),
            tail: tail.into(),
        }
    }
}

/// Bytes with their digest.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) length: u64,
    body: Arc<[u8]>,
    tail: Arc<[u8]>,
}

impl Blob {
    /// A blob of bytes that are there.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            digest: Digest::of(Algorithm::Sha256, bytes),
            length: bytes.len() as u64,
            body: Arc::from([]),
            tail: bytes.into(),
        }
    }

    /// The bytes of a range, in pieces, in order.
    pub(crate) fn parts(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        assert!(range.end <= self.length, "a range within the blob");
        let border = self.length - self.tail.len() as u64;
        let within = |offset: u64| {
            usize::try_from(offset.saturating_sub(border)).expect("a tail is in memory")
        };
        let tail = &self.tail[within(range.start)..within(range.end)];
        repeated(&self.body, range.start.min(border)..range.end.min(border))
            .chain((!tail.is_empty()).then_some(tail))
    }
}

fn tail_length(length: u64) -> usize {
    usize::try_from(length).map_or(TAIL_BYTES, |length| length.min(TAIL_BYTES))
}

/// The bytes of `range` of `body` repeated for ever.
fn repeated(body: &[u8], range: Range<u64>) -> impl Iterator<Item = &[u8]> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if range.end <= at {
            return None;
        }
        let period = body.len() as u64;
        let from = at % period;
        let until = period.min(from + (range.end - at));
        at += until - from;
        let index = |offset: u64| usize::try_from(offset).expect("a body is in memory");
        Some(&body[index(from)..index(until)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(blob: &Blob, range: Range<u64>) -> Vec<u8> {
        blob.parts(range).flatten().copied().collect()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_every_time() {
        for length in [1, 7, 31, 32, 33, 1_000, 100_003] {
            let material = Material::new(7, length);
            let blob = material.blob(3);
            let all = bytes(&blob, 0..length);
            assert_eq!(all.len() as u64, length);
            assert_eq!(blob.digest, Digest::of(Algorithm::Sha256, &all));
            assert_eq!(blob.digest, Material::new(7, length).blob(3).digest);
            if 8 <= length {
                assert_ne!(blob.digest, material.blob(4).digest);
                assert_ne!(blob.digest, Material::new(8, length).blob(3).digest);
            }
        }
        // Written down, so that a blob of today is a blob of tomorrow.
        assert_eq!(
            Material::new(1, 1 << 20).blob(0).digest.as_str(),
            "sha256:24663c4959e867bb4dd65cad1db0c726804c340928380323d48631bac002352a"
        );
    }

    #[test]
    fn ranges_are_pieces_of_the_whole() {
        // As a blob with a body of 64 MiB is, with one of 1,000 bytes.
        let mut body = vec![0; 1_000];
        fill(1, &mut body);
        let length = 2_500 + TAIL_BYTES as u64;
        let blob = Blob {
            digest: Digest::of(Algorithm::Sha256, b""),
            length,
            body: body.into(),
            tail: (*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345").into(),
        };
        let all = bytes(&blob, 0..length);
        assert_eq!(all[..500], all[2_000..2_500]);
        assert!(all.ends_with(b"345"));
        for range in [
            0..10,
            995..1_005,
            900..2_100,
            length - 40..length - 20,
            length - 10..length,
            length..length,
        ] {
            let index = |offset: u64| usize::try_from(offset).unwrap();
            let expected = &all[index(range.start)..index(range.end)];
            assert_eq!(bytes(&blob, range.clone()), expected, "{range:?}");
        }
    }

    #[test]
    fn bytes_do_not_compress() {
        let mut buffer = vec![0; 1 << 16];
        fill(1, &mut buffer);
        let mut counts = [0_u32; 256];
        for byte in buffer {
            counts[usize::from(byte)] += 1;
        }
        // 256 of each are expected; nine standard deviations are 144.
        assert!(counts.iter().all(|count| (112..400).contains(count)));
    }
}
