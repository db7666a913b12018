-- Why: who may do what, and what people find: accounts, namespaces, roles, tokens, stars. All of it is
-- empty while the index is off, and then nothing reads it.
--
-- Booleans are 0 and 1. Digests of secrets are text, hex of SHA-256; the secrets themselves are nowhere.

-- Who can sign in: people, and robots, whose names are "<namespace>+<name>".
CREATE TABLE accounts (
    id           BIGINT NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL UNIQUE,
    kind         TEXT   NOT NULL CHECK (kind IN ('user', 'robot')),
    -- Who vouches for them: 'local', 'htpasswd', 'ldap', 'mtls', 'oidc:<provider>'; and what that one calls
    -- them, which stays the same when they are renamed there.
    source       TEXT   NOT NULL,
    subject      TEXT,
    -- argon2id, in PHC's form; only of source 'local'.
    password     TEXT,
    is_admin     BIGINT NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
    is_disabled  BIGINT NOT NULL DEFAULT 0 CHECK (is_disabled IN (0, 1)),
    full_name    TEXT   NOT NULL DEFAULT '',
    email        TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    signed_in_at BIGINT,
    CHECK (kind = 'user' OR (is_admin = 0 AND password IS NULL))
);
CREATE UNIQUE INDEX accounts_by_subject ON accounts (source, subject) WHERE subject IS NOT NULL;

-- What stands before the first slash. A user's own has the user's name and them as its owner in members.
CREATE TABLE namespaces (
    id                 BIGINT NOT NULL PRIMARY KEY,
    name               TEXT   NOT NULL UNIQUE,
    kind               TEXT   NOT NULL CHECK (kind IN ('user', 'organization')),
    description        TEXT   NOT NULL DEFAULT '',
    -- Of repositories made from now on; NULL for that of the configuration.
    default_visibility TEXT   CHECK (default_visibility IN ('public', 'private')),
    created_at         BIGINT NOT NULL
);

-- A role in all repositories of a namespace.
CREATE TABLE members (
    namespace_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    account_id   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role         TEXT   NOT NULL CHECK (role IN ('owner', 'maintainer', 'writer', 'reader')),
    added_at     BIGINT NOT NULL,
    PRIMARY KEY (namespace_id, account_id)
);
CREATE INDEX members_by_account ON members (account_id, namespace_id);

CREATE TABLE teams (
    id           BIGINT NOT NULL PRIMARY KEY,
    namespace_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    name         TEXT   NOT NULL,
    description  TEXT   NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    UNIQUE (namespace_id, name)
);

-- Who put somebody into a team: 'local' for people, else the source whose groups say so. Those of a source
-- are replaced whenever somebody signs in by it (S11).
CREATE TABLE team_members (
    team_id    BIGINT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    source     TEXT   NOT NULL,
    added_at   BIGINT NOT NULL,
    PRIMARY KEY (team_id, account_id, source)
);
CREATE INDEX team_members_by_account ON team_members (account_id, team_id);

-- A role in the repositories that a pattern names ("acme/web", "acme/*"), for a team or an account.
-- Without a namespace: repositories without a slash, which administrators alone give away.
CREATE TABLE grants (
    id           BIGINT NOT NULL PRIMARY KEY,
    namespace_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
    team_id      BIGINT REFERENCES teams (id) ON DELETE CASCADE,
    account_id   BIGINT REFERENCES accounts (id) ON DELETE CASCADE,
    pattern      TEXT   NOT NULL,
    role         TEXT   NOT NULL CHECK (role IN ('maintainer', 'writer', 'reader')),
    created_at   BIGINT NOT NULL,
    CHECK ((team_id IS NULL) <> (account_id IS NULL))
);
CREATE INDEX grants_by_team ON grants (team_id) WHERE team_id IS NOT NULL;
CREATE INDEX grants_by_account ON grants (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX grants_by_namespace ON grants (namespace_id, id);

-- What signs in instead of a password. parent is the token that this one was made with, and ends it.
CREATE TABLE tokens (
    id           BIGINT NOT NULL PRIMARY KEY,
    account_id   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind         TEXT   NOT NULL CHECK (kind IN ('personal', 'robot', 'refresh', 'session')),
    name         TEXT   NOT NULL,
    hash         TEXT   NOT NULL UNIQUE,
    -- JSON, [{"pattern": "acme/*", "actions": ["pull"]}]; NULL for all that the account may.
    limits       TEXT,
    parent       BIGINT REFERENCES tokens (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);
CREATE INDEX tokens_by_account ON tokens (account_id, kind, id);
CREATE INDEX tokens_by_parent ON tokens (parent) WHERE parent IS NOT NULL;

-- Who may sign up, once.
CREATE TABLE invitations (
    id         BIGINT NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    email      TEXT   NOT NULL DEFAULT '',
    -- 1 for the code that makes the first administrator.
    is_setup   BIGINT NOT NULL DEFAULT 0 CHECK (is_setup IN (0, 1)),
    created_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- Keys that sign our tokens: of those that are not retired the oldest signs, and the next is shown already;
-- what a retired one signed is believed until it ended.
CREATE TABLE signing_keys (
    id          BIGINT NOT NULL PRIMARY KEY,
    algorithm   TEXT   NOT NULL CHECK (algorithm IN ('ES256', 'EdDSA')),
    private_key BYTEA  NOT NULL,
    certificate BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL,
    retired_at  BIGINT
);

-- NULL for the default of the configuration, whatever that will be.
ALTER TABLE repositories ADD COLUMN visibility TEXT CHECK (visibility IN ('public', 'private'));

-- What people read of a repository, beside the row that every pull looks at.
CREATE TABLE repository_pages (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    description   TEXT   NOT NULL DEFAULT '',
    readme        TEXT   NOT NULL DEFAULT '',
    -- Of the image that `latest`, or the newest tag, points at.
    labels        TEXT   NOT NULL DEFAULT '',
    -- 'people' wins over 'image', whose annotations describe it until somebody does.
    described_by  TEXT   NOT NULL CHECK (described_by IN ('people', 'image')),
    updated_at    BIGINT NOT NULL
);

CREATE TABLE repository_counts (
    repository_id  BIGINT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    pulls          BIGINT NOT NULL DEFAULT 0,
    pushes         BIGINT NOT NULL DEFAULT 0,
    stars          BIGINT NOT NULL DEFAULT 0,
    last_pulled_at BIGINT,
    last_pushed_at BIGINT
);

CREATE TABLE stars (
    account_id    BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    starred_at    BIGINT NOT NULL,
    PRIMARY KEY (account_id, repository_id)
);
CREATE INDEX stars_by_repository ON stars (repository_id, account_id);

-- Who changed what, from where; written in the transaction of the change. detail is JSON.
CREATE TABLE audit_events (
    id          BIGINT NOT NULL PRIMARY KEY,
    happened_at BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    action      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    detail      TEXT   NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_events_by_actor ON audit_events (actor, id);
CREATE INDEX audit_events_by_subject ON audit_events (subject, id);
