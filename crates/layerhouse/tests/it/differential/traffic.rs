//! What is sent: a request to a line, as in the harness's transcripts, but without what must come back.
//!
//! `$upload` is the path and query of the last `Location` that came with 202, `$opened` that of the last
//! such POST, `$next` the target of the last `Link`; each registry has its own. The first `&` of a path without a query begins one, since only
//! registry:2's uploads have a query already. `^` before
//! a path keeps the prefix of the others from it. A line `restart` stops both registries and starts them
//! again, `restart NAME=value` with one more variable; `#` begins a comment.

use std::collections::BTreeMap;

use layerhouse_oci::digest::{Algorithm, Digest};

use crate::harness::http::Response;
use crate::harness::transcript::{columns, header, in_chunks};

/// Contents that lines name, the same for both registries.
pub(super) type Contents = BTreeMap<&'static str, Vec<u8>>;

/// What one registry said so far that later requests repeat.
#[derive(Debug, Default)]
pub(super) struct Captures(BTreeMap<&'static str, String>);

/// A request with its variables filled in for one registry.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Captures {
    /// Keeps what the answer's headers say.
    pub(super) fn remember(&mut self, method: &str, answer: &Response) {
        if answer.status == 202
            && let Some(location) = answer.header("location")
            && location.contains("/blobs/uploads/")
        {
            let location = path_of(location);
            self.0.insert("upload", location.to_owned());
            if method == "POST" {
                self.0.insert("opened", location.to_owned());
            }
        }
        if let Some(link) = answer.header("link")
            && let Some((target, _)) = link.trim_start_matches('<').split_once('>')
        {
            self.0.insert("next", path_of(target).to_owned());
        }
    }

    fn expand(&self, text: &str, contents: &Contents) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let end = after
                .find(|at: char| !at.is_ascii_alphanumeric())
                .unwrap_or(after.len());
            let (name, behind) = after.split_at(end);
            rest = behind;
            if name == "sha256" {
                let (argument, behind) = behind[1..].split_once(')').expect("a closing bracket");
                let content = content(argument, contents);
                expanded.push_str(Digest::of(Algorithm::Sha256, &content).as_str());
                rest = behind;
            } else {
                // What one registry did not give, as the other did, is a name that nothing has.
                expanded.push_str(self.0.get(name).map_or("/v2/none", String::as_str));
            }
        }
        expanded + rest
    }
}

impl Request {
    /// Reads a line; `prefix` stands before the paths that are not captured ones.
    pub(super) fn parse(
        line: &str,
        prefix: &str,
        captures: &Captures,
        contents: &Contents,
    ) -> Self {
        let (method, rest) = line.split_once(' ').expect("a method and a path");
        let columns = columns(rest);
        let unmoved = columns[0].strip_prefix('^');
        let mut path = captures.expand(unmoved.unwrap_or(columns[0]), contents);
        if !path.contains('?') {
            path = path.replacen('&', "?", 1);
        }
        if columns[0].starts_with('/') {
            path.insert_str(0, prefix);
        }
        let mut request = Self {
            method: method.to_owned(),
            path,
            headers: Vec::new(),
            body: Vec::new(),
        };
        for column in &columns[1..] {
            match header(column) {
                Some((name, value)) => {
                    let value = if name == "Authorization" {
                        value.to_owned()
                    } else {
                        captures.expand(value, contents)
                    };
                    request.headers.push((name.to_owned(), value));
                }
                None => request.read_body(column, contents),
            }
        }
        request
    }

    /// `[streamed] [first-last] 'text'` or `$name`.
    fn read_body(&mut self, column: &str, contents: &Contents) {
        let unstreamed = column.strip_prefix("streamed ");
        let mut rest = unstreamed.unwrap_or(column);
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            let (range, after) = rest.split_once(' ').expect("a body after its range");
            let range = ("Content-Range".to_owned(), range.to_owned());
            self.headers.push(range);
            rest = after;
        }
        self.body = match rest.strip_prefix('\'') {
            Some(text) => text.trim_end_matches('\'').as_bytes().to_vec(),
            None => content(rest, contents),
        };
        if unstreamed.is_some() {
            let chunked = ("Transfer-Encoding".to_owned(), "chunked".to_owned());
            self.headers.push(chunked);
            self.body = in_chunks(&self.body, 3);
        }
    }
}

fn content(text: &str, contents: &Contents) -> Vec<u8> {
    match text.strip_prefix('$') {
        Some(name) => contents
            .get(name)
            .unwrap_or_else(|| panic!("nothing is called {name}"))
            .clone(),
        None => text.as_bytes().to_vec(),
    }
}

/// A URL without its scheme and host.
pub(super) fn path_of(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    }
}
