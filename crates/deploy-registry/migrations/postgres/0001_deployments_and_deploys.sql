CREATE TABLE deployments (
    uid              UUID    NOT NULL PRIMARY KEY,
    workspace        TEXT    NOT NULL,
    deployment_id    TEXT COLLATE "C" NOT NULL,
    display_name     TEXT    NOT NULL,
    description      TEXT    NOT NULL,
    labels           TEXT    NOT NULL,
    dag_deploy_mode  TEXT    NOT NULL,
    rollback_enabled BOOLEAN NOT NULL,
    settings         TEXT    NOT NULL,
    -- The highest number, what runs now, and what ran before that; 0 for none.
    latest_number    BIGINT  NOT NULL,
    current_number   BIGINT  NOT NULL,
    previous_number  BIGINT  NOT NULL,
    -- Counts the changes of the Deployment and of its history.
    change           BIGINT  NOT NULL,
    created_by       TEXT    NOT NULL,
    create_time      BIGINT  NOT NULL,
    update_time      BIGINT  NOT NULL,
    UNIQUE (workspace, deployment_id)
);

CREATE TABLE deploys (
    deployment_uid     UUID    NOT NULL REFERENCES deployments (uid),
    number             BIGINT  NOT NULL,
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
    create_time        BIGINT  NOT NULL,
    deploy_time        BIGINT,
    -- When the deploy ceased to be the current one.
    ceased_time        BIGINT,
    -- Set if a rollback made the deploy: where it came from, and the permit, kept as evidence.
    source_number      BIGINT,
    replaced_number    BIGINT,
    rollback_scope     TEXT,
    rollback_id        UUID    UNIQUE,
    permit_id          UUID    UNIQUE,
    permit             TEXT,
    PRIMARY KEY (deployment_uid, number)
);

-- What became of a rollback id: its deploy, or, without a number, nothing for ever. Whoever inserts
-- first decides.
CREATE TABLE rollback_writes (
    rollback_id    UUID    NOT NULL PRIMARY KEY,
    deployment_uid UUID    NOT NULL REFERENCES deployments (uid),
    number         BIGINT,
    create_time    BIGINT  NOT NULL
);

CREATE TABLE dag_bundles (
    deployment_uid UUID    NOT NULL REFERENCES deployments (uid),
    sha256         TEXT    NOT NULL,
    size_bytes     BIGINT  NOT NULL,
    created_by     TEXT    NOT NULL,
    create_time    BIGINT  NOT NULL,
    PRIMARY KEY (deployment_uid, sha256)
);

CREATE TABLE requests (
    principal   TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    parent      TEXT    NOT NULL,
    request_id  UUID    NOT NULL,
    body        BYTEA   NOT NULL,
    outcome     TEXT    NOT NULL,
    create_time BIGINT  NOT NULL,
    PRIMARY KEY (principal, method, parent, request_id)
);

CREATE INDEX requests_by_time ON requests (create_time);
