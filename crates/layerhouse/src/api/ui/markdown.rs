//! Markdown of others (a README) as HTML that does nothing: no scripts, no styles, nothing from elsewhere.
//!
//! We write only elements and attributes named here, and text, escaped. So there is nothing to clean
//! afterwards: raw HTML is shown as the text it is, and a picture is a link to it.

use std::collections::HashMap;
use std::fmt::Write;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::escape::Escaped;

/// Longest text that is read, in bytes: that of a README.
const SOURCE_BYTES_MAX: usize = 256 << 10;
/// Longest HTML, in bytes: what a README of that size becomes when each of its lines is a list's item.
const HTML_BYTES_MAX: usize = 2 << 20;
/// Elements that may be open at once: quotes of quotes of lists. Of deeper ones the text alone is shown.
const DEPTH_MAX: usize = 32;
/// The page has the heading of the first level, the README's card that of the second.
const HEADING_SHIFT: usize = 2;
/// Stands before every id, so that none is one of the page's.
const ID_PREFIX: &str = "readme-";
/// Nobody who is linked to gains by it, or learns where the link stood.
const REL: &str = "nofollow noopener noreferrer ugc";

/// The HTML of `source`, of which at most 256 KiB are read; at most some 2 MiB, with every element closed.
pub(in crate::api::ui) fn html(source: &str) -> String {
    let source = &source[..source.floor_char_boundary(SOURCE_BYTES_MAX)];
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    for event in Parser::new_ext(source, options) {
        if HTML_BYTES_MAX <= writer.html.len() {
            writer.html.push('…');
            break;
        }
        writer.take(event);
    }
    writer.finish()
}

/// What stands open.
#[derive(Debug)]
struct Open {
    /// What closes it; empty for what is not shown as an element.
    close: &'static str,
    is_link: bool,
}

/// A heading while it is read: its id is known when its text is.
#[derive(Debug)]
struct Heading {
    /// Where its content begins.
    at: usize,
    text: String,
}

/// A picture while its alternative text is read.
#[derive(Debug)]
struct Picture {
    target: String,
    alternative: String,
    /// Pictures within pictures.
    depth: usize,
}

