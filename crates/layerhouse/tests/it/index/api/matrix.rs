//! S02: every endpoint of the description with every kind of credentials, against the need that it names.
//!
//! Nothing is changed: each request has a parameter that no endpoint knows, which is found out (422) after
//! it was decided that the caller may ask.

use serde_json::json;

use super::{PASSWORD, ROOT, Who, World};
use crate::harness::images;

/// What somebody is to the namespace `acme`, from nothing to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Outsider,
    Reader,
    Writer,
    Maintainer,
    Owner,
}

/// Somebody who asks.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of a kind of caller, and tables read best with their names"
)]
struct Kind {
    name: &'static str,
    who: Who,
    standing: Standing,
    is_signed_in: bool,
    is_admin: bool,
    /// Only by a grant in its repositories.
    is_robot: bool,
    /// By a token that may pull there.
    is_limited: bool,
    /// By a cookie, from no page of ours.
    is_foreign: bool,
    /// Credentials that are not good.
    is_wrong: bool,
}

fn kind(name: &'static str, who: Who, standing: Standing) -> Kind {
    Kind {
        name,
        is_signed_in: !matches!(who, Who::Nobody),
        who,
        standing,
        is_admin: false,
        is_robot: false,
        is_limited: false,
        is_foreign: false,
        is_wrong: false,
    }
}

fn world() -> (World, Vec<Kind>) {
    let world = World::new("signup: closed");
    for name in [
        "owner",
        "maintainer",
        "writer",
        "reader",
        "outsider",
        "gone",
    ] {
        world.user(name);
    }
    let owner = Who::User("owner");
    let organization = json!({ "name": "acme" });
    world.does(&owner, "POST", "/organizations", Some(&organization), 201);
    for role in ["maintainer", "writer", "reader"] {
        let path = format!("/organizations/acme/members/{role}");
        world.does(&owner, "PUT", &path, Some(&json!({ "role": role })), 204);
    }
    world.does(
        &owner,
        "PUT",
        "/organizations/acme/members/gone",
        Some(&json!({ "role": "owner" })),
        204,
    );
    for repository in ["acme/private", "acme/public"] {
        world.push(&Who::User("writer"), repository);
    }
    let public = json!({ "visibility": "public" });
    world.does(
        &owner,
        "PATCH",
        "/repositories/acme/public",
        Some(&public),
        200,
    );
    let robot = world.does(
        &owner,
        "POST",
        "/namespaces/acme/robots",
        Some(&json!({ "name": "ci" })),
        201,
    );
    let grant = json!({ "pattern": "acme/*", "role": "writer", "account": "acme+ci" });
    world.does(&owner, "POST", "/namespaces/acme/grants", Some(&grant), 201);
    let limits = json!([{ "pattern": "acme/*", "actions": ["pull"] }]);
    let limited = json!({ "name": "ci", "limits": limits });
    let limited = world.does(&owner, "POST", "/me/tokens", Some(&limited), 201);
    let token = world.does(
        &owner,
        "POST",
        "/me/tokens",
        Some(&json!({ "name": "all" })),
        201,
    );
    let form = json!({ "name": "gone" });
    let gone = world.does(&Who::User("gone"), "POST", "/me/tokens", Some(&form), 201);
    let session = world.session("owner");
    world.does(
        &ROOT,
        "PATCH",
        "/users/gone",
        Some(&json!({ "is_disabled": true })),
        200,
    );

    let bearer = |token: &serde_json::Value| Who::Bearer(token.as_str().unwrap().to_owned());
    let own_page = Some("http://registry");
    let mut kinds = vec![
        kind("nobody", Who::Nobody, Standing::Outsider),
        kind("outsider", Who::User("outsider"), Standing::Outsider),
        kind("reader", Who::User("reader"), Standing::Reader),
        kind("writer", Who::User("writer"), Standing::Writer),
        kind("maintainer", Who::User("maintainer"), Standing::Maintainer),
        kind("owner", owner, Standing::Owner),
        kind("token", bearer(&token["token"]), Standing::Owner),
        kind(
            "session",
            Who::Cookie(session.clone(), own_page),
            Standing::Owner,
        ),
    ];
    kinds.push(Kind {
        is_admin: true,
        ..kind("admin", ROOT, Standing::Owner)
    });
    kinds.push(Kind {
        is_robot: true,
        ..kind("robot", bearer(&robot["secret"]), Standing::Writer)
    });
    kinds.push(Kind {
        is_limited: true,
        ..kind("limited", bearer(&limited["token"]), Standing::Owner)
    });
    for page in [
        None,
        Some("http://elsewhere"),
        Some("null"),
        Some("https://registry"),
    ] {
        let who = Who::Cookie(session.clone(), page);
        kinds.push(Kind {
            is_foreign: true,
            ..kind("foreign page", who, Standing::Owner)
        });
    }
    let wrong = [
        ("disabled", bearer(&gone["token"])),
        ("password as token", Who::Bearer(PASSWORD.to_owned())),
        (
            "no such token",
            Who::Bearer(format!("lhp_{}", "a".repeat(52))),
        ),
        ("no JWT", Who::Bearer("a.b.c".to_owned())),
    ];
    for (name, who) in wrong {
        kinds.push(Kind {
            is_wrong: true,
            ..kind(name, who, Standing::Outsider)
        });
    }
    (world, kinds)
}

