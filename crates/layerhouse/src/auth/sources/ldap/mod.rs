//! Passwords that a directory checks (RFC 4511): we sign in there as whoever signs in here, and read who
//! they are and which groups they are in.

pub(crate) mod entry;
mod escape;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::entry::Found;
use self::escape::{fill, filter_value, name_value};
use super::SourceError;
use crate::auth::credentials::Secret;
use crate::auth::outsider::Outsider;
use crate::clock::{Clock, Timestamp};
use crate::config::meaning::sources::{self as config, FindEntry, LdapGroups};
use crate::outbound::ldap::{Connection, DirectoryError, Entry, Query, Trust};

/// Sign-ins at once; each has a connection of its own, for it signs in.
const AT_ONCE_MAX: usize = 64;
/// How long one waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// A server that did not answer is asked last for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(30);
/// Longest name and password that are sent.
const TEXT_BYTES_MAX: usize = 1024;
/// Groups of one person.
const GROUPS_MAX: u16 = 1000;

/// A directory, on one server or several.
pub(crate) struct Ldap {
    config: config::Ldap,
    trust: Trust,
    clock: Clock,
    turns: Semaphore,
    /// When each server failed, if it did last time.
    failed_at: Mutex<Vec<Option<Timestamp>>>,
}

/// What one server said.
enum Answer {
    Known(Box<Outsider>),
    Unknown,
}

impl Ldap {
    /// # Errors
    /// The authorities cannot be used.
    pub(crate) fn open(config: &config::Ldap, clock: &Clock) -> Result<Self, String> {
        let trust = Trust::new(config.authorities.as_deref());
        Ok(Self {
            trust: trust.map_err(|error| format!("cafile: {error}"))?,
            clock: clock.clone(),
            turns: Semaphore::new(AT_ONCE_MAX),
            failed_at: Mutex::new(vec![None; config.servers.len()]),
            config: config.clone(),
        })
    }

    /// Who has this name and this password; `None` if nobody does.
    ///
    /// # Errors
    /// No server said yes or no: that is never a wrong password.
    pub(crate) async fn check(
        &self,
        user: &str,
        password: &Secret,
    ) -> Result<Option<Outsider>, SourceError> {
        let Some(password) = sendable(user, password) else {
            return Ok(None);
        };
        let turn = timeout(TURN_PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(SourceError::Busy);
        };
        let mut problems = Vec::new();
        for at in self.order() {
            let asked = timeout(self.config.timeout, self.ask(at, user, password)).await;
            let problem = match asked {
                Ok(Ok(answer)) => {
                    self.note(at, None);
                    return Ok(match answer {
                        Answer::Known(outsider) => Some(*outsider),
                        Answer::Unknown => None,
                    });
                }
                Ok(Err(problem)) => problem,
                Err(_) => format!("no answer in {} ms", self.config.timeout.as_millis()),
            };
            self.note(at, Some(self.clock.now()));
            problems.push(format!("{}: {problem}", self.config.servers[at].url));
        }
        Err(SourceError::Outage(problems.join("; ")))
    }

    /// As configured, but for those that failed just now.
    fn order(&self) -> Vec<usize> {
        let now = self.clock.now();
        let failed_at = self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_avoided =
            |at: &usize| failed_at[*at].is_some_and(|failed| now.since(failed) < AVOIDED_FOR);
        let mut order: Vec<_> = (0..failed_at.len()).collect();
        order.sort_by_key(is_avoided);
        order
    }

    fn note(&self, at: usize, failed: Option<Timestamp>) {
        let mut failed_at = self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed_at[at] = failed;
    }

    async fn ask(&self, at: usize, user: &str, password: &str) -> Result<Answer, String> {
        let server = &self.config.servers[at];
        let mut connection = Connection::open(&server.url, server.starts_tls, &self.trust)
            .await
            .map_err(|error| error.to_string())?;
        let found = match &self.config.find {
            FindEntry::Template(template) => {
                let dn = fill(template, &[("{user}", &name_value(user))]);
                if !signs_in(connection.bind(&dn, password).await)? {
                    return Ok(Answer::Unknown);
                }
                // Who may not read themselves is known by the name that they typed.
                let own = self.read_entry(&mut connection, &dn).await?;
                own.map_or(Found::Unread { dn }, Found::Read)
            }
            FindEntry::Search { bind, base, filter } => {
                let filter = fill(filter, &[("{user}", &filter_value(user))]);
                self.sign_in_ourselves(&mut connection, bind.as_ref())
                    .await?;
                let Some(entry) = self.find(&mut connection, base, &filter).await? else {
                    return Ok(Answer::Unknown);
                };
                if !signs_in(connection.bind(&entry.dn, password).await)? {
                    return Ok(Answer::Unknown);
                }
                // Groups are read by who could read the entry.
                self.sign_in_ourselves(&mut connection, bind.as_ref())
                    .await?;
                Found::Read(entry)
            }
        };
        let groups = self.groups(&mut connection, &found, user).await?;
        Ok(match found.outsider(user, &groups, &self.config) {
            Some(outsider) => Answer::Known(Box::new(outsider)),
            None => Answer::Unknown,
        })
    }

    /// Nobody may search, if no account of ours is named.
    async fn sign_in_ourselves(
        &self,
        connection: &mut Connection,
        bind: Option<&(String, Secret)>,
    ) -> Result<(), String> {
        let Some((dn, password)) = bind else {
            return Ok(());
        };
        let password = str::from_utf8(password.expose()).unwrap_or_default();
        let bound = connection.bind(dn, password).await;
        bound.map_err(|error| format!("index.ldap.search.binddn: {error}"))
    }

