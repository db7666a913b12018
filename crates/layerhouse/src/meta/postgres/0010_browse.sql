-- Why: as SQLite's step of this number, whose triggers are functions here. People look at lists in a browser: tags in five orders, repositories by their last push, with sizes and
-- platforms. What such a page reads is here, by index, so that it opens no file however much there is.
--
-- Nobody who pushes, adopts, copies or restores can forget it: triggers write it down.

-- What is read of a manifest and of its config once, behind the push. Every manifest has a row here or in
-- image_queue.
CREATE TABLE image_facts (
    repository_id bigint NOT NULL,
    digest        text COLLATE "C"   NOT NULL,
    -- A word for what it is: 'image', 'index', 'helm', 'signature', 'sbom', 'attestation', 'wasm', 'artifact'.
    kind          text COLLATE "C"   NOT NULL,
    -- What a pull transfers: config and layers; of an index, all its images together.
    image_bytes   bigint NOT NULL,
    -- Of an index, its largest image; of others the same as image_bytes.
    largest_bytes bigint NOT NULL,
    -- 'linux/amd64,linux/arm64/v8'; empty if nothing says so.
    platforms     text COLLATE "C"   NOT NULL,
    -- When its config says that it was built.
    created_at    bigint,
    -- The config, while a copy does not have it yet: without it, platform and time are not known.
    awaits        text COLLATE "C",
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX image_facts_by_size ON image_facts (repository_id, image_bytes, digest);

-- Manifests that are to be read, or read again. Whoever read one removes the row if change is still the same.
CREATE TABLE image_queue (
    repository_id bigint NOT NULL,
    digest        text COLLATE "C"   NOT NULL,
    change        bigint NOT NULL,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
INSERT INTO image_queue (repository_id, digest, change) SELECT repository_id, digest, 1 FROM manifests;

CREATE FUNCTION image_pushed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO image_queue (repository_id, digest, change) VALUES (new.repository_id, new.digest, 1)
    ON CONFLICT (repository_id, digest) DO UPDATE SET change = image_queue.change + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER image_pushed AFTER INSERT ON manifests FOR EACH ROW EXECUTE FUNCTION image_pushed();

-- The config of a copy came.
CREATE FUNCTION image_config_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM image_facts
             WHERE repository_id = old.repository_id AND digest = old.manifest AND awaits = old.digest)
  OR EXISTS (SELECT 1 FROM image_queue
             WHERE repository_id = old.repository_id AND digest = old.manifest) THEN
        INSERT INTO image_queue (repository_id, digest, change)
        SELECT repository_id, digest, 1 FROM manifests
        WHERE repository_id = old.repository_id AND digest = old.manifest
        ON CONFLICT (repository_id, digest) DO UPDATE SET change = image_queue.change + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER image_config_came AFTER DELETE ON absent_blobs FOR EACH ROW EXECUTE FUNCTION image_config_came();

-- An image came that an index did without.
CREATE FUNCTION image_child_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO image_queue (repository_id, digest, change)
    SELECT repository_id, digest, 1 FROM manifests
    WHERE repository_id = old.repository_id AND digest = old.manifest
    ON CONFLICT (repository_id, digest) DO UPDATE SET change = image_queue.change + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER image_child_came AFTER DELETE ON absent_children FOR EACH ROW EXECUTE FUNCTION image_child_came();

-- What a tag is sorted by among versions, made by meta/browse/version.rs; empty for one that is none. The tags
-- of earlier releases get theirs from a job, which goes through them once; no row means that it is done.
ALTER TABLE tags ADD COLUMN version text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX tags_by_version ON tags (repository_id, version, name);
CREATE INDEX tags_by_move ON tags (repository_id, moved_at, name);
CREATE TABLE version_progress (
    id            bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    repository_id bigint NOT NULL,
    tag           text COLLATE "C"   NOT NULL
);
INSERT INTO version_progress (id, repository_id, tag)
SELECT 1, 0, '' WHERE EXISTS (SELECT 1 FROM tags);

CREATE INDEX manifest_pulls_by_time ON manifest_pulls (repository_id, pulled_at, digest);

-- How many tags a repository has, and when one was last pushed: to count 300,000 of them takes 20 ms.
ALTER TABLE repositories ADD COLUMN tags_count bigint NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN last_pushed_at bigint;
UPDATE repositories SET
    tags_count = (SELECT COUNT(*) FROM tags WHERE tags.repository_id = repositories.id),
    last_pushed_at = (SELECT MAX(moved_at) FROM tags WHERE tags.repository_id = repositories.id);

CREATE FUNCTION tag_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE repositories
    SET tags_count = tags_count + 1,
        last_pushed_at = CASE WHEN last_pushed_at > new.moved_at THEN last_pushed_at ELSE new.moved_at END
    WHERE id = new.repository_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tag_made AFTER INSERT ON tags FOR EACH ROW EXECUTE FUNCTION tag_made();
CREATE FUNCTION tag_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE repositories SET last_pushed_at = new.moved_at
    WHERE id = new.repository_id AND (last_pushed_at IS NULL OR last_pushed_at < new.moved_at);
    RETURN NULL;
END $$;
CREATE TRIGGER tag_moved AFTER UPDATE OF moved_at ON tags FOR EACH ROW EXECUTE FUNCTION tag_moved();
CREATE FUNCTION tag_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE repositories SET tags_count = tags_count - 1 WHERE id = old.repository_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tag_gone AFTER DELETE ON tags FOR EACH ROW EXECUTE FUNCTION tag_gone();
