-- Why: the facts of a registry without accounts. Bytes of blobs are files; all else is here.
--
-- Types are those that SQLite and PostgreSQL both take; ids and times (milliseconds since the epoch)
-- come from the application. Digests are text, "sha256:<hex>".

CREATE TABLE repositories (
    id         BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Published bytes. A row exists only once they are durable under their digest.
CREATE TABLE blobs (
    digest      TEXT   NOT NULL PRIMARY KEY,
    size        BIGINT NOT NULL CHECK (size >= 0),
    verified_at BIGINT NOT NULL
);

-- The link: the only thing that makes a blob exist for a caller.
CREATE TABLE repository_blobs (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT   NOT NULL REFERENCES blobs (digest),
    linked_at     BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);

-- The content stands last: a look at the other columns need not read past it.
CREATE TABLE manifests (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT   NOT NULL,
    media_type    TEXT   NOT NULL,
    size          BIGINT NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    pushed_at     BIGINT NOT NULL,
    annotations   TEXT,
    content       BYTEA  NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifests_by_digest ON manifests (digest);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest)
    WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_artifact_type ON manifests (repository_id, subject, artifact_type, digest)
    WHERE subject IS NOT NULL;

-- What a manifest needs in order to be readable. The foreign keys are invariant I1: neither a blob's
-- link nor a child manifest can go while a manifest of the repository names it.
CREATE TABLE manifest_blobs (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, digest) REFERENCES repository_blobs (repository_id, digest)
);
CREATE INDEX manifest_blobs_by_digest ON manifest_blobs (repository_id, digest, manifest);

CREATE TABLE manifest_children (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
);
CREATE INDEX manifest_children_by_digest ON manifest_children (repository_id, digest, manifest);

-- Invariant I3: a tag points at a manifest of its own repository.
CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    moved_at      BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
);
CREATE INDEX tags_by_digest ON tags (repository_id, digest, name);

-- Every move and removal of a tag, in the order of its ids; to_digest is NULL for a removal.
CREATE TABLE tag_events (
    id            BIGINT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    tag           TEXT   NOT NULL,
    from_digest   TEXT,
    to_digest     TEXT,
    actor         TEXT   NOT NULL,
    happened_at   BIGINT NOT NULL
);
CREATE INDEX tag_events_by_tag ON tag_events (repository_id, tag, id);

-- Open upload sessions. The bytes held are the staging file's; a repository may not exist yet.
CREATE TABLE uploads (
    id         TEXT   NOT NULL PRIMARY KEY,
    repository TEXT   NOT NULL,
    principal  TEXT   NOT NULL,
    started_at BIGINT NOT NULL
);

-- Link files of registry:2's layout that may differ from the rows above. Written in the transaction
-- that made the difference; the job that rewrites the file removes the row if change is still the same.
CREATE TABLE stale_links (
    repository TEXT   NOT NULL,
    kind       TEXT   NOT NULL CHECK (kind IN ('layer', 'manifest', 'tag')),
    name       TEXT   NOT NULL,
    change     BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name)
);
