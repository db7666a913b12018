//! Ranges of bytes: which part of an upload a chunk is, and which part of a blob is wanted.

use std::fmt;
use std::str::FromStr;

/// Which bytes of the blob a chunk holds, both ends included: `0-1023`.
///
/// What the parser lets through has `first <= last < u64::MAX`, so its length is a `u64`
/// (distribution-spec, end-5). The form of RFC 9110, `bytes 0-1023/*`, is understood as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentRange {
    /// The offset of the first byte, from 0.
    pub first: u64,
    /// The offset of the last byte.
    pub last: u64,
}

/// Why a text is not a `Content-Range`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentRangeError {
    /// Not two decimal numbers with a dash between.
    #[error("a Content-Range is `<first byte>-<last byte>`, in decimal")]
    Shape,
    /// A number too large for any blob.
    #[error("a Content-Range ends below 2^64 - 1")]
    TooLarge,
    /// It ends before it begins.
    #[error("the Content-Range ends at {last}, before its first byte {first}")]
    Backwards {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte.
        last: u64,
    },
    /// The total length behind the slash does not reach the last byte.
    #[error("the Content-Range ends at {last}, behind the total of {total} bytes that it names")]
    BehindTotal {
        /// The offset of the last byte.
        last: u64,
        /// The total it names.
        total: u64,
    },
}

