//! The operations against a database of their own: what each refuses, and that each is written down once.

use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;
use serde_json::Value;
use tempfile::TempDir;

use super::Index;
use super::access::Reason;
use super::audit::AuditFilter;
use super::grants::{GrantError, Grantee, NewGrant};
use super::invitations::InvitationError;
use super::members::MemberError;
use super::organizations::{
    DefaultVisibility, NamespaceChanges, NewOrganization, OrganizationError,
};
use super::passwords::PasswordError;
use super::robots::RobotError;
use super::sign_up::{SignUpError, SignUpForm};
use super::teams::TeamError;
use super::tokens::{NewToken, TokenError};
use super::users::{NewUser, Profile, User, UserChanges, UserError};
use crate::auth::credentials::Secret;
use crate::auth::directory::Directory;
use crate::auth::passwords::Passwords;
use crate::auth::permits::{AccountPermit, AdminPermit, Asker, NamespacePermit, RepositoryPermit};
use crate::auth::principal::{Means, Principal};
use crate::auth::rights::{Deed, Limit, Limits, Role, TokenAction, Visibility};
use crate::auth::sign_in::SignIn;
use crate::auth::sources::Sources;
use crate::auth::{ClientAddress, RequestSource};
use crate::clock::{Clock, Random, RequestId, Timestamp};
use crate::config::meaning::index::SignUp;
use crate::config::meaning::{Config, Http};
use crate::config::{Arguments, Surroundings};
use crate::fault::Fault;
use crate::health::Health;
use crate::meta::database::Database;
use crate::meta::repositories;
use crate::meta::tokens::TokenKind;
use crate::steps::Steps;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

struct Bench {
    index: Index,
    sign_in: SignIn,
    _directory: TempDir,
}

fn source() -> RequestSource {
    RequestSource {
        id: RequestId::default(),
        address: ClientAddress::Unix,
        host: String::new(),
        method: "POST".into(),
        agent: String::new(),
        forwarded_scheme: None,
        has_tls: false,
        certificate: None,
        http: Arc::new(Http::default()),
    }
}

