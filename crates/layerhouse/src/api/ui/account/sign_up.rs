//! `/ui/signup` and `/ui/setup`: an account for who asks, as the configuration, an invitation or the code of the
//! first start allows.

use askama::Template;
use http::header;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::forms::Forms;
use super::sign_in::session;
use super::{SignUp, features};
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::index::Index;

/// Why the code is asked for, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Anybody may.
    Open,
    /// Who has an invitation's code.
    Invitation,
    /// Who has the code of the first start.
    Setup,
}

#[derive(Template)]
#[template(path = "account/signup.html")]
struct NewAccount<'a> {
    shell: &'a Shell,
    forms: &'a Forms<'a>,
    title: &'static str,
    text: &'static str,
    /// Where it is sent, behind the root.
    page: &'static str,
    wants_code: bool,
    code_hint: &'static str,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "account/said.html")]
struct Said<'a> {
    shell: &'a Shell,
    title: &'static str,
    text: &'static str,
}

/// `/ui/signup?code=`
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    if visit.shell.user.is_some() {
        return Ok(visit.go("/ui/me"));
    }
    let kind = match features(&visit).await?.sign_up {
        SignUp::Open => Kind::Open,
        SignUp::Invitation => Kind::Invitation,
        SignUp::Closed => {
            let page = Said {
                shell: &visit.shell,
                title: visit.shell.t("account.signup_closed"),
                text: visit.shell.t("account.signup_closed_hint"),
            };
            return visit.show_as(StatusCode::FORBIDDEN, &page);
        }
    };
    form(visit, kind).await
}

/// `/ui/setup`
pub(super) async fn setup(visit: Visit) -> Result<Answer, Problem> {
    let index = visit.visitor.index();
    if !index.map_or(Ok(false), Index::lacks_admin)? {
        let page = Said {
            shell: &visit.shell,
            title: visit.shell.t("account.setup_done"),
            text: visit.shell.t("account.setup_done_hint"),
        };
        return visit.show(&page);
    }
    if visit.shell.user.is_some() {
        return Ok(visit.go("/ui/me"));
    }
    form(visit, Kind::Setup).await
}

async fn form(visit: Visit, kind: Kind) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, kind, None);
    }
    match create(&visit, kind).await {
        Ok(answer) => Ok(answer),
        Err(problem) => show(&visit, kind, Some(Refused::of(problem)?)),
    }
}

fn show(visit: &Visit, kind: Kind, refused: Option<Refused>) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let (title, text, page) = match kind {
        Kind::Open => ("account.sign_up", "account.signup_open", "/ui/signup"),
        Kind::Invitation => ("account.sign_up", "account.signup_invitation", "/ui/signup"),
        Kind::Setup => ("account.setup", "account.setup_text", "/ui/setup"),
    };
    let code_hint = match kind {
        Kind::Open | Kind::Invitation => "account.code_invitation",
        Kind::Setup => "account.code_setup",
    };
    let sent = visit.form.get("code").or_else(|| visit.query.get("code"));
    let page = NewAccount {
        shell,
        forms: &Forms::of(visit, refused),
        title: shell.t(title),
        text: shell.t(text),
        page,
        // An invitation is good where it is not needed, too.
        wants_code: kind != Kind::Open || sent.is_some(),
        code_hint: shell.t(code_hint),
        code: sent.unwrap_or_default(),
    };
    visit.show_as(status, &page)
}

async fn create(visit: &Visit, kind: Kind) -> Result<Answer, Problem> {
    let form = &visit.form;
    let name = visit.needed("name")?;
    let password = form.exact("password").unwrap_or_default();
    if form.exact("again") != Some(password) {
        let unlike = visit.shell.t("account.passwords_differ");
        return Err(Problem::invalid(unlike));
    }
    let code = form.get("code");
    let account = json!({
        "name": name,
        "password": password,
        "full_name": form.get("full_name").unwrap_or_default(),
        "email": form.get("email").unwrap_or_default(),
        "code": code,
    });
    let _: Value = visit
        .ask(Method::POST, "/users", &[], Some(&account))
        .await?;
    let mut answer = visit.go(match kind {
        Kind::Setup => "/ui/me?said=setup_done",
        Kind::Open | Kind::Invitation => "/ui/me?said=account_made",
    });
    let cookie = session(visit, name, password).await?;
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}
