//! What pages are told: the pairs of a query or of a posted form, and where to go when it is done.

use form_urlencoded::parse;

/// Pairs of one form: more than any page of ours has.
const PAIRS_MAX: usize = 2000;

/// Names with values, in their order; a name may stand there more than once.
#[derive(Clone, Debug, Default)]
pub(in crate::api::ui) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads `application/x-www-form-urlencoded`; of a longer list the first 2000.
    pub(super) fn parse(content: &[u8]) -> Self {
        let pairs = parse(content).take(PAIRS_MAX);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of a name, without blanks around it; none if it is empty.
    pub(in crate::api::ui) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        let value = found.map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// The first value of a name as it is: passwords and Markdown may begin and end with blanks.
    pub(in crate::api::ui) fn exact(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub(in crate::api::ui) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(found, _)| found == name);
        found.map(|(_, value)| value.trim())
    }

    /// Whether a checkbox of this name was checked.
    pub(in crate::api::ui) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The number of a page of a list, from 1.
    pub(in crate::api::ui) fn page(&self) -> u32 {
        let page = self.get("page").and_then(|text| text.parse().ok());
        page.unwrap_or(1).max(1)
    }

    /// The same query with another value for a name, or without it, and at the first page: for links.
    pub(in crate::api::ui) fn with(&self, name: &str, value: Option<&str>) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(found, _)| found != name && found != "page" && found != "said");
        let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        query.extend_pairs(pairs.filter(|(_, value)| !value.is_empty()));
        if let Some(value) = value {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

/// A path of this server's pages that somebody is to return to; anything else may lead elsewhere (S36).
pub(in crate::api::ui) fn local_path(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let rest = text.strip_prefix(super::ROOT)?;
    let is_below = rest.is_empty() || rest.starts_with('/') || rest.starts_with('?');
    let is_good = is_below && text.len() <= 2048 && text.bytes().all(is_plain);
    let path = text.split('?').next().unwrap_or_default();
    (is_good && !path.contains("//") && !path.contains("/../")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_s36_return_to_is_a_page_of_ours() {
        let check = |text: &str, expected: bool| {
            assert_eq!(local_path(text).is_some(), expected, "{text}");
        };
        for good in [
            "/ui",
            "/ui/",
            "/ui/r/acme/web?page=2",
            "/ui?x=//a",
            "/ui/r/a/-/t/v1",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https:evil",
            "https://evil.example/ui/",
            "/uix",
            "/ui//evil.example",
            "/ui/\\evil",
            "/ui/\r\nX: y",
            "/ui/ x",
            "javascript:alert(1)",
            "\t/ui/",
            "/ui/../../x",
            "/v2/",
            "ui/",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn pairs() {
        let pairs = Pairs::parse(b"q=+a%20b+&tag=1&tag=2&page=3&x=&said=y");
        assert_eq!(pairs.get("q"), Some("a b"));
        assert_eq!(pairs.exact("q"), Some(" a b "));
        assert_eq!(pairs.get("x"), None);
        assert!(pairs.has("x"));
        assert_eq!(pairs.all("tag").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(pairs.page(), 3);
        assert_eq!(pairs.with("tag", Some("é")), "?q=+a+b+&tag=%C3%A9");
        assert_eq!(Pairs::default().page(), 1);
    }
}
