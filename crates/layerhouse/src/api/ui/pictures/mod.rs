//! Pictures as SVG text, made here: no library, no script, no style attributes (the pages forbid them).
//!
//! Along x everything is in percent of the width and along y in pixels, so that a picture fits any page and its
//! text keeps its size. Colours come from classes (`c0` to `c7`), so that they follow the theme. Each picture says
//! in words what it shows; the page has the same numbers in a table.

pub(in crate::api::ui) mod bars;
pub(in crate::api::ui) mod line;
pub(in crate::api::ui) mod timeline;
pub(in crate::api::ui) mod treemap;

use std::fmt::{Arguments, Display, Formatter, Write};

use super::escape::Escaped;

/// How many colours there are.
pub(in crate::api::ui) const COLOURS: usize = 8;
/// Most elements of a picture.
const ELEMENTS_MAX: usize = 200;
/// Longest text in a picture, in characters: what nobody could read is not sent.
const TEXT_CHARS_MAX: usize = 120;

/// What a picture is called, and what it shows, for those who do not see it.
#[derive(Clone, Debug, Default)]
pub(in crate::api::ui) struct Words {
    pub(in crate::api::ui) title: String,
    pub(in crate::api::ui) summary: String,
}

/// An SVG while it is written.
#[derive(Debug)]
struct Svg {
    text: String,
    elements: usize,
}

impl Svg {
    /// A picture as wide as its place and `height` pixels high.
    fn new(kind: &str, height: u32, words: &Words) -> Self {
        let mut svg = Self {
            text: String::new(),
            elements: 0,
        };
        let Words { title, summary } = words;
        let (title, summary) = (Escaped(title), Escaped(summary));
        svg.put(format_args!(
            "<svg class=\"picture {kind}\" width=\"100%\" height=\"{height}\" role=\"img\" \
             aria-label=\"{title}\"><desc>{summary}</desc>"
        ));
        svg
    }

    /// One element, or the start of one. `shape` is markup whose foreign parts are [`Escaped`].
    fn put(&mut self, shape: Arguments<'_>) {
        self.elements += 1;
        self.close(shape);
    }

    /// What ends an element.
    fn close(&mut self, shape: Arguments<'_>) {
        self.text
            .write_fmt(shape)
            .expect("text can always grow by text");
    }

    /// What is shown while the pointer rests on the element that was opened.
    fn tip(&mut self, tip: &str) {
        self.put(format_args!("<title>{}</title>", Escaped(shortened(tip))));
    }

    fn finish(mut self) -> String {
        debug_assert!(self.elements <= ELEMENTS_MAX, "{} elements", self.elements);
        self.text.push_str("</svg>");
        self.text
    }
}

/// At most [`TEXT_CHARS_MAX`] characters of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A place along x, from 0 to 1, as percent with two digits.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Percent(f64);

impl Display for Percent {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let rounded = format!("{:.2}", self.0 * 100.0);
        let short = rounded.trim_end_matches('0').trim_end_matches('.');
        write!(formatter, "{short}%")
    }
}

/// A length along y in pixels with one digit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Pixels(f64);

impl Display for Pixels {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let rounded = format!("{:.1}", self.0);
        formatter.write_str(rounded.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What part `one` is of `all`; 0 of nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has some thousand pixels, a float 2^53 steps"
)]
fn share(one: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    one as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many elements an SVG has, if every one is closed and no attribute does anything.
    #[track_caller]
    pub(super) fn verify(svg: &str) -> usize {
        let (mut open, mut count, mut rest) = (Vec::new(), 0, svg);
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            let (tag, after) = rest.split_once('>').expect("an element ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{svg}");
                continue;
            }
            count += 1;
            assert!(!tag.contains(" style=") && !tag.contains(" on"), "{tag}");
            assert!(!tag.contains("NaN") && !tag.contains("inf"), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("a name"));
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.starts_with("<svg ") && svg.contains(" role=\"img\" aria-label="));
        assert!(count <= ELEMENTS_MAX, "{count} elements");
        count
    }

    pub(super) fn words() -> Words {
        Words {
            title: "<script>\"".to_owned(),
            summary: "a & b".to_owned(),
        }
    }

    #[test]
    fn numbers_are_short() {
        let check = |part, expected: &str| assert_eq!(Percent(part).to_string(), expected);
        check(0.0, "0%");
        check(1.0, "100%");
        check(0.5, "50%");
        check(1.0 / 3.0, "33.33%");
        assert_eq!(Pixels(10.0).to_string(), "10");
        assert_eq!(Pixels(0.25).to_string(), "0.2");
        assert!(share(1, 0).abs() < f64::EPSILON);
        assert!((share(u64::MAX, u64::MAX) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_frame_says_what_it_is() {
        let svg = Svg::new("bars", 10, &words()).finish();
        assert_eq!(
            svg,
            "<svg class=\"picture bars\" width=\"100%\" height=\"10\" role=\"img\" \
             aria-label=\"&lt;script&gt;&quot;\"><desc>a &amp; b</desc></svg>"
        );
        assert_eq!(
            shortened(&"é".repeat(500)).chars().count(),
            TEXT_CHARS_MAX + 1
        );
    }
}
