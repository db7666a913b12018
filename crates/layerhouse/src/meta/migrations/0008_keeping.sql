-- Why: bytes that nobody reads rot unnoticed, and a disk dies whole. The scrub hashes what is stored once in
-- a period and writes down how far it is, so that a restart goes on; backups are remembered, so that somebody
-- can say that there was none for long.

-- Passes of the scrub; the open ones have no finished_at: at most one of the period, those that were asked for
-- before it. The phases follow each other, and the cursor is the last row that was looked at. A pass that was
-- asked for may be of one repository; no foreign key, for a pass outlives its repository.
CREATE TABLE scrub_passes (
    id                BIGINT NOT NULL PRIMARY KEY,
    why               TEXT   NOT NULL CHECK (why IN ('asked', 'period')),
    repository_id     BIGINT,
    started_at        BIGINT NOT NULL,
    finished_at       BIGINT,
    -- Blobs that were verified at this time or later are left out.
    due_before        BIGINT NOT NULL,
    phase             TEXT   NOT NULL CHECK (phase IN ('blobs', 'manifests')),
    cursor_repository BIGINT NOT NULL,
    cursor_digest     TEXT   NOT NULL,
    -- What there was to hash when it began.
    total_bytes       BIGINT NOT NULL,
    bytes             BIGINT NOT NULL,
    blobs             BIGINT NOT NULL,
    manifests         BIGINT NOT NULL,
    damaged           BIGINT NOT NULL,
    unreadable        BIGINT NOT NULL,
    repaired          BIGINT NOT NULL
);

-- What a pass found and blobs.damaged_at cannot say: bytes that the disk does not give, and manifests whose
-- content changed in the database. Gone when the thing is sound again, or is gone itself.
CREATE TABLE scrub_findings (
    digest        TEXT   NOT NULL,
    -- Of a manifest; 0 for a blob.
    repository_id BIGINT NOT NULL,
    said          TEXT   NOT NULL,
    found_at      BIGINT NOT NULL,
    PRIMARY KEY (digest, repository_id)
);

-- Backups that were made, the last hundred.
CREATE TABLE backups (
    taken_at   BIGINT NOT NULL PRIMARY KEY,
    place      TEXT   NOT NULL,
    blobs      BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    new_blobs  BIGINT NOT NULL,
    new_bytes  BIGINT NOT NULL,
    -- Blobs that could not be put into it.
    missing    BIGINT NOT NULL
);