fn settings(sign_up: SignUp) -> crate::config::meaning::index::Index {
    let mut surroundings = Surroundings::default();
    let variables = &mut surroundings.variables;
    let word = match sign_up {
        SignUp::Closed => "closed",
        SignUp::Invitation => "invitation",
        SignUp::Open => "open",
    };
    variables.insert("LAYERHOUSE_INDEX__SIGNUP".into(), word.into());
    let config = Config::load(&Arguments::default(), &surroundings).expect("it is valid");
    config.index.expect("what is configured is on")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

const PASSWORD: &str = "correct horse";

impl Bench {
    fn new() -> Self {
        Self::with(SignUp::Closed)
    }

    fn with(sign_up: SignUp) -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let database = Database::open(&path, Steps::default(), Health::default());
        let (clock, random) = (Clock::manual(NOW), Random::seeded(7));
        let settings = settings(sign_up);
        let sources = Sources::open(
            &settings.sources,
            &clock,
            &random,
            &crate::auth::sealing::Sealing::new(&random),
        )
        .expect("there are none");
        let accounts = Directory::new(
            database.expect("it opens"),
            clock.clone(),
            random.clone(),
            settings,
        );
        let passwords = Arc::new(Passwords::new(&clock, &random));
        Self {
            index: Index::new(accounts.clone()),
            sign_in: SignIn::new(accounts, passwords, None, sources),
            _directory: directory,
        }
    }

    fn console() -> Asker {
        Asker::new(Arc::new(Principal::console()), Arc::new(source()))
    }

    fn admin() -> AdminPermit {
        AdminPermit::of(&Self::console()).expect("the console is an administrator")
    }

    /// Somebody signed in with a password.
    fn asker(&self, name: &str) -> Asker {
        let look = |tx: &crate::meta::transaction::Transaction<'_>| {
            crate::meta::accounts::by_name(tx, name)
        };
        let account = self.index.look::<_, Fault>(look).expect("it reads");
        let account = account.expect("they are there");
        let directory = self.index.directory();
        let principal = directory.principal(&account, Means::Password, None);
        Asker::new(
            Arc::new(principal.expect("not disabled")),
            Arc::new(source()),
        )
    }

    fn account(&self, name: &str) -> AccountPermit {
        AccountPermit::of(&self.asker(name)).expect("an account")
    }

    fn namespace(&self, asker: &Asker, name: &str) -> NamespacePermit {
        let name = name.parse().expect("a name");
        NamespacePermit::of(self.index.directory(), asker, name, Role::Reader)
            .expect("it reads")
            .expect("they have a role")
    }

    fn owned(&self, name: &str) -> NamespacePermit {
        self.namespace(&Self::console(), name)
    }

    fn repository(&self, name: &str, deed: Deed) -> RepositoryPermit {
        let (name, console) = (name.parse().expect("a name"), Self::console());
        let rights = self.index.directory().rights(console.principal(), &name);
        RepositoryPermit::of(&console, &rights.expect("it reads"), deed)
            .expect("the console may all")
    }

    async fn user(&self, name: &str) -> User {
        self.try_user(name, false).await.expect("a user")
    }

    async fn try_user(&self, name: &str, is_admin: bool) -> Result<User, UserError> {
        let new = NewUser {
            name: name.to_owned(),
            password: None,
            full_name: String::new(),
            email: String::new(),
            is_admin,
        };
        self.index.create_user(&Self::admin(), new).await
    }

    async fn organization(&self, name: &str, owner: Option<&str>) {
        let new = NewOrganization {
            name: name.to_owned(),
            description: String::new(),
        };
        let admin = Self::admin();
        let made = self.index.create_organization_for(&admin, new, owner).await;
        made.expect("an organization");
    }

    /// As a push makes it.
    async fn push(&self, name: &str) {
        let name: RepositoryName = name.parse().expect("a name");
        let database = self.index.directory().database();
        let made =
            database.write(move |tx| repositories::find_or_create(tx, &name, NOW).map(|_| ()));
        made.await.map_err(|error: Fault| error).expect("a row");
    }

    /// What was written down since the last time: actor, action and subject.
    fn written(&self, since: &mut usize) -> Vec<String> {
        let filter = AuditFilter::default();
        let events = self.index.audit_events(&Self::admin(), &filter, 1000);
        let mut events = events.expect("it reads");
        events.reverse();
        let new = events.split_off(*since);
        *since += new.len();
        new.iter()
            .map(|event| {
                let detail: Value = serde_json::from_str(&event.detail).expect("JSON");
                assert!(detail.is_object() && event.happened_at == NOW);
                format!("{} {} {}", event.actor, event.action, event.subject)
            })
            .collect()
    }

    async fn sign_up(&self, name: &str, code: Option<Secret>) -> Result<User, SignUpError> {
        let form = SignUpForm {
            name: name.to_owned(),
            password: secret(PASSWORD),
            full_name: String::new(),
            email: String::new(),
            code,
        };
        self.index.sign_up(&source(), form).await
    }
}

