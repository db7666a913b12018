//! The one table of the API. Who may call a handler, where it is found, and what it takes and gives is read
//! from here, by the server as by the description.

use std::sync::LazyLock;

use super::endpoint::{Endpoint, delete, get, patch, post, put};
use super::{
    access, audit, collection, configuration, deleted, grants, health, history, invitations,
    keeping, me, mirror, organizations, repositories, retention, robots, search, server, sign_in,
    storage, tags, teams, tokens, users,
};
use crate::auth::rights::Deed::{Delete, Maintain, Own, Pull, Push};
use crate::auth::rights::Role::{Owner, Reader};

/// Every endpoint there is.
pub(super) static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    let groups = [
        of_everyone(),
        of_oneself(),
        of_users(),
        of_organizations(),
        of_namespaces(),
        of_repositories(),
        of_operators(),
        of_the_machine(),
    ];
    groups.into_iter().flatten().collect()
});

fn of_everyone() -> Vec<Endpoint> {
    vec![
        get("", "getServer", "What this is, and who asks").anyone(server::describe),
        get(
            "/openapi.json",
            "getDescription",
            "This API, as OpenAPI 3.1",
        )
        .anyone(server::openapi),
        get("/search", "search", "Find repositories").anyone(search::find),
        post("/session", "beginSession", "Sign a browser in").anyone(sign_in::begin),
        delete("/session", "endSession", "Sign a browser out").anyone(sign_in::end),
        post("/users", "createUser", "Sign up, or make a user")
            .anyone(users::create)
            .may_conflict(),
    ]
}

fn of_oneself() -> Vec<Endpoint> {
    vec![
        get("/me", "getMe", "Who asks").signed_in(me::show),
        patch("/me", "updateMe", "Change one's own account").signed_in(me::update),
        put(
            "/me/password",
            "changePassword",
            "Change one's own password",
        )
        .signed_in(me::change_password)
        .may_conflict(),
        get(
            "/me/namespaces",
            "listMyNamespaces",
            "Where one is a member",
        )
        .signed_in(me::namespaces),
        get("/me/stars", "listMyStars", "What one gave stars").signed_in(repositories::starred),
        get("/me/tokens", "listMyTokens", "One's own access tokens").signed_in(tokens::list),
        post("/me/tokens", "createMyToken", "Make an access token")
            .signed_in(tokens::create)
            .may_conflict(),
        delete(
            "/me/tokens/{id}",
            "revokeMyToken",
            "End a token of one's own",
        )
        .signed_in(tokens::revoke),
    ]
}

fn of_users() -> Vec<Endpoint> {
    vec![
        get("/users", "listUsers", "All users").admin(users::list),
        get("/users/{user}", "getUser", "A user").admin(users::show),
        patch("/users/{user}", "updateUser", "Change a user")
            .admin(users::update)
            .may_conflict(),
        delete("/users/{user}", "deleteUser", "Remove a user")
            .admin(users::delete)
            .may_conflict(),
        put(
            "/users/{user}/password",
            "setPassword",
            "Give a user another password",
        )
        .admin(users::set_password)
        .may_conflict(),
        get(
            "/users/{user}/tokens",
            "listTokens",
            "A user's access tokens",
        )
        .admin(tokens::list_of),
        post(
            "/users/{user}/tokens",
            "createToken",
            "Make an access token for a user",
        )
        .admin(tokens::create_of)
        .may_conflict(),
        delete(
            "/users/{user}/tokens/{id}",
            "revokeToken",
            "End a token of a user",
        )
        .admin(tokens::revoke_of),
    ]
}

