//! What happens next in an upload session, decided from what it holds.

use crate::range::ContentRange;

/// A chunk that does not begin where the upload ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upload holds {held_bytes} bytes, so the next chunk starts there, not at {first}")]
pub struct OutOfOrder {
    /// The bytes staged so far, contiguous from 0.
    pub held_bytes: u64,
    /// Where the refused chunk says it begins.
    pub first: u64,
}

/// Where the next chunk of an upload goes: the offset to append at, in bytes.
///
/// `held_bytes` are staged already, contiguous from 0; `range` is the client's `Content-Range`,
/// inclusive at both ends, `None` for a streamed body (distribution-spec, end-5).
///
/// # Errors
/// [`OutOfOrder`] if the chunk would leave a gap or overlap: 416; end-13 tells where to resume.
pub fn place_chunk(held_bytes: u64, range: Option<ContentRange>) -> Result<u64, OutOfOrder> {
    let first = range.map_or(held_bytes, |range| range.first);
    if first != held_bytes {
        return Err(OutOfOrder { held_bytes, first });
    }
    Ok(held_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(held_bytes: u64, range: &str, expected: &str) {
        let told = match place_chunk(held_bytes, range.parse().ok()) {
            Ok(offset) => offset.to_string(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(told, expected, "{held_bytes} held, {range:?}");
    }

    #[test]
    fn chunks_go_where_the_upload_ends() {
        check(0, "0-3", "0");
        check(4, "4-9", "4");
        check(0, "", "0");
        check(4, "", "4");
        check(
            4,
            "8-9",
            "the upload holds 4 bytes, so the next chunk starts there, not at 8",
        );
        check(
            4,
            "0-3",
            "the upload holds 4 bytes, so the next chunk starts there, not at 0",
        );
        check(
            0,
            "4-4",
            "the upload holds 0 bytes, so the next chunk starts there, not at 4",
        );
    }

    proptest! {
        /// Whatever chunks are offered, those that are taken cover the blob without gap or overlap.
        #[test]
        fn what_is_taken_is_contiguous(chunks in prop::collection::vec((0_u64..20, 1_u64..8), 0..60)) {
            let mut covered = [0; 30];
            let mut held_bytes = 0;
            for (first, length) in chunks {
                let range = ContentRange { first, last: first + length - 1 };
                if let Ok(offset) = place_chunk(held_bytes, Some(range)) {
                    prop_assert_eq!(offset, held_bytes);
                    for byte in range.first..=range.last {
                        covered[usize::try_from(byte).expect("small")] += 1;
                    }
                    held_bytes += range.length_bytes();
                }
            }
            for (at, count) in (0_u64..).zip(covered) {
                prop_assert_eq!(count, u64::from(at < held_bytes));
            }
        }
    }
}
