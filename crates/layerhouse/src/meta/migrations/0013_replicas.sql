-- Work that one of several processes does at a time. Who does it counts `renewals` up while it lives; others look, each
-- with its own clock, and take over what was not counted up for long: the clocks of machines are not compared.
CREATE TABLE job_leases (
    name     TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    renewals BIGINT NOT NULL
);

-- When all objects were listed last, to find those that no row knows.
ALTER TABLE buckets ADD COLUMN listed_at BIGINT;

-- What seals what clients keep for us until they come back, perhaps to another process: random, made by the first start.
CREATE TABLE sealing_keys (
    id  BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    key BYTEA  NOT NULL
);