#[tokio::test]
async fn every_change_is_written_down_once() {
    let bench = Bench::with(SignUp::Open);
    let (index, admin) = (&bench.index, Bench::admin());
    let mut since = 0;
    macro_rules! told {
        ($doing:expr, $expected:expr) => {{
            let generation = index.directory().generation();
            let done = $doing.await.expect($expected);
            assert_eq!(bench.written(&mut since), [$expected]);
            assert_ne!(index.directory().generation(), generation, $expected);
            done
        }};
    }
    let code = told!(index.setup_code(true), "server setup.code server").expect("a code");
    told!(bench.sign_up("root", Some(code)), "root user.create root");
    told!(bench.sign_up("ann", None), "ann user.create ann");
    told!(bench.try_user("bob", true), "console user.create bob");
    let changes = UserChanges {
        is_admin: Some(false),
        ..UserChanges::default()
    };
    told!(
        index.update_user(&admin, "bob", changes),
        "console user.update bob"
    );
    let ann = bench.account("ann");
    told!(
        index.update_own(&ann, Profile::default()),
        "ann user.update ann"
    );
    told!(
        index.change_password(
            &ann,
            &bench.sign_in,
            &secret(PASSWORD),
            &secret("correct mule")
        ),
        "ann user.password ann"
    );
    told!(
        index.set_password(&admin, "bob", &secret(PASSWORD)),
        "console user.password bob"
    );
    let new = NewOrganization {
        name: "acme".to_owned(),
        description: "Makes everything".to_owned(),
    };
    told!(
        index.create_organization(&ann, new),
        "ann organization.create acme"
    );
    let acme = bench.namespace(&bench.asker("ann"), "acme");
    let changes = NamespaceChanges {
        description: None,
        default_visibility: Some(DefaultVisibility::Own(Visibility::Public)),
    };
    told!(
        index.update_namespace(&acme, changes),
        "ann namespace.update acme"
    );
    told!(
        index.set_member(&acme, "bob", Role::Writer),
        "ann member.set acme"
    );
    told!(index.remove_member(&acme, "bob"), "ann member.remove acme");
    told!(index.create_team(&acme, "core", ""), "ann team.create acme");
    told!(index.add_to_team(&acme, "core", "bob"), "ann team.add acme");
    let grant = |pattern: &str, grantee| NewGrant {
        pattern: pattern.to_owned(),
        role: Role::Writer,
        grantee,
    };
    let to_team = grant("acme/*", Grantee::Team("core".to_owned()));
    let granted = told!(index.grant(&acme, to_team), "ann grant.set acme");
    told!(
        index.revoke_grant(&acme, granted.id),
        "ann grant.revoke acme"
    );
    let to_bob = grant("nginx", Grantee::Account("bob".to_owned()));
    let granted = told!(
        index.grant_official(&admin, to_bob),
        "console grant.set nginx"
    );
    told!(
        index.revoke_official_grant(&admin, granted.id),
        "console grant.revoke nginx"
    );
    told!(
        index.remove_from_team(&acme, "core", "bob"),
        "ann team.remove acme"
    );
    told!(index.delete_team(&acme, "core"), "ann team.delete acme");
    told!(
        index.create_robot(&acme, "ci", "", None),
        "ann robot.create acme+ci"
    );
    told!(
        index.rotate_robot(&acme, "ci", None),
        "ann robot.rotate acme+ci"
    );
    told!(
        index.set_robot_disabled(&acme, "ci", true),
        "ann robot.update acme+ci"
    );
    told!(index.delete_robot(&acme, "ci"), "ann robot.delete acme+ci");
    let token = || NewToken {
        name: "laptop".to_owned(),
        limits: None,
        expires_at: None,
    };
    let (own, _) = told!(index.create_token(&ann, token()), "ann token.create ann");
    told!(index.revoke_token(&ann, own.id), "ann token.delete ann");
    let made = index.create_token_of(&admin, "bob", token());
    let (of_bob, _) = told!(made, "console token.create bob");
    told!(
        index.revoke_token_of(&admin, "bob", of_bob.id),
        "console token.delete bob"
    );
    let invited = index.invite(&admin, "eve@example.com", None);
    let (invited, _) = told!(invited, "console invitation.create eve@example.com");
    told!(
        index.revoke_invitation(&admin, invited.id),
        "console invitation.delete eve@example.com"
    );
    bench.push("ann/web").await;
    let web = bench.repository("ann/web", Deed::Maintain);
    told!(
        index.set_visibility(&web, Some(Visibility::Public)),
        "console repository.visibility ann/web"
    );
    told!(
        index.delete_organization(&acme),
        "ann organization.delete acme"
    );
    told!(index.delete_user(&admin, "bob"), "console user.delete bob");
    // Who cannot be removed was not, and nothing says otherwise.
    let refused = index.delete_user(&admin, "ann").await;
    assert!(matches!(refused, Err(UserError::HasRepositories(_))));
    assert!(bench.written(&mut since).is_empty());
}

