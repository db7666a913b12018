//! YAML as an untyped tree whose nodes know where they were said.
//!
//! serde's data model has no room for positions once a value is untyped, and it forgets how a scalar
//! was written (`0123` as a password is four characters). So the tree is made of the events of the
//! parser that serde-saphyr stands on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// Nodes of one document, aliases expanded: a thousand times the longest configuration known, and
/// an end to aliases of aliases.
const NODES_MAX: usize = 100_000;
/// Deeper than any section; the parser's own bound is 255.
const DEPTH_MAX: usize = 64;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a file; both counted from 1.
    Place {
        file: Arc<str>,
        line: usize,
        column: usize,
    },
    /// In a variable of the environment.
    Variable(Arc<str>),
    /// On the command line.
    Argument(&'static str),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { file, line, column } => write!(out, "{file}:{line}:{column}"),
            Self::Variable(name) => out.write_str(name),
            Self::Argument(name) => out.write_str(name),
            Self::Default => out.write_str("default"),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Scalar {
        /// As it was written, without quotes.
        text: String,
        /// Without quotes, so that it may be a number or a boolean.
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_origin: Origin,
    pub(crate) node: Node,
}

impl Node {
    /// What it is, for people.
    pub(crate) fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar { text, is_plain } if *is_plain => text.clone(),
            Value::Scalar { text, .. } => format!("the text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
        }
    }
}

/// What is wrong with a text, and where.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

/// A document read.
#[derive(Debug)]
pub(crate) struct Document {
    /// Nothing, if the text has nothing but comments.
    pub(crate) node: Option<Node>,
    pub(crate) problems: Vec<Problem>,
    /// Behind it another document begins, which nobody reads.
    pub(crate) has_more: bool,
}

/// Reads a file's text.
pub(crate) fn parse_file(file: &str, text: &str) -> Document {
    parse(text, &Source::File(Arc::from(file)))
}

/// Reads a variable's value.
pub(crate) fn parse_variable(name: &str, text: &str) -> Document {
    parse(text, &Source::Variable(Arc::from(name)))
}

enum Source {
    File(Arc<str>),
    Variable(Arc<str>),
}

impl Source {
    fn origin(&self, line: usize, column: usize) -> Origin {
        match self {
            Self::File(file) => Origin::Place {
                file: Arc::clone(file),
                line,
                column,
            },
            Self::Variable(name) => Origin::Variable(Arc::clone(name)),
        }
    }
}

fn parse(text: &str, source: &Source) -> Document {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        source,
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    let (node, has_more) = builder.document().unwrap_or_else(|stop| {
        builder.problems.push(stop.0);
        (None, false)
    });
    Document {
        node,
        problems: builder.problems,
        has_more,
    }
}

/// Reading cannot go on.
struct Stop(Problem);

