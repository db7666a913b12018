//! Access tokens as they are written, and what only we read in them again.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use layerhouse_oci::strict_json::{Json, Object};
use serde_json::{Value, json};

use super::key::SigningKey;
use super::scopes::Scope;
use crate::auth::credentials::Secret;
use crate::auth::token::json::{as_list, as_text, as_texts, optional, text};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::AccountId;
use crate::meta::tokens::TokenId;

/// The claim that only we read: which account a token is of, and which token it was made with. Names may
/// change hands; ids do not.
const OWN: &str = "layerhouse";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(super) issuer: String,
    /// Empty for who did not sign in.
    pub(super) subject: Arc<str>,
    /// The service that it is for.
    pub(super) audience: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) access: Vec<Scope>,
    pub(super) account: Option<AccountId>,
    /// What they signed in with, if that was a token.
    pub(super) token: Option<TokenId>,
}

/// Writes and signs a token; `id` is unlike that of every other.
pub(super) fn sign(contents: &Contents, id: &str, key: &SigningKey) -> Result<Secret, Fault> {
    let access = contents.access.iter().map(|scope| {
        let mut entry = json!({ "type": scope.kind, "name": scope.name, "actions": scope.actions });
        if let Some(class) = &scope.class {
            entry["class"] = json!(class);
        }
        entry
    });
    let mut claims = json!({
        "iss": contents.issuer,
        "sub": &*contents.subject,
        "aud": contents.audience,
        "exp": seconds(contents.expires_at),
        "nbf": seconds(contents.issued_at),
        "iat": seconds(contents.issued_at),
        "jti": id,
        "access": access.collect::<Vec<_>>(),
    });
    if let Some(account) = contents.account {
        // As texts: a number of 63 bits is not one in every language.
        let token = contents.token.map(|token| token.0.to_string());
        claims[OWN] = json!({ "account": account.0.to_string(), "token": token });
    }
    Ok(Secret::new(signed(&claims, key)?))
}

fn signed(claims: &Value, key: &SigningKey) -> Result<Vec<u8>, Fault> {
    let mut token = key.header.clone();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token.into_bytes())
}

/// Reads the claims of a token that one of our keys signed; `None` if it is not as we write them.
pub(super) fn read(claims: &Object) -> Option<Contents> {
    let date = |name| {
        let Json::Unsigned(seconds) = claims.get(name)? else {
            return None;
        };
        Some(Timestamp(i64::try_from(*seconds).ok()?.checked_mul(1000)?))
    };
    let own = optional(claims, OWN, as_object).ok()?;
    let number = |value| as_text(value)?.parse::<i64>().ok();
    let account = own.map(|own| number(own.get("account")?).map(AccountId));
    let token = own.map(|own| optional(own, "token", number).ok());
    Some(Contents {
        issuer: text(claims, "iss")?.to_owned(),
        subject: text(claims, "sub")?.into(),
        audience: text(claims, "aud")?.to_owned(),
        issued_at: date("iat")?,
        expires_at: date("exp")?,
        access: as_list(claims.get("access")?)?
            .iter()
            .map(scope)
            .collect::<Option<_>>()?,
        // If there is an account, it must be one.
        account: account.map_or(Some(None), |account| account.map(Some))?,
        token: token.map_or(Some(None), |token| Some(token?.map(TokenId)))?,
    })
}

fn scope(entry: &Json) -> Option<Scope> {
    let entry = as_object(entry)?;
    let actions = as_texts(entry.get("actions")?)?;
    Some(Scope {
        kind: text(entry, "type")?.to_owned(),
        class: optional(entry, "class", as_text).ok()?.map(str::to_owned),
        name: text(entry, "name")?.to_owned(),
        actions: actions.into_iter().map(str::to_owned).collect(),
    })
}

fn as_object(value: &Json) -> Option<&Object> {
    if let Json::Object(object) = value {
        Some(object)
    } else {
        None
    }
}

fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

impl Contents {
    /// About how much memory they take.
    pub(super) fn held_bytes(&self) -> usize {
        let scopes: usize = self
            .access
            .iter()
            .map(|scope| size_of::<Scope>() + scope.name.len() + 64 + 32 * scope.actions.len())
            .sum();
        size_of::<Self>() + self.issuer.len() + self.subject.len() + self.audience.len() + scopes
    }
}