#[tokio::test]
async fn names_are_given_once() {
    let bench = Bench::new();
    bench.user("ann").await;
    bench.organization("acme", Some("ann")).await;
    for name in ["ann", "acme"] {
        let taken = bench.try_user(name, false).await;
        assert!(matches!(taken, Err(UserError::Taken(_))), "{name}");
    }
    for name in ["library", "v2", "admin", "console", "server"] {
        let reserved = bench.try_user(name, false).await;
        assert!(matches!(reserved, Err(UserError::Reserved(_))), "{name}");
    }
    for name in ["", "a", "Ann", "ann+ci", "a/b"] {
        let wrong = bench.try_user(name, false).await;
        assert!(matches!(wrong, Err(UserError::Name(_))), "{name}");
    }
}

/// Who comes first must not own what is there; an administrator may give it away.
#[tokio::test]
async fn who_signs_up_takes_over_no_repositories() {
    let bench = Bench::with(SignUp::Open);
    bench.try_user("root", true).await.expect("a user");
    bench.push("acme/web").await;
    let refused = bench.sign_up("acme", None).await;
    let is_occupied = |error| matches!(error, Err(SignUpError::User(UserError::Occupied(_))));
    assert!(is_occupied(refused));
    bench.sign_up("ann", None).await.expect("a user");
    let new = NewOrganization {
        name: "acme".to_owned(),
        description: String::new(),
    };
    let refused = bench
        .index
        .create_organization(&bench.account("ann"), new)
        .await;
    assert!(matches!(
        refused,
        Err(OrganizationError::User(UserError::Occupied(_)))
    ));
    bench.organization("acme", Some("ann")).await;
}

/// S16
#[tokio::test]
async fn sec_s16_the_setup_code_is_random_and_good_once() {
    let bench = Bench::new();
    let first = bench.index.setup_code(true).await.expect("it writes");
    let second = bench.index.setup_code(true).await.expect("it writes");
    let (first, second) = (first.expect("a code"), second.expect("a code"));
    assert_ne!(first, second, "each start has its own");
    // That of an earlier start is over, and so is a guess; without one, nobody signs up.
    for code in [first, secret("lhu_x")] {
        let refused = bench.sign_up("eve", Some(code)).await;
        assert!(matches!(refused, Err(SignUpError::Code)));
    }
    let refused = bench.sign_up("eve", None).await;
    assert!(matches!(refused, Err(SignUpError::Closed)));
    // Two who have it at the same moment.
    let both = tokio::join!(
        bench.sign_up("ann", Some(second.clone())),
        bench.sign_up("eve", Some(second.clone()))
    );
    let admins = [both.0, both.1].into_iter().filter_map(Result::ok);
    let admins: Vec<_> = admins.map(|user| user.is_admin).collect();
    assert_eq!(admins, [true]);
    assert_eq!(bench.index.setup_code(true).await.expect("it reads"), None);
    let refused = bench.sign_up("mallory", Some(second)).await;
    assert!(matches!(refused, Err(SignUpError::Code)));
}

/// S16: an administrator made in another way ends the code.
#[tokio::test]
async fn sec_s16_the_setup_code_makes_no_second_administrator() {
    let bench = Bench::new();
    let code = bench.index.setup_code(true).await.expect("it writes");
    bench.try_user("root", true).await.expect("a user");
    let refused = bench.sign_up("eve", code).await;
    assert!(matches!(refused, Err(SignUpError::Code)));
}

