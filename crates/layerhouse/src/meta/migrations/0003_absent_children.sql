-- Why: an operator may let indexes be pushed whose images are not all there (validation.manifests.indexes),
-- and the directory of a registry:2 may hold such. A row says that the absence is meant; it becomes one of
-- manifest_children when the image arrives.

CREATE TABLE absent_children (
    repository_id BIGINT NOT NULL,
    manifest      TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX absent_children_by_digest ON absent_children (repository_id, digest, manifest);
