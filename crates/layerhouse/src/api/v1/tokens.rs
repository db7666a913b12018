//! Personal access tokens: one's own, and those of others for administrators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Hidden, Id, Moment};
use super::visit::Visit;
use crate::auth::permits::{AccountPermit, AdminPermit};
use crate::auth::rights;
use crate::index::tokens::NewToken;
use crate::meta::tokens::{Token as Stored, TokenId, TokenKind};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Token {
    id: Id,
    /// What it is for.
    name: String,
    /// What it may at most; null for all that its owner may.
    limits: Option<Vec<Limit>>,
    created_at: Moment,
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

/// A token with its text, which is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CreatedToken {
    #[serde(flatten)]
    about: Token,
    token: Hidden,
}

/// A token to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewToken")]
pub(super) struct Form {
    /// What it is for.
    name: String,
    /// What it may at most; without any, all that its owner may. A token that is limited pulls, pushes and
    /// deletes as they say, and manages nothing.
    limits: Option<Vec<Limit>>,
    expires_at: Option<Moment>,
}

/// Repositories, and what a token may do with them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// `acme/web` for one repository, `acme/*` for all below acme, `*` for all.
    pattern: String,
    actions: Vec<Action>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TokenAction")]
enum Action {
    Pull,
    Push,
    Delete,
}

impl From<Stored> for Token {
    fn from(token: Stored) -> Self {
        let limits = token.limits.as_deref().map(rights::Limits::from_json);
        Self {
            id: Id(token.id.0),
            name: token.name,
            limits: limits
                .map(|rights::Limits(limits)| limits.into_iter().map(Limit::from).collect()),
            created_at: Moment(token.created_at),
            expires_at: token.expires_at.map(Moment),
            last_used_at: token.last_used_at.map(Moment),
        }
    }
}

impl From<rights::Limit> for Limit {
    fn from(limit: rights::Limit) -> Self {
        let actions = limit.actions.into_iter().map(|action| match action {
            rights::TokenAction::Pull => Action::Pull,
            rights::TokenAction::Push => Action::Push,
            rights::TokenAction::Delete => Action::Delete,
        });
        Self {
            pattern: limit.pattern.as_str().to_owned(),
            actions: actions.collect(),
        }
    }
}

impl Limit {
    fn read(self) -> Result<rights::Limit, Problem> {
        let pattern = self.pattern.parse();
        let actions = self.actions.into_iter().map(|action| match action {
            Action::Pull => rights::TokenAction::Pull,
            Action::Push => rights::TokenAction::Push,
            Action::Delete => rights::TokenAction::Delete,
        });
        Ok(rights::Limit {
            pattern: pattern
                .map_err(|error: rights::PatternError| Problem::invalid(error.to_string()))?,
            actions: actions.collect(),
        })
    }
}

impl Form {
    fn read(self) -> Result<NewToken, Problem> {
        let limits = self.limits.map(|limits| {
            let limits: Result<_, _> = limits.into_iter().map(Limit::read).collect();
            limits.map(rights::Limits)
        });
        Ok(NewToken {
            name: self.name,
            limits: limits.transpose()?,
            expires_at: self.expires_at.map(|Moment(at)| at),
        })
    }
}

fn page(found: Vec<Stored>, rows: usize) -> Found<Page<Token>> {
    Found(Page::of(
        found,
        rows,
        |token| token.id.0.to_string(),
        Token::from,
    ))
}

pub(super) async fn list(
    visit: Visit,
    permit: AccountPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Token>>, Problem> {
    let (rows, after) = (paging.rows()?, paging.id()?.map(TokenId));
    let found = visit
        .index
        .tokens(&permit, TokenKind::Personal, after, rows + 1)?;
    Ok(page(found, rows))
}

pub(super) async fn create(
    visit: Visit,
    permit: AccountPermit,
    Body(form): Body<Form>,
) -> Result<Created<CreatedToken>, Problem> {
    let (token, secret) = visit.index.create_token(&permit, form.read()?).await?;
    Ok(Created(CreatedToken {
        about: token.into(),
        token: Hidden(secret),
    }))
}

pub(super) async fn revoke(
    visit: Visit,
    permit: AccountPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let id = TokenId(visit.named("id")?);
    visit.index.revoke_token(&permit, id).await?;
    Ok(Done)
}

pub(super) async fn list_of(
    visit: Visit,
    permit: AdminPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Token>>, Problem> {
    let (rows, after) = (paging.rows()?, paging.id()?.map(TokenId));
    let (user, kind) = (visit.text("user"), TokenKind::Personal);
    let found = visit
        .index
        .tokens_of(&permit, user, kind, after, rows + 1)?;
    Ok(page(found, rows))
}

pub(super) async fn create_of(
    visit: Visit,
    permit: AdminPermit,
    Body(form): Body<Form>,
) -> Result<Created<CreatedToken>, Problem> {
    let made = visit
        .index
        .create_token_of(&permit, visit.text("user"), form.read()?);
    let (token, secret) = made.await?;
    Ok(Created(CreatedToken {
        about: token.into(),
        token: Hidden(secret),
    }))
}

pub(super) async fn revoke_of(
    visit: Visit,
    permit: AdminPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let id = TokenId(visit.named("id")?);
    visit
        .index
        .revoke_token_of(&permit, visit.text("user"), id)
        .await?;
    Ok(Done)
}
