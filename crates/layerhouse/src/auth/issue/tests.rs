//! Tokens that were made with tokens, and what becomes of both.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::name::RepositoryName;
use tempfile::TempDir;

use super::jwt::{self, Contents};
use super::keys::Keys;
use super::own::{OwnTokens, Verified};
use super::scopes::{self, Scope};
use super::{IssueError, Issued, Issuer, TokenRequest};
use crate::auth::access::Access;
use crate::auth::credentials::Secret;
use crate::auth::directory::{Directory, new_secret, prefix, secret_hash};
use crate::auth::needs::Action;
use crate::auth::principal::{Means, Principal};
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::Config;
use crate::config::{Arguments, Surroundings};
use crate::fault::Fault;
use crate::health::Health;
use crate::meta::accounts::{self, AccountId, AccountKind, NewAccount};
use crate::meta::database::Database;
use crate::meta::namespaces::{self, NamespaceKind};
use crate::meta::tokens::{self, NewToken, Token, TokenId, TokenKind};
use crate::meta::transaction::Transaction;
use crate::steps::Steps;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);

/// Who owns the namespace `ann`, and what gives and takes their tokens.
struct Fixture {
    directory: Directory,
    clock: Clock,
    keys: Arc<Keys>,
    issuer: Issuer,
    own: OwnTokens,
    ann: AccountId,
    _files: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("database");
        let database = Database::open(&path, Steps::default(), Health::default()).unwrap();
        let variable = ("LAYERHOUSE_INDEX__ENABLED".to_owned(), "true".to_owned());
        let surroundings = Surroundings {
            variables: [variable].into(),
            ..Surroundings::default()
        };
        let config = Config::load(&Arguments::default(), &surroundings).unwrap();
        let clock = Clock::manual(NOW);
        let settings = config.index.unwrap();
        let random = Random::seeded(9);
        let directory = Directory::new(database, clock.clone(), random, settings);
        let ann = directory.database().write(|tx| {
            let new = NewAccount {
                name: "ann".to_owned(),
                kind: AccountKind::User,
                source: "local".to_owned(),
                subject: None,
                password: None,
                is_admin: false,
                full_name: String::new(),
                email: String::new(),
            };
            let ann = accounts::create(tx, &new, NOW)?;
            namespaces::create(tx, "ann", NamespaceKind::User, Some(ann), NOW)?;
            Ok::<_, Fault>(ann)
        });
        let ann = ann.await.unwrap();
        let settings = &directory.settings().tokens;
        let keys = Arc::new(Keys::new(directory.database(), &clock, settings));
        Self {
            issuer: Issuer::new(&directory, &keys),
            own: OwnTokens::new(&directory, &keys),
            keys,
            directory,
            clock,
            ann,
            _files: files,
        }
    }

    /// A personal token of hers.
    async fn personal(&self, limits: Option<&str>, expires_at: Option<Timestamp>) -> Secret {
        let text = new_secret(prefix(TokenKind::Personal), self.directory.random());
        let new = NewToken {
            account: self.ann,
            kind: TokenKind::Personal,
            name: "laptop".to_owned(),
            hash: secret_hash(text.expose()),
            limits: limits.map(str::to_owned),
            parent: None,
            expires_at,
        };
        self.write(move |tx| tokens::create(tx, &new, NOW).map(|_| ()))
            .await;
        text
    }

    /// Changes something, as `index` would.
    async fn write(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), Fault> + Send + 'static,
    ) {
        self.directory.database().write(change).await.unwrap();
        self.directory.moved();
    }

    fn who(&self, text: &Secret) -> Option<Principal> {
        self.directory.by_token(text.expose()).unwrap()
    }

    async fn try_issue(
        &self,
        who: &Principal,
        scope: &str,
        refresh: bool,
    ) -> Result<Issued, IssueError> {
        let request = TokenRequest {
            service: None,
            scopes: scopes::parse([scope]).unwrap(),
            wants_refresh: refresh,
            client: "docker",
        };
        self.issuer.issue(who, request).await
    }

    async fn issue(&self, who: &Principal, scope: &str) -> Issued {
        self.try_issue(who, scope, true).await.unwrap()
    }

    fn verify(&self, token: &Secret) -> Option<Verified> {
        self.own.verify(token).unwrap()
    }

    fn may(&self, token: &Secret, action: Action) -> bool {
        let name: RepositoryName = "ann/web".parse().unwrap();
        let access = self.verify(token).map(|verified| verified.access);
        access.is_some_and(|access: Access| access.allows_in(&name, &[action]))
    }

    fn rows(&self, kind: TokenKind) -> Vec<Token> {
        let look = |tx: &Transaction<'_>| tokens::list(tx, self.ann, kind, None, 1000);
        self.directory.database().read(look).unwrap()
    }
}

