CREATE TABLE deployments (
    uid              BLOB    NOT NULL PRIMARY KEY,
    workspace        TEXT    NOT NULL,
    deployment_id    TEXT    NOT NULL,
    display_name     TEXT    NOT NULL,
    description      TEXT    NOT NULL,
    labels           TEXT    NOT NULL,
    dag_deploy_mode  TEXT    NOT NULL,
    rollback_enabled INTEGER NOT NULL,
    settings         TEXT    NOT NULL,
    -- The highest number, what runs now, and what ran before that; 0 for none.
    latest_number    INTEGER NOT NULL,
    current_number   INTEGER NOT NULL,
    previous_number  INTEGER NOT NULL,
    -- Counts the changes of the Deployment and of its history.
    change           INTEGER NOT NULL,
    created_by       TEXT    NOT NULL,
    create_time      INTEGER NOT NULL,
    update_time      INTEGER NOT NULL,
    UNIQUE (workspace, deployment_id)
) STRICT;

CREATE TABLE deploys (
    deployment_uid     BLOB    NOT NULL REFERENCES deployments (uid),
    number             INTEGER NOT NULL,
    deploy_type        TEXT    NOT NULL,
    deploy_trigger     TEXT    NOT NULL,
    description        TEXT    NOT NULL,
    revision           TEXT    NOT NULL,
    revision_digest    TEXT    NOT NULL,
    changed_components TEXT    NOT NULL,
    git                TEXT,
    settings           TEXT    NOT NULL,
    state              TEXT    NOT NULL,
    created_by         TEXT    NOT NULL,
    create_time        INTEGER NOT NULL,
    deploy_time        INTEGER,
    -- When the deploy ceased to be the current one.
    ceased_time        INTEGER,
    -- Set if a rollback made the deploy: where it came from, and the permit, kept as evidence.
    source_number      INTEGER,
    replaced_number    INTEGER,
    rollback_scope     TEXT,
    rollback_id        BLOB    UNIQUE,
    permit_id          BLOB    UNIQUE,
    permit             TEXT,
    PRIMARY KEY (deployment_uid, number)
) STRICT;

-- What became of a rollback id: its deploy, or, without a number, nothing for ever. Whoever inserts
-- first decides.
CREATE TABLE rollback_writes (
    rollback_id    BLOB    NOT NULL PRIMARY KEY,
    deployment_uid BLOB    NOT NULL REFERENCES deployments (uid),
    number         INTEGER,
    create_time    INTEGER NOT NULL
) STRICT;

CREATE TABLE dag_bundles (
    deployment_uid BLOB    NOT NULL REFERENCES deployments (uid),
    sha256         TEXT    NOT NULL,
    size_bytes     INTEGER NOT NULL,
    created_by     TEXT    NOT NULL,
    create_time    INTEGER NOT NULL,
    PRIMARY KEY (deployment_uid, sha256)
) STRICT;

CREATE TABLE requests (
    principal   TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    parent      TEXT    NOT NULL,
    request_id  BLOB    NOT NULL,
    body        BLOB    NOT NULL,
    outcome     TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (principal, method, parent, request_id)
) STRICT;

CREATE INDEX requests_by_time ON requests (create_time);
