-- Blobs that one of several processes fetches from an upstream right now; the others wait for it. Times are the server's.
CREATE TABLE fetches (
    copy       TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    holder     TEXT   NOT NULL,
    renewed_at BIGINT NOT NULL,
    PRIMARY KEY (copy, digest)
);
CREATE INDEX fetches_renewed_at ON fetches (renewed_at);