#[tokio::test]
async fn invitations_are_good_once() {
    let bench = Bench::with(SignUp::Invitation);
    bench.try_user("root", true).await.expect("a user");
    let refused = bench.sign_up("ann", None).await;
    assert!(matches!(refused, Err(SignUpError::NotInvited)));
    let admin = Bench::admin();
    let invite = |expires_at| bench.index.invite(&admin, "ann@example.com", expires_at);
    assert!(matches!(
        invite(Some(NOW)).await,
        Err(InvitationError::Expired)
    ));
    let (_, code) = invite(Some(Timestamp(NOW.0 + 1))).await.expect("a code");
    let ann = bench.sign_up("ann", Some(code.clone())).await;
    assert!(!ann.expect("a user").is_admin);
    let refused = bench.sign_up("eve", Some(code)).await;
    assert!(matches!(refused, Err(SignUpError::Code)));
    let (invited, code) = invite(None).await.expect("a code");
    let revoked = bench.index.revoke_invitation(&admin, invited.id);
    revoked.await.expect("it is there");
    let refused = bench.sign_up("eve", Some(code)).await;
    assert!(matches!(refused, Err(SignUpError::Code)));
}

#[tokio::test]
async fn the_last_stay() {
    let bench = Bench::new();
    bench.try_user("root", true).await.expect("a user");
    bench.user("ann").await;
    bench.organization("acme", Some("ann")).await;
    let (index, admin, acme) = (&bench.index, Bench::admin(), bench.owned("acme"));
    for changes in [
        UserChanges {
            is_admin: Some(false),
            ..UserChanges::default()
        },
        UserChanges {
            is_disabled: Some(true),
            ..UserChanges::default()
        },
    ] {
        let refused = index.update_user(&admin, "root", changes).await;
        assert!(matches!(refused, Err(UserError::LastAdmin(_))));
    }
    let refused = index.delete_user(&admin, "root").await;
    assert!(matches!(refused, Err(UserError::LastAdmin(_))));
    let refused = index.set_member(&acme, "ann", Role::Reader).await;
    assert!(matches!(refused, Err(MemberError::LastOwner(_))));
    let refused = index.remove_member(&acme, "ann").await;
    assert!(matches!(refused, Err(MemberError::LastOwner(_))));
    let refused = index.delete_user(&admin, "ann").await;
    assert!(matches!(refused, Err(UserError::OwnsAlone { .. })));
    let own = bench.owned("ann");
    index
        .set_member(&own, "root", Role::Owner)
        .await
        .expect("a member");
    let refused = index.remove_member(&own, "ann").await;
    assert!(matches!(refused, Err(MemberError::OwnNamespace(_))));
    index
        .set_member(&acme, "root", Role::Owner)
        .await
        .expect("a member");
    index
        .delete_user(&admin, "ann")
        .await
        .expect("nobody's last");
}

/// S10: the permit says who may; what is named beside it belongs to who it says, or is not there.
#[tokio::test]
async fn sec_s10_what_is_anothers_is_not_there() {
    let bench = Bench::new();
    for name in ["ann", "eve"] {
        bench.user(name).await;
    }
    bench.organization("acme", Some("ann")).await;
    let index = &bench.index;
    let token = NewToken {
        name: "laptop".to_owned(),
        limits: None,
        expires_at: None,
    };
    let (token, _) = index
        .create_token(&bench.account("ann"), token)
        .await
        .expect("a token");
    let refused = index.revoke_token(&bench.account("eve"), token.id).await;
    assert!(matches!(refused, Err(TokenError::Unknown)));
    let acme = bench.owned("acme");
    let new = NewGrant {
        pattern: "acme/*".to_owned(),
        role: Role::Writer,
        grantee: Grantee::Account("ann".to_owned()),
    };
    let granted = index.grant(&acme, new.clone()).await.expect("a grant");
    let eves = bench.namespace(&bench.asker("eve"), "eve");
    let refused = index.revoke_grant(&eves, granted.id).await;
    assert!(matches!(refused, Err(GrantError::Unknown)));
    let refused = index
        .revoke_official_grant(&Bench::admin(), granted.id)
        .await;
    assert!(matches!(refused, Err(GrantError::Unknown)));
    for pattern in ["acme/*", "*", "evening/x", "nginx", "eve"] {
        let new = NewGrant {
            pattern: pattern.to_owned(),
            ..new.clone()
        };
        let refused = index.grant(&eves, new).await;
        assert!(
            matches!(refused, Err(GrantError::Outside { .. })),
            "{pattern}"
        );
    }
    let owner = NewGrant {
        role: Role::Owner,
        ..new
    };
    let refused = index.grant(&acme, owner).await;
    assert!(matches!(refused, Err(GrantError::Owner)));
    // A member who is no owner.
    index
        .set_member(&acme, "eve", Role::Maintainer)
        .await
        .expect("a member");
    let low = bench.namespace(&bench.asker("eve"), "acme");
    let refused = index.set_member(&low, "eve", Role::Owner).await;
    assert!(matches!(
        refused,
        Err(MemberError::Namespace(OrganizationError::NotOwner(_)))
    ));
    let refused = index.create_robot(&low, "ci", "", None).await;
    assert!(matches!(
        refused,
        Err(RobotError::Namespace(OrganizationError::NotOwner(_)))
    ));
    let refused = index.create_team(&low, "core", "").await;
    assert!(matches!(
        refused,
        Err(TeamError::Namespace(OrganizationError::NotOwner(_)))
    ));
    index
        .remove_member(&low, "eve")
        .await
        .expect("who leaves may");
}

