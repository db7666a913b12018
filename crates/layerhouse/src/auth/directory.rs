//! Knows the accounts: what somebody is to a repository, a namespace, a list. Reads; what changes accounts is
//! in `index`, and says so here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::namespace::NamespaceName;

use super::htpasswd::users::Users;
use super::issue::uses::Uses;
use super::principal::{AccountRef, Means, Principal};
use super::rights::{Deed, Limits, Pattern, Place, Role, Standing, Visibility, may};
use crate::clock::{Clock, Random};
use crate::config::meaning::index::Index;
use crate::fault::{Fault, FaultKind};
use crate::meta::accounts::{self, Account, AccountId};
use crate::meta::database::Database;
use crate::meta::namespaces::{self, NamespaceKind};
use crate::meta::search::{self, Class};
use crate::meta::standing;
use crate::meta::tokens::{self, TokenId, TokenKind};
use crate::meta::transaction::Transaction;

/// Users of a registry:2's file.
pub(crate) const HTPASSWD: &str = "htpasswd";

/// Who there is and what they may do; cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory {
    accounts: Arc<Accounts>,
    settings: Arc<Index>,
}

/// What stays when the configuration is read again.
struct Accounts {
    database: Database,
    clock: Clock,
    random: Random,
    generation: AtomicU64,
    uses: Uses,
    /// As the file of registry:2's users was when it was last looked at: who is not in it any more is not
    /// here either.
    htpasswd: ArcSwapOption<Users>,
}

/// What somebody may do with a repository.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryRights {
    repository: RepositoryName,
    standing: Standing,
    place: Place,
    exists: bool,
    was_deleted: bool,
    limits: Option<Arc<Limits>>,
}

impl RepositoryRights {
    pub(crate) fn allows(&self, deed: Deed) -> bool {
        let is_within = |limits: &Arc<Limits>| limits.allow(&self.repository, deed);
        if may(self.standing, self.place, deed) && self.limits.as_ref().is_none_or(is_within) {
            return true;
        }
        // A token may be limited, but not to less than nobody at all.
        self.limits.is_some() && may(Standing::Anonymous, self.place, deed)
    }

    /// Of which, by its one name.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Of a repository that is there, or may be fetched.
    pub(crate) fn visibility(&self) -> Option<Visibility> {
        self.place.visibility
    }

    pub(crate) fn exists(&self) -> bool {
        self.exists
    }

    /// Whether it is not there for it was deleted; it may come back.
    pub(crate) fn was_deleted(&self) -> bool {
        self.was_deleted
    }
}

/// What somebody may see of lists, put together once for many repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, and none implies another"
)]
pub(crate) struct Viewer {
    sees_all: bool,
    sees_public: bool,
    /// Names without a slash.
    sees_official: bool,
    default: Visibility,
    /// Where they have a role.
    namespaces: BTreeMap<String, Role>,
    patterns: Vec<Pattern>,
    limits: Option<Arc<Limits>>,
    is_open_to_anonymous: bool,
}

impl Viewer {
    /// Who sees whatever there is.
    pub(crate) fn of_all() -> Self {
        Self {
            sees_all: true,
            sees_public: true,
            sees_official: true,
            default: Visibility::Public,
            namespaces: BTreeMap::new(),
            patterns: Vec::new(),
            limits: None,
            is_open_to_anonymous: true,
        }
    }

    /// Whether nothing is hidden from them.
    pub(crate) fn sees_all(&self) -> bool {
        self.sees_all && self.limits.is_none()
    }

    /// Whether they may see anything beside what they have a role in.
    pub(crate) fn sees_public(&self) -> bool {
        self.sees_public
    }

    /// Of repositories that have none of their own.
    pub(crate) fn default_visibility(&self) -> Visibility {
        self.default
    }

