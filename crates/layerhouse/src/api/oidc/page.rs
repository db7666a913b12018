//! What people read when they come back from a provider, in English and in Chinese. No script, no picture,
//! nothing from elsewhere.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::HeaderValue;

const STYLE: &str = "body{font:16px/1.6 system-ui,sans-serif;margin:10vh auto;max-width:40rem;padding:0 1rem;\
color:#1c2024;background:#fff}h1{font-size:1.4rem;font-weight:600}pre{background:#f2f4f6;padding:.8rem 1rem;\
border-radius:6px;overflow:auto;font:14px/1.5 ui-monospace,monospace}button{font:inherit;padding:.4rem 1rem;\
border:1px solid #c4cad0;border-radius:6px;background:#fff;cursor:pointer}a{color:#0b62c1}\
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#15181b}pre,button{background:#22272c;color:inherit;\
border-color:#3a4148}a{color:#7db5f5}}";

/// Nothing but our own style, and the form.
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
        STANDARD.encode(digest)
    );
    HeaderValue::from_str(&policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// What `Accept-Language` would rather have.
    pub(super) fn of(header: &str) -> Self {
        let mut best = (0, Self::English);
        for entry in header.split(',').take(32) {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1000, |weight| {
                let weight: f32 = weight.parse().unwrap_or(0.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a weight is from 0 to 1, and what is none saturates"
                )]
                let thousandths = (weight * 1000.0) as i32;
                thousandths
            });
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en" | "*") => Self::English,
                _ => continue,
            };
            if best.0 < weight {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// What there is to say.
pub(super) enum Page<'a> {
    SignedIn {
        user: &'a str,
        host: &'a str,
        /// Where a token is made.
        form: &'a str,
        return_to: Option<&'a str>,
    },
    Token {
        user: &'a str,
        host: &'a str,
        token: &'a str,
    },
    NoToken {
        why: &'a str,
    },
    BeginAgain {
        title: &'a str,
        path: String,
    },
    /// They are who they are, and may not come in; why, the log says.
    NotAllowed,
    /// The provider does not answer.
    Silent {
        title: &'a str,
    },
}

impl Page<'_> {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::SignedIn { .. } | Self::Token { .. } => StatusCode::OK,
            Self::NoToken { .. } => StatusCode::CONFLICT,
            Self::BeginAgain { .. } => StatusCode::BAD_REQUEST,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::Silent { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn html(&self, language: Language) -> String {
        let say = |english: &str, chinese: &str| match language {
            Language::English => english.to_owned(),
            Language::Chinese => chinese.to_owned(),
        };
        let code = match language {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        };
        let mut head = String::new();
        let (title, content) = match self {
            Self::SignedIn {
                user,
                host,
                form,
                return_to,
            } => {
                let (user, form) = (escaped(user), escaped(form));
                let command = command(&user, host);
                let go_on = return_to.map_or_else(String::new, |path| {
                    let path = escaped(path);
                    // The cookie of a page of ours comes along; that of a redirection from elsewhere not.
                    head = format!("<meta http-equiv=\"refresh\" content=\"0; url={path}\">");
                    let text = say("Go on", "继续");
                    format!("<p><a href=\"{path}\">{text}</a></p>")
                });
                let how = say(
                    "Docker and other tools sign in with a token in place of a password. Make one, then:",
                    "Docker 等工具用令牌代替密码登录。先创建令牌，然后运行：",
                );
                let make = say("Make a token", "创建令牌");
                (
                    say(&format!("Signed in as {user}"), &format!("已登录：{user}")),
                    format!(
                        "{go_on}<p>{how}</p><pre>{command}</pre>\
                         <form method=\"post\" action=\"{form}\"><button>{make}</button></form>"
                    ),
                )
            }
            Self::Token { user, host, token } => {
                let command = command(&escaped(user), host);
                let token = escaped(token);
                let once = say(
                    "Keep this token: it is shown this once. It may do all that you may, until you delete it.",
                    "请妥善保存此令牌：它只显示这一次。在删除之前，它拥有您的全部权限。",
                );
                let then = say("Give it as the password:", "用它作为密码：");
                (
                    say("Your token", "您的令牌"),
                    format!("<p>{once}</p><pre>{token}</pre><p>{then}</p><pre>{command}</pre>"),
                )
            }
            Self::NoToken { why } => (
                say("No token was made", "未创建令牌"),
                format!("<p>{}</p>", escaped(why)),
            ),
            Self::BeginAgain { title, path } => {
                let (title, path) = (escaped(title), escaped(path));
                let text = say(
                    "You are not signed in. The sign-in was not begun in this browser, took longer than ten \
                     minutes, or was broken off.",
                    "您尚未登录。登录不是从此浏览器开始的，或已超过十分钟，或已中断。",
                );
                let again = say(
                    &format!("Sign in with {title}"),
                    &format!("使用 {title} 登录"),
                );
                (
                    say("Not signed in", "未登录"),
                    format!("<p>{text}</p><p><a href=\"{path}\">{again}</a></p>"),
                )
            }
            Self::NotAllowed => (
                say("You may not sign in here", "您无权在此登录"),
                format!(
                    "<p>{}</p>",
                    say(
                        "Ask the operator of this registry; its log says why.",
                        "请联系此镜像仓库的管理员，原因见其日志。"
                    )
                ),
            ),
            Self::Silent { title } => {
                let title = escaped(title);
                let text = say(
                    &format!("{title} does not answer. Try again in a moment."),
                    &format!("{title} 没有响应，请稍后重试。"),
                );
                (say("Not signed in", "未登录"), format!("<p>{text}</p>"))
            }
        };
        format!(
            "<!DOCTYPE html><html lang=\"{code}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{head}\
             <title>{title}</title><style>{STYLE}</style></head>\
             <body><h1>{title}</h1>{content}</body></html>\n"
        )
    }
}

/// What somebody types; `user` is escaped already.
fn command(user: &str, host: &str) -> String {
    format!("docker login {} -u {user}", escaped(host))
}

/// Text that is nothing but text in HTML and its attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_what_browsers_say() {
        let check = |header: &str, expected: Language| {
            assert_eq!(Language::of(header), expected, "{header}");
        };
        check("", Language::English);
        check("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese);
        check("zh-Hans", Language::Chinese);
        check("en-GB,zh;q=0.5", Language::English);
        check("fr,zh;q=0.3,en;q=0.2", Language::Chinese);
        check("fr", Language::English);
        check("zh;q=0", Language::English);
        check("zh;q=x,en", Language::English);
    }

    #[test]
    fn what_others_wrote_is_text() {
        let page = Page::SignedIn {
            user: "<b>",
            host: "\"><script>",
            form: "/'",
            return_to: Some("/\"onload=\"x"),
        };
        for language in [Language::English, Language::Chinese] {
            let html = page.html(language);
            for harm in ["<b>", "<script", "/'", "\"onload"] {
                assert!(!html.contains(harm), "{html}");
            }
        }
    }
}