#[tokio::test]
async fn passwords_change_hands_with_what_they_signed_in() {
    let bench = Bench::with(SignUp::Open);
    bench.try_user("root", true).await.expect("a user");
    bench.sign_up("ann", None).await.expect("a user");
    let (index, ann) = (&bench.index, bench.account("ann"));
    let change = |old: &'static str, new: &'static str| async {
        let (old, new) = (secret(old), secret(new));
        index
            .change_password(&ann, &bench.sign_in, &old, &new)
            .await
    };
    assert!(matches!(
        change(PASSWORD, "short").await,
        Err(PasswordError::Short)
    ));
    assert!(matches!(
        change("wrong horse", "correct mule").await,
        Err(PasswordError::Wrong)
    ));
    change(PASSWORD, "correct mule").await.expect("it is hers");
    let signs_in = |password: &'static str| async {
        let found = bench
            .sign_in
            .sign_in("ann", &secret(password), "here")
            .await;
        found.expect("it can be said").is_some()
    };
    assert!(signs_in("correct mule").await);
    assert!(!signs_in(PASSWORD).await);
    let (admin, pony) = (Bench::admin(), secret("correct pony"));
    let set = index.set_password(&admin, "ann", &pony).await;
    set.expect("an administrator may");
    assert!(signs_in("correct pony").await);
    let long = Secret::new(vec![b'x'; 1025]);
    let refused = index.set_password(&Bench::admin(), "ann", &long).await;
    assert!(matches!(refused, Err(PasswordError::Long)));
}

#[tokio::test]
async fn tokens_make_no_tokens() {
    let bench = Bench::new();
    bench.user("ann").await;
    let index = &bench.index;
    let new = |limits| NewToken {
        name: "laptop".to_owned(),
        limits,
        expires_at: None,
    };
    let empty = Limits(vec![Limit {
        pattern: "ann/*".parse().expect("a pattern"),
        actions: Vec::new(),
    }]);
    let ann = bench.account("ann");
    let refused = index.create_token(&ann, new(Some(empty))).await;
    assert!(matches!(refused, Err(TokenError::Limits)));
    let limits = Limits(vec![Limit {
        pattern: "ann/*".parse().expect("a pattern"),
        actions: vec![TokenAction::Pull],
    }]);
    for limits in [None, Some(limits)] {
        let (token, text) = index
            .create_token(&ann, new(limits.clone()))
            .await
            .expect("a token");
        let principal = index.directory().by_token(text.expose());
        let principal = principal.expect("it reads").expect("it is good");
        assert_eq!(principal.means, Means::Token(TokenKind::Personal));
        let asker = Asker::new(Arc::new(principal), Arc::new(source()));
        match AccountPermit::of(&asker) {
            None => assert!(limits.is_some(), "what is limited manages nothing"),
            Some(by_token) => {
                let refused = index.create_token(&by_token, new(None)).await;
                assert!(matches!(refused, Err(TokenError::ByToken)));
            }
        }
        index.revoke_token(&ann, token.id).await.expect("hers");
        let gone = index.directory().by_token(text.expose());
        assert!(gone.expect("it reads").is_none());
    }
}

