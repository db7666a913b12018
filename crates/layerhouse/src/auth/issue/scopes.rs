//! What a client asks a token for: `scope=repository:acme/web:pull,push`, several times or parted by spaces
//! (Docker's token specification, "Token Scope").

/// Scopes that are read of one request. A mount names two, and the claims of a hundred with long names are
/// still shorter than what a request's head may have.
const SCOPES_MAX: usize = 64;
/// The texts of all of them: a token is about three times as long, and at most 24 KiB.
const SCOPES_BYTES_MAX: usize = 6 << 10;

/// Somebody asks to do this with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `repository`, `registry`.
    pub(crate) kind: String,
    /// What stands in brackets behind the kind: `plugin`.
    pub(crate) class: Option<String>,
    /// May begin with a host and its port.
    pub(crate) name: String,
    /// In the order in which they were asked for, each once.
    pub(crate) actions: Vec<String>,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.kind)?;
        if let Some(class) = &self.class {
            write!(out, "({class})")?;
        }
        write!(out, ":{}:{}", self.name, self.actions.join(","))
    }
}

/// More is asked for than one token can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is for at most {SCOPES_MAX} scopes of {SCOPES_BYTES_MAX} bytes together")]
pub(crate) struct TooManyScopes;

/// Reads the values of all `scope` parameters. What is no scope is left out, like one that nobody may have;
/// what is asked for twice is one.
///
/// # Errors
/// [`TooManyScopes`]
pub(crate) fn parse<'a>(
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Scope>, TooManyScopes> {
    let mut scopes: Vec<Scope> = Vec::new();
    let (mut number, mut size_bytes) = (0, 0);
    for text in values.into_iter().flat_map(|value| value.split(' ')) {
        if text.is_empty() {
            continue;
        }
        number += 1;
        size_bytes += text.len();
        if SCOPES_MAX < number || SCOPES_BYTES_MAX < size_bytes {
            return Err(TooManyScopes);
        }
        let Some(scope) = parse_one(text) else {
            continue;
        };
        let is_same = |other: &&mut Scope| {
            (&other.kind, &other.class, &other.name) == (&scope.kind, &scope.class, &scope.name)
        };
        match scopes.iter_mut().find(is_same) {
            Some(known) => scope
                .actions
                .into_iter()
                .for_each(|action| add(known, action)),
            None => scopes.push(scope),
        }
    }
    Ok(scopes)
}

/// `type ["(" class ")"] ":" name ":" action *("," action)`; the name may have a colon of its own.
fn parse_one(text: &str) -> Option<Scope> {
    let (resource, actions) = text.rsplit_once(':')?;
    let (kind, name) = resource.split_once(':')?;
    let (kind, class) = match kind.split_once('(') {
        Some((kind, class)) => (kind, Some(class.strip_suffix(')')?)),
        None => (kind, None),
    };
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if !is_word(kind) || !class.is_none_or(is_word) || !is_name(name) {
        return None;
    }
    let mut scope = Scope {
        kind: kind.to_owned(),
        class: class.map(str::to_owned),
        name: name.to_owned(),
        actions: Vec::new(),
    };
    for action in actions.split(',') {
        if action != "*" && !is_word(action) {
            return None;
        }
        add(&mut scope, action.to_owned());
    }
    Some(scope)
}

fn add(scope: &mut Scope, action: String) {
    if !scope.actions.contains(&action) {
        scope.actions.push(action);
    }
}

/// Letters of names and hosts; a colon before the first slash alone, with a port behind it.
fn is_name(name: &str) -> bool {
    let (host, rest) = match name.split_once(':') {
        Some((host, rest)) => (Some(host), rest),
        None => (None, name),
    };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let has_port = |host: &str| {
        let port = rest.split_once('/').map(|(port, _)| port);
        !host.is_empty()
            && !host.contains('/')
            && port.is_some_and(|port| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    !rest.is_empty()
        && name.bytes().all(|byte| byte == b':' || is_letter(byte))
        && !rest.contains(':')
        && host.is_none_or(has_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: &[&str]) {
        let scopes = parse(values.iter().copied()).expect("they are few");
        let shown: Vec<_> = scopes.iter().map(Scope::to_string).collect();
        assert_eq!(shown, expected, "{values:?}");
    }

    #[test]
    fn scopes_are_read() {
        check(&[], &[]);
        check(&["", " "], &[]);
        check(&["repository:acme/web:pull"], &["repository:acme/web:pull"]);
        check(
            &[
                "repository:a/b:pull,push registry:catalog:*",
                "repository:nginx:pull",
            ],
            &[
                "repository:a/b:pull,push",
                "registry:catalog:*",
                "repository:nginx:pull",
            ],
        );
        check(
            &["repository:a:pull repository:a:push,pull,push"],
            &["repository:a:pull,push"],
        );
        check(
            &["repository(plugin):a/b:pull", "repository:a/b:pull"],
            &["repository(plugin):a/b:pull", "repository:a/b:pull"],
        );
        check(
            &["repository:localhost:5000/acme/web:pull"],
            &["repository:localhost:5000/acme/web:pull"],
        );
        check(&["registry:catalog:search"], &["registry:catalog:search"]);
    }

    #[test]
    fn what_is_no_scope_is_left_out() {
        for text in [
            "x",
            ":",
            "::",
            ":::",
            "repository:a",
            "repository:a:",
            "repository::pull",
            "repository:a:pull,",
            "repository:a:Pull",
            ":a:pull",
            "Repository:a:pull",
            "repository():a:pull",
            "repository(plugin:a:pull",
            "repository(a)b:a:pull",
            "repository:a b:pull",
            "repository:a\"b:pull",
            "repository:a/b:5000/c:pull",
            "repository:a:b/c:pull",
            "repository:a:5000:pull",
            "repository:a:1:2/c:pull",
            "repository:é:pull",
            "repository:a:pull*",
        ] {
            check(&[text], &[]);
        }
        check(&["x repository:a:pull y"], &["repository:a:pull"]);
    }

    #[test]
    fn there_is_an_end() {
        let many = vec!["repository:a:pull"; SCOPES_MAX];
        assert_eq!(
            parse(many.iter().copied()).map(|scopes| scopes.len()),
            Ok(1)
        );
        let more = many.iter().copied().chain(["x"]);
        assert_eq!(parse(more), Err(TooManyScopes));
        let long = format!("repository:{}:pull", "a".repeat(SCOPES_BYTES_MAX));
        assert_eq!(parse([&*long]), Err(TooManyScopes));
    }
}
