-- Why: repositories are found by their names and by what is written of them, and what is popular comes
-- first. SQLite's own full-text index does it; PostgreSQL gets a file of its own.
--
-- All of it can be made anew from the other tables, is empty while the index is off, and is written behind
-- a push by a job, not in it.

-- Where a repository stands in the full-text index. Rows of that are read in the order of their numbers, so
-- the number says how popular it is, to a factor of two: who looks for what everybody has may stop early.
CREATE TABLE search_documents (
    position      INTEGER NOT NULL PRIMARY KEY,
    repository_id BIGINT  NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL
);

-- Words as `index/search/words.rs` made them; a word says by its first two characters where it stands and
-- who may see it, so that one who may not does not even read past it. The beginnings of words have indexes
-- of their own, up to eight letters.
CREATE VIRTUAL TABLE search_names USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii',
    prefix = '4 5 6 7 8 9 10'
);

-- All words that are written anywhere of a repository, as they are.
CREATE VIRTUAL TABLE search_texts USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);

CREATE TRIGGER search_document_gone AFTER DELETE ON search_documents BEGIN
    DELETE FROM search_names WHERE rowid = old.position;
    DELETE FROM search_texts WHERE rowid = old.position;
END;

-- Repositories that may stand there otherwise than they should.
CREATE TABLE search_stale (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE
);

-- Nobody who shows or hides a repository can forget it: until it is indexed again, nobody finds it.
CREATE TRIGGER search_repository_changed AFTER UPDATE OF name, visibility ON repositories
WHEN old.name <> new.name OR old.visibility IS NOT new.visibility BEGIN
    DELETE FROM search_documents WHERE repository_id = new.id;
    INSERT INTO search_stale (repository_id) VALUES (new.id) ON CONFLICT DO NOTHING;
END;

-- How far the job came; one row.
CREATE TABLE search_progress (
    id            BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    repository_id BIGINT NOT NULL,
    tag_event_id  BIGINT NOT NULL
);
INSERT INTO search_progress (id, repository_id, tag_event_id) VALUES (1, 0, 0);

-- How many stars a repository has, also when an account goes and takes its own along.
CREATE TRIGGER star_given AFTER INSERT ON stars BEGIN
    INSERT INTO repository_counts (repository_id, stars) VALUES (new.repository_id, 1)
    ON CONFLICT (repository_id) DO UPDATE SET stars = repository_counts.stars + 1;
END;
CREATE TRIGGER star_taken_back AFTER DELETE ON stars BEGIN
    UPDATE repository_counts SET stars = stars - 1 WHERE repository_id = old.repository_id;
END;