impl FromStr for ContentRange {
    type Err = ContentRangeError;
    fn from_str(text: &str) -> Result<Self, ContentRangeError> {
        let text = text.trim_matches(SPACE);
        let (range, total) = match strip_unit(text, ' ') {
            Some(rest) => match rest.trim_matches(SPACE).split_once('/') {
                Some((range, "*")) => (range, None),
                Some((range, total)) => (range, Some(total)),
                None => (rest.trim_matches(SPACE), None),
            },
            None => (text, None),
        };
        let (first, last) = range.split_once('-').ok_or(ContentRangeError::Shape)?;
        let first = decimal(first).ok_or(ContentRangeError::Shape)?;
        let last = decimal(last).ok_or(ContentRangeError::Shape)?;
        if last == u64::MAX || first == u64::MAX {
            return Err(ContentRangeError::TooLarge);
        }
        if last < first {
            return Err(ContentRangeError::Backwards { first, last });
        }
        if let Some(total) = total {
            let total = decimal(total).ok_or(ContentRangeError::Shape)?;
            if total <= last {
                return Err(ContentRangeError::BehindTotal { last, total });
            }
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl ContentRange {
    /// How many bytes it spans; 1 at least.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// What a `Range` header asks for, of a blob whose size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requested {
    /// All of it: 200.
    Whole,
    /// The bytes from `first` to `last`, both included and both inside: 206.
    Part {
        /// The offset of the first byte, from 0.
        first: u64,
        /// The offset of the last byte, at least `first` and less than the size.
        last: u64,
    },
    /// Nothing of it: 416.
    Unsatisfiable,
}

/// What the `Range` header of a pull asks for, of a blob of `size_bytes`.
///
/// One range is served: `bytes=0-1023`, `bytes=1024-` or `bytes=-500`. What is malformed, in
/// another unit, or several ranges is ignored, which RFC 9110 (section 14.2) allows: several
/// cost more than they are worth and no registry client sends them. The last 500 bytes of an
/// empty blob are the whole of it, since no part of it can be named.
#[must_use]
pub fn resolve(header: &str, size_bytes: u64) -> Requested {
    let Some(range) = strip_unit(header.trim_matches(SPACE), '=') else {
        return Requested::Whole;
    };
    let Some((first, last)) = range.trim_matches(SPACE).split_once('-') else {
        return Requested::Whole;
    };
    match (decimal(first), decimal(last)) {
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, size_bytes),
        (Some(first), Some(last)) if first <= last => part(first, last, size_bytes),
        (None, Some(0)) if first.is_empty() => Requested::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && size_bytes == 0 => Requested::Whole,
        (None, Some(suffix)) if first.is_empty() => {
            part(size_bytes.saturating_sub(suffix), u64::MAX, size_bytes)
        }
        _ => Requested::Whole,
    }
}

/// The part from `first` to `last` or to the end, whichever is nearer.
fn part(first: u64, last: u64, size_bytes: u64) -> Requested {
    if size_bytes <= first {
        return Requested::Unsatisfiable;
    }
    let last = last.min(size_bytes - 1);
    Requested::Part { first, last }
}

/// What may surround the value of a header (RFC 9110, section 5.6.3).
const SPACE: [char; 2] = [' ', '\t'];

/// What follows `bytes` and `delimiter`; units have no case (RFC 9110, section 14.1).
fn strip_unit(text: &str, delimiter: char) -> Option<&str> {
    let (unit, rest) = text.split_once(delimiter)?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

/// The value of decimal digits, without a sign; what does not fit is `u64::MAX`, which lies behind
/// the last byte of every blob.
fn decimal(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only overflow is left to fail.
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::told;

    fn check(text: &str, expected: &str) {
        assert_eq!(told::<ContentRange>(text), expected, "{text:?}");
    }

    fn check_resolved(header: &str, size_bytes: u64, expected: &str) {
        let told = match resolve(header, size_bytes) {
            Requested::Whole => "200".to_owned(),
            Requested::Part { first, last } => format!("206 {first}-{last}"),
            Requested::Unsatisfiable => "416".to_owned(),
        };
        assert_eq!(told, expected, "{header:?} of {size_bytes}");
    }

    #[test]
    fn content_ranges_name_both_ends() {
        let shape = "a Content-Range is `<first byte>-<last byte>`, in decimal";
        let large = "a Content-Range ends below 2^64 - 1";
        for range in [
            "0-0",
            "0-1023",
            "5-9",
            "18446744073709551614-18446744073709551614",
        ] {
            check(range, range);
        }
        check(" 0-3\t", "0-3");
        check("007-08", "7-8");
        check("bytes 0-1023/2048", "0-1023");
        check("Bytes  0-1023/*", "0-1023");
        check("bytes 0-1023", "0-1023");
        for text in [
            "", "-", "0", "0-", "-1", "+0-1", "0-+1", "0 - 1", "0--1", "0-1-2", "0x0-1", "٠-١",
        ] {
            check(text, shape);
        }
        for text in [
            "bytes=0-1",
            "bytes 0-1/",
            "bytes 0-1/x",
            "bytes */5",
            "chunks 0-1",
            "0-1/2",
            "0-1,2-3",
        ] {
            check(text, shape);
        }
        check("0-18446744073709551615", large);
        check("18446744073709551616-18446744073709551617", large);
        check(
            "4-3",
            "the Content-Range ends at 3, before its first byte 4",
        );
        check(
            "bytes 0-9/9",
            "the Content-Range ends at 9, behind the total of 9 bytes that it names",
        );
        check("bytes 0-9/10", "0-9");
    }

    #[test]
    fn lengths_do_not_overflow() {
        let length = |first, last| ContentRange { first, last }.length_bytes();
        assert_eq!(length(0, 0), 1);
        assert_eq!(length(5, 9), 5);
        assert_eq!(length(0, u64::MAX - 1), u64::MAX);
        assert_eq!(length(0, u64::MAX), u64::MAX);
        assert_eq!(length(9, 5), 1);
    }

    #[test]
    fn one_range_is_served() {
        check_resolved("bytes=0-3", 10, "206 0-3");
        check_resolved("bytes=4-", 10, "206 4-9");
        check_resolved("bytes=-3", 10, "206 7-9");
        check_resolved("bytes=0-", 10, "206 0-9");
        check_resolved("bytes=5-99", 10, "206 5-9");
        check_resolved("bytes=-99", 10, "206 0-9");
        check_resolved("bytes=9-9", 10, "206 9-9");
        check_resolved(" BYTES= 0-3 ", 10, "206 0-3");
    }

    #[test]
    fn what_begins_behind_the_end_is_unsatisfiable() {
        check_resolved("bytes=10-", 10, "416");
        check_resolved("bytes=10-12", 10, "416");
        check_resolved("bytes=-0", 10, "416");
        check_resolved("bytes=0-", 0, "416");
        check_resolved("bytes=0-0", 0, "416");
        check_resolved("bytes=-1", 0, "200");
    }

    #[test]
    fn what_is_malformed_or_several_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=3-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "items=0-1",
            "bytes 0-1",
            "bytes = 0-1",
            "bytes=0 - 1",
        ] {
            check_resolved(header, 10, "200");
        }
    }

    #[test]
    fn numbers_may_be_of_any_length() {
        let huge = "9".repeat(100);
        check_resolved(&format!("bytes=0-{huge}"), 10, "206 0-9");
        check_resolved(&format!("bytes={huge}-"), 10, "416");
        check_resolved(&format!("bytes=-{huge}"), 10, "206 0-9");
        check_resolved(&format!("bytes={huge}-{huge}"), u64::MAX, "416");
        check_resolved(
            "bytes=0-18446744073709551615",
            u64::MAX,
            "206 0-18446744073709551614",
        );
    }

    fn edge() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..20, (u64::MAX - 20)..=u64::MAX, any::<u64>()]
    }

    proptest! {
        #[test]
        fn printing_gives_the_range_back(first in edge(), last in edge()) {
            let range = ContentRange { first, last };
            let is_valid = first <= last && last < u64::MAX;
            prop_assert_eq!(range.to_string().parse().ok(), is_valid.then_some(range));
        }

        /// A byte is served exactly if the header names it and the blob has it.
        #[test]
        fn parts_are_what_the_header_names(first in edge(), last in edge(), size in edge()) {
            let bounded = |from: u64, to: u64| {
                if from < size && from <= to {
                    Requested::Part { first: from, last: to.min(size - 1) }
                } else {
                    Requested::Unsatisfiable
                }
            };
            prop_assert_eq!(resolve(&format!("bytes={first}-"), size), bounded(first, u64::MAX));
            let closed = if first <= last { bounded(first, last) } else { Requested::Whole };
            prop_assert_eq!(resolve(&format!("bytes={first}-{last}"), size), closed);
            let length = |requested| match requested {
                Requested::Whole => size,
                Requested::Part { first, last } => last - first + 1,
                Requested::Unsatisfiable => 0,
            };
            prop_assert_eq!(length(resolve(&format!("bytes=-{last}"), size)), last.min(size));
        }

        #[test]
        fn headers_stay_total(header in "(bytes[= ])?[0-9, */-]{0,30}|\\PC*", size in edge()) {
            if let Requested::Part { first, last } = resolve(&header, size) {
                prop_assert!(first <= last && last < size);
            }
            if let Ok(range) = header.parse::<ContentRange>() {
                prop_assert!(range.first <= range.last && range.last < u64::MAX);
            }
        }
    }
}
