//! Reads `WWW-Authenticate` (RFC 9110, section 11.6.1). Pure: an upstream may write what it likes there.

/// Longer values are no challenge that anybody means.
const VALUE_BYTES_MAX: usize = 8 << 10;
const CHALLENGES_MAX: usize = 16;
const PARAMETERS_MAX: usize = 32;

/// What an upstream wants to see before it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In small letters: `bearer`.
    pub(super) scheme: String,
    /// Names in small letters.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first value of a parameter that is not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(own, value)| own == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header; what follows something malformed is not read.
pub(super) fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    if VALUE_BYTES_MAX < value.len() {
        return challenges;
    }
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, behind) = token(rest);
        if name.is_empty() {
            return challenges;
        }
        let parameter = challenges.last_mut().and_then(|challenge| {
            let (value, behind) = parameter_value(behind)?;
            Some((challenge, value, behind))
        });
        if let Some((challenge, value, behind)) = parameter {
            if challenge.parameters.len() < PARAMETERS_MAX {
                let name = name.to_ascii_lowercase();
                challenge.parameters.push((name, value));
            }
            rest = behind;
            continue;
        }
        if challenges.len() == CHALLENGES_MAX
            || !behind.is_empty() && !behind.starts_with([' ', '\t', ','])
        {
            return challenges;
        }
        challenges.push(Challenge {
            scheme: name.to_ascii_lowercase(),
            parameters: Vec::new(),
        });
        rest = skip_token68(behind);
    }
}

/// The token that a text begins with, and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_of_token = |one: char| one.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(one);
    let end = text.find(|one| !is_of_token(one)).unwrap_or(text.len());
    text.split_at(end)
}

/// What stands behind `=`: a token, or a text in quotes in which a backslash shields the next character.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']).strip_prefix('=')?;
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

/// Leaves out what a scheme may have in place of parameters: `Negotiate YWJj==`.
fn skip_token68(text: &str) -> &str {
    let begun = text.trim_start_matches([' ', '\t']);
    let end = begun.find(|one: char| !(one.is_ascii_alphanumeric() || "-._~+/".contains(one)));
    let behind = begun[end.unwrap_or(begun.len())..].trim_start_matches('=');
    let is_alone = behind
        .trim_start_matches([' ', '\t'])
        .chars()
        .next()
        .is_none_or(|next| next == ',');
    if is_alone && begun.len() < text.len() {
        behind
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let challenges = parse(value).into_iter().map(|challenge| {
            let parameters = challenge.parameters.iter();
            let parameters: Vec<_> = parameters.map(|(a, b)| format!("{a}={b}")).collect();
            format!("{}[{}]", challenge.scheme, parameters.join("|"))
        });
        challenges.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_are_read() {
        let check = |value: &str, expected: &str| assert_eq!(shown(value), expected, "{value}");
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
            "bearer[realm=https://auth.docker.io/token|service=registry.docker.io|scope=repository:library/nginx:pull]",
        );
        check("Basic realm=\"a, b=\\\"c\\\"\"", "basic[realm=a, b=\"c\"]");
        check("basic Realm = x", "basic[realm=x]");
        check(
            "Negotiate, Basic realm=x, BEARER realm=\"y\" , error=\"invalid_token\"",
            "negotiate[] basic[realm=x] bearer[realm=y|error=invalid_token]",
        );
        check(
            "Negotiate YWJj==, Basic realm=x",
            "negotiate[] basic[realm=x]",
        );
        check("Negotiate YWJj", "negotiate[]");
        check(", ,Basic", "basic[]");
        check("Bearer realm=\"open", "bearer[]");
        check("Bearer realm=\"\"", "bearer[realm=]");
        check("", "");
        check("=", "");
        check("\"quoted\"", "");
        check("Bearer realm=\"é\"", "bearer[realm=é]");
        check(&"a ".repeat(1000), &["a[]"; 16].join(" "));
        check(&"a".repeat(9000), "");
    }

    #[test]
    fn an_empty_parameter_is_none() {
        let challenges = parse("Bearer realm=\"\", realm=x, service=\"\"");
        assert_eq!(challenges[0].parameter("realm"), Some("x"));
        assert_eq!(challenges[0].parameter("service"), None);
    }
}
