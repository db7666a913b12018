//! A statement as it goes to the server: by the name under which it was prepared on its connection, or whole each time,
//! where nobody knows which connection of the server comes next.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use crate::meta::transaction::Value;

/// A statement that can be run.
#[derive(Clone)]
pub(super) enum Ready {
    /// Its parameters have the types that the server found.
    Named(Statement),
    /// The server is told no types but finds the same ones each time: numbers and texts are sent as text.
    Whole(&'static str),
}

impl Ready {
    /// The number of rows that it changed. Sent when it is polled first.
    pub(super) async fn execute(
        &self,
        client: &Client,
        values: &[Value<'_>],
    ) -> Result<u64, Error> {
        match self {
            Self::Named(statement) => {
                let parameters = references(statement, values);
                client.execute(statement, &parameters).await
            }
            Self::Whole(sql) => client.execute_typed(sql, &untyped(sql, values)).await,
        }
    }

    /// All rows of its answer. Sent when it is polled first.
    pub(super) async fn query(
        &self,
        client: &Client,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Named(statement) => {
                let parameters = references(statement, values);
                client.query(statement, &parameters).await
            }
            Self::Whole(sql) => client.query_typed(sql, &untyped(sql, values)).await,
        }
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// As many as the statement has: some that belong together are given more than they ask for.
fn references<'a>(statement: &Statement, values: &'a [Value<'a>]) -> Vec<Parameter<'a>> {
    let asked_for = values.iter().take(statement.params().len());
    asked_for.map(|value| value as _).collect()
}

/// The same with their types, which the server is to find, but for bytes: as text those would be twice as long.
fn untyped<'a>(sql: &str, values: &'a [Value<'a>]) -> Vec<(Parameter<'a>, Type)> {
    let typed = |value: &'a Value<'a>| match value {
        Value::Bytes(_) => (value as _, Type::BYTEA),
        Value::Null | Value::Int(_) | Value::Text(_) => (value as _, Type::UNKNOWN),
    };
    values.iter().take(asked_for(sql)).map(typed).collect()
}

/// The highest number of a parameter `$n`.
pub(super) fn asked_for(sql: &str) -> usize {
    let number = |rest: &str| -> Option<usize> {
        let end = rest.find(|next: char| !next.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    sql.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        for (sql, number) in [
            ("SELECT 1", 0),
            ("SELECT $1", 1),
            ("WHERE a = $2 AND b > $12 OR c IN ($3,$1)", 12),
            ("SELECT '$' || $2", 2),
        ] {
            assert_eq!(asked_for(sql), number, "{sql}");
        }
    }
}