fn of_organizations() -> Vec<Endpoint> {
    const ONE: &str = "/organizations/{organization}";
    const MEMBERS: &str = "/organizations/{organization}/members";
    const MEMBER: &str = "/organizations/{organization}/members/{user}";
    const TEAMS: &str = "/organizations/{organization}/teams";
    const TEAM: &str = "/organizations/{organization}/teams/{team}";
    const TEAM_MEMBERS: &str = "/organizations/{organization}/teams/{team}/members";
    const TEAM_MEMBER: &str = "/organizations/{organization}/teams/{team}/members/{user}";
    vec![
        get("/organizations", "listOrganizations", "All organizations").admin(organizations::list),
        post(
            "/organizations",
            "createOrganization",
            "Make an organization of one's own",
        )
        .signed_in(organizations::create)
        .may_conflict(),
        put(
            ONE,
            "createOrganizationFor",
            "Make an organization for somebody",
        )
        .admin(organizations::create_for)
        .may_conflict(),
        get(ONE, "getOrganization", "An organization").namespace(Reader, organizations::show),
        patch(ONE, "updateOrganization", "Change an organization")
            .namespace(Owner, organizations::update),
        delete(ONE, "deleteOrganization", "Remove an organization")
            .namespace(Owner, organizations::delete)
            .may_conflict(),
        get(MEMBERS, "listMembers", "Members").namespace(Reader, organizations::members),
        put(MEMBER, "setMember", "Give a user a role")
            .namespace(Owner, organizations::set_member)
            .may_conflict(),
        delete(
            MEMBER,
            "removeMember",
            "Take a user's role away; one's own may everybody",
        )
        .namespace(Reader, organizations::remove_member)
        .may_conflict(),
        get(TEAMS, "listTeams", "Teams").namespace(Reader, teams::list),
        get(TEAM, "getTeam", "A team").namespace(Reader, teams::show),
        put(TEAM, "createTeam", "Make a team")
            .namespace(Owner, teams::create)
            .may_conflict(),
        delete(TEAM, "deleteTeam", "Remove a team with its grants").namespace(Owner, teams::delete),
        get(TEAM_MEMBERS, "listTeamMembers", "Who is in a team").namespace(Reader, teams::members),
        put(TEAM_MEMBER, "addToTeam", "Put a user into a team").namespace(Owner, teams::add),
        delete(TEAM_MEMBER, "removeFromTeam", "Take a user out of a team")
            .namespace(Owner, teams::remove)
            .may_conflict(),
    ]
}

fn of_namespaces() -> Vec<Endpoint> {
    const ONE: &str = "/namespaces/{namespace}";
    const GRANTS: &str = "/namespaces/{namespace}/grants";
    const GRANT: &str = "/namespaces/{namespace}/grants/{id}";
    const ROBOTS: &str = "/namespaces/{namespace}/robots";
    const ROBOT: &str = "/namespaces/{namespace}/robots/{robot}";
    const SECRET: &str = "/namespaces/{namespace}/robots/{robot}/secret";
    const REPOSITORIES: &str = "/namespaces/{namespace}/repositories";
    vec![
        get(
            ONE,
            "getNamespace",
            "A user's namespace, or an organization's",
        )
        .namespace(Reader, organizations::show),
        patch(ONE, "updateNamespace", "Change a namespace").namespace(Owner, organizations::update),
        get(GRANTS, "listGrants", "Roles that were granted").namespace(Owner, grants::list),
        post(GRANTS, "grant", "Grant a role").namespace(Owner, grants::create),
        delete(GRANT, "revokeGrant", "Take a role back").namespace(Owner, grants::revoke),
        get(ROBOTS, "listRobots", "Robots").namespace(Owner, robots::list),
        post(ROBOTS, "createRobot", "Make a robot")
            .namespace(Owner, robots::create)
            .may_conflict(),
        get(ROBOT, "getRobot", "A robot").namespace(Owner, robots::show),
        patch(ROBOT, "updateRobot", "Disable a robot, or enable it")
            .namespace(Owner, robots::update),
        delete(ROBOT, "deleteRobot", "Remove a robot with its grants")
            .namespace(Owner, robots::delete),
        post(SECRET, "rotateSecret", "Give a robot another secret")
            .namespace(Owner, robots::rotate),
        get(
            REPOSITORIES,
            "listRepositories",
            "Repositories of a namespace that one may see",
        )
        .anyone(repositories::list_of),
    ]
}

