-- Why: who looks after a disk wants to know when it will be full. How much is stored is written down once an
-- hour; samples older than a week are thinned to one a day, and go after two years.

CREATE TABLE storage_samples (
    at            BIGINT NOT NULL PRIMARY KEY,
    -- Of all blobs, each counted once.
    unique_bytes  BIGINT NOT NULL CHECK (unique_bytes >= 0),
    -- Of all blobs, once for each repository that has them.
    logical_bytes BIGINT NOT NULL CHECK (logical_bytes >= 0),
    -- Of the unique ones: what only deleted manifests need that can come back.
    deleted_bytes BIGINT NOT NULL CHECK (deleted_bytes >= 0),
    -- Staged by uploads that are open.
    uploads_bytes BIGINT NOT NULL CHECK (uploads_bytes >= 0),
    -- Of the file system.
    free_bytes    BIGINT NOT NULL CHECK (free_bytes >= 0)
);
