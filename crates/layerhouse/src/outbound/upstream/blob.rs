//! A blob as it comes from an upstream, from its first byte or a later one.

use bytes::Bytes;
use layerhouse_oci::range::ContentRange;
use reqwest::header::CONTENT_RANGE;

use super::answer::{Answer, broken, stalled};
use super::error::UpstreamError;

/// The bytes of a blob, as they arrive. Neither their digest nor their length is compared with anything.
pub(crate) struct UpstreamBlob {
    /// Of the whole blob, if the upstream says so.
    pub(crate) size_bytes: Option<u64>,
    answer: Answer,
    /// What is still to be left out: who does not know ranges sends all of it.
    skipped_bytes: u64,
    is_over: bool,
}

impl UpstreamBlob {
    /// `from` is the offset that was asked for.
    pub(super) fn begin(answer: Answer, from: u64) -> Result<Self, UpstreamError> {
        let answer = answer.expect(if from == 0 { &[200] } else { &[200, 206] })?;
        let (size_bytes, skipped_bytes) = if answer.status() == 200 {
            (answer.length_bytes(), from)
        } else {
            let range = answer.header(CONTENT_RANGE.as_str());
            match continuation(range, from) {
                Ok(size_bytes) => (size_bytes, 0),
                Err(problem) => return Err(answer.fail(answer.asked.invalid(problem))),
            }
        };
        Ok(Self {
            size_bytes,
            answer,
            skipped_bytes,
            is_over: false,
        })
    }

    /// The next bytes, never none; `None` when the upstream ended it. An error ends it, too.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        while !self.is_over {
            let stall = self.answer.stall;
            let chunk = tokio::time::timeout(stall, self.answer.response.chunk()).await;
            let error = match chunk {
                Ok(Ok(Some(chunk))) => {
                    self.answer.conduct.tally.received(chunk.len());
                    if let Some(chunk) = self.behind_skipped(chunk) {
                        return Some(Ok(chunk));
                    }
                    continue;
                }
                Ok(Ok(None)) => {
                    self.is_over = true;
                    return None;
                }
                Ok(Err(error)) => broken(&self.answer.asked, error),
                Err(_) => stalled(&self.answer.asked, stall),
            };
            self.is_over = true;
            return Some(Err(self.answer.fail(error)));
        }
        None
    }

    fn behind_skipped(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let skipped = usize::try_from(self.skipped_bytes).unwrap_or(usize::MAX);
        let skipped = skipped.min(chunk.len());
        self.skipped_bytes -= skipped as u64;
        let rest = chunk.split_off(skipped);
        (!rest.is_empty()).then_some(rest)
    }
}

/// The size of the whole, of a `Content-Range` that goes on from an offset to the end. Pure.
pub(in crate::outbound) fn continuation(
    range: Option<&str>,
    from: u64,
) -> Result<Option<u64>, String> {
    let range = range.ok_or("it answers 206 without saying which part it sends")?;
    let wrong = || {
        let shown: String = range.chars().take(100).collect();
        format!("it sends {shown:?} and was asked for bytes {from}-")
    };
    let parsed: ContentRange = range.parse().map_err(|_| wrong())?;
    let total = range.rsplit_once('/').map(|(_, total)| total.trim());
    if !range.trim_start().starts_with("bytes ") || parsed.first != from {
        return Err(wrong());
    }
    match total {
        None => Err(wrong()),
        Some("*") => Ok(None),
        Some(total) => match total.parse::<u64>() {
            Ok(total) if parsed.last + 1 == total => Ok(Some(total)),
            Ok(_) | Err(_) => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_goes_on_where_it_was_asked_to() {
        let check = |range: Option<&str>, from: u64, expected: Option<Option<u64>>| {
            assert_eq!(continuation(range, from).ok(), expected, "{range:?} {from}");
        };
        check(Some("bytes 5-9/10"), 5, Some(Some(10)));
        check(Some("bytes 5-9/*"), 5, Some(None));
        check(Some(" bytes 5-9/10 "), 5, Some(Some(10)));
        check(Some("bytes 5-8/10"), 5, None);
        check(Some("bytes 4-9/10"), 5, None);
        check(Some("bytes 0-9/10"), 5, None);
        check(Some("bytes 5-9/9"), 5, None);
        check(Some("bytes 9-5/10"), 5, None);
        check(Some("bytes */10"), 5, None);
        check(Some("5-9"), 5, None);
        check(Some("5-9/10"), 5, None);
        check(Some("bytes 5-9"), 5, None);
        check(Some("bytes 5-18446744073709551615/*"), 5, None);
        check(Some(""), 5, None);
        check(None, 5, None);
        let problem = continuation(Some("bytes 0-9/10"), 5);
        let expected = "it sends \"bytes 0-9/10\" and was asked for bytes 5-";
        assert_eq!(problem, Err(expected.to_owned()));
    }
}
