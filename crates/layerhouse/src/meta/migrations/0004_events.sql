-- Why: whoever is to be told of pushes, pulls and deletes is told after the fact, perhaps much later.
-- An event is written in the transaction that made it so, and stays until every endpoint has it.

-- In the order of their ids, which have no gaps: each is one above the one before. bytes_before counts
-- the bodies before this one, so that how much is held is known without a look at all of it.
CREATE TABLE events (
    id           BIGINT NOT NULL PRIMARY KEY,
    happened_at  BIGINT NOT NULL,
    bytes_before BIGINT NOT NULL,
    repository   TEXT   NOT NULL,
    action       TEXT   NOT NULL CHECK (action IN ('pull', 'push', 'mount', 'delete')),
    media_type   TEXT   NOT NULL,
    body         TEXT   NOT NULL
);

-- How far each endpoint came: it has, or does not want, every event up to this one.
CREATE TABLE event_endpoints (
    name   TEXT   NOT NULL PRIMARY KEY,
    passed BIGINT NOT NULL
);