    /// The namespaces that have all that they see and not everybody does, and perhaps more; the empty one
    /// is of names without a slash. `None` if that may be anywhere.
    pub(crate) fn namespaces(&self) -> Option<Vec<&str>> {
        let is_anywhere = |pattern: &Pattern| pattern.as_str() == "*";
        if self.sees_all || self.patterns.iter().any(is_anywhere) {
            return None;
        }
        let of_patterns = self.patterns.iter().map(|pattern| {
            let split = pattern.as_str().split_once('/');
            split.map_or("", |(namespace, _)| namespace)
        });
        let mut found: Vec<&str> = of_patterns.collect();
        found.extend(self.namespaces.keys().map(String::as_str));
        found.extend(self.sees_official.then_some(""));
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    /// Whether they may see the repository of this name; `visibility` is its own, if it has one.
    pub(crate) fn sees(&self, name: &str, visibility: Option<&str>) -> bool {
        let visibility = visibility.and_then(|text| text.parse().ok());
        let is_public = visibility.unwrap_or(self.default) == Visibility::Public;
        if let Some(limits) = &self.limits {
            let is_within = name
                .parse()
                .is_ok_and(|name: RepositoryName| limits.allow(&name, Deed::Pull));
            if !is_within {
                return is_public && self.is_open_to_anonymous;
            }
        }
        if self.sees_all || (is_public && self.sees_public) {
            return true;
        }
        let has_role = match name.split_once('/') {
            Some((namespace, _)) => self.namespaces.contains_key(namespace),
            None => self.sees_official,
        };
        if has_role {
            return true;
        }
        !self.patterns.is_empty()
            && name.parse().is_ok_and(|name: RepositoryName| {
                self.patterns.iter().any(|pattern| pattern.covers(&name))
            })
    }
}

impl Directory {
    pub(crate) fn new(database: Database, clock: Clock, random: Random, settings: Index) -> Self {
        Self {
            accounts: Arc::new(Accounts {
                database,
                clock,
                random,
                generation: AtomicU64::new(1),
                uses: Uses::default(),
                htpasswd: ArcSwapOption::empty(),
            }),
            settings: Arc::new(settings),
        }
    }

    /// The same accounts under other settings.
    pub(crate) fn with(&self, settings: Index) -> Self {
        self.moved();
        Self {
            accounts: Arc::clone(&self.accounts),
            settings: Arc::new(settings),
        }
    }

    pub(crate) fn settings(&self) -> &Arc<Index> {
        &self.settings
    }

    pub(crate) fn database(&self) -> &Database {
        &self.accounts.database
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.accounts.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.accounts.random
    }

    /// When tokens were used, until it is written down.
    pub(crate) fn uses(&self) -> &Uses {
        &self.accounts.uses
    }

    /// Another number after every change of accounts, rights, tokens and visibility, and whenever another process
    /// changed anything: what was decided after this was asked for holds for as long as it stays the same.
    pub(crate) fn generation(&self) -> u64 {
        let ours = self.accounts.generation.load(Ordering::Acquire);
        // Both only grow.
        ours.wrapping_add(self.accounts.database.elsewhere())
    }

    /// Something changed; to be said after the commit and before it is answered.
    pub(crate) fn moved(&self) {
        self.accounts.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The file of registry:2's users as it is by now.
    pub(super) fn look_at_htpasswd(&self, users: &Arc<Users>) {
        let before = self.accounts.htpasswd.load();
        if before
            .as_ref()
            .is_none_or(|before| !Arc::ptr_eq(before, users))
        {
            self.accounts.htpasswd.store(Some(Arc::clone(users)));
            self.moved();
        }
    }

    /// The account as somebody who signed in with `means`; `None` if it is disabled, or its source does not
    /// know it any more.
    pub(crate) fn principal(
        &self,
        account: &Account,
        means: Means,
        token: Option<(TokenId, Option<Arc<Limits>>)>,
    ) -> Option<Principal> {
        let is_of_file = account.source == HTPASSWD;
        if account.is_disabled || (is_of_file && !self.is_in_htpasswd(&account.name)) {
            return None;
        }
        let (token, limits) = token.map_or((None, None), |(id, limits)| (Some(id), limits));
        Some(Principal {
            account: Some(AccountRef {
                id: account.id,
                kind: account.kind,
                is_admin: account.is_admin,
            }),
            name: account.name.as_str().into(),
            everywhere: is_of_file.then_some(self.settings.htpasswd_role).flatten(),
            limits,
            token,
            means,
        })
    }

    fn is_in_htpasswd(&self, name: &str) -> bool {
        let users = self.accounts.htpasswd.load();
        users.as_ref().is_some_and(|users| users.find(name).1)
    }

    /// Who a token of ours is of; `None` if it is none, or over, or its account is disabled.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn by_token(&self, text: &[u8]) -> Result<Option<Principal>, Fault> {
        let Some((_, hash)) = tokens_of(text) else {
            return Ok(None);
        };
        let now = self.accounts.clock.now();
        self.accounts.database.read(|tx| {
            let token = tokens::by_hash(tx, &hash)?;
            let Some(token) = token.filter(|token| !token.is_expired(now)) else {
                return Ok(None);
            };
            let found = self.of_token(tx, &token, Means::Token(token.kind))?;
            if found.is_some() {
                self.accounts.uses.note(token.id, now);
            }
            Ok(found)
        })
    }

