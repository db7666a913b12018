//! The full-text index of repositories: the one place that speaks SQLite's FTS5 and PostgreSQL's `tsquery`.
//!
//! What words are, and what ranks before what, is decided in `index/search`; here they become documents and
//! expressions. A word of a document carries two characters in front: the [`Field`] where it stands and the
//! [`Class`] of who may see it. So an expression reads only what its caller may see and what it asks for,
//! and no caller's search takes longer for what is hidden from them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::Transaction;
use super::repositories::RepositoryId;
use super::transaction::Engine;
use crate::fault::Fault;

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    /// The whole name, without what parts it.
    Start,
    /// A part of the name.
    Part,
    /// Three characters within a part of the name.
    Triple,
    /// The description, and the name beside it.
    Description,
    /// Anywhere.
    Text,
}

/// The word of a namespace.
const NAMESPACE: char = 'n';
/// The word that all have.
const ALL: char = 'a';

impl Field {
    fn mark(self) -> char {
        match self {
            Self::Start => 's',
            Self::Part => 'p',
            Self::Triple => 'i',
            Self::Description => 'd',
            Self::Text => 't',
        }
    }
}

/// What a repository's own row says of who may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Public,
    Private,
    /// Nothing: whatever the configuration says.
    Default,
}

impl Class {
    fn mark(self) -> char {
        match self {
            Self::Public => 'o',
            Self::Private => 'x',
            Self::Default => 'u',
        }
    }

    /// As the row says it.
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("public"),
            Self::Private => Some("private"),
            Self::Default => None,
        }
    }

    fn from_column(visibility: Option<&str>) -> Self {
        match visibility {
            Some("public") => Self::Public,
            // Whatever else it says is shown to nobody by mistake.
            Some(_) => Self::Private,
            None => Self::Default,
        }
    }
}

/// A word that must be there, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) word: String,
    pub(crate) is_beginning: bool,
}

/// What to look for.
#[derive(Clone, Debug)]
pub(crate) struct Expression<'a> {
    /// All of these; none for whatever there is.
    pub(crate) terms: &'a [Term],
    pub(crate) field: Field,
    pub(crate) classes: &'a [Class],
    /// Only in one of these namespaces; empty for any.
    pub(crate) namespaces: &'a [&'a str],
}

/// How an expression is written.
struct Language {
    and: &'static str,
    or: &'static str,
    quote: char,
    star: &'static str,
}

const FTS5: Language = Language {
    and: " AND ",
    or: " OR ",
    quote: '"',
    star: " *",
};
const TSQUERY: Language = Language {
    and: " & ",
    or: " | ",
    quote: '\'',
    star: ":*",
};

impl Expression<'_> {
    /// In a language. Words have letters and digits alone, so quotes hold them.
    fn text(&self, language: &Language) -> String {
        let mut text = String::new();
        if self.terms.is_empty() {
            self.push_any(language, &mut text, ALL, &[""], false);
        }
        for term in self.terms {
            let words = [term.word.as_str()];
            let mark = self.field.mark();
            self.push_any(language, &mut text, mark, &words, term.is_beginning);
        }
        if !self.namespaces.is_empty() {
            let words = self.namespaces.iter().map(|name| namespace_word(name));
            let words: Vec<String> = words.collect();
            self.push_any(language, &mut text, NAMESPACE, &words, false);
        }
        text
    }

    /// `AND` one of these words, in one of the classes.
    fn push_any(
        &self,
        language: &Language,
        text: &mut String,
        mark: char,
        words: &[impl AsRef<str>],
        is_beginning: bool,
    ) {
        if !text.is_empty() {
            text.push_str(language.and);
        }
        text.push('(');
        let (quote, star) = (
            language.quote,
            if is_beginning { language.star } else { "" },
        );
        let mut parting = "";
        for word in words {
            for class in self.classes {
                let (class, word) = (class.mark(), word.as_ref());
                let _ = write!(text, "{parting}{quote}{mark}{class}{word}{quote}{star}");
                parting = language.or;
            }
        }
        text.push(')');
    }
}

/// Namespaces that differ in what parts them alone share a word: what is found is looked at again.
fn namespace_word(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// A repository found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) repository: RepositoryId,
    pub(crate) name: String,
    pub(crate) position: Position,
}

/// Where a repository stands in the index: what sorts before is as popular at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(i64);

impl Position {
    /// Before all others.
    pub(crate) const FIRST: Self = Self(0);

