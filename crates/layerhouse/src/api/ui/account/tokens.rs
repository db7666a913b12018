//! `/ui/me/tokens`: access tokens, for Docker and for programs, in place of the password.

use std::fmt::Display;

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm::Confirm;
use super::forms::Forms;
use super::words::{end, ends};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::{Html, Shell};
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

const PAGE: &str = "/ui/me/tokens";
/// Patterns of one token that the form takes; the API takes more.
const LIMITS: [u8; 4] = [1, 2, 3, 4];
const ACTIONS: [&str; 3] = ["pull", "push", "delete"];
/// More than an account has.
const ALL: &str = "999";

#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    name: String,
    limits: Option<Vec<Limit>>,
    created_at: Moment,
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

#[derive(Debug, Deserialize)]
struct Limit {
    pattern: String,
    actions: Vec<String>,
}

impl Token {
    fn last_used(&self, shell: &Shell) -> Html {
        shell.time_or_never(self.last_used_at.map(|at| at.0))
    }

    /// When it ends, and whether that was.
    fn end(&self, shell: &Shell) -> Html {
        shell.time_or_never(self.expires_at.map(|at| at.0))
    }

    fn is_over(&self, shell: &Shell) -> bool {
        self.expires_at.is_some_and(|at| at.0 <= shell.now)
    }
}

#[derive(Debug, Deserialize)]
struct CreatedToken {
    name: String,
    token: String,
    expires_at: Option<Moment>,
}

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct TokensPage<'a> {
    shell: &'a Shell,
    tab: &'static str,
    forms: &'a Forms<'a>,
    tokens: Vec<Token>,
    ends: Vec<(&'static str, String)>,
    limits: [u8; 4],
    actions: [(&'static str, &'static str); 3],
}

impl TokensPage<'_> {
    fn pattern(&self, number: impl Display) -> String {
        self.forms.typed("create", &format!("pattern{number}"))
    }

    fn allows(&self, number: impl Display, action: &str) -> bool {
        let field = format!("action{number}");
        self.forms.is_chosen("create", &field, action, "")
    }
}

#[derive(Template)]
#[template(path = "account/token_made.html")]
struct Made<'a> {
    shell: &'a Shell,
    tab: &'static str,
    token: CreatedToken,
    /// What Docker is told.
    command: String,
}

/// `/ui/me/tokens?revoke=ID`
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return match visit.query.get("revoke") {
            Some(id) => confirm(&visit, id).await,
            None => show(&visit, None).await,
        };
    }
    let changed = match visit.form.get("do") {
        Some("create") => create(&visit).await,
        Some("revoke") => revoke(&visit).await,
        _ => Err(Problem::invalid("do: create, or revoke")),
    };
    match changed {
        Ok(answer) => Ok(answer),
        Err(problem) => show(&visit, Some(Refused::of(problem)?)).await,
    }
}

async fn all(visit: &Visit) -> Result<Vec<Token>, Problem> {
    let list: List<Token> = visit.get("/me/tokens", &[("n", ALL)]).await?;
    Ok(list.items)
}

async fn show(visit: &Visit, refused: Option<Refused>) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let mut tokens = all(visit).await?;
    // What was made last is looked for first.
    tokens.reverse();
    let page = TokensPage {
        shell,
        tab: "tokens",
        forms: &Forms::of(visit, refused),
        tokens,
        ends: ends(shell),
        limits: LIMITS,
        actions: [
            ("pull", shell.t("account.action_pull")),
            ("push", shell.t("account.action_push")),
            ("delete", shell.t("account.action_delete")),
        ],
    };
    visit.show_as(status, &page)
}

async fn confirm(visit: &Visit, id: &str) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let tokens = all(visit).await?;
    let token = tokens.into_iter().find(|token| token.id == id);
    let token = token.ok_or_else(Problem::not_found)?;
    visit.show(&Confirm {
        shell,
        forms: &Forms::of(visit, None),
        title: shell.say("account.token_revoke_title", &token.name),
        text: shell.t("account.token_revoke_text"),
        page: PAGE.to_owned(),
        deed: "revoke",
        what: ("id", token.id),
        button: shell.t("account.revoke"),
        ends: Vec::new(),
    })
}

async fn create(visit: &Visit) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let token = json!({
        "name": visit.needed("name")?,
        "limits": limits(visit)?,
        "expires_at": end(&visit.form, shell.now)?,
    });
    let made = visit.ask(Method::POST, "/me/tokens", &[], Some(&token));
    let user = shell.user.as_deref().unwrap_or_default();
    let page = Made {
        shell,
        tab: "tokens",
        token: made.await?,
        command: format!("docker login {} -u {user}", shell.host),
    };
    visit.show(&page)
}

/// What a token may at most; null if nothing is said. Half a limit is refused: left out, the token would may
/// more than its owner thinks.
fn limits(visit: &Visit) -> Result<Value, Problem> {
    let mut limits = Vec::new();
    for number in LIMITS {
        let field = format!("action{number}");
        let chosen = |action: &&str| visit.form.all(&field).any(|found| found == *action);
        let actions: Vec<_> = ACTIONS.into_iter().filter(chosen).collect();
        match visit.form.get(&format!("pattern{number}")) {
            Some(pattern) if !actions.is_empty() => {
                limits.push(json!({ "pattern": pattern, "actions": actions }));
            }
            None if actions.is_empty() => {}
            Some(_) | None => {
                let half = visit.shell.t("account.limit_half");
                return Err(Problem::invalid(half));
            }
        }
    }
    Ok(if limits.is_empty() {
        Value::Null
    } else {
        json!(limits)
    })
}

async fn revoke(visit: &Visit) -> Result<Answer, Problem> {
    let path = format!("/me/tokens/{}", segment(visit.needed("id")?));
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    Ok(visit.go("/ui/me/tokens?said=token_revoked"))
}
