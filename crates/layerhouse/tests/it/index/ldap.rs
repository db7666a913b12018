//! `layerhouse.index.ldap`, against OpenLDAP.

use std::time::Duration;

use super::outside::{ACME, ask, begins, json, may_push, write};
use crate::harness::server::Server;
use crate::harness::sink::nobody;
use crate::harness::slapd::{ADMIN, ADMIN_PASSWORD, Slapd};
use crate::harness::tls::Authority;

const ENTRIES: &str = "\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Lee
sn: Lee
mail: ann@example.com
userPassword: pass word

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
userPassword: of bob

dn: cn=twin,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob2
cn: twin
sn: Bob
mail: ann@example.com
userPassword: pass word

dn: cn=odd name,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: Odd, Name
cn: odd name
sn: Name
userPassword: of odd

dn: cn=developers,ou=people,dc=example,dc=com
objectClass: groupOfNames
cn: developers
member: uid=ann,ou=people,dc=example,dc=com
";

const SEARCH: &str = "search: {binddn: 'cn=admin,dc=example,dc=com', bindpassword: of the directory, \
    base: 'ou=people,dc=example,dc=com'}";
const TEMPLATE: &str = "userdn: 'uid={user},ou=people,dc=example,dc=com'";

fn start(url: &str, more: &str) -> Server {
    Server::configured(&format!(
        "layerhouse: {{index: {{ldap: {{urls: ['{url}'], {more}}}}}}}"
    ))
}

fn status(server: &Server, user: &str, password: &str) -> u16 {
    // Guesses are slowed down by the server's own clock.
    server.advance(Duration::from_hours(2));
    ask(&server.client, user, password, "").status
}

#[test]
fn people_sign_in_as_in_their_directory() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    for find in [SEARCH, TEMPLATE] {
        let server = start(&slapd.url(), find);
        assert_eq!(status(&server, "ann", "pass word"), 200);
        assert_eq!(
            status(&server, "ann", "pass word"),
            200,
            "the account is there"
        );
        // One person, in any case.
        assert_eq!(status(&server, "ANN", "pass word"), 200);
        assert_eq!(status(&server, "bob", "of bob"), 200);
        assert_eq!(status(&server, "ann", "of bob"), 401);
        assert_eq!(status(&server, "carol", "of bob"), 401);
        // Theirs is what is below their name.
        assert!(may_push(&server.client, "ann", "pass word", "ann/web"));
        assert!(!may_push(&server.client, "bob", "of bob", "ann/web"));
    }
}

/// S13
#[test]
fn sec_s13_empty_passwords_and_filters_of_strangers() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    for find in [SEARCH, TEMPLATE] {
        let server = start(&slapd.url(), find);
        for (user, password) in [
            ("ann", ""),
            ("ann", "\0"),
            ("ann", "pass word\0"),
            ("", "pass word"),
            ("*", "pass word"),
            ("an*", "pass word"),
            ("a*)(uid=ann", "pass word"),
            ("ann)(objectClass=*", "pass word"),
            ("ann,ou=people", "pass word"),
            ("ann\\", "pass word"),
            ("ann\0", "pass word"),
            (" ann", "pass word"),
            ("ann\n", "pass word"),
        ] {
            let status = status(&server, user, password);
            assert_eq!(status, 401, "{user:?} {password:?}");
        }
        assert_eq!(status(&server, "ann", "pass word"), 200);
    }
}

#[test]
fn two_people_of_one_name_and_names_that_none_can_have() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let by_mail = SEARCH.replace('}', ", filter: '(mail={user})'}");
    let mut server = start(&slapd.url(), &by_mail);
    server.may_complain();
    assert_eq!(status(&server, "ann@example.com", "pass word"), 401);
    let by_name = SEARCH.replace('}', ", filter: '(cn={user})'}");
    let mut server = start(&slapd.url(), &by_name);
    server.may_complain();
    assert_eq!(status(&server, "odd name", "of odd"), 401);
    // Called there otherwise than here, once asked and once remembered.
    for _ in 0..2 {
        assert_eq!(ask(&server.client, "Ann Lee", "pass word", "").status, 200);
    }
}