    /// The same for what only exact counts can put in order, and less for what is more popular: those whose
    /// stars are as many to a factor of two, and of those without stars, or with one, as many pulls.
    pub(crate) fn group(self) -> i64 {
        let popularity = i64::from(POPULARITY_MAX) - (self.0 >> POSITION_BITS);
        let stars = popularity >> DOUBLINGS_BITS & ((1 << DOUBLINGS_BITS) - 1);
        let exact = if stars <= 1 {
            popularity
        } else {
            popularity >> DOUBLINGS_BITS << DOUBLINGS_BITS
        };
        -exact
    }
}

/// How often a number can be doubled.
pub(crate) const DOUBLINGS_BITS: u32 = 6;
/// How popular the most popular is: official, doublings of its stars, doublings of its pulls.
pub(crate) const POPULARITY_MAX: u16 = (1 << (1 + 2 * DOUBLINGS_BITS)) - 1;
/// There is room for so many repositories of one popularity.
const POSITION_BITS: u32 = 40;

/// Calls `look` for what an expression finds, what is popular first and at most so many, until it has enough.
pub(crate) fn each(
    tx: &Transaction<'_>,
    expression: &Expression<'_>,
    most: usize,
    mut look: impl FnMut(Candidate) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    let (is_text, engine) = (expression.field == Field::Text, tx.engine());
    let (sql, language) = match engine {
        Engine::Sqlite(_) if is_text => (
            "SELECT search_documents.position, repository_id, name FROM search_texts
         CROSS JOIN search_documents ON search_documents.position = search_texts.rowid
         WHERE search_texts MATCH $1 ORDER BY search_texts.rowid LIMIT $2",
            FTS5,
        ),
        Engine::Sqlite(_) => (
            "SELECT search_documents.position, repository_id, name FROM search_names
         CROSS JOIN search_documents ON search_documents.position = search_names.rowid
         WHERE search_names MATCH $1 ORDER BY search_names.rowid LIMIT $2",
            FTS5,
        ),
        Engine::Postgres(_) if is_text => (
            "SELECT position, repository_id, name FROM search_documents
             WHERE texts @@ CAST($1::text AS tsquery) ORDER BY position LIMIT $2",
            TSQUERY,
        ),
        Engine::Postgres(_) => (
            "SELECT position, repository_id, name FROM search_documents
             WHERE names @@ CAST($1::text AS tsquery) ORDER BY position LIMIT $2",
            TSQUERY,
        ),
    };
    let text = expression.text(&language);
    tx.each_until(sql, &[text.as_str().into(), super::limit(most)], |row| {
        look(Candidate {
            position: Position(row.int(0)?),
            repository: RepositoryId(row.int(1)?),
            name: row.text(2)?,
        })
    })
}

/// Whether there is any repository of these classes.
pub(crate) fn has_any(tx: &Transaction<'_>, classes: &[Class]) -> Result<bool, Fault> {
    let expression = Expression {
        terms: &[],
        field: Field::Description,
        classes,
        namespaces: &[],
    };
    let mut is_there = false;
    each(tx, &expression, 1, |_| {
        is_there = true;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(is_there)
}

/// A repository as it is to be found.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) repository: RepositoryId,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// At most [`POPULARITY_MAX`].
    pub(crate) popularity: u16,
    pub(crate) class: Class,
    pub(crate) words: Vec<(Field, BTreeSet<String>)>,
}

/// Puts a repository where it is found, instead of where it was.
pub(crate) fn put(tx: &Transaction<'_>, document: &Document) -> Result<(), Fault> {
    remove(tx, document.repository)?;
    let popularity = document.popularity.min(POPULARITY_MAX);
    let first = i64::from(POPULARITY_MAX - popularity) << POSITION_BITS;
    let last = tx.query_one(
        "SELECT COALESCE(MAX(position), $1) FROM search_documents WHERE position BETWEEN $1 AND $2",
        &[first.into(), (first + (1 << POSITION_BITS) - 1).into()],
        |row| row.int(0),
    )?;
    let position = last.unwrap_or(first) + 1;
    let class = document.class.mark();
    let namespace = namespace_word(&document.namespace);
    let mut names = format!("{ALL}{class} {NAMESPACE}{class}{namespace}");
    let mut texts = names.clone();
    for (field, words) in &document.words {
        let text = if *field == Field::Text {
            &mut texts
        } else {
            &mut names
        };
        for word in words {
            let _ = write!(text, " {}{class}{word}", field.mark());
        }
    }
    let values = [
        position.into(),
        document.repository.0.into(),
        document.name.as_str().into(),
        names.as_str().into(),
        texts.as_str().into(),
    ];
    match tx.engine() {
        Engine::Sqlite(_) => {
            for sql in [
                "INSERT INTO search_documents (position, repository_id, name) VALUES ($1, $2, $3)",
                "INSERT INTO search_names (rowid, words) VALUES ($1, $4)",
                "INSERT INTO search_texts (rowid, words) VALUES ($1, $5)",
            ] {
                tx.run(sql, &values)?;
            }
        }
        Engine::Postgres(_) => {
            tx.run(
                "INSERT INTO search_documents (position, repository_id, name, names, texts)
                 VALUES ($1, $2, $3, array_to_tsvector(string_to_array($4, ' ')),
                         array_to_tsvector(string_to_array($5, ' ')))",
                &values,
            )?;
        }
    }
    Ok(())
}

/// Lets a repository be found no more.
pub(crate) fn remove(tx: &Transaction<'_>, repository: RepositoryId) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM search_documents WHERE repository_id = $1",
        &[repository.0.into()],
    )?;
    Ok(())
}

