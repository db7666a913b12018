-- Why: a directory that a registry:2 filled is read into rows at the first start. That may be
-- interrupted; a row here says that it was finished, so that the next start does not do it again.

CREATE TABLE adoptions (
    finished_at BIGINT NOT NULL PRIMARY KEY,
    manifests   BIGINT NOT NULL,
    tags        BIGINT NOT NULL,
    skipped     BIGINT NOT NULL
);
