//! Signing in and out, one's own pages, organizations and access, as a browser without scripts goes through them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{OWN, PAGE, location};
use crate::auth::basic;
use crate::harness::http::{Client, Response};
use crate::harness::server::Server;
use crate::index::house::{House, PASSWORD, bearer, limit};

/// Follows no redirection by itself, and keeps what cookies it is given.
struct Browser {
    client: Client,
    cookie: String,
}

impl Browser {
    fn new(client: Client) -> Self {
        let cookie = String::new();
        Self { client, cookie }
    }

    /// One that somebody has signed in with already.
    fn of(house: &House, name: &str) -> Self {
        let cookie = format!("layerhouse_session={}", house.session(name));
        Self {
            client: house.server.client,
            cookie,
        }
    }

    fn send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Response {
        let mut headers = vec![PAGE];
        if method == "POST" {
            headers.extend_from_slice(&OWN);
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        if !self.cookie.is_empty() {
            headers.push(("Cookie", &self.cookie));
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let answer = self.client.send(method, path, &headers, body.as_bytes());
        let kept = answer.header("set-cookie").map(str::to_owned);
        if let Some(kept) = kept {
            let pair = kept.split(';').next().unwrap_or_default();
            self.cookie = if pair.ends_with('=') {
                String::new()
            } else {
                pair.to_owned()
            };
        }
        answer
    }

    /// A page; its text.
    #[track_caller]
    fn get(&mut self, path: &str, status: u16) -> String {
        let answer = self.send("GET", path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answer.text()
    }

    /// A form that is done; where it leads to.
    #[track_caller]
    fn post(&mut self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.send("POST", path, form);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        location(&answer).to_owned()
    }

    /// A form that comes back.
    #[track_caller]
    fn refused(&mut self, path: &str, form: &[(&str, &str)], status: u16, said: &str) -> String {
        let answer = self.send("POST", path, form);
        let text = answer.text();
        assert_eq!(answer.status, status, "{path}: {text}");
        let alert = text.split("role=\"alert\">").nth(1).unwrap_or_default();
        let alert = alert.split('<').next().unwrap_or_default();
        assert!(alert.contains(said), "{path}: {alert:?}");
        text
    }

    fn sign_in(&mut self, name: &str, password: &str, next: &str) -> String {
        self.post(
            "/ui/login",
            &[("user", name), ("password", password), ("next", next)],
        )
    }
}

/// What stands between the first of these and what follows it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(end));
    found.map_or("", |(found, _)| found)
}

#[test]
fn in_and_out() {
    let house = House::new();
    let mut browser = Browser::new(house.server.client);
    assert_eq!(
        location(&browser.send("GET", "/ui/me", &[])),
        "/ui/login?next=%2Fui%2Fme"
    );
    let page = browser.get("/ui/login?next=/ui/me", 200);
    assert!(page.contains("name=\"next\" value=\"/ui/me\""), "{page}");
    assert!(page.contains("autocomplete=\"current-password\""));
    let wrong = [
        ("user", "otto"),
        ("password", "no secret of his"),
        ("next", "/ui/me"),
    ];
    let page = browser.refused("/ui/login", &wrong, 401, "do not belong together");
    assert!(page.contains("value=\"otto\"") && page.contains("value=\"/ui/me\""));
    assert!(!page.contains("no secret of his"));
    assert_eq!(browser.cookie, "");
    assert_eq!(browser.sign_in("otto", PASSWORD, "/ui/me"), "/ui/me");
    assert!(browser.get("/ui/me", 200).contains("<code>otto</code>"));
    // Another account in the same browser: the session before it is over.
    let before = browser.cookie.clone();
    assert_eq!(browser.sign_in("olga", PASSWORD, ""), "/ui/");
    assert!(browser.get("/ui/me", 200).contains("<code>olga</code>"));
    let mut older = Browser {
        client: browser.client,
        cookie: before,
    };
    assert_eq!(older.send("GET", "/ui/me", &[]).status, 303);
    let kept = browser.cookie.clone();
    assert_eq!(browser.post("/ui/logout", &[]), "/ui/login?said=signed_out");
    assert_eq!(browser.cookie, "");
    assert!(
        browser
            .get("/ui/login?said=signed_out", 200)
            .contains("You are signed out.")
    );
    let mut older = Browser {
        client: browser.client,
        cookie: kept,
    };
    assert_eq!(older.send("GET", "/ui/me", &[]).status, 303);
    assert_eq!(browser.send("GET", "/ui/logout", &[]).status, 405);
}

#[test]
fn sec_s36_who_signed_in_goes_to_a_page_of_ours() {
    let house = House::new();
    let mut browser = Browser::new(house.server.client);
    for (next, expected) in [
        ("/ui/r/acme/web?page=2", "/ui/r/acme/web?page=2"),
        ("//evil.example", "/ui/"),
        ("/\\evil.example", "/ui/"),
        ("/ui/\\evil.example", "/ui/"),
        ("/ui//evil.example", "/ui/"),
        ("https://evil.example/ui/", "/ui/"),
        ("https:evil.example", "/ui/"),
        ("javascript:alert(1)", "/ui/"),
        ("/ui/\r\nSet-Cookie: a=b", "/ui/"),
        ("\t/ui/me", "/ui/me"),
        ("/ui/../v2/", "/ui/"),
        ("/v2/", "/ui/"),
        ("/ui/login?next=/ui/login", "/ui/"),
        ("", "/ui/"),
    ] {
        assert_eq!(
            browser.sign_in("otto", PASSWORD, next),
            expected,
            "{next:?}"
        );
        let asked: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = browser.get(&format!("/ui/login?next={asked}"), 200);
        assert_eq!(
            between(&page, "name=\"next\" value=\"", "\""),
            expected,
            "{next:?}"
        );
    }
}

#[test]
fn guesses_are_told_to_wait() {
    let house = House::new();
    let mut browser = Browser::new(house.server.client);
    let guess = [("user", "otto"), ("password", "wrong again")];
    let slowed = (0..40).find_map(|_| {
        let answer = browser.send("POST", "/ui/login", &guess);
        (answer.status == 429).then(|| answer.text())
    });
    let slowed = slowed.expect("guesses are slowed down");
    assert!(
        slowed.contains("Too many attempts. Try again in "),
        "{slowed}"
    );
}

#[test]
fn the_first_administrator() {
    let server = Server::configured("layerhouse: {index: {}}");
    let code = server.setup_code();
    let mut browser = Browser::new(server.client);
    assert!(browser.get("/ui/login", 200).contains("/ui/setup"));
    assert!(browser.get("/ui/setup", 200).contains("one-time-code"));
    let form = |code, again| {
        [
            ("do", "account"),
            ("code", code),
            ("name", "root"),
            ("password", PASSWORD),
            ("again", again),
            ("email", "root@example.com"),
        ]
    };
    let page = browser.refused(
        "/ui/setup",
        &form("lhu_wrong", PASSWORD),
        403,
        "the code is wrong",
    );
    assert!(page.contains("value=\"root@example.com\"") && !page.contains(PASSWORD));
    browser.refused(
        "/ui/setup",
        &form(&code, "another one"),
        422,
        "not the same",
    );
    assert_eq!(
        browser.post("/ui/setup", &form(&code, PASSWORD)),
        "/ui/me?said=setup_done"
    );
    assert!(browser.get("/ui/me", 200).contains("Administrator"));
    let mut other = Browser::new(server.client);
    assert!(
        other
            .get("/ui/setup", 200)
            .contains("There is an administrator already")
    );
    assert!(!other.get("/ui/login", 200).contains("/ui/setup"));
    // Nor does the door that is left open to nobody.
    assert!(
        other
            .get("/ui/signup", 403)
            .contains("Accounts are made by administrators")
    );
}

#[test]
fn signing_up() {
    let house = House::empty("signup: invitation", "");
    let code = house.rule("POST", "/invitations", &json!({}), 201)["code"].clone();
    let code = code.as_str().expect("a code");
    let mut browser = Browser::new(house.server.client);
    assert!(browser.get("/ui/login", 200).contains("/ui/signup"));
    let page = browser.get(&format!("/ui/signup?code={code}"), 200);
    assert!(page.contains(&format!("value=\"{code}\"")), "{page}");
    let form = |name, code| {
        [
            ("do", "account"),
            ("code", code),
            ("name", name),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ]
    };
    browser.refused("/ui/signup", &form("ann", ""), 403, "needs an invitation");
    browser.refused("/ui/signup", &form("root", code), 409, "root");
    browser.refused("/ui/signup", &form("Ann", code), 422, "upper case");
    assert_eq!(
        browser.post("/ui/signup", &form("ann", code)),
        "/ui/me?said=account_made"
    );
    assert!(browser.get("/ui/me", 200).contains("<code>ann</code>"));
    // Who is in needs no second one.
    assert_eq!(location(&browser.send("GET", "/ui/signup", &[])), "/ui/me");
    let mut other = Browser::new(house.server.client);
    other.refused("/ui/signup", &form("bob", code), 403, "the code is wrong");
}

#[test]
fn a_profile_and_its_password() {
    const NEW: &str = "another horse battery";
    let house = House::new();
    let mut browser = Browser::of(&house, "otto");
    let profile = [
        ("do", "profile"),
        ("full_name", "Otto <b>"),
        ("email", "otto@example.com"),
    ];
    assert_eq!(browser.post("/ui/me", &profile), "/ui/me?said=saved");
    let page = browser.get("/ui/me?said=saved", 200);
    assert!(
        page.contains("value=\"Otto &#60;b&#62;\"") && page.contains("Saved."),
        "{page}"
    );
    let change = |old, new, again| {
        [
            ("do", "password"),
            ("old", old),
            ("new", new),
            ("again", again),
        ]
    };
    browser.refused(
        "/ui/me",
        &change("wrong", NEW, NEW),
        403,
        "the old password is wrong",
    );
    browser.refused(
        "/ui/me",
        &change(PASSWORD, "short", "short"),
        422,
        "at least 8",
    );
    browser.refused(
        "/ui/me",
        &change(PASSWORD, NEW, PASSWORD),
        422,
        "not the same",
    );
    let before = browser.cookie.clone();
    assert_eq!(
        browser.post("/ui/me", &change(PASSWORD, NEW, NEW)),
        "/ui/me?said=password_changed"
    );
    // In another session than before.
    assert_ne!(browser.cookie, before);
    browser.get("/ui/me", 200);
    let mut older = Browser {
        client: browser.client,
        cookie: before,
    };
    assert_eq!(older.send("GET", "/ui/me", &[]).status, 303);
    browser.refused("/ui/me", &[("do", "nothing")], 422, "");
}

#[test]
fn a_token_is_made_used_and_revoked() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let mut browser = Browser::of(&house, "olga");
    assert!(
        browser
            .get("/ui/me/tokens", 200)
            .contains("No access tokens yet.")
    );
    let half = [("do", "create"), ("name", "ci"), ("pattern1", "acme/*")];
    let page = browser.refused("/ui/me/tokens", &half, 422, "complete it");
    assert!(page.contains("value=\"acme/*\"") && page.contains("value=\"ci\""));
    let form = [
        ("do", "create"),
        ("name", "ci <1>"),
        ("expires", "30"),
        ("pattern1", "acme/web"),
        ("action1", "pull"),
    ];
    let made = browser.send("POST", "/ui/me/tokens", &form);
    assert_eq!(made.status, 200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.text();
    let token = between(&made, "class=\"command secret\"><code>", "</code>");
    assert!(token.starts_with("lhp_"), "{made}");
    assert!(made.contains("docker login registry -u olga"), "{made}");
    let access = house.access(&basic("olga", token), &["repository:acme/web:pull,push"]);
    let pulled = house.server.client.send(
        "GET",
        "/v2/acme/web/manifests/v1",
        &[("Authorization", &access)],
        b"",
    );
    assert_eq!(pulled.status, 200);
    let list = browser.get("/ui/me/tokens", 200);
    assert!(
        list.contains("ci &#60;1&#62;") && !list.contains(token),
        "{list}"
    );
    assert!(
        list.contains("<code>acme/web</code> pull") && list.contains("in 30 days"),
        "{list}"
    );
    let id = between(&list, "?revoke=", "\"").to_owned();
    assert!(
        browser
            .get(&format!("/ui/me/tokens?revoke={id}"), 200)
            .contains("Revoke ci")
    );
    browser.get("/ui/me/tokens?revoke=999", 404);
    let revoke = [("do", "revoke"), ("id", &*id)];
    assert_eq!(
        browser.post("/ui/me/tokens", &revoke),
        "/ui/me/tokens?said=token_revoked"
    );
    browser.refused("/ui/me/tokens", &revoke, 404, "no such token");
    house.server.advance(Duration::from_mins(1));
    let answer = house.token_answer(&basic("olga", token), &["repository:acme/web:pull"], "");
    assert_eq!(answer.status, 401);
}

/// A token that is limited manages nothing, here as over the API, and nobody is sent to sign in first.
#[test]
fn limited_tokens_and_nobody() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let limits = limit("*", &["pull", "push", "delete"]);
    let token = bearer(&house.token("olga", &limits));
    for path in [
        "/ui/me",
        "/ui/me/tokens",
        "/ui/me/namespaces",
        "/ui/o/acme",
        "/ui/o/acme/members",
        "/ui/r/acme/web/-/settings",
        "/ui/r/acme/web/-/access",
    ] {
        let client = house.server.client;
        let answer = client.send("GET", path, &[PAGE, ("Authorization", &token)], b"");
        assert_eq!(answer.status, 403, "{path}");
        let answer = client.send("GET", path, &[PAGE], b"");
        assert!(location(&answer).starts_with("/ui/login?next="), "{path}");
    }
}

#[test]
fn an_organization() {
    let house = House::new();
    let mut browser = Browser::of(&house, "otto");
    assert!(browser.get("/ui/me/namespaces", 200).contains("/ui/o/otto"));
    let taken = [("do", "create"), ("name", "acme"), ("description", "ours")];
    let page = browser.refused("/ui/me/namespaces", &taken, 409, "acme");
    assert!(page.contains("value=\"ours\""));
    let make = [
        ("do", "create"),
        ("name", "band"),
        ("description", "we play"),
    ];
    let page = browser.post("/ui/me/namespaces", &make);
    assert_eq!(page, "/ui/o/band?said=organization_made");
    assert!(browser.get(&page, 200).contains("we play"));

    let members = "/ui/o/band/members";
    let unknown = [("do", "set"), ("user", "no/body"), ("role", "reader")];
    let page = browser.refused(members, &unknown, 404, "no user");
    assert!(page.contains("value=\"no/body\""), "{page}");
    let add = [("do", "set"), ("user", "rita"), ("role", "maintainer")];
    assert_eq!(
        browser.post(members, &add),
        "/ui/o/band/members?said=member_set"
    );
    let found = house.rule("GET", "/organizations/band/members", &Value::Null, 200);
    assert_eq!(found["items"][1]["role"], "maintainer");
    let last = [("do", "change"), ("user", "otto"), ("role", "reader")];
    browser.refused(members, &last, 409, "last owner");

    let team = browser.post("/ui/o/band/teams", &[("do", "create"), ("name", "brass")]);
    assert_eq!(team, "/ui/o/band/teams/brass?said=team_made");
    let team = "/ui/o/band/teams/brass";
    browser.post(team, &[("do", "add"), ("user", "will")]);
    assert!(browser.get(team, 200).contains("will"));
    let grant = [
        ("do", "create"),
        ("pattern", "band/*"),
        ("role", "writer"),
        ("kind", "team"),
        ("to", "brass"),
    ];
    browser.post("/ui/o/band/grants", &grant);
    let grants = browser.get("/ui/o/band/grants", 200);
    assert!(grants.contains("band/brass"), "{grants}");
    let id = between(&grants, "name=\"id\" value=\"", "\"").to_owned();
    browser.post("/ui/o/band/grants", &[("do", "revoke"), ("id", &id)]);
    browser.post(team, &[("do", "remove"), ("user", "will")]);
    assert!(
        browser
            .get(&format!("{team}?delete=yes"), 200)
            .contains("Delete the team brass?")
    );
    browser.post(team, &[("do", "delete")]);
    browser.get(team, 404);

    // A member sees who is there, and changes nothing; others see nothing.
    let mut member = Browser::of(&house, "rita");
    let page = member.get(members, 200);
    assert!(
        page.contains("otto") && !page.contains("value=\"set\""),
        "{page}"
    );
    assert_eq!(member.send("POST", members, &add).status, 403);
    for tab in ["robots", "grants", "settings"] {
        member.get(&format!("/ui/o/band/{tab}"), 403);
    }
    let mut other = Browser::of(&house, "max");
    other.get("/ui/o/band", 404);
    other.get(members, 404);
    assert!(
        member
            .get("/ui/o/band/members?remove=rita", 200)
            .contains("Remove rita")
    );
    let leave = [("do", "remove"), ("user", "rita")];
    assert_eq!(member.post(members, &leave), "/ui/me/namespaces?said=left");
    member.get("/ui/o/band", 404);

    let settings = "/ui/o/band/settings";
    let change = [
        ("do", "change"),
        ("description", "louder"),
        ("visibility", "public"),
    ];
    browser.post(settings, &change);
    let found = house.rule("GET", "/namespaces/band", &Value::Null, 200);
    assert_eq!(
        (&found["description"], &found["default_visibility"]),
        (&json!("louder"), &json!("public"))
    );
    browser.refused(
        settings,
        &[("do", "delete"), ("name", "bund")],
        422,
        "not the name",
    );
    let delete = [("do", "delete"), ("name", "band")];
    assert_eq!(
        browser.post(settings, &delete),
        "/ui/me/namespaces?said=organization_deleted"
    );
    browser.get("/ui/o/band", 404);
}

#[test]
fn a_robot() {
    let house = House::new();
    let mut browser = Browser::of(&house, "olga");
    let robots = "/ui/o/acme/robots";
    let create = [("do", "create"), ("name", "ci"), ("expires", "90")];
    let made = browser.send("POST", robots, &create);
    assert_eq!(made.status, 200);
    let made = made.text();
    let secret = between(&made, "class=\"command secret\"><code>", "</code>").to_owned();
    assert!(secret.starts_with("lhr_") && made.contains("docker login registry -u acme+ci"));
    let signs_in = |secret: &str| {
        house
            .token_answer(&basic("acme+ci", secret), &[], "")
            .status
    };
    assert_eq!(signs_in(&secret), 200);
    browser.refused(robots, &create, 409, "a robot acme+ci already");
    browser.get("/ui/o/acme/robots?rotate=ci", 200);
    browser.get("/ui/o/acme/robots?rotate=none", 404);
    let rotated = browser
        .send("POST", robots, &[("do", "rotate"), ("robot", "ci")])
        .text();
    let newer = between(&rotated, "class=\"command secret\"><code>", "</code>").to_owned();
    assert_eq!((signs_in(&secret), signs_in(&newer)), (401, 200));
    browser.post(robots, &[("do", "disable"), ("robot", "ci")]);
    assert_eq!(signs_in(&newer), 401);
    assert!(browser.get(robots, 200).contains("disabled"));
    browser.post(robots, &[("do", "enable"), ("robot", "ci")]);
    assert!(
        browser
            .get("/ui/o/acme/robots?delete=ci", 200)
            .contains("Delete acme+ci?")
    );
    browser.post(robots, &[("do", "delete"), ("robot", "ci")]);
    assert!(browser.get(robots, 200).contains("No robots yet."));
}

#[test]
fn settings_and_access_of_a_repository() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let mut browser = Browser::of(&house, "max");
    let settings = "/ui/r/acme/web/-/settings";
    let text = "# Web\r\n\r\n<script>alert(1)</script>\r\n";
    let describe = [
        ("do", "describe"),
        ("description", " Serves pages "),
        ("readme", text),
    ];
    assert_eq!(
        browser.post(settings, &describe),
        "/ui/r/acme/web/-/settings?said=saved"
    );
    browser.post(settings, &[("do", "visibility"), ("visibility", "public")]);
    let found = house.rule("GET", "/repositories/acme/web", &Value::Null, 200);
    assert_eq!(found["readme"], "# Web\n\n<script>alert(1)</script>\n");
    assert_eq!(
        (&found["description"], &found["visibility"]),
        (&json!("Serves pages"), &json!("public"))
    );
    let page = browser.get(settings, 200);
    assert!(
        !page.contains("<script>alert") && page.contains("alert(1)"),
        "{page}"
    );
    let long = "x".repeat(2000);
    let describe = [
        ("do", "describe"),
        ("description", &*long),
        ("readme", "kept"),
    ];
    let page = browser.refused(settings, &describe, 422, "description");
    assert!(page.contains(&long) && page.contains("kept</textarea>"));
    browser.post(
        settings,
        &[("do", "visibility"), ("visibility", "configured")],
    );
    let found = house.rule("GET", "/repositories/acme/web", &Value::Null, 200);
    assert_eq!(found["has_own_visibility"], false);
    // A maintainer describes, an owner knows who may what; a writer neither, and to others it is not there.
    let access = "/ui/r/acme/web/-/access";
    browser.get(access, 403);
    Browser::of(&house, "will").get(settings, 403);
    Browser::of(&house, "otto").get(settings, 404);
    let mut owner = Browser::of(&house, "olga");
    let page = owner.get(access, 200);
    assert!(page.contains("Is writer of acme."), "{page}");
    let page = owner.get(&format!("{access}?account=will&action=push"), 200);
    assert!(page.contains("> Allowed</span>"), "{page}");
    let page = owner.get(&format!("{access}?account=otto&action=pull"), 200);
    assert!(
        page.contains("Not allowed") && page.contains("Nothing gives them"),
        "{page}"
    );
    assert!(
        owner
            .get(&format!("{access}?account=none"), 404)
            .contains("role=\"alert\"")
    );
    assert!(
        owner
            .get(&format!("{access}?account=will&action=fly"), 422)
            .contains("role=\"alert\"")
    );
}

