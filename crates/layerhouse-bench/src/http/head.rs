//! Heads of answers, read from bytes. Pure.

use super::Failure;

/// How long the body behind a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    /// Until the connection closes.
    Close,
}

/// What matters of a head. `location` is a range of the bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) closes: bool,
    pub(crate) location: Option<std::ops::Range<usize>>,
    /// Bytes of the head itself.
    pub(crate) length: usize,
}

/// The head at the start of `bytes`; `None` if it is not all there yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut at = find(bytes, b"\r\n").unwrap_or(end);
    let mut head = Head {
        status: status(&bytes[..at])?,
        framing: Framing::Close,
        closes: bytes.starts_with(b"HTTP/1.0"),
        location: None,
        length: end + 4,
    };
    let mut length = None;
    while at < end {
        let start = at + 2;
        at = start + find(&bytes[start..end + 2], b"\r\n").unwrap_or(end - start);
        let line = &bytes[start..at];
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Failure::Malformed("a header without a colon"))?;
        let value = line[colon + 1..].trim_ascii();
        match colon {
            14 if line[..colon].eq_ignore_ascii_case(b"content-length") => {
                let number = decimal(value).ok_or(Failure::Malformed("Content-Length"))?;
                if length.is_some_and(|other| other != number) {
                    return Err(Failure::Malformed("two values of Content-Length"));
                }
                length = Some(number);
            }
            17 if line[..colon].eq_ignore_ascii_case(b"transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::Malformed("a transfer coding other than chunked"));
                }
                head.framing = Framing::Chunked;
            }
            10 if line[..colon].eq_ignore_ascii_case(b"connection") => {
                head.closes |= value.eq_ignore_ascii_case(b"close");
            }
            8 if line[..colon].eq_ignore_ascii_case(b"location") => {
                let from = at - line[colon + 1..].trim_ascii_start().len();
                head.location = Some(from..from + value.len());
            }
            _ => {}
        }
    }
    match (head.framing, length) {
        (Framing::Chunked, Some(_)) => {
            return Err(Failure::Malformed("both a length and chunks"));
        }
        (_, Some(length)) => head.framing = Framing::Length(length),
        (_, None) => {}
    }
    if let 100..200 | 204 | 304 = head.status {
        head.framing = Framing::Length(0);
    }
    Ok(Some(head))
}

/// The length of a chunk from its line, without the line's end.
pub(crate) fn chunk_length(line: &[u8]) -> Result<u64, Failure> {
    let wrong = Failure::Malformed("the length of a chunk");
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line);
    match std::str::from_utf8(digits.trim_ascii()) {
        Ok(text) if (1..=15).contains(&text.len()) && !text.starts_with('+') => {
            u64::from_str_radix(text, 16).map_err(|_| wrong)
        }
        _ => Err(wrong),
    }
}

/// Where `pattern` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

fn status(line: &[u8]) -> Result<u16, Failure> {
    let wrong = Failure::Malformed("the status line");
    let known = line.starts_with(b"HTTP/1.1 ") || line.starts_with(b"HTTP/1.0 ");
    let digits = line.get(9..12).filter(|_| known);
    let ended = line.get(12).is_none_or(|byte| *byte == b' ');
    match digits.and_then(decimal) {
        Some(number @ 100..600) if ended => u16::try_from(number).map_err(|_| wrong),
        _ => Err(wrong),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let text =
            b"HTTP/1.1 201 Created\r\nlocation:  /v2/x?a=b \r\nContent-Length: 12\r\n\r\nbody";
        let head = parse(text).unwrap().unwrap();
        assert_eq!(head.status, 201);
        assert_eq!(head.framing, Framing::Length(12));
        assert_eq!(&text[head.location.unwrap()], b"/v2/x?a=b");
        assert_eq!(&text[head.length..], b"body");
        assert!(!head.closes);
        for cut in 0..text.len() - 5 {
            assert_eq!(parse(&text[..cut]).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn framings() {
        for (fields, framing, closes) in [
            ("", Framing::Close, false),
            ("Transfer-Encoding: Chunked\r\n", Framing::Chunked, false),
            (
                "connection: Close\r\nContent-Length:0\r\n",
                Framing::Length(0),
                true,
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let head = parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!((head.framing, head.closes), (framing, closes), "{fields}");
        }
        let empty = parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!(empty.framing, Framing::Length(0));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 99 no\r\n\r\n",
            "HTTP/1.1 2000 no\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn chunk_lengths() {
        assert_eq!(chunk_length(b"1fF;name=value").unwrap(), 0x1ff);
        for line in [&b""[..], b"x", b"-1", b"+1", b"11112222333344445"] {
            assert!(chunk_length(line).is_err());
        }
    }
}
