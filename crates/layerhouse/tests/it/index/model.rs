//! Random changes of who is what, and a model in memory of who may do what after each.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::house::{House, text};
use crate::auth::basic;

const PEOPLE: [&str; 4] = ["ann", "bob", "cid", "dee"];
const NAMESPACES: [&str; 2] = ["acme", "blue"];
const REPOSITORIES: [&str; 4] = ["acme/api", "acme/web", "blue/web", "nginx"];
const ROLES: [&str; 4] = ["reader", "writer", "maintainer", "owner"];
const TEAM: &str = "crew";
/// Random numbers decide; their seed is the same each time.
const STEPS: usize = 200;

#[derive(Clone, Debug)]
enum Step {
    /// Absent, they leave.
    Member {
        namespace: usize,
        person: usize,
        role: Option<usize>,
    },
    Team {
        namespace: usize,
        person: usize,
        joins: bool,
    },
    /// To the team of the namespace, or to a person.
    Grant {
        repository: usize,
        is_whole: bool,
        role: usize,
        person: Option<usize>,
    },
    Revoke {
        which: prop::sample::Index,
    },
    Visibility {
        repository: usize,
        is_public: bool,
    },
    Disable {
        person: usize,
        is_disabled: bool,
    },
    Admin {
        person: usize,
        is_admin: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let person = 0..PEOPLE.len();
    let namespace = 0..NAMESPACES.len();
    let repository = 0..REPOSITORIES.len();
    prop_oneof![
        6 => (namespace.clone(), person.clone(), prop::option::of(0..ROLES.len()))
            .prop_map(|(namespace, person, role)| Step::Member { namespace, person, role }),
        3 => (namespace, person.clone(), any::<bool>())
            .prop_map(|(namespace, person, joins)| Step::Team { namespace, person, joins }),
        5 => (repository.clone(), any::<bool>(), 0..3_usize, prop::option::of(person.clone()))
            .prop_map(|(repository, is_whole, role, person)| Step::Grant { repository, is_whole, role, person }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Revoke { which }),
        4 => (repository, any::<bool>())
            .prop_map(|(repository, is_public)| Step::Visibility { repository, is_public }),
        2 => (person.clone(), any::<bool>())
            .prop_map(|(person, is_disabled)| Step::Disable { person, is_disabled }),
        1 => (person, any::<bool>()).prop_map(|(person, is_admin)| Step::Admin { person, is_admin }),
    ]
}

struct Grant {
    id: String,
    namespace: Option<&'static str>,
    pattern: String,
    role: usize,
    /// Absent, the team of its namespace.
    person: Option<usize>,
}

#[derive(Default)]
struct Model {
    members: BTreeMap<(usize, usize), usize>,
    teams: BTreeSet<(usize, usize)>,
    grants: Vec<Grant>,
    public: BTreeSet<usize>,
    disabled: BTreeSet<usize>,
    admins: BTreeSet<usize>,
}

fn namespace_of(repository: usize) -> Option<usize> {
    let (namespace, _) = REPOSITORIES[repository].split_once('/')?;
    NAMESPACES.iter().position(|name| *name == namespace)
}

impl Model {
    /// What somebody may do; nobody, if no person is said.
    fn rights(&self, person: Option<usize>, repository: usize) -> String {
        let pull = if self.public.contains(&repository) {
            "pull"
        } else {
            ""
        };
        let Some(person) = person else {
            return pull.to_owned();
        };
        if self.disabled.contains(&person) {
            return String::new();
        }
        let namespace = namespace_of(repository);
        let own = namespace.and_then(|namespace| self.members.get(&(namespace, person)).copied());
        let granted = self.grants.iter().filter_map(|grant| {
            let is_theirs = match (grant.person, grant.namespace) {
                (Some(own), _) => own == person,
                (None, Some(home)) => {
                    let home = NAMESPACES.iter().position(|name| *name == home);
                    home.is_some_and(|home| self.teams.contains(&(home, person)))
                }
                (None, None) => false,
            };
            let name = REPOSITORIES[repository];
            let covers = match grant.pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == grant.pattern,
            };
            (is_theirs && covers).then_some(grant.role)
        });
        let role = if self.admins.contains(&person) {
            Some(3)
        } else {
            own.into_iter().chain(granted).max()
        };
        match role {
            None => pull.to_owned(),
            Some(0) => "pull".to_owned(),
            Some(1) => "pull push".to_owned(),
            Some(_) => "pull push delete".to_owned(),
        }
    }