#[test]
fn stars() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let star = "/ui/r/acme/web/-/star";
    let mut browser = Browser::of(&house, "rita");
    assert_eq!(
        browser.post(star, &[("star", "yes")]),
        "/ui/r/acme/web?said=starred"
    );
    let page = browser.get("/ui/me/stars", 200);
    assert!(page.contains(">acme/web</a>"), "{page}");
    let back = [("star", "no"), ("next", "/ui/me/stars?after=a")];
    assert_eq!(
        browser.post(star, &back),
        "/ui/me/stars?said=unstarred&after=a"
    );
    assert!(browser.get("/ui/me/stars", 200).contains("No stars yet."));
    let elsewhere = [("star", "yes"), ("next", "//evil.example")];
    assert_eq!(
        browser.post(star, &elsewhere),
        "/ui/r/acme/web?said=starred"
    );
    let mut nobody = Browser::new(house.server.client);
    assert_eq!(
        nobody.post(star, &[]),
        "/ui/login?next=%2Fui%2Fr%2Facme%2Fweb"
    );
    assert_eq!(
        Browser::of(&house, "otto").send("POST", star, &[]).status,
        404
    );
}

#[test]
fn without_accounts_pages_say_so() {
    let server = Server::start();
    let mut browser = Browser::new(server.client);
    for path in [
        "/ui/login",
        "/ui/signup",
        "/ui/setup",
        "/ui/me",
        "/ui/me/tokens",
        "/ui/o/acme",
        "/ui/r/acme/web/-/settings",
        "/ui/r/acme/web/-/access",
    ] {
        assert!(
            browser
                .get(path, 404)
                .contains("This registry has no accounts"),
            "{path}"
        );
    }
}