    /// The one entry; several people under one name are nobody.
    async fn find(
        &self,
        connection: &mut Connection,
        base: &str,
        filter: &str,
    ) -> Result<Option<Entry>, String> {
        let attributes = self.config.attributes_wanted();
        let query = Query {
            base,
            is_deep: true,
            filter,
            attributes: &attributes,
            entries_max: 2,
        };
        let mut entries = match connection.search(query).await {
            Ok(entries) => entries,
            Err(DirectoryError::Refused {
                code: SIZE_LIMIT, ..
            }) => {
                vec![Entry::default(), Entry::default()]
            }
            Err(error) => return Err(format!("index.ldap.search: {error}")),
        };
        if 1 < entries.len() {
            tracing::warn!("the directory has several entries for one name; none signs in");
            return Ok(None);
        }
        // An empty name would sign in as nobody.
        Ok(entries.pop().filter(|entry| !entry.dn.is_empty()))
    }

    async fn read_entry(
        &self,
        connection: &mut Connection,
        dn: &str,
    ) -> Result<Option<Entry>, String> {
        let attributes = self.config.attributes_wanted();
        let query = Query {
            base: dn,
            is_deep: false,
            filter: "(objectClass=*)",
            attributes: &attributes,
            entries_max: 1,
        };
        match connection.search(query).await {
            Ok(mut entries) => Ok(entries.pop()),
            Err(DirectoryError::Refused {
                code: NO_SUCH_OBJECT | INSUFFICIENT_ACCESS,
                ..
            }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The names of all groups that the person is in.
    async fn groups(
        &self,
        connection: &mut Connection,
        found: &Found,
        user: &str,
    ) -> Result<Vec<String>, String> {
        let (base, filter, name) = match &self.config.groups {
            LdapGroups::None => return Ok(Vec::new()),
            LdapGroups::Attribute(attribute) => return Ok(found.texts(attribute)),
            LdapGroups::Search { base, filter, name } => (base, filter, name.as_deref()),
        };
        let values = [
            ("{dn}", filter_value(found.dn())),
            ("{user}", filter_value(user)),
        ];
        let values = values
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let attributes = [name.unwrap_or("1.1")];
        let query = Query {
            base,
            is_deep: true,
            filter: &fill(filter, &values),
            attributes: &attributes,
            entries_max: GROUPS_MAX,
        };
        let groups = connection.search(query).await;
        let groups = groups.map_err(|error| format!("index.ldap.groups: {error}"))?;
        Ok(match name {
            None => groups.into_iter().map(|group| group.dn).collect(),
            Some(name) => groups
                .into_iter()
                .flat_map(|group| Found::Read(group).texts(name))
                .collect(),
        })
    }
}

const SIZE_LIMIT: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
const INSUFFICIENT_ACCESS: u32 = 50;

/// Whether the server took name and password.
///
/// These are its ways to say no: unknown or malformed names, wrong passwords, entries without one,
/// locked ones. All else (busy, unavailable, TLS required, a referral) is no answer.
fn signs_in(bound: Result<(), DirectoryError>) -> Result<bool, String> {
    const CONSTRAINT_VIOLATION: u32 = 19;
    const INVALID_DN: u32 = 34;
    const INAPPROPRIATE: u32 = 48;
    const INVALID_CREDENTIALS: u32 = 49;
    const UNWILLING: u32 = 53;
    match bound {
        Ok(()) => Ok(true),
        Err(DirectoryError::Refused {
            code:
                CONSTRAINT_VIOLATION | NO_SUCH_OBJECT | INVALID_DN | INAPPROPRIATE | INVALID_CREDENTIALS
                | INSUFFICIENT_ACCESS | UNWILLING,
            ..
        }) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// The password, if name and password are such that a directory may be asked.
///
/// An empty password signs in as nobody, and servers say "success" (RFC 4513, 5.1.2); at a NUL some end
/// the text, so that what they check is not what was typed (S13).
fn sendable<'a>(user: &str, password: &'a Secret) -> Option<&'a str> {
    let password = str::from_utf8(password.expose()).ok()?;
    let is_bounded = |text: &str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
    let is_name = is_bounded(user) && !user.chars().any(char::is_control);
    let is_password = is_bounded(password) && !password.contains('\0');
    (is_name && is_password && user.trim() == user).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S13
    #[test]
    fn sec_s13_what_would_sign_in_as_nobody_is_never_sent() {
        let check = |user: &str, password: &[u8], expected: bool| {
            let sent = sendable(user, &Secret::new(password)).is_some();
            assert_eq!(sent, expected, "{user:?} {password:?}");
        };
        check("ann", b"secret", true);
        check("ann", "pässword ".as_bytes(), true);
        check("ann", b" ", true);
        check("ann", b"", false);
        check("ann", b"\0", false);
        check("ann", b"secret\0", false);
        check("ann", b"\0secret", false);
        check("ann", b"\xff", false);
        check("ann", &[b'a'; 1025], false);
        check("", b"secret", false);
        check("ann\0", b"secret", false);
        check("ann\n", b"secret", false);
        check(" ann", b"secret", false);
        check("ann ", b"secret", false);
        check(&"a".repeat(1025), b"secret", false);
    }

    #[test]
    fn a_no_is_not_an_outage() {
        let refused = |code| {
            let text = String::new();
            signs_in(Err(DirectoryError::Refused { code, text })).ok()
        };
        assert_eq!(signs_in(Ok(())), Ok(true));
        for code in [19, 32, 34, 48, 49, 50, 53] {
            assert_eq!(refused(code), Some(false), "{code}");
        }
        for code in [1, 2, 3, 7, 8, 10, 11, 13, 14, 51, 52, 80, 118] {
            assert_eq!(refused(code), None, "{code}");
        }
        let broken = DirectoryError::Broken(String::new());
        assert!(signs_in(Err(broken)).is_err());
    }
}