/// The status that somebody must get, 422 meaning that they may.
fn expected(kind: &Kind, method: &str, need: &serde_json::Value, repository: &str) -> u16 {
    if kind.is_wrong {
        return 401;
    }
    if kind.is_foreign && method != "GET" {
        return 403;
    }
    let deed_role = |deed: &str| match deed {
        "pull" => Standing::Reader,
        "push" => Standing::Writer,
        "delete" | "maintain" => Standing::Maintainer,
        "own" => Standing::Owner,
        _ => panic!("{deed}"),
    };
    let role = |role: &str| match role {
        "reader" => Standing::Reader,
        "writer" => Standing::Writer,
        "maintainer" => Standing::Maintainer,
        "owner" => Standing::Owner,
        _ => panic!("{role}"),
    };
    let is_public_pull = repository == "acme/public" && need["deed"] == "pull";
    match need["kind"].as_str().unwrap() {
        "anyone" => 422,
        "repository" if repository == "acme/missing" => {
            if kind.is_signed_in {
                404
            } else {
                401
            }
        }
        "repository" if is_public_pull => 422,
        _ if !kind.is_signed_in => 401,
        "signed-in" => {
            if kind.is_limited {
                403
            } else {
                422
            }
        }
        "admin" => {
            if kind.is_admin {
                422
            } else {
                403
            }
        }
        "namespace" => {
            let needed = role(need["role"].as_str().unwrap());
            match kind {
                _ if kind.is_admin => 422,
                _ if kind.is_limited => 403,
                _ if kind.is_robot || kind.standing == Standing::Outsider => 404,
                _ if needed <= kind.standing => 422,
                _ => 403,
            }
        }
        "repository" => {
            let deed = need["deed"].as_str().unwrap();
            match kind {
                _ if kind.is_admin => 422,
                _ if kind.standing == Standing::Outsider && repository == "acme/private" => 404,
                _ if kind.is_limited && deed != "pull" => 403,
                _ if deed_role(deed) <= kind.standing => 422,
                _ => 403,
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn sec_s02_every_endpoint_with_every_kind_of_credentials() {
    let (world, kinds) = world();
    let mut asked = 0;
    for (template, method, operation) in world.description.operations() {
        let need = &operation["x-layerhouse-need"];
        let is_of_repository = template.contains("{repository}");
        let repositories = ["acme/private", "acme/public", "acme/missing"];
        let repositories = if is_of_repository {
            &repositories[..]
        } else {
            &repositories[..1]
        };
        for repository in repositories {
            let template = template.replace("{repository}", repository);
            let path = template
                .trim_end_matches('/')
                .replace("{organization}", "acme")
                .replace("{namespace}", "acme")
                .replace("{user}", "reader")
                .replace("{team}", "web")
                .replace("{robot}", "ci")
                .replace("{id}", "1")
                .replace("{tag}", "v1")
                .replace("{digest}", &images::digest("{}"));
            for kind in &kinds {
                let answer = world.send(&kind.who, &method, &format!("{path}?nope=1"), None);
                let expected = expected(kind, &method, need, repository);
                assert_eq!(
                    answer.status,
                    expected,
                    "{} ({:?}) {method} {path}: {}",
                    kind.name,
                    kind.who,
                    answer.text()
                );
                asked += 1;
            }
        }
    }
    assert!(800 < asked, "{asked}");
}

/// Not in the matrix, for who guesses often has to wait.
#[test]
fn wrong_passwords_open_nothing() {
    let (world, _) = world();
    for who in [Who::User("gone"), Who::User("nosuchuser")] {
        for (method, path) in [
            ("GET", ""),
            ("GET", "/me"),
            ("GET", "/users"),
            ("GET", "/repositories/acme/public"),
            ("DELETE", "/session"),
        ] {
            world.does(&who, method, path, None, 401);
        }
    }
}