#[tokio::test]
async fn rights_are_explained() {
    let bench = Bench::new();
    for name in ["ann", "bob", "eve"] {
        bench.user(name).await;
    }
    bench.organization("acme", Some("ann")).await;
    bench.push("acme/web").await;
    let (index, acme) = (&bench.index, bench.owned("acme"));
    index.create_team(&acme, "core", "").await.expect("a team");
    index
        .add_to_team(&acme, "core", "bob")
        .await
        .expect("a member");
    let new = NewGrant {
        pattern: "acme/web".to_owned(),
        role: Role::Writer,
        grantee: Grantee::Team("acme/core".to_owned()),
    };
    index.grant(&acme, new).await.expect("a grant");
    let web = bench.repository("acme/web", Deed::Own);
    let explain = |who: &str, deed| index.explain(&web, who, deed).expect("an account");
    let member = Reason::Member {
        namespace: "acme".to_owned(),
        role: "owner".to_owned(),
    };
    let ann = explain("ann", Deed::Delete);
    assert_eq!((ann.is_allowed, ann.reasons), (true, vec![member.clone()]));
    let grant = Reason::Grant {
        pattern: "acme/web".to_owned(),
        role: "writer".to_owned(),
        team: Some("acme/core".to_owned()),
    };
    let bob = explain("bob", Deed::Push);
    assert_eq!((bob.is_allowed, bob.reasons), (true, vec![grant.clone()]));
    assert!(!explain("bob", Deed::Delete).is_allowed);
    let eve = explain("eve", Deed::Pull);
    assert_eq!((eve.is_allowed, eve.reasons), (false, Vec::new()));
    let list = index.access_list(&web).expect("it reads");
    assert_eq!(list.visibility, Some(Visibility::Private));
    let reasons: Vec<_> = list.entries.into_iter().map(|entry| entry.reason).collect();
    assert_eq!(reasons, [member, grant]);
    let set = index.set_visibility(&web, Some(Visibility::Public)).await;
    assert!(set.expect("it is there").has_own_visibility);
    let eve = explain("eve", Deed::Pull);
    assert_eq!((eve.is_allowed, eve.reasons), (true, vec![Reason::Public]));
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let bench = Bench::new();
    for name in ["ann", "bob"] {
        bench.user(name).await;
    }
    for name in ["acme/a", "acme/b", "acme/c", "acmes/x", "nginx", "ann/x"] {
        bench.push(name).await;
    }
    let index = &bench.index;
    let viewer = index.directory().viewer(&Principal::console());
    let viewer = viewer.expect("it reads");
    let page = |namespace, after: &str, rows| {
        let page = index.repositories_of(&viewer, namespace, after, rows);
        let (found, next) = page.expect("it reads");
        let names: Vec<_> = found.into_iter().map(|found| found.name).collect();
        (names.join(" "), next)
    };
    let (first, next) = page(Some("acme"), "", 2);
    assert_eq!(
        (&*first, next.as_deref()),
        ("acme/a acme/b", Some("acme/b"))
    );
    assert_eq!(page(Some("acme"), "acme/b", 2), ("acme/c".to_owned(), None));
    assert_eq!(page(None, "", 9), ("nginx".to_owned(), None));
    let nobody = index.directory().viewer(&Principal::nobody());
    let seen = index.repositories_of(&nobody.expect("it reads"), Some("acme"), "", 2);
    assert_eq!(seen.expect("it reads"), (Vec::new(), None));
    let users = index.users(&Bench::admin(), "ann", 9).expect("it reads");
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].name, "bob");
}
