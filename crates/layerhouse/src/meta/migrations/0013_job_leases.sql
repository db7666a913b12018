-- Work that one of several processes does at a time. Who does it counts `renewals` up while it lives; others look, each
-- with its own clock, and take over what was not counted up for long: the clocks of machines are not compared.
CREATE TABLE job_leases (
    name     TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    renewals BIGINT NOT NULL
);