fn of_repositories() -> Vec<Endpoint> {
    const ONE: &str = "/repositories/{repository}";
    const STAR: &str = "/repositories/{repository}/-/star";
    const ACCESS: &str = "/repositories/{repository}/-/access";
    const DELETED: &str = "/repositories/{repository}/-/deleted";
    const HISTORY: &str = "/repositories/{repository}/-/history";
    const RESTORE: &str = "/repositories/{repository}/-/restore";
    const MANIFEST: &str = "/repositories/{repository}/-/manifests/{digest}";
    const RESTORE_MANIFEST: &str = "/repositories/{repository}/-/manifests/{digest}/restore";
    const TAG: &str = "/repositories/{repository}/-/tags/{tag}";
    const RESTORE_TAG: &str = "/repositories/{repository}/-/tags/{tag}/restore";
    const TAGS: &str = "/repositories/{repository}/-/tags";
    const EXPLAIN: &str = "/repositories/{repository}/-/access/explain";
    vec![
        get(ONE, "getRepository", "A repository").repository(Pull, repositories::show),
        patch(
            ONE,
            "updateRepository",
            "Show, hide or describe a repository",
        )
        .repository(Maintain, repositories::update),
        delete(
            ONE,
            "deleteRepository",
            "Delete a repository with all that it has",
        )
        .tended(Delete, deleted::delete_repository)
        .may_conflict(),
        post(
            RESTORE,
            "restoreRepository",
            "Have a deleted repository back",
        )
        .tended(Maintain, deleted::restore_repository)
        .may_conflict(),
        get(
            DELETED,
            "listDeleted",
            "What was deleted there and can come back",
        )
        .tended(Pull, deleted::list),
        get(
            HISTORY,
            "listHistory",
            "Where tags pointed, who moved them and when",
        )
        .tended(Pull, history::list),
        delete(
            MANIFEST,
            "deleteManifest",
            "Delete a manifest with its tags",
        )
        .tended(Delete, deleted::delete_manifest)
        .may_conflict(),
        post(
            RESTORE_MANIFEST,
            "restoreManifest",
            "Have a deleted manifest back with its tags",
        )
        .tended(Push, deleted::restore_manifest)
        .may_conflict(),
        delete(TAG, "deleteTag", "Delete a tag")
            .tended(Delete, deleted::delete_tag)
            .may_conflict(),
        post(
            RESTORE_TAG,
            "restoreTag",
            "Point a tag where it pointed before",
        )
        .tended(Push, history::restore)
        .may_conflict(),
        get(TAGS, "listTags", "Tags, with what they point at").tended(Pull, tags::list),
        put(STAR, "star", "Give a repository a star").repository(Pull, repositories::star),
        delete(STAR, "unstar", "Take a star back").repository(Pull, repositories::unstar),
        get(ACCESS, "listAccess", "Who has a role in a repository").repository(Own, access::list),
        get(
            EXPLAIN,
            "explainAccess",
            "Whether somebody may do something, and why",
        )
        .repository(Own, access::explain),
    ]
}