#[test]
fn over_tls_with_an_authority_of_theirs() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let authority = slapd.authority_file();
    let file = format!("{TEMPLATE}, cafile: {}", authority.display());
    let server = start(&slapd.tls_url(), &file);
    assert_eq!(status(&server, "ann", "pass word"), 200);
    let by_name = slapd.url().replace("127.0.0.1", "localhost");
    let server = start(&by_name, &format!("{file}, starttls: true"));
    assert_eq!(status(&server, "ann", "pass word"), 200);
    assert_eq!(status(&server, "ann", "wrong"), 401);
    // Of another authority, it could be anybody, and is told nothing.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), Authority::new("another").pem()).unwrap();
    let file = format!("{TEMPLATE}, cafile: {}", other.path().display());
    for (url, more) in [(slapd.tls_url(), ""), (by_name, ", starttls: true")] {
        let mut server = start(&url, &format!("{file}{more}"));
        server.may_complain();
        assert_eq!(status(&server, "ann", "pass word"), 429);
    }
}

#[test]
fn a_directory_that_is_away_makes_no_password_wrong() {
    let Some(mut slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let dead = nobody().replace("http://", "ldap://").replace("/hook", "");
    let url = slapd.url();
    let mut server = start(&format!("{dead}', '{url}"), SEARCH);
    server.may_complain();
    assert_eq!(status(&server, "ann", "pass word"), 200);
    slapd.kill();
    let answer = ask(&server.client, "ann", "pass word", "");
    assert_eq!(answer.status, 200, "remembered for a minute");
    server.advance(Duration::from_secs(61));
    let answer = ask(&server.client, "ann", "pass word", "");
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    // A wrong password of ours is no sign-in of the directory's that was refused.
    let wrong = SEARCH.replace(ADMIN_PASSWORD, "wrong");
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let mut server = start(&slapd.url(), &wrong);
    server.may_complain();
    assert_eq!(status(&server, "ann", "pass word"), 429);
}

/// S11
#[test]
fn sec_s11_who_leaves_a_group_leaves_the_team() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let teams = "teams: [{group: 'CN=Developers,ou=people,dc=example,dc=com', team: acme/dev}]";
    let names = "teams: [{group: developers, team: acme/dev}]";
    for groups in [
        format!("groups: {{base: 'ou=people,dc=example,dc=com', name: cn}}, {names}"),
        format!("groups: {{base: 'ou=people,dc=example,dc=com'}}, {teams}"),
        format!("groups: {{attribute: memberOf}}, {teams}"),
    ] {
        let mut server = start(&slapd.url(), &format!("{SEARCH}, {groups}"));
        write(&mut server, ACME);
        let query = "scope=repository:acme/web:pull,push";
        let of_bob = json(&ask(&server.client, "bob", "of bob", query));
        assert!(!begins(
            &server.client,
            of_bob["token"].as_str().unwrap(),
            "acme/web"
        ));
        let token = json(&ask(&server.client, "ann", "pass word", query));
        let token = token["token"].as_str().unwrap();
        assert!(begins(&server.client, token, "acme/web"));
        let group = "dn: cn=developers,ou=people,dc=example,dc=com\nchangetype: modify\n";
        let (ann, bob) = ("uid=ann,ou=people,dc=example,dc=com", ADMIN);
        slapd.change(
            &[],
            &format!("{group}add: member\nmember: {bob}\n-\ndelete: member\nmember: {ann}\n"),
        );
        server.advance(Duration::from_secs(61));
        assert!(!may_push(&server.client, "ann", "pass word", "acme/web"));
        assert!(
            !begins(&server.client, token, "acme/web"),
            "the token of before"
        );
        slapd.change(
            &[],
            &format!("{group}add: member\nmember: {ann}\n-\ndelete: member\nmember: {bob}\n"),
        );
        server.advance(Duration::from_secs(61));
        assert!(may_push(&server.client, "ann", "pass word", "acme/web"));
    }
}

/// S11: what would go on without the directory being asked again.
#[test]
fn sec_s11_no_refresh_token_outlives_the_directory() {
    let Some(slapd) = Slapd::start(ENTRIES) else {
        return;
    };
    let server = start(&slapd.url(), SEARCH);
    let answer = json(&ask(
        &server.client,
        "ann",
        "pass word",
        "offline_token=true",
    ));
    assert!(answer.get("refresh_token").is_none());
}
