-- Blobs as objects of a store that others keep, beside files.
--
-- The row says which object a blob is: a key is used once, so nothing is renamed, and two who push the same
-- bytes do not meet. No key: the blob is a file.
ALTER TABLE blobs ADD COLUMN object_key TEXT;
CREATE UNIQUE INDEX blobs_in_objects ON blobs (object_key) WHERE object_key IS NOT NULL;

-- An upload into an object goes on in whichever process its client reaches: what that needs is written down
-- when a request ends. `tail` are bytes that are too few for a part.
ALTER TABLE uploads ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN state BYTEA;
ALTER TABLE uploads ADD COLUMN tail BYTEA;
ALTER TABLE uploads ADD COLUMN touched_at BIGINT;
-- One request writes at a time. It says so again and again while it lives, and is not believed any more
-- once `writer_until` is over.
ALTER TABLE uploads ADD COLUMN writer TEXT;
ALTER TABLE uploads ADD COLUMN writer_until BIGINT;

-- The one bucket that has the objects, and the id that stands in it as well: another bucket, or another database, is
-- told by it before anything is taken for missing or left over.
CREATE TABLE buckets (
    id TEXT NOT NULL PRIMARY KEY
);

-- Objects whose rows are gone, and that are to go: what a crash leaves here is removed later.
CREATE TABLE object_removals (
    object_key TEXT   NOT NULL PRIMARY KEY,
    due_at     BIGINT NOT NULL
);