const ALL: &str = "repository:ann/web:pull,push,delete";

#[tokio::test]
async fn a_refresh_token_may_no_more_than_its_parent() {
    let fixture = Fixture::new().await;
    let limits = r#"[{"pattern":"ann/*","actions":["pull"]}]"#;
    let end = Timestamp(NOW.0 + 3_600_000);
    let personal = fixture.personal(Some(limits), Some(end)).await;
    let who = fixture.who(&personal).unwrap();
    let issued = fixture.issue(&who, ALL).await;
    assert_eq!(issued.scopes[0].to_string(), "repository:ann/web:pull");
    assert!(fixture.may(&issued.token, Action::Pull));
    assert!(!fixture.may(&issued.token, Action::Push));

    let refresh = issued.refresh.unwrap();
    let [row] = &fixture.rows(TokenKind::Refresh)[..] else {
        panic!("there is one");
    };
    assert_eq!((row.parent, row.expires_at), (who.token, Some(end)));
    assert_eq!(row.name, "docker");
    let holder = fixture.issuer.holder(&refresh).unwrap().unwrap();
    let again = fixture.issue(&holder, ALL).await;
    assert_eq!(again.scopes[0].to_string(), "repository:ann/web:pull");
    assert!(
        fixture.issuer.holder(&personal).unwrap().is_none(),
        "it is no refresh token"
    );

    // Its use gives it no term beyond its parent's.
    fixture.clock.advance(Duration::from_mins(1));
    fixture.issuer.holder(&refresh).unwrap().unwrap();
    fixture
        .directory
        .uses()
        .write(&fixture.directory)
        .await
        .unwrap();
    let [row, _] = &fixture.rows(TokenKind::Refresh)[..] else {
        panic!("there are two");
    };
    assert_eq!(row.last_used_at, Some(fixture.clock.now()));
    assert_eq!(row.expires_at, Some(end));
    fixture.clock.advance(Duration::from_mins(59));
    assert!(fixture.issuer.holder(&refresh).unwrap().is_none());
}

/// S11: with one thing that is taken away, all that was made with it ends, at once.
#[tokio::test]
async fn sec_s11_what_is_revoked_ends_all_that_came_of_it() {
    let fixture = Fixture::new().await;
    let personal = fixture.personal(None, None).await;
    let who = fixture.who(&personal).unwrap();
    let first = fixture.issue(&who, ALL).await;
    let refresh = first.refresh.unwrap();
    let holder = fixture.issuer.holder(&refresh).unwrap().unwrap();
    let second = fixture.issue(&holder, ALL).await;
    for token in [&first.token, &second.token] {
        assert!(fixture.may(token, Action::Push));
        let verified = fixture.verify(token).unwrap();
        assert_eq!(verified.principal.means, Means::AccessToken);
        assert_eq!(&*verified.principal.name, "ann");
    }

    // A role that is lost: she may sign in, and do nothing.
    let ann = fixture.ann;
    fixture
        .write(move |tx| {
            let namespace = namespaces::by_name(tx, "ann")?.unwrap();
            namespaces::delete(tx, namespace.id)
        })
        .await;
    assert!(!fixture.may(&first.token, Action::Pull));
    assert!(fixture.verify(&first.token).is_some());
    fixture
        .write(move |tx| {
            namespaces::create(tx, "ann", NamespaceKind::User, Some(ann), NOW).map(|_| ())
        })
        .await;
    assert!(fixture.may(&first.token, Action::Pull), "and back");

    // An account that is disabled.
    let switch = |is_disabled: bool| {
        move |tx: &Transaction<'_>| {
            let mut account = accounts::by_id(tx, ann)?.unwrap();
            account.is_disabled = is_disabled;
            accounts::update(tx, &account)
        }
    };
    fixture.write(switch(true)).await;
    assert!(fixture.verify(&first.token).is_none());
    assert!(fixture.issuer.holder(&refresh).unwrap().is_none());
    fixture.write(switch(false)).await;
    assert!(fixture.verify(&first.token).is_some());

    // The token that all of them were made with.
    let id = who.token.unwrap();
    fixture
        .write(move |tx| tokens::delete(tx, id).map(|_| ()))
        .await;
    assert!(fixture.rows(TokenKind::Refresh).is_empty());
    for token in [&first.token, &second.token] {
        assert!(fixture.verify(token).is_none());
    }
    let error = fixture.try_issue(&who, ALL, true).await.unwrap_err();
    assert!(matches!(error, IssueError::Ended), "{error}");
}

