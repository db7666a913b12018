-- Why: space of what nobody needs comes back by itself, and what was deleted can be had again for a while.
--
-- The queue of reviews is in the rows that are reviewed: review_since is when the wait began, NULL when there
-- is nothing to review. A link of a blob is to be reviewed when it is made and when what needed it is gone for
-- good; a blob, when it lost a link. So no step of a deletion can forget to queue what it leaves behind without
-- being seen: `verify` looks for rows that nothing needs and nothing will review.
ALTER TABLE repository_blobs ADD COLUMN review_since BIGINT;
CREATE INDEX repository_blobs_to_review ON repository_blobs (review_since, repository_id, digest)
    WHERE review_since IS NOT NULL;
-- When a client removed the link although a deleted manifest that can come back needs it: for callers it is gone.
ALTER TABLE repository_blobs ADD COLUMN removed_at BIGINT;
ALTER TABLE blobs ADD COLUMN review_since BIGINT;
CREATE INDEX blobs_to_review ON blobs (review_since, digest) WHERE review_since IS NOT NULL;

-- Blobs whose rows are gone and whose files are being removed: what a crash leaves of them, the next start
-- removes.
CREATE TABLE removals (
    digest TEXT NOT NULL PRIMARY KEY
);

-- When the file was found damaged or missing; a push makes it whole.
ALTER TABLE blobs ADD COLUMN damaged_at BIGINT;
CREATE INDEX blobs_damaged ON blobs (damaged_at) WHERE damaged_at IS NOT NULL;

-- Manifests that were deleted and can be had again. They are apart from the others, so that no reader has
-- to know of them and no tag can point at one. The content stands last, as there.
CREATE TABLE deleted_manifests (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT   NOT NULL,
    media_type    TEXT   NOT NULL,
    size          BIGINT NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    pushed_at     BIGINT NOT NULL,
    deleted_at    BIGINT NOT NULL,
    deleted_by    TEXT   NOT NULL,
    why           TEXT   NOT NULL CHECK (why IN ('request', 'retention', 'untagged', 'orphan', 'repository')),
    annotations   TEXT,
    content       BYTEA  NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX deleted_manifests_by_time ON deleted_manifests (deleted_at, repository_id, digest);

-- What of its repository a deleted manifest needs to come back: the foreign key keeps it there.
CREATE TABLE deleted_manifest_blobs (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest)
        REFERENCES deleted_manifests (repository_id, digest) ON DELETE CASCADE,
    FOREIGN KEY (repository_id, digest) REFERENCES repository_blobs (repository_id, digest)
);
CREATE INDEX deleted_manifest_blobs_by_digest ON deleted_manifest_blobs (repository_id, digest, manifest);

-- The images that a deleted index names. They need not be there; while one is, it is not an orphan.
CREATE TABLE deleted_manifest_children (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest)
        REFERENCES deleted_manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX deleted_manifest_children_by_digest ON deleted_manifest_children (repository_id, digest, manifest);

-- Whether a manifest ever had a tag, and when the last one left it.
CREATE INDEX tag_events_by_source ON tag_events (repository_id, from_digest, id) WHERE from_digest IS NOT NULL;

-- The record of a whole repository, the last first.
CREATE INDEX tag_events_by_repository ON tag_events (repository_id, id);

-- When a repository was deleted, until somebody pushes to its name again or has it back. The row stays: its
-- history and what waits in deleted_manifests belong to it.
ALTER TABLE repositories ADD COLUMN deleted_at BIGINT;

-- The sizes of the blobs that it links, together: what a quota compares.
ALTER TABLE repositories ADD COLUMN linked_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE repositories SET linked_bytes = (
    SELECT COALESCE(SUM(blobs.size), 0) FROM repository_blobs
    JOIN blobs ON blobs.digest = repository_blobs.digest
    WHERE repository_blobs.repository_id = repositories.id);

-- When a manifest was last pulled. Written behind, and apart from the manifest, whose row is long.
CREATE TABLE manifest_pulls (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT   NOT NULL,
    pulled_at     BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);

-- What earlier releases left behind: the wait begins when it was last known to be wanted.
UPDATE repository_blobs SET review_since = linked_at WHERE NOT EXISTS (
    SELECT 1 FROM manifest_blobs WHERE manifest_blobs.repository_id = repository_blobs.repository_id
                                   AND manifest_blobs.digest = repository_blobs.digest);
UPDATE blobs SET review_since = verified_at WHERE NOT EXISTS (
    SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest);