fn of_operators() -> Vec<Endpoint> {
    vec![
        get("/invitations", "listInvitations", "Who may sign up").admin(invitations::list),
        post("/invitations", "invite", "Let somebody sign up").admin(invitations::create),
        delete(
            "/invitations/{id}",
            "revokeInvitation",
            "Take an invitation back",
        )
        .admin(invitations::revoke),
        get(
            "/grants",
            "listOfficialGrants",
            "Roles in repositories without a slash",
        )
        .admin(grants::list_official),
        post(
            "/grants",
            "grantOfficial",
            "Grant a role in repositories without a slash",
        )
        .admin(grants::create_official),
        delete(
            "/grants/{id}",
            "revokeOfficialGrant",
            "Take such a role back",
        )
        .admin(grants::revoke_official),
        get("/audit", "listEvents", "What was changed, by whom").admin(audit::list),
        get("/collection", "getCollection", "How collection goes").operator(collection::show),
        get(
            "/collection/plan",
            "planCollection",
            "What a collection would do now, and why",
        )
        .operator(collection::plan),
        post(
            "/collection/runs",
            "runCollection",
            "Collect what nothing needs",
        )
        .operator(collection::run)
        .may_conflict(),
        get(
            "/deleted",
            "listHoldings",
            "Repositories of which something can come back",
        )
        .operator(deleted::holdings),
        get(
            "/scrub",
            "getScrub",
            "How far the hashing of what is stored is, and what is damaged",
        )
        .operator(keeping::show_scrub),
        post("/scrub/runs", "scrubNow", "Hash what is stored now")
            .operator(keeping::begin_scrub)
            .may_miss(),
        get("/mirror", "getMirror", "How the mirror does")
            .operator(mirror::show)
            .may_miss(),
        post(
            "/mirror/warm",
            "warmMirror",
            "Fetch an image before anybody asks for it",
        )
        .operator(mirror::warm)
        .may_miss()
        .may_conflict(),
        post(
            "/mirror/evictions",
            "evictCopies",
            "Let copies go that are too much, or say which would",
        )
        .operator(mirror::evict)
        .may_miss(),
        get(
            "/retention/plan",
            "planRetention",
            "What policies let go now, and why",
        )
        .operator(retention::plan),
        post("/retention/runs", "runRetention", "Let it go")
            .operator(retention::run)
            .may_conflict(),
    ]
}

fn of_the_machine() -> Vec<Endpoint> {
    vec![
        get(
            "/storage",
            "getStorage",
            "What is stored, and how much room there is",
        )
        .operator(storage::show),
        get(
            "/storage/samples",
            "listStorageSamples",
            "How much was stored, from time to time",
        )
        .operator(storage::samples),
        get(
            "/config",
            "getConfiguration",
            "The configuration that holds, and where each value was said",
        )
        .operator(configuration::show),
        get(
            "/health",
            "getHealth",
            "Whether the server takes pushes, and which checks fail",
        )
        .operator(health::show),
        get("/doctor", "getDoctor", "What is wrong, and what to do").operator(keeping::examine),
        post(
            "/backups",
            "createBackup",
            "Make a backup; at the console alone",
        )
        .operator(keeping::create_backup)
        .may_conflict(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::endpoint::Handler;
    use super::super::input::Place;
    use super::super::openapi;
    use super::*;

    /// A text that stands for each parameter of a template.
    fn example(path: &str) -> String {
        let example = path.replace("{repository}", "acme/web");
        example.replace(['{', '}'], "")
    }

    #[test]
    fn every_request_has_one_endpoint() {
        for endpoint in ENDPOINTS.iter() {
            let path = super::super::path::segments(&example(endpoint.path)).expect("segments");
            let found = ENDPOINTS.iter().filter(|other| {
                other.verb == endpoint.verb && other.template.find(&path).is_some()
            });
            let found: Vec<_> = found.map(|other| other.id).collect();
            assert_eq!(found, [endpoint.id], "{}", endpoint.path);
        }
        let ids: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| endpoint.id).collect();
        assert_eq!(ids.len(), ENDPOINTS.len(), "ids are told apart");
    }

    #[test]
    fn the_path_names_what_is_needed() {
        for endpoint in ENDPOINTS.iter() {
            let parameters: Vec<_> = endpoint.template.parameters().collect();
            let names = |name| parameters.contains(&name);
            let is_named = match endpoint.handler {
                Handler::Anyone(_)
                | Handler::SignedIn(_)
                | Handler::Admin(_)
                | Handler::Operator(_) => true,
                Handler::Namespace(..) => names("namespace") || names("organization"),
                Handler::Repository(..) | Handler::Tended(..) => names("repository"),
            };
            assert!(is_named, "{}", endpoint.id);
            let is_of_body = matches!(endpoint.input.0, Place::Body);
            assert!(!(endpoint.verb.is_safe() && is_of_body), "{}", endpoint.id);
        }
    }

    #[test]
    fn the_description_has_all() {
        let document = openapi::document("http://r/api/v1");
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.values().filter_map(serde_json::Value::as_object);
        let operations = operations.map(serde_json::Map::len).sum::<usize>();
        assert_eq!(operations, ENDPOINTS.len());
    }
}
