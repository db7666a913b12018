//! What every page has: its language and theme, who looks at it, the way to other pages; and how numbers,
//! sizes and times look there.

use std::borrow::Borrow;
use std::fmt::{self, Display};

use askama::Template;
use askama::filters::HtmlSafe;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use super::assets;
use super::change::undo;
use super::escape::Escaped;
use super::form::{Pairs, local_path};
use super::text::{self, Language};
use super::visit::{Visit, see_other};
use super::visitor::Visitor;
use crate::api::body::ResponseBody;
use crate::api::v1::problem::{NOTHING, Problem};
use crate::api::{Answer, Call, cookies, request};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// What a visitor chose for all pages: `zh-CN.dark`.
const LOOK: &str = "layerhouse_look";

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Theme {
    /// As the visitor's system is.
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(in crate::api::ui) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub(in crate::api::ui) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text)
    }
}

/// HTML that was made of escaped parts.
#[derive(Clone, Debug, Default)]
pub(in crate::api::ui) struct Html(pub(in crate::api::ui) String);

impl Display for Html {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// What every page has.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Shell {
    /// What stands before `/ui`: the operator's prefix, without a slash at the end.
    pub(in crate::api::ui) root: String,
    pub(in crate::api::ui) language: Language,
    pub(in crate::api::ui) theme: Theme,
    /// Who signed in.
    pub(in crate::api::ui) user: Option<String>,
    pub(in crate::api::ui) is_admin: bool,
    /// Whether there are accounts.
    pub(in crate::api::ui) has_accounts: bool,
    /// Whether everybody may do everything.
    pub(in crate::api::ui) is_open: bool,
    /// The page's own path and query, behind the prefix.
    pub(in crate::api::ui) path: String,
    /// What stands before a repository's name in the reference of an image: `registry.example.com`.
    pub(in crate::api::ui) host: String,
    /// How browsers and clients reach this server: `https://registry.example.com`, with the prefix.
    pub(in crate::api::ui) base_url: String,
    /// What was searched for.
    pub(in crate::api::ui) searched: String,
    pub(in crate::api::ui) now: Timestamp,
    /// What was just done, in words.
    pub(in crate::api::ui) notice: Option<&'static str>,
    /// The way back from it.
    pub(in crate::api::ui) undo: Option<Html>,
    /// The request's number, as the log has it.
    pub(in crate::api::ui) request_id: String,
    /// The address of the registry that is looked at, if that is another one: then there is no help, no API and
    /// no history of ours.
    pub(in crate::api::ui) elsewhere: Option<String>,
}

#[allow(
    clippy::unused_self,
    reason = "templates say `shell` before all of them"
)]
impl Shell {
    /// As the head of a request says.
    pub(super) fn of(call: &Call, head: &Parts) -> Self {
        let source = &call.caller.source;
        let query = Pairs::parse(head.uri.query().unwrap_or_default().as_bytes());
        let (language, theme) = look(&head.headers, &query);
        let base_url = source.base_url();
        let host = base_url
            .split_once("://")
            .map_or(&*base_url, |(_, rest)| rest);
        let settings = &call.settings;
        let uri = head.uri.path_and_query().map_or("", |uri| uri.as_str());
        let path = settings.http.path_behind_prefix(uri).unwrap_or(uri);
        let said = query.get("said").map(|key| format!("said.{key}"));
        Self {
            root: settings.http.outer_path(""),
            language,
            theme,
            user: None,
            is_admin: false,
            has_accounts: settings.index.is_some(),
            is_open: !call.api.wants_sign_in(),
            path: path.to_owned(),
            host: host.split('/').next().unwrap_or_default().to_owned(),
            searched: query.get("q").unwrap_or_default().to_owned(),
            now: call.api.registry.clock().now(),
            notice: said.and_then(|key| text::find(language, &key)),
            undo: undo::form(
                &settings.http.outer_path(""),
                path,
                &query,
                text::text(language, "change.undo"),
            ),
            request_id: source.id.to_string(),
            base_url,
            elsewhere: None,
        }
    }

