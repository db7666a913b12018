-- Why: copies of other registries' repositories. A copy's manifest is known before its blobs are, which
-- come when somebody pulls them.

-- The upstream that the repository is a copy from; NULL for what was pushed here.
ALTER TABLE repositories ADD COLUMN upstream TEXT;
CREATE INDEX repositories_by_upstream ON repositories (upstream, id) WHERE upstream IS NOT NULL;

-- Blobs that a copied manifest names and its repository does not have yet: invariant I1 holds for them when
-- they come, for then they move to manifest_blobs. The size is what the manifest says.
CREATE TABLE absent_blobs (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    size          BIGINT NOT NULL CHECK (size >= 0),
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX absent_blobs_by_digest ON absent_blobs (repository_id, digest, manifest, size);