    fn of_token(
        &self,
        tx: &Transaction<'_>,
        token: &tokens::Token,
        means: Means,
    ) -> Result<Option<Principal>, Fault> {
        let limits = token.limits.as_deref();
        let limits = limits.map(|limits| Arc::new(Limits::from_json(limits)));
        let account = accounts::by_id(tx, token.account)?;
        let token = Some((token.id, limits));
        let found = account.and_then(|account| self.principal(&account, means, token));
        Ok(found)
    }

    /// The holder of an access token, as they are by now: the account that it names, with the token that it
    /// was made with. `None` if one of the two is gone.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn by_id(
        &self,
        account: AccountId,
        token: Option<TokenId>,
        means: Means,
    ) -> Result<Option<Principal>, Fault> {
        let now = self.accounts.clock.now();
        self.accounts.database.read(|tx| {
            let Some(token) = token else {
                let account = accounts::by_id(tx, account)?;
                return Ok(account.and_then(|account| self.principal(&account, means, None)));
            };
            let token = tokens::by_id(tx, token)?
                .filter(|token| token.account == account && !token.is_expired(now));
            match token {
                Some(token) => self.of_token(tx, &token, means),
                None => Ok(None),
            }
        })
    }

    /// What they may do with a repository, there or not.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn rights(
        &self,
        who: &Principal,
        repository: &RepositoryName,
    ) -> Result<RepositoryRights, Fault> {
        let repository = repository.clone().canonical();
        self.accounts.database.read(|tx| {
            let found = standing::repository(tx, repository.as_str())?;
            // Of copies, there or not yet, the configuration says it, and as soon as it is read.
            let of_copy = self.settings.visibility_of_copy(&repository);
            let of_copy = of_copy.filter(|_| found.is_copy || !found.exists);
            let own = || self.visibility(found.visibility.as_deref());
            let visibility = of_copy.or_else(|| found.exists.then(own));
            Ok(RepositoryRights {
                standing: self.standing(tx, who, &repository)?,
                place: Place {
                    visibility,
                    is_open_to_anonymous: self.settings.is_open_to_anonymous,
                },
                exists: found.exists,
                was_deleted: found.was_deleted,
                limits: who.limits.clone(),
                repository,
            })
        })
    }

    /// What a repository's own visibility, or none, means.
    pub(crate) fn visibility(&self, own: Option<&str>) -> Visibility {
        own.and_then(|text| text.parse().ok())
            .unwrap_or(self.settings.visibility)
    }

    /// Whether any repository is public that search knows of.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn shows_anything(&self) -> Result<bool, Fault> {
        let classes: &[Class] = match self.settings.visibility {
            Visibility::Public => &[Class::Public, Class::Default],
            Visibility::Private => &[Class::Public],
        };
        let look = |tx: &Transaction<'_>| search::has_any(tx, classes);
        self.accounts.database.read(look)
    }

    fn standing(
        &self,
        tx: &Transaction<'_>,
        who: &Principal,
        repository: &RepositoryName,
    ) -> Result<Standing, Fault> {
        let Some(account) = who.account else {
            return Ok(if who.means == Means::Console {
                Standing::Account {
                    is_admin: true,
                    role: None,
                }
            } else {
                Standing::Anonymous
            });
        };
        let is_admin = account.is_admin;
        let mut role = who.everywhere;
        if let Some(namespace) = repository.namespace() {
            if self.keeps_out_owner(tx, &namespace)? {
                return Ok(Standing::Account { is_admin, role });
            }
            role = role.max(member_role(tx, account.id, &namespace)?);
        } else if !repository.as_str().contains('/')
            && let Some((namespace, team)) = &self.settings.official_team
            && standing::is_in_team(tx, account.id, namespace, team)?
        {
            role = role.max(Some(Role::Maintainer));
        }
        for (pattern, granted) in standing::grants(tx, account.id)? {
            let covers = pattern
                .parse()
                .is_ok_and(|pattern: Pattern| pattern.covers(repository));
            if covers {
                role = role.max(Some(parse_role(&granted)?));
            }
        }
        Ok(Standing::Account { is_admin, role })
    }

    /// Whether copies of another registry stand in the namespace of a user, who has no part in them: only an
    /// organization, which an administrator makes, says who may see them.
    fn keeps_out_owner(
        &self,
        tx: &Transaction<'_>,
        namespace: &NamespaceName,
    ) -> Result<bool, Fault> {
        if !self.settings.has_copies_in(namespace) {
            return Ok(false);
        }
        let found = namespaces::by_name(tx, namespace.as_str())?;
        Ok(found.is_some_and(|found| found.kind == NamespaceKind::User))
    }

    /// Their role in a namespace; administrators own all.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn role_in(
        &self,
        who: &Principal,
        namespace: &NamespaceName,
    ) -> Result<Option<Role>, Fault> {
        if who.limits.is_some() {
            return Ok(None);
        }
        if who.is_admin() {
            return Ok(Some(Role::Owner));
        }
        let Some(account) = who.account else {
            return Ok(None);
        };
        let look = |tx: &Transaction<'_>| member_role(tx, account.id, namespace);
        Ok(who.everywhere.max(self.accounts.database.read(look)?))
    }

    /// What they may see of lists.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn viewer(&self, who: &Principal) -> Result<Viewer, Fault> {
        let mut viewer = Viewer {
            sees_all: who.means == Means::Console || who.everywhere.is_some(),
            sees_public: self.settings.is_open_to_anonymous || who.means != Means::Nobody,
            sees_official: false,
            default: self.settings.visibility,
            namespaces: BTreeMap::new(),
            patterns: Vec::new(),
            limits: who.limits.clone(),
            is_open_to_anonymous: self.settings.is_open_to_anonymous,
        };
        let Some(account) = who.account else {
            return Ok(viewer);
        };
        viewer.sees_all |= account.is_admin;
        self.accounts.database.read(|tx| {
            let is_kept_out = |name: &str| match name.parse() {
                Ok(namespace) => self.keeps_out_owner(tx, &namespace),
                Err(_) => Ok(false),
            };
            for (namespace, role) in standing::memberships(tx, account.id)? {
                if !is_kept_out(&namespace)? {
                    viewer.namespaces.insert(namespace, parse_role(&role)?);
                }
            }
            for (pattern, _) in standing::grants(tx, account.id)? {
                let namespace = pattern.split('/').next().unwrap_or_default();
                if !is_kept_out(namespace)? {
                    viewer.patterns.extend(pattern.parse().ok());
                }
            }
            if let Some((namespace, team)) = &self.settings.official_team {
                // Its members see what they may push.
                viewer.sees_official = standing::is_in_team(tx, account.id, namespace, team)?;
            }
            Ok(viewer)
        })
    }
}