#[derive(Debug, Default)]
struct Writer {
    html: String,
    open: Vec<Open>,
    heading: Option<Heading>,
    picture: Option<Picture>,
    /// A block of raw HTML, while it is read.
    raw: Option<String>,
    alignments: Vec<Alignment>,
    column: usize,
    in_head: bool,
    /// How often a heading's text was seen.
    slugs: HashMap<String, usize>,
    footnotes: HashMap<String, usize>,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        if self.picture.is_some() {
            return self.take_in_picture(event);
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
            Event::Code(code) => {
                self.note(&code);
                self.put(format_args!("<code>{}</code>", Escaped(code)));
            }
            Event::Html(html) => match &mut self.raw {
                Some(raw) => raw.push_str(&html),
                None => self.put(format_args!("{}", Escaped(html))),
            },
            // The one element that is common in prose and has nothing in it.
            Event::InlineHtml(html) if is_break(&html) => self.html.push_str("<br>"),
            Event::InlineHtml(html) => self.text(&html),
            Event::FootnoteReference(label) => {
                let number = self.footnote(&label);
                self.put(format_args!(
                    "<sup><a href=\"#{ID_PREFIX}note-{number}\">[{number}]</a></sup>"
                ));
            }
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => self.html.push_str("<br>\n"),
            Event::Rule => self.html.push_str("<hr>\n"),
            Event::TaskListMarker(is_done) => {
                self.html.push_str(if is_done { "☑ " } else { "☐ " });
            }
        }
    }

    /// Of what stands in a picture's alternative text, only the text counts.
    fn take_in_picture(&mut self, event: Event<'_>) {
        let Some(picture) = &mut self.picture else {
            return;
        };
        match event {
            Event::Start(Tag::Image { .. }) => picture.depth += 1,
            Event::End(TagEnd::Image) if 0 < picture.depth => picture.depth -= 1,
            Event::End(TagEnd::Image) => self.end_picture(),
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineHtml(text)
            | Event::Html(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => picture.alternative.push_str(&text),
            Event::SoftBreak | Event::HardBreak => picture.alternative.push(' '),
            Event::Start(_) | Event::End(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.element("<p>", "</p>\n"),
            Tag::Heading { .. } => {
                self.heading = Some(Heading {
                    at: self.html.len(),
                    text: String::new(),
                });
                self.push("");
            }
            Tag::BlockQuote(_) => self.element("<blockquote>\n", "</blockquote>\n"),
            // A code block can be wider than the page: it scrolls, also by the keyboard.
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => {
                self.element("<pre tabindex=\"0\"><code>", "</code></pre>\n");
            }
            Tag::HtmlBlock => {
                self.raw = Some(String::new());
                self.push("");
            }
            Tag::List(None) => self.element("<ul>\n", "</ul>\n"),
            Tag::List(Some(first)) => {
                if self.may_open() {
                    self.put(format_args!("<ol start=\"{first}\">\n"));
                    self.push("</ol>\n");
                } else {
                    self.push("");
                }
            }
            Tag::Item => self.element("<li>", "</li>\n"),
            Tag::FootnoteDefinition(label) => {
                let number = self.footnote(&label);
                if self.may_open() {
                    self.put(format_args!(
                        "<div class=\"footnote\" id=\"{ID_PREFIX}note-{number}\"><sup>[{number}]</sup> "
                    ));
                    self.push("</div>\n");
                } else {
                    self.push("");
                }
            }
            Tag::Table(alignments) => {
                self.alignments = alignments;
                let open = "<div class=\"scroll\" tabindex=\"0\"><table>\n";
                self.element(open, "</tbody></table></div>\n");
            }
            Tag::TableHead => {
                self.in_head = true;
                self.column = 0;
                self.element_of_table("<thead><tr>", "</tr></thead><tbody>\n");
            }
            Tag::TableRow => {
                self.column = 0;
                self.element_of_table("<tr>", "</tr>\n");
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.element("<em>", "</em>"),
            Tag::Strong => self.element("<strong>", "</strong>"),
            Tag::Strikethrough => self.element("<del>", "</del>"),
            Tag::Superscript => self.element("<sup>", "</sup>"),
            Tag::Subscript => self.element("<sub>", "</sub>"),
            Tag::Link { dest_url, .. } => self.link(&dest_url),
            Tag::Image { dest_url, .. } => {
                self.picture = Some(Picture {
                    target: dest_url.into_string(),
                    alternative: String::new(),
                    depth: 0,
                });
            }
            Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_) => self.push(""),
        }
    }

    fn end(&mut self, end: TagEnd) {
        if let TagEnd::Heading(level) = end {
            self.end_heading(level);
        } else if end == TagEnd::HtmlBlock {
            self.end_raw();
        } else if end == TagEnd::TableHead {
            self.in_head = false;
        }
        self.close();
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        let Some(Heading { at, text }) = self.heading.take() else {
            return;
        };
        let level = (level as usize + HEADING_SHIFT).min(6);
        let content = self.html.split_off(at);
        match self.slug(&text) {
            None => self.put(format_args!("<h{level}>{content}</h{level}>\n")),
            Some(id) => self.put(format_args!(
                "<h{level} id=\"{ID_PREFIX}{}\">{content}</h{level}>\n",
                Escaped(id)
            )),
        }
    }

    /// A block of raw HTML is shown as what somebody wrote, but for comments, which were not meant to be seen.
    fn end_raw(&mut self) {
        let raw = self.raw.take().unwrap_or_default();
        let text = raw.trim();
        let is_comment = text.len() >= "<!---->".len()
            && text.starts_with("<!--")
            && text.find("-->") == Some(text.len() - "-->".len());
        if !is_comment && !text.is_empty() {
            self.put(format_args!(
                "<pre tabindex=\"0\"><code>{}</code></pre>\n",
                Escaped(text)
            ));
        }
    }

    fn cell(&mut self) {
        let alignment = self.alignments.get(self.column);
        self.column += 1;
        let class = match alignment {
            Some(Alignment::Center) => " class=\"center\"",
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::None | Alignment::Left) | None => "",
        };
        if self.is_shown() {
            let (open, close) = if self.in_head {
                ("<th scope=\"col\"", "</th>")
            } else {
                ("<td", "</td>")
            };
            self.put(format_args!("{open}{class}>"));
            self.push(close);
        } else {
            self.push("");
        }
    }

    fn link(&mut self, target: &str) {
        if self.open.iter().any(|open| open.is_link) || !self.may_open() || !self.anchor(target) {
            return self.push("");
        }
        self.open.push(Open {
            close: "</a>",
            is_link: true,
        });
    }

    /// Opens a link if it may lead there.
    fn anchor(&mut self, target: &str) -> bool {
        if let Some(fragment) = target.strip_prefix('#') {
            self.put(format_args!(
                "<a href=\"#{ID_PREFIX}{}\">",
                Escaped(fragment)
            ));
            return true;
        }
        if is_allowed(target) {
            let target = Escaped(target);
            self.put(format_args!("<a href=\"{target}\" rel=\"{REL}\">"));
            return true;
        }
        false
    }

    fn end_picture(&mut self) {
        let Some(picture) = self.picture.take() else {
            return;
        };
        let alternative = picture.alternative.trim();
        let name = if alternative.is_empty() {
            // Its file's name says more than nothing.
            let name = picture.target.rsplit('/').find(|part| !part.is_empty());
            name.unwrap_or("…").to_owned()
        } else {
            alternative.to_owned()
        };
        self.note(&name);
        let is_in_link = self.open.iter().any(|open| open.is_link);
        if !is_in_link && is_allowed(&picture.target) && self.anchor(&picture.target) {
            self.put(format_args!("{}</a>", Escaped(name)));
        } else {
            self.put(format_args!("{}", Escaped(name)));
        }
    }

    /// The number of a footnote, in the order in which they are met.
    fn footnote(&mut self, label: &str) -> usize {
        let next = self.footnotes.len() + 1;
        *self.footnotes.entry(label.to_owned()).or_insert(next)
    }

    /// What a heading is linked to by: as GitHub makes it, for that is what links within a README count on.
    fn slug(&mut self, text: &str) -> Option<String> {
        let slug: String = text
            .trim()
            .chars()
            .filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                _ if character.is_alphanumeric() => Some(character),
                _ => None,
            })
            .flat_map(char::to_lowercase)
            .take(100)
            .collect();
        if slug.is_empty() {
            return None;
        }
        let seen = self.slugs.entry(slug.clone()).or_insert(0);
        *seen += 1;
        Some(match *seen {
            1 => slug,
            again => format!("{slug}-{}", again - 1),
        })
    }

    fn text(&mut self, text: &str) {
        self.note(text);
        self.put(format_args!("{}", Escaped(text)));
    }

    /// Remembers text for the heading that it may be in.
    fn note(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.html
            .write_fmt(text)
            .expect("text can always grow by text");
    }

    fn may_open(&self) -> bool {
        self.open.len() < DEPTH_MAX
    }

    /// Whether what is open last is an element.
    fn is_shown(&self) -> bool {
        self.open.last().is_none_or(|open| !open.close.is_empty())
    }

    fn element(&mut self, open: &str, close: &'static str) {
        if self.may_open() {
            self.html.push_str(open);
            self.push(close);
        } else {
            self.push("");
        }
    }

    /// Rows stand in tables, or nowhere.
    fn element_of_table(&mut self, open: &str, close: &'static str) {
        if self.is_shown() {
            self.html.push_str(open);
            self.push(close);
        } else {
            self.push("");
        }
    }

    fn push(&mut self, close: &'static str) {
        self.open.push(Open {
            close,
            is_link: false,
        });
    }

    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.html.push_str(open.close);
        }
    }

    /// Closes what the end of the output cut off.
    fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.html
    }
}

/// Web pages and addresses; not what is relative, for a README knows nothing of where it is shown.
fn is_allowed(target: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| {
        let start = target.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

fn is_break(html: &str) -> bool {
    ["<br>", "<br/>", "<br />"]
        .iter()
        .any(|element| html.eq_ignore_ascii_case(element))
}

#[cfg(test)]
mod tests;