/// Has the job look at a repository again.
pub(crate) fn mark_stale(tx: &Transaction<'_>, repository: RepositoryId) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO search_stale (repository_id) VALUES ($1) ON CONFLICT DO NOTHING",
        &[repository.0.into()],
    )?;
    Ok(())
}

/// Repositories that are to be looked at again, at most `limit` of them.
pub(crate) fn stale(tx: &Transaction<'_>, limit: usize) -> Result<Vec<RepositoryId>, Fault> {
    tx.query(
        "SELECT repository_id FROM search_stale ORDER BY repository_id LIMIT $1",
        &[super::limit(limit)],
        |row| Ok(RepositoryId(row.int(0)?)),
    )
}

/// It was looked at.
pub(crate) fn unmark_stale(tx: &Transaction<'_>, repository: RepositoryId) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM search_stale WHERE repository_id = $1",
        &[repository.0.into()],
    )?;
    Ok(())
}

/// How far the job came, in what it follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every repository up to this one was indexed.
    pub(crate) repository: i64,
    /// Every move of a tag up to this one was seen.
    pub(crate) tag_event: i64,
}

/// How far the job came.
pub(crate) fn progress(tx: &Transaction<'_>) -> Result<Progress, Fault> {
    let found = tx.query_one(
        "SELECT repository_id, tag_event_id FROM search_progress",
        &[],
        |row| {
            Ok(Progress {
                repository: row.int(0)?,
                tag_event: row.int(1)?,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}

/// The job came so far.
pub(crate) fn set_progress(tx: &Transaction<'_>, progress: Progress) -> Result<(), Fault> {
    tx.run(
        "UPDATE search_progress SET repository_id = $1, tag_event_id = $2",
        &[progress.repository.into(), progress.tag_event.into()],
    )?;
    Ok(())
}

/// Repositories made after another one, in the order in which they were, at most `limit` of them.
pub(crate) fn made_after(
    tx: &Transaction<'_>,
    repository: i64,
    limit: usize,
) -> Result<Vec<(i64, RepositoryId)>, Fault> {
    tx.query(
        "SELECT id FROM repositories WHERE id > $1 ORDER BY id LIMIT $2",
        &[repository.into(), super::limit(limit)],
        |row| Ok((row.int(0)?, RepositoryId(row.int(0)?))),
    )
}

/// What a repository is indexed by, beside its page.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) repository: RepositoryId,
    pub(crate) name: String,
    pub(crate) class: Class,
    pub(crate) stars: i64,
    pub(crate) pulls: i64,
}

/// What is true of a repository now.
pub(crate) fn facts(
    tx: &Transaction<'_>,
    repository: RepositoryId,
) -> Result<Option<Facts>, Fault> {
    tx.query_one(
        "SELECT repositories.id, name, visibility, COALESCE(stars, 0), COALESCE(pulls, 0)
         FROM repositories
         LEFT JOIN repository_counts ON repository_counts.repository_id = repositories.id
         WHERE repositories.id = $1 AND deleted_at IS NULL",
        &[repository.0.into()],
        read_facts,
    )
}

/// The same of the repository called `name`.
pub(crate) fn facts_of_name(tx: &Transaction<'_>, name: &str) -> Result<Option<Facts>, Fault> {
    tx.query_one(
        "SELECT repositories.id, name, visibility, COALESCE(stars, 0), COALESCE(pulls, 0)
         FROM repositories
         LEFT JOIN repository_counts ON repository_counts.repository_id = repositories.id
         WHERE repositories.name = $1 AND deleted_at IS NULL",
        &[name.into()],
        read_facts,
    )
}

fn read_facts(row: &super::Row<'_>) -> Result<Facts, Fault> {
    Ok(Facts {
        repository: RepositoryId(row.int(0)?),
        name: row.text(1)?,
        class: Class::from_column(row.optional_text(2)?.as_deref()),
        stars: row.int(3)?,
        pulls: row.int(4)?,
    })
}