#[tokio::test]
async fn there_is_an_end_to_refresh_tokens() {
    let fixture = Fixture::new().await;
    let who = fixture
        .directory
        .by_id(fixture.ann, None, Means::Password)
        .unwrap()
        .unwrap();
    let first = fixture.issue(&who, "").await.refresh.unwrap();
    let second = fixture.issue(&who, "").await.refresh.unwrap();
    // The first is the older one, and the one that is used.
    fixture.clock.advance(DAY);
    fixture.issuer.holder(&first).unwrap().unwrap();
    fixture
        .directory
        .uses()
        .write(&fixture.directory)
        .await
        .unwrap();
    for _ in 0..99 {
        fixture.issue(&who, "").await;
    }
    assert_eq!(fixture.rows(TokenKind::Refresh).len(), 100);
    assert!(fixture.issuer.holder(&first).unwrap().is_some());
    assert!(fixture.issuer.holder(&second).unwrap().is_none());

    fixture.clock.advance(90 * DAY);
    super::uses::remove_ended(&fixture.directory).await.unwrap();
    assert!(fixture.rows(TokenKind::Refresh).is_empty());
}

/// S01: a good signature of ours is not enough.
#[tokio::test]
async fn sec_s01_signed_by_us_and_not_for_us() {
    let fixture = Fixture::new().await;
    let ring = fixture.keys.current().await.unwrap();
    let good = Contents {
        issuer: "layerhouse".to_owned(),
        subject: "ann".into(),
        audience: "layerhouse".to_owned(),
        issued_at: NOW,
        expires_at: Timestamp(NOW.0 + 300_000),
        access: scopes::parse([ALL]).unwrap(),
        account: Some(fixture.ann),
        token: None,
    };
    let believes = |change: &dyn Fn(&mut Contents)| {
        let mut contents = good.clone();
        change(&mut contents);
        let token = jwt::sign(&contents, "id", ring.signer().unwrap()).unwrap();
        fixture.verify(&token).is_some()
    };
    assert!(believes(&|_| {}));
    assert!(!believes(&|token| token.issuer.push('x')));
    assert!(!believes(&|token| token.audience = "other".to_owned()));
    assert!(!believes(&|token| token.expires_at = NOW));
    assert!(!believes(
        &|token| token.issued_at = Timestamp(NOW.0 + 61_000)
    ));
    assert!(!believes(&|token| token.account = Some(AccountId(1))));
    assert!(!believes(&|token| token.token = Some(TokenId(1))));
    // A name alone is nobody's.
    assert!(believes(&|token| token.account = None));
    let mut contents = good.clone();
    contents.account = None;
    let token = jwt::sign(&contents, "id", ring.signer().unwrap()).unwrap();
    assert!(!fixture.may(&token, Action::Pull));
    assert_eq!(
        fixture.verify(&token).unwrap().principal.means,
        Means::Nobody
    );

    // It says no more than it was given, though she may more.
    contents = good.clone();
    contents.access = vec![Scope {
        kind: "repository".to_owned(),
        class: None,
        name: "ann/web".to_owned(),
        actions: vec!["pull".to_owned()],
    }];
    let token = jwt::sign(&contents, "id", ring.signer().unwrap()).unwrap();
    assert!(fixture.may(&token, Action::Pull));
    assert!(!fixture.may(&token, Action::Push));
}

/// While nothing changes, nothing is read from the database.
#[tokio::test]
async fn a_known_token_costs_no_look() {
    let fixture = Fixture::new().await;
    let who = fixture
        .directory
        .by_id(fixture.ann, None, Means::Password)
        .unwrap()
        .unwrap();
    let issued = fixture.issue(&who, ALL).await;
    assert!(fixture.may(&issued.token, Action::Push));
    let ann = fixture.ann;
    // Behind the directory's back.
    let change = move |tx: &Transaction<'_>| accounts::delete(tx, ann);
    fixture.directory.database().write(change).await.unwrap();
    assert!(fixture.may(&issued.token, Action::Push));
    fixture.directory.moved();
    assert!(!fixture.may(&issued.token, Action::Push));
}
