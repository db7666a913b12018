-- Why: repositories are found by their names and by what is written of them, and what is popular comes
-- first. As in SQLite's step of this number, with PostgreSQL's own full-text index.

CREATE TABLE search_documents (
    position      bigint NOT NULL PRIMARY KEY,
    repository_id bigint NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    name          text COLLATE "C" NOT NULL,
    -- Words as `index/search/words.rs` made them; a word says by its first two characters where it stands and
    -- who may see it.
    names         tsvector NOT NULL,
    -- All words that are written anywhere of a repository, as they are.
    texts         tsvector NOT NULL
);
CREATE INDEX search_documents_by_names ON search_documents USING gin (names);
CREATE INDEX search_documents_by_texts ON search_documents USING gin (texts);

-- Repositories that may stand there otherwise than they should.
CREATE TABLE search_stale (
    repository_id bigint NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE
);

-- Nobody who shows or hides a repository can forget it: until it is indexed again, nobody finds it.
CREATE FUNCTION search_repository_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_documents WHERE repository_id = new.id;
    INSERT INTO search_stale (repository_id) VALUES (new.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER search_repository_changed AFTER UPDATE OF name, visibility ON repositories FOR EACH ROW
WHEN (old.name <> new.name OR old.visibility IS DISTINCT FROM new.visibility)
EXECUTE FUNCTION search_repository_changed();

-- How far the job came; one row.
CREATE TABLE search_progress (
    id            bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    repository_id bigint NOT NULL,
    tag_event_id  bigint NOT NULL
);
INSERT INTO search_progress (id, repository_id, tag_event_id) VALUES (1, 0, 0);

-- How many stars a repository has, also when an account goes and takes its own along.
CREATE FUNCTION star_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO repository_counts (repository_id, stars) VALUES (new.repository_id, 1)
    ON CONFLICT (repository_id) DO UPDATE SET stars = repository_counts.stars + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER star_given AFTER INSERT ON stars FOR EACH ROW EXECUTE FUNCTION star_given();
CREATE FUNCTION star_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE repository_counts SET stars = stars - 1 WHERE repository_id = old.repository_id;
    RETURN NULL;
END $$;
CREATE TRIGGER star_taken_back AFTER DELETE ON stars FOR EACH ROW EXECUTE FUNCTION star_taken_back();
