-- How far back one can go: a release that knows `oldest` steps goes on with a database that has taken `schema`. A step that
-- does not say so here is refused by every release that does not know it.
CREATE TABLE compatibility (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    schema BIGINT  NOT NULL,
    oldest BIGINT  NOT NULL
);
INSERT INTO compatibility (id, schema, oldest) VALUES (1, 15, 15);
