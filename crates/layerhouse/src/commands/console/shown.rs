//! Tables for people.

use clap::ValueEnum;
use layerhouse::shown_size;
use serde_json::Value;

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Table,
    /// As the API gives it
    Json,
}

/// A column of a table: its title, and where in an entry its text is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) show: fn(&Value) -> String,
}

impl Column {
    pub(crate) const fn new(title: &'static str, show: fn(&Value) -> String) -> Self {
        Self { title, show }
    }

    /// Without what a terminal acts on: names and descriptions are others' words.
    pub(crate) fn text(&self, entry: &Value) -> String {
        let shown = |character: char| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        };
        (self.show)(entry).chars().map(shown).collect()
    }
}

/// The text of a field; empty for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The same, with a word for what there is none of.
pub(crate) fn text_or(value: &Value, none: &str) -> String {
    if value.is_null() {
        none.to_owned()
    } else {
        text(value)
    }
}

/// A number of bytes, in a unit that is read at a glance: 1.5 GiB.
pub(crate) fn bytes(value: &Value) -> String {
    value.as_u64().map_or_else(|| text(value), shown_size)
}

/// Columns as wide as their widest text, parted by two spaces.
pub(crate) fn table(columns: &[Column], entries: &[Value]) -> String {
    let titles = columns.iter().map(|column| column.title.to_owned());
    let mut lines: Vec<Vec<String>> = vec![titles.collect()];
    for entry in entries {
        lines.push(columns.iter().map(|column| column.text(entry)).collect());
    }
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| width(at).unwrap_or(0))
        .collect();
    let mut shown = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        shown.push_str(padded.join("  ").trim_end());
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_shown_where_there_is_one() {
        assert_eq!(bytes(&json!(3 << 29)), "1.5 GiB");
        assert_eq!(bytes(&json!(null)), "");
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let columns = [
            Column::new("NAME", |entry| text(&entry["name"])),
            Column::new("LAST SEEN", |entry| text_or(&entry["at"], "never")),
            Column::new("ADMIN", |entry| text(&entry["admin"])),
        ];
        let entries = [
            json!({ "name": "ann", "at": null, "admin": true }),
            json!({ "name": "bartholomew\u{1b}[31m", "at": "2027", "admin": false }),
        ];
        assert_eq!(
            table(&columns, &entries),
            "NAME              LAST SEEN  ADMIN\n\
             ann               never      yes\n\
             bartholomew\u{fffd}[31m  2027       no\n"
        );
        assert_eq!(table(&columns, &[]), "NAME  LAST SEEN  ADMIN\n");
    }
}