    /// Does it, to the house and to the model.
    fn take(&mut self, house: &House, step: &Step) {
        match *step {
            Step::Member {
                namespace,
                person,
                role,
            } => {
                let (home, name) = (NAMESPACES[namespace], PEOPLE[person]);
                match role {
                    Some(role) => {
                        house.member(home, name, ROLES[role]);
                        self.members.insert((namespace, person), role);
                    }
                    None if self.members.remove(&(namespace, person)).is_some() => {
                        house.leave(home, name);
                    }
                    None => {}
                }
            }
            Step::Team {
                namespace,
                person,
                joins,
            } => {
                let (home, name) = (NAMESPACES[namespace], PEOPLE[person]);
                let is_in = self.teams.contains(&(namespace, person));
                if joins && !is_in {
                    house.join(home, TEAM, name);
                    self.teams.insert((namespace, person));
                } else if !joins && is_in {
                    let path = format!("/organizations/{home}/teams/{TEAM}/members/{name}");
                    house.rule("DELETE", &path, &Value::Null, 204);
                    self.teams.remove(&(namespace, person));
                }
            }
            Step::Grant {
                repository,
                is_whole,
                role,
                person,
            } => self.give(house, repository, is_whole, role, person),
            Step::Revoke { which } => {
                if !self.grants.is_empty() {
                    let grant = self.grants.remove(which.index(self.grants.len()));
                    let path = match grant.namespace {
                        Some(home) => format!("/namespaces/{home}/grants/{}", grant.id),
                        None => format!("/grants/{}", grant.id),
                    };
                    house.rule("DELETE", &path, &Value::Null, 204);
                }
            }
            Step::Visibility {
                repository,
                is_public,
            } => {
                let word = if is_public { "public" } else { "private" };
                house.visibility(REPOSITORIES[repository], word);
                set(&mut self.public, repository, is_public);
            }
            Step::Disable {
                person,
                is_disabled,
            } => {
                house.disable(PEOPLE[person], is_disabled);
                set(&mut self.disabled, person, is_disabled);
            }
            Step::Admin { person, is_admin } => {
                let path = format!("/users/{}", PEOPLE[person]);
                house.rule("PATCH", &path, &json!({ "is_admin": is_admin }), 200);
                set(&mut self.admins, person, is_admin);
            }
        }
    }

    fn give(
        &mut self,
        house: &House,
        repository: usize,
        is_whole: bool,
        role: usize,
        person: Option<usize>,
    ) {
        let name = REPOSITORIES[repository];
        let namespace = namespace_of(repository).map(|at| NAMESPACES[at]);
        let (pattern, person) = match namespace {
            Some(home) if is_whole => (format!("{home}/*"), person),
            Some(_) => (name.to_owned(), person),
            // Teams are in organizations; what is in none is granted to people.
            None => (name.to_owned(), Some(person.unwrap_or_default())),
        };
        let grantee = match person {
            Some(person) => ("account", PEOPLE[person]),
            None => ("team", TEAM),
        };
        let id = if let Some(home) = namespace {
            house.grant(home, &pattern, ROLES[role], grantee)
        } else {
            let grant = json!({ "pattern": pattern, "role": ROLES[role], grantee.0: grantee.1 });
            house.rule("POST", "/grants", &grant, 201)["id"].clone()
        };
        // It takes the place of the one that the same pattern gave to the same grantee.
        self.grants.retain(|old| {
            (&old.pattern, old.person, old.namespace) != (&pattern, person, namespace)
        });
        self.grants.push(Grant {
            id: text(&id),
            namespace,
            pattern,
            role,
            person,
        });
    }
}

/// An access token, and what it lists for each repository.
struct Token {
    authorization: String,
    granted: Vec<String>,
}

fn set(all: &mut BTreeSet<usize>, one: usize, is_in: bool) {
    if is_in {
        all.insert(one);
    } else {
        all.remove(&one);
    }
}

#[test]
fn rights_are_as_their_model() {
    let house = House::empty("", "");
    for name in PEOPLE {
        house.user(name);
    }
    for name in NAMESPACES {
        house.organization(name);
        house.team(name, TEAM);
        // The last owner stays.
        house.member(name, "root", "owner");
    }
    for name in REPOSITORIES {
        house.push(name, "kept", "layer");
    }
    let shown: Vec<_> = PEOPLE
        .iter()
        .map(|name| basic(name, &house.token(name, &Value::Null)))
        .collect();
    // Issued when they might nothing, and asked again and again: what is remembered of them must follow.
    let scopes: Vec<_> = REPOSITORIES
        .iter()
        .map(|name| format!("repository:{name}:pull,push,delete"))
        .collect();
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), random);
    let mut model = Model::default();
    let mut tokens: [Option<Token>; PEOPLE.len()] = Default::default();
    for number in 0..STEPS {
        let step = step().new_tree(&mut runner).expect("a step").current();
        model.take(&house, &step);
        for (repository, name) in REPOSITORIES.into_iter().enumerate() {
            let check = |who: &str, authorization: &str, expected: &str| {
                let found = house.rights(authorization, name);
                assert_eq!(found, expected, "{number}: {step:?}: {who} in {name}");
            };
            check("nobody", "", &model.rights(None, repository));
            // One of them at each step; all of them over the steps.
            let person = (number + repository) % PEOPLE.len();
            let expected = model.rights(Some(person), repository);
            check(PEOPLE[person], &shown[person], &expected);
            // A token lists what was allowed when it was issued, and is good for what of it still is.
            if let Some(token) = &tokens[person] {
                let issued = &token.granted[repository];
                let now = expected.split(' ').filter(|right| issued.contains(right));
                let now: Vec<_> = now.collect();
                check("a token of theirs", &token.authorization, &now.join(" "));
            }
        }
        let person = number / 7 % PEOPLE.len();
        if number % 7 == 0 && !model.disabled.contains(&person) {
            let granted = (0..REPOSITORIES.len()).map(|at| model.rights(Some(person), at));
            tokens[person] = Some(Token {
                granted: granted.collect(),
                authorization: house.access(&shown[person], &scopes),
            });
        }
    }
}
