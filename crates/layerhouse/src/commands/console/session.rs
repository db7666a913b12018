//! Asking the API: paths, pages, and what its refusals mean to who typed a command.

use std::io::{self, Write};

use layerhouse::{Console, ConsoleError, Reply};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::shown::{Column, Form, table};

/// Entries that are asked for at once.
const PAGE_ROWS: usize = 500;
/// What stands for itself in a path or a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::coded(1, message)
    }

    /// What was typed cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::coded(2, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::coded(3, message)
    }

    fn not_allowed(message: impl Into<String>) -> Self {
        Self::coded(4, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::coded(5, message)
    }

    /// It was done, and something is wrong with what was looked at.
    pub(crate) fn found(message: impl Into<String>) -> Self {
        Self::coded(6, message)
    }

    fn coded(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }

    pub(crate) fn of_console(error: &ConsoleError) -> Self {
        let message = error.to_string();
        match error {
            ConsoleError::NotOperator { .. } => Self::not_allowed(message),
            ConsoleError::Off
            | ConsoleError::OffThere { .. }
            | ConsoleError::Unreachable { .. }
            | ConsoleError::Broken(_)
            | ConsoleError::Start(_) => Self::failed(message),
        }
    }

    /// What an answer of the API that is none means.
    fn of_reply(reply: &Reply) -> Self {
        let said = reply.body["errors"][0]["message"].as_str();
        let message = said.map_or_else(
            || format!("the server answered {}", reply.status),
            str::to_owned,
        );
        match reply.status {
            400 | 413 | 415 | 422 => Self::usage(message),
            401 | 403 => Self::not_allowed(message),
            404 => Self::not_found(message),
            409 => Self::refused(message),
            _ => Self::failed(message),
        }
    }
}

/// The API, as its administrator, and how answers are shown.
#[derive(Debug)]
pub(crate) struct Session {
    console: Console,
    form: Form,
}

impl Session {
    pub(crate) fn new(console: Console, form: Form) -> Self {
        Self { console, form }
    }

    pub(crate) async fn close(self) {
        self.console.close().await;
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let path = format!("/api/v1{path}");
        let asked = self.console.ask(method, &path, body).await;
        let reply = asked.map_err(|error| Failure::of_console(&error))?;
        if (200..300).contains(&reply.status) {
            return Ok(reply.body);
        }
        Err(Failure::of_reply(&reply))
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Result<Value, Failure> {
        self.ask("POST", path, Some(&body)).await
    }

    /// Has what the path names done, which takes no words.
    pub(crate) async fn post_there(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask("POST", path, None).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: Value) -> Result<Value, Failure> {
        self.ask("PUT", path, Some(&body)).await
    }

    /// Makes it so that what the path names is there.
    pub(crate) async fn put_there(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask("PUT", path, None).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: Value) -> Result<Value, Failure> {
        self.ask("PATCH", path, Some(&body)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Result<(), Failure> {
        self.ask("DELETE", path, None).await.map(|_| ())
    }

    /// Every entry of a list, page by page, or at most so many.
    pub(crate) async fn list(
        &mut self,
        path: &str,
        entries_max: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let entries_max = entries_max.unwrap_or(usize::MAX);
        let mut found: Vec<Value> = Vec::new();
        let mut after = None::<String>;
        loop {
            let rows = PAGE_ROWS.min(entries_max - found.len());
            if rows == 0 {
                return Ok(found);
            }
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{mark}n={rows}");
            if let Some(after) = &after {
                page = format!("{page}&after={}", encoded(after));
            }
            let mut page = self.get(&page).await?;
            if let Value::Array(items) = page["items"].take() {
                found.extend(items);
            }
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    /// Shows entries, as a table of these columns or as the API gave them.
    pub(crate) fn show_all(&self, columns: &[Column], entries: Vec<Value>) -> Result<(), Failure> {
        print(&match self.form {
            Form::Table => table(columns, &entries),
            Form::Json => json(&Value::Array(entries)),
        })
    }

    /// Shows one thing, a line for each of its columns or as the API gave it.
    pub(crate) fn show(&self, columns: &[Column], entry: &Value) -> Result<(), Failure> {
        print(&match self.form {
            Form::Table => shown_alone(columns, entry),
            Form::Json => json(entry),
        })
    }

    /// Shows a secret: alone on its line, so that a script takes it as it is.
    pub(crate) fn show_secret(
        &self,
        entry: &Value,
        field: &str,
        remark: &str,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Json => print(&json(entry)),
            Form::Table => {
                print(&format!("{}\n", entry[field].as_str().unwrap_or_default()))?;
                super::remark(remark);
                Ok(())
            }
        }
    }

    /// Whether nobody else uses the data directory.
    pub(crate) fn is_alone(&self) -> bool {
        self.console.is_alone()
    }

    /// Shows one thing in words for people, or as the API gave it.
    pub(crate) fn show_words(&self, words: &str, entry: &Value) -> Result<(), Failure> {
        print(&match self.form {
            Form::Table => words.to_owned(),
            Form::Json => json(entry),
        })
    }

    /// Whether people read what is shown.
    pub(crate) fn is_for_people(&self) -> bool {
        self.form == Form::Table
    }

    /// Says what was done, unless a program reads it.
    pub(crate) fn done(&self, what: &str) {
        if self.form == Form::Table {
            super::remark(what);
        }
    }
}

fn shown_alone(columns: &[Column], entry: &Value) -> String {
    let width = columns.iter().map(|column| column.title.len()).max();
    let width = width.unwrap_or(0) + 2;
    let line = |column: &Column| {
        let title = column.title.to_lowercase();
        format!("{title:width$}{}", column.text(entry))
    };
    let lines = columns
        .iter()
        .map(|column| line(column).trim_end().to_owned() + "\n");
    lines.collect()
}

/// Shows what the API gave, as it is.
pub(crate) fn show_json(value: &Value) -> Result<(), Failure> {
    print(&json(value))
}

fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Data goes to standard output; who closed it does not want more.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A text as a segment of a path, or as a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