fn member_role(
    tx: &Transaction<'_>,
    account: AccountId,
    namespace: &NamespaceName,
) -> Result<Option<Role>, Fault> {
    let role = standing::role_in(tx, account, namespace.as_str())?;
    role.map(|role| parse_role(&role)).transpose()
}

fn parse_role(text: &str) -> Result<Role, Fault> {
    text.parse()
        .map_err(|error| Fault::new(FaultKind::Damaged, "reading a stored role", error))
}

/// What a token of ours begins with, by its kind: nobody takes one for a password, and secret scanners know it.
pub(crate) fn prefix(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Personal => "lhp_",
        TokenKind::Robot => "lhr_",
        TokenKind::Refresh => "lhi_",
        TokenKind::Session => "lhs_",
    }
}

/// The kind and the digest of a text that looks like a token of ours.
pub(crate) fn tokens_of(text: &[u8]) -> Option<(TokenKind, String)> {
    let kind = TokenKind::ALL
        .into_iter()
        .find(|kind| text.starts_with(prefix(*kind).as_bytes()))?;
    Some((kind, secret_hash(text)))
}

/// What is stored of a secret: hex of its SHA-256. It has 256 random bits, so nothing slower is needed.
pub(crate) fn secret_hash(text: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, text).hex().to_owned()
}

/// A secret of 256 random bits behind a prefix, in letters that no shell and no URL minds.
pub(crate) fn new_secret(prefix: &str, random: &Random) -> super::credentials::Secret {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
    let mut text = prefix.as_bytes().to_vec();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while 5 <= bits {
            bits -= 5;
            text.push(LETTERS[(held >> bits) as usize & 31]);
        }
    }
    text.push(LETTERS[(held << (5 - bits)) as usize & 31]);
    super::credentials::Secret::new(text)
}