    /// Takes note of who looks.
    pub(super) fn know(&mut self, visitor: &Visitor) {
        self.user = visitor.name().map(str::to_owned);
        self.is_admin = visitor.is_admin();
    }

    /// What is said for a key.
    pub(in crate::api::ui) fn t(&self, key: &'static str) -> &'static str {
        text::text(self.language, key)
    }

    /// The same with a value in the place of `{1}`.
    pub(in crate::api::ui) fn say(&self, key: &'static str, one: impl Display) -> String {
        text::filled(self.t(key), &[&one])
    }

    /// The same with two values.
    pub(in crate::api::ui) fn say2(
        &self,
        key: &'static str,
        one: impl Display,
        two: impl Display,
    ) -> String {
        text::filled(self.t(key), &[&one, &two])
    }

    /// The same with three values.
    pub(in crate::api::ui) fn say3(
        &self,
        key: &'static str,
        one: impl Display,
        two: impl Display,
        three: impl Display,
    ) -> String {
        text::filled(self.t(key), &[&one, &two, &three])
    }

    /// What is said of so many, `{1}` being the number.
    pub(in crate::api::ui) fn count(&self, key: &'static str, number: impl Borrow<u64>) -> String {
        let number = *number.borrow();
        let form = text::numbered(self.t(key), number);
        text::filled(form, &[&self.number(number)])
    }

    /// A number with its thousands apart.
    pub(in crate::api::ui) fn number(&self, number: impl Borrow<u64>) -> String {
        let digits = number.borrow().to_string();
        let mut said = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.char_indices() {
            if at != 0 && (digits.len() - at).is_multiple_of(3) {
                said.push(',');
            }
            said.push(digit);
        }
        said
    }

    /// Bytes in units of 1024, to three digits: `1.21 MiB`.
    pub(in crate::api::ui) fn size(&self, bytes: impl Borrow<u64>) -> String {
        size(*bytes.borrow())
    }

    /// A moment as `<time>`: how long ago, or how soon, and in full for who looks closer.
    pub(in crate::api::ui) fn time(&self, at: impl Borrow<Timestamp>) -> Html {
        let at = *at.borrow();
        let Some(exact) = at.second().rfc3339() else {
            return Html(String::from("–"));
        };
        let shown = exact.replace('T', " ").replace('Z', " UTC");
        let (behind, away_ms) = (at <= self.now, at.0.abs_diff(self.now.0));
        let minutes = away_ms / 60_000;
        let said = match (minutes, behind) {
            (0, _) => self.t("shell.now").to_owned(),
            (1..60, true) => self.count("shell.minutes", minutes),
            (1..60, false) => self.count("shell.in_minutes", minutes),
            (60..1440, true) => self.count("shell.hours", minutes / 60),
            (60..1440, false) => self.count("shell.in_hours", minutes / 60),
            (1440..64800, true) => self.count("shell.days", minutes / 1440),
            (1440..64800, false) => self.count("shell.in_days", minutes / 1440),
            _ => exact.split('T').next().unwrap_or_default().to_owned(),
        };
        // All of it is digits, and texts of ours.
        Html(format!(
            "<time datetime=\"{exact}\" title=\"{shown}\">{said}</time>"
        ))
    }

    /// The same, or a word for what never was.
    pub(in crate::api::ui) fn time_or_never(&self, at: impl Borrow<Option<Timestamp>>) -> Html {
        match at.borrow() {
            Some(at) => self.time(at),
            None => Html(self.t("shell.never").to_owned()),
        }
    }

    /// A button that copies a text, for who has scripts; the text itself can be selected.
    pub(in crate::api::ui) fn copy(&self, text: impl Display) -> Html {
        let text = Escaped(text);
        let label = self.t("shell.copy");
        let icon = assets::icon("copy");
        Html(format!(
            "<button type=\"button\" class=\"copy\" data-copy=\"{text}\" aria-label=\"{label}\" title=\"{label}\" hidden>{icon}</button>"
        ))
    }

    /// A picture beside a word.
    pub(in crate::api::ui) fn icon(&self, name: &str) -> Html {
        Html(assets::icon(name))
    }

    /// Where a file of ours is.
    pub(in crate::api::ui) fn asset(&self, file: &str) -> String {
        format!("{}{}", self.root, assets::path(file))
    }

    /// Any text as a segment of a path.
    pub(in crate::api::ui) fn segment(&self, text: impl Display) -> String {
        super::route::encoded(&text.to_string())
    }

    /// Any text as a value in a query.
    pub(in crate::api::ui) fn value(&self, text: impl Display) -> String {
        form_urlencoded::byte_serialize(text.to_string().as_bytes()).collect()
    }

    /// A digest, short enough for a table: `sha256:0123456789ab`.
    pub(in crate::api::ui) fn short(&self, digest: impl Display) -> String {
        const HEX_SHOWN: usize = 12;
        let digest = digest.to_string();
        match digest.split_once(':') {
            Some((algorithm, hex)) => {
                let hex = hex.get(..HEX_SHOWN).unwrap_or(hex);
                format!("{algorithm}:{hex}")
            }
            None => digest,
        }
    }

    pub(in crate::api::ui) fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    pub(in crate::api::ui) fn themes(&self) -> [(Theme, &'static str); 3] {
        [
            (Theme::Auto, self.t("shell.theme_auto")),
            (Theme::Light, self.t("shell.theme_light")),
            (Theme::Dark, self.t("shell.theme_dark")),
        ]
    }

    pub(in crate::api::ui) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Bytes in units of 1024, to three digits.
pub(in crate::api::ui) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In hundredths, so that no float is needed; the largest number of bytes has room in u128.
    let mut hundredths = u128::from(bytes) * 100 / 1024;
    let mut unit = 0;
    while 102_400 <= hundredths && unit + 1 < UNITS.len() {
        hundredths /= 1024;
        unit += 1;
    }
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let unit = UNITS[unit];
    match whole {
        0..10 => format!("{whole}.{part:02} {unit}"),
        10..100 => format!("{whole}.{} {unit}", part / 10),
        _ => format!("{whole} {unit}"),
    }
}

/// The language and the theme that a visitor chose, or that their browser prefers.
pub(super) fn look(headers: &HeaderMap, query: &Pairs) -> (Language, Theme) {
    let cookie = cookies::find(headers, LOOK);
    let cookie = cookie.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
    let (language, theme) = match cookie.as_deref().and_then(|text| text.split_once('.')) {
        Some((language, theme)) => (Language::of_tag(language), Theme::of(theme)),
        None => (None, None),
    };
    let asked = query.get("lang").and_then(Language::of_tag);
    let accepted = request::text(headers, &header::ACCEPT_LANGUAGE);
    let preferred = || accepted.and_then(Language::preferred);
    let language = asked.or(language).or_else(preferred);
    (
        language.unwrap_or(Language::English),
        theme.unwrap_or(Theme::Auto),
    )
}

/// A page.
///
/// # Errors
/// Never: what a template writes to is memory.
pub(in crate::api::ui) fn html(
    status: StatusCode,
    page: &impl Template,
) -> Result<Answer, Problem> {
    let content = page.render().map_err(|error| {
        let said = format!("a page could not be made: {error}");
        Problem::from(Fault::plain(FaultKind::Other, said))
    })?;
    let mut answer = Response::new(ResponseBody::from(content.into_bytes()));
    *answer.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, html);
    Ok(answer)
}

/// Keeps what a visitor chose, and goes back to where they did.
pub(super) fn preferences(shell: &Shell, form: &Pairs) -> Answer {
    let language = form.get("lang").and_then(Language::of_tag);
    let theme = form.get("theme").and_then(Theme::of);
    let language = language.unwrap_or(shell.language);
    let theme = theme.unwrap_or(shell.theme);
    let next = form.get("next").and_then(local_path).unwrap_or("/ui/");
    let root = &shell.root;
    let mut answer = see_other(&format!("{root}{next}"));
    let (language, theme) = (language.tag(), theme.as_str());
    let path = if root.is_empty() { "/" } else { root };
    let cookie =
        format!("{LOOK}={language}.{theme}; Max-Age=31536000; Path={path}; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    shell: &'a Shell,
    title: &'static str,
    hint: &'static str,
    message: String,
    code: String,
    status: u16,
    can_sign_in: bool,
}

/// The page for what was refused: what, why, and what to do. Who is nobody is sent to sign in first, if they
/// may: who showed wrong credentials would be sent in a circle.
pub(super) fn refusal(visit: &Visit, problem: Problem, may_sign_in: bool) -> Answer {
    let shell = &visit.shell;
    let is_redirected = may_sign_in && shell.has_accounts && !visit.is_post();
    if problem.status() == StatusCode::UNAUTHORIZED && is_redirected {
        return visit.go(&format!("/ui/login?next={}", shell.value(&shell.path)));
    }
    refused(shell, problem)
}

/// The page that says what was refused, and what to do.
pub(super) fn refused(shell: &Shell, problem: Problem) -> Answer {
    let (head, body) = problem.into_answer().into_parts();
    let status = head.status;
    let content = match &body {
        ResponseBody::Whole(content) => serde_json::from_slice(content).unwrap_or_default(),
        ResponseBody::Empty | ResponseBody::Blob(..) | ResponseBody::Arriving(_) => {
            serde_json::Value::default()
        }
    };
    let error = &content["errors"][0];
    let said = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let challenge = head.headers.get(header::WWW_AUTHENTICATE);
    let is_basic = challenge.is_some_and(|value| value.as_bytes().starts_with(b"Basic"));
    let (title, hint) = match status.as_u16() {
        401 if is_basic || shell.has_accounts => ("error.signin", "error.signin_hint"),
        401 => ("error.signin", "error.token_hint"),
        403 if said("code") == "CROSS_SITE" => ("error.foreign", "error.foreign_hint"),
        403 if shell.elsewhere.is_some() => ("error.denied", "elsewhere.denied_hint"),
        403 => ("error.denied", "error.denied_hint"),
        404 => ("error.none", "error.none_hint"),
        409 => ("error.title", "error.conflict_hint"),
        429 | 503 => ("error.title", "error.busy_hint"),
        500..600 if shell.elsewhere.is_some() => ("error.title", "elsewhere.error_hint"),
        500..600 => ("error.title", "error.ours_hint"),
        _ => ("error.title", "error.invalid_hint"),
    };
    let message = said("message");
    // Of these, the hint says all that there is to say.
    let says_no_more =
        status == StatusCode::UNAUTHORIZED || said("code") == "CROSS_SITE" || message == NOTHING;
    let page = Refusal {
        shell,
        title: shell.t(title),
        hint: shell.t(hint),
        message: if says_no_more { String::new() } else { message },
        code: said("code"),
        status: status.as_u16(),
        can_sign_in: shell.has_accounts && shell.user.is_none(),
    };
    let mut answer = match html(status, &page) {
        Ok(answer) => answer,
        Err(problem) => problem.into_answer(),
    };
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = head.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    // A browser asks for a name and a password by itself, but for nothing else.
    if let Some(challenge) = challenge.filter(|_| is_basic) {
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |bytes: u64, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.00 KiB");
        check(1_270_000, "1.21 MiB");
        check(12 << 20, "12.0 MiB");
        check(999 << 30, "999 GiB");
        check(u64::MAX, "15.9 EiB");
    }
}
