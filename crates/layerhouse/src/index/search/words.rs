//! Text as words that can be found: what is indexed of a repository, and what a query asks for.
//!
//! Words are runs of letters and digits, folded to lower case and without the accents of European letters;
//! who looks for the beginning of one finds it. Chinese, Japanese and Korean are written without spaces:
//! there each character is a word, and each two that stand side by side, so that a run is found by its pairs.

use std::collections::BTreeSet;

/// Longest word in characters; what is longer is found by its beginning.
const WORD_CHARS_MAX: usize = 40;
/// Words of a query that count; whoever types more has found it by then.
const QUERY_WORDS_MAX: usize = 8;
/// Different words kept of one README: an English one of 256 KiB has about six thousand.
pub(super) const TEXT_WORDS_MAX: usize = 8_192;

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The beginning of a word.
    Beginning(String),
    /// All of these: the pairs of a run of CJK characters, or the one character that it is.
    Pairs(Vec<String>),
}

/// The words of a query, in its order.
pub(crate) fn query(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for run in runs(text) {
        let word = match run {
            Run::Word(word) => Word::Beginning(word),
            Run::Cjk(characters) if characters.len() == 1 => Word::Pairs(singles(&characters)),
            Run::Cjk(characters) => Word::Pairs(pairs(&characters)),
        };
        if !words.contains(&word) {
            words.push(word);
        }
        if words.len() == QUERY_WORDS_MAX {
            break;
        }
    }
    words
}

/// The different words of a text, at most `limit` of them.
pub(super) fn of(text: &str, limit: usize) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for run in runs(text) {
        match run {
            Run::Word(word) => {
                words.insert(word);
            }
            Run::Cjk(characters) => {
                words.extend(singles(&characters));
                words.extend(pairs(&characters));
            }
        }
        if limit <= words.len() {
            break;
        }
    }
    words
}

/// What stands for a word where its first letters say enough: so `gateways` is found by `gateway`, and
/// `configuration` by `configure`. Who looks for a shorter one, or for one with a number, means just that.
pub(super) fn stem(word: &str) -> &str {
    const STEM_CHARS: usize = 6;
    if word.chars().any(char::is_numeric) {
        return word;
    }
    let end = word.char_indices().nth(STEM_CHARS);
    end.map_or(word, |(end, _)| &word[..end])
}

/// A name without what parts it: `acme/my-web` as `acmemyweb`, so that its beginning is one word.
pub(super) fn joined(name: &str) -> String {
    let letters = name.chars().filter(|at| at.is_alphanumeric());
    letters.flat_map(folded).take(WORD_CHARS_MAX).collect()
}

/// All runs of three characters within the words of a name: a longer run has the name if it has all of
/// the three-character runs of that, and is then looked at.
pub(super) fn triples(word: &str) -> BTreeSet<String> {
    let characters: Vec<char> = word.chars().collect();
    characters
        .windows(3)
        .map(|three| three.iter().collect())
        .collect()
}

enum Run {
    Word(String),
    Cjk(Vec<char>),
}

/// The runs of a text: of letters and digits, and of CJK characters.
fn runs(text: &str) -> impl Iterator<Item = Run> {
    let mut rest = text.chars().flat_map(folded).peekable();
    std::iter::from_fn(move || {
        while rest.next_if(|at| !at.is_alphanumeric()).is_some() {}
        let is_in_cjk = is_cjk(*rest.peek()?);
        let goes_on = |at: &char| at.is_alphanumeric() && is_cjk(*at) == is_in_cjk;
        let run = std::iter::from_fn(|| rest.next_if(goes_on));
        if is_in_cjk {
            return Some(Run::Cjk(run.collect()));
        }
        let run: String = run.collect();
        Some(Run::Word(run.chars().take(WORD_CHARS_MAX).collect()))
    })
}

fn singles(characters: &[char]) -> Vec<String> {
    characters.iter().map(char::to_string).collect()
}

fn pairs(characters: &[char]) -> Vec<String> {
    let pairs = characters.windows(2);
    pairs.map(|pair| pair.iter().collect()).collect()
}

/// Lower case, narrow where it came in the width of a CJK character, and without an accent.
fn folded(at: char) -> impl Iterator<Item = char> {
    let narrow = match at {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(at) - 0xfee0).unwrap_or(at),
        other => other,
    };
    narrow.to_lowercase().filter_map(|at| match at {
        // What `to_lowercase` leaves of a dotted capital I, and accents that stand by themselves.
        '\u{300}'..='\u{36f}' => None,
        '\u{e0}'..='\u{17f}' => Some(unaccented(at)),
        other => Some(other),
    })
}

/// Letters of Latin-1 and Latin Extended-A as people type them who have no such key.
fn unaccented(at: char) -> char {
    match at {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => 'i',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' => 's',
        'ţ' | 'ť' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' | 'ŷ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

/// Han, kana, Hangul: written without spaces, or with endings that hide where a word ends.
fn is_cjk(at: char) -> bool {
    matches!(at,
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = query(text).into_iter().map(|word| match word {
            Word::Beginning(word) => word,
            Word::Pairs(pairs) => pairs.join("+"),
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn queries_are_words() {
        check("", &[]);
        check("  -_./:*\"()^ ", &[]);
        check("nginx", &["nginx"]);
        check("acme/My-Web_app.v2", &["acme", "my", "web", "app", "v2"]);
        check("Redis Redis cache", &["redis", "cache"]);
        check("Ärger über Façade", &["arger", "uber", "facade"]);
        check("ＮＧＩＮＸ１", &["nginx1"]);
        check(
            "a OR b\" NEAR(c) NOT d*",
            &["a", "or", "b", "near", "c", "not", "d"],
        );
        check(
            "a b c d e f g h i j",
            &["a", "b", "c", "d", "e", "f", "g", "h"],
        );
    }

    #[test]
    fn cjk_has_no_spaces() {
        check("容器镜像仓库", &["容器+器镜+镜像+像仓+仓库"]);
        check("库", &["库"]);
        check("Redis缓存服务", &["redis", "缓存+存服+服务"]);
        check(
            "コンテナ、レジストリ",
            &["コン+ンテ+テナ", "レジ+ジス+スト+トリ"],
        );
        check(
            "컨테이너 레지스트리",
            &["컨테+테이+이너", "레지+지스+스트+트리"],
        );
        // 𠮷 has four bytes.
        check("𠮷野", &["𠮷野"]);
    }

    #[test]
    fn text_is_different_words() {
        let words = of("Web web 网关, the gateway", usize::MAX);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(words, ["gateway", "the", "web", "关", "网", "网关"]);
        assert!(of(&"a b c d ".repeat(1000), 3).len() <= 4);
    }

    #[test]
    fn stems_are_beginnings() {
        assert_eq!(stem("gateways"), stem("gateway"));
        assert_eq!(stem("web"), "web");
        assert_eq!(stem("cve20241234"), "cve20241234");
        assert_eq!(stem("ärgerliches"), "ärgerl");
    }

    #[test]
    fn no_word_has_a_byte_that_ends_one() {
        // The engine takes ASCII letters and digits and all beyond ASCII for a word.
        for at in (0..=0x10_ffff).filter_map(char::from_u32) {
            for word in of(&at.to_string(), 9) {
                let is_whole = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
                assert!(word.bytes().all(is_whole), "{at:?}");
            }
        }
    }
}