struct Builder<'text> {
    events: Parser<'text, StrInput<'text>>,
    source: &'text Source,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Problem>,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's enum may grow, and what begins no node is one error"
)]
impl<'text> Builder<'text> {
    /// The first document, and whether another one follows.
    fn document(&mut self) -> Result<(Option<Node>, bool), Stop> {
        let mut node = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::DocumentEnd => {
                    let after = loop {
                        match self.next()? {
                            Some((Event::DocumentEnd, _)) => {}
                            Some((Event::DocumentStart(..), _)) => break true,
                            _ => break false,
                        }
                    };
                    return Ok((node, after));
                }
                Event::StreamEnd => break,
                event => node = Some(self.node(event, span, 0)?),
            }
        }
        Ok((node, false))
    }

    fn next(&mut self) -> Result<Option<(Event<'text>, Span)>, Stop> {
        let fault = |error: ScanError| {
            let at = error.marker();
            Stop(Problem {
                origin: self.source.origin(at.line(), at.col() + 1),
                message: format!("this is not YAML: {}", error.info()),
            })
        };
        self.events.next_event().transpose().map_err(fault)
    }

    fn origin(&self, span: Span) -> Origin {
        self.source.origin(span.start.line(), span.start.col() + 1)
    }

    fn stop<T>(&self, span: Span, message: &str) -> Result<T, Stop> {
        Err(Stop(Problem {
            origin: self.origin(span),
            message: message.to_owned(),
        }))
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if NODES_MAX < self.nodes {
            return self.stop(span, "too much: aliases of aliases, or not a configuration");
        }
        Ok(())
    }

    /// The node that begins with an event.
    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.count(1, span)?;
        if DEPTH_MAX < depth {
            return self.stop(span, "sections in sections, too deep");
        }
        let origin = self.origin(span);
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let Some((node, nodes)) = self.anchors.get(&id).cloned() else {
                    return self.stop(span, "an alias inside of what it stands for");
                };
                self.count(nodes, span)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let is_plain = style == ScalarStyle::Plain && !is_text;
                let value = if is_plain && is_null(&text) {
                    Value::Null
                } else {
                    Value::Scalar {
                        text: text.into_owned(),
                        is_plain,
                    }
                };
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Value::Map(self.map(depth)?), anchor),
            _ => return self.stop(span, "something is expected here"),
        };
        let node = Node { value, origin };
        if anchor != 0 {
            let size = self.nodes - before + 1;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut nodes = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            nodes.push(self.node(event, span, depth + 1)?);
        }
        Ok(nodes)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let Some((event, at)) = self.next()? else {
                break;
            };
            let node = self.node(event, at, depth + 1)?;
            let text = match key.value {
                Value::Scalar { text, .. } => text,
                Value::Null => "null".to_owned(),
                Value::List(_) | Value::Map(_) => {
                    return self.stop(span, "a list or section cannot be a key");
                }
            };
            if is_merge {
                merged.push(node);
                continue;
            }
            if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                self.problems.push(Problem {
                    message: format!(
                        "the key {text:?} stands here again; first at {}",
                        first.key_origin
                    ),
                    origin: key.origin,
                });
                continue;
            }
            entries.push(Entry {
                key: text,
                key_origin: key.origin,
                node,
            });
        }
        for node in merged {
            self.merge(&mut entries, node);
        }
        Ok(entries)
    }

    /// `<<: *base`, or a list of them: what the section does not say itself; earlier ones win.
    fn merge(&mut self, entries: &mut Vec<Entry>, node: Node) {
        match node.value {
            Value::Map(others) => {
                for other in others {
                    if !entries.iter().any(|entry| entry.key == other.key) {
                        entries.push(other);
                    }
                }
            }
            Value::List(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Map(_))) => {
                for node in nodes {
                    self.merge(entries, node);
                }
            }
            Value::Null => {}
            Value::List(_) | Value::Scalar { .. } => self.problems.push(Problem {
                origin: node.origin,
                message: "<< takes a section, or a list of sections".to_owned(),
            }),
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Scalar { text, is_plain } if *is_plain => text.clone(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::List(nodes) => {
                let nodes: Vec<_> = nodes.iter().map(shown).collect();
                format!("[{}]", nodes.join(" "))
            }
            Value::Map(entries) => {
                let one = |entry: &Entry| format!("{}={}", entry.key, shown(&entry.node));
                let entries: Vec<_> = entries.iter().map(one).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn trees() {
        let check = |text: &str, expected: &str| {
            let document = parse_file("f", text);
            let mut found: Vec<_> = document.node.iter().map(shown).collect();
            let problems = document.problems.iter();
            found
                .extend(problems.map(|problem| format!("{}: {}", problem.origin, problem.message)));
            assert_eq!(found.join(" | "), expected, "{text}");
        };
        check("", "");
        check("# nothing\n", "");
        check(
            "a: 0123\nb: '0123'\nc: !!str 5\n",
            "{a=0123 b=\"0123\" c=\"5\"}",
        );
        check("a:\nb: ~\nc: ''\n", "{a=null b=null c=\"\"}");
        check("a: &x {p: 1, q: 2}\nb: *x\n", "{a={p=1 q=2} b={p=1 q=2}}");
        check(
            "a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x}\n",
            "{a={p=1 q=2} b={q=3 p=1}}",
        );
        check("b: {<<: [{a: 1}, {a: 2, c: 3}]}\n", "{b={a=1 c=3}}");
        check(
            "a: 1\nb: 2\na: 3\n",
            "{a=1 b=2} | f:3:1: the key \"a\" stands here again; first at f:1:1",
        );
        check(
            "<<: 5\n",
            "{} | f:1:5: << takes a section, or a list of sections",
        );
        check("? [a]\n: b\n", "f:1:3: a list or section cannot be a key");
        check("---\na: 1\n---\nb: 2\n", "{a=1}");
        check("\u{feff}a: 1\n", "{a=1}");
    }

    #[test]
    fn aliases_of_aliases_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            let _ = writeln!(text, "a{level}: &a{level} [{before}]");
        }
        let document = parse_file("f", &text);
        assert!(document.problems[0].message.starts_with("too much"));
    }
}
