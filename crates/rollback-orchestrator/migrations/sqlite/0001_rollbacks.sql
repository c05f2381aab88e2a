-- One accepted request to roll a Deployment back. Rows are for ever.
CREATE TABLE rollbacks (
    id BLOB PRIMARY KEY,
    deployment TEXT NOT NULL,
    deployment_uid BLOB NOT NULL,
    -- What the client called the request, and the SHA-256 of the request.
    request_id BLOB,
    request_body BLOB,
    created_by TEXT NOT NULL,
    target INTEGER NOT NULL,
    expected_latest INTEGER NOT NULL,
    replaced INTEGER NOT NULL,
    scope TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    plan_digest TEXT NOT NULL,
    acknowledged TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED')),
    needs_attention INTEGER NOT NULL,
    deploy INTEGER,
    roll_out TEXT,
    -- An encoded google.rpc.Status: why it failed, or, while it runs, what it fails with once the
    -- registry has confirmed that there is no deploy.
    error BLOB,
    write_deadline INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    end_time INTEGER,
    version INTEGER NOT NULL,
    -- Who carries it out, until when, by the clock of this database. The fence goes up with every
    -- new owner, and every later write names the fence that it was begun under.
    lease_owner BLOB,
    lease_expire_time INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    CHECK ((request_id IS NULL) = (request_body IS NULL)),
    CHECK ((state = 'SUCCEEDED') = (deploy IS NOT NULL)),
    CHECK ((deploy IS NULL) = (roll_out IS NULL)),
    CHECK (state <> 'FAILED' OR error IS NOT NULL),
    CHECK ((state IN ('SUCCEEDED', 'FAILED')) = (end_time IS NOT NULL))
) STRICT;

-- A request is accepted once.
CREATE UNIQUE INDEX rollbacks_by_request ON rollbacks (created_by, deployment, request_id);

-- At most one rollback of a Deployment lies between its acceptance and its write.
CREATE UNIQUE INDEX rollbacks_unwritten ON rollbacks (deployment_uid)
    WHERE state IN ('PENDING', 'RUNNING');

CREATE INDEX rollbacks_to_take_up ON rollbacks (lease_expire_time)
    WHERE state IN ('PENDING', 'RUNNING');

CREATE TABLE rollback_steps (
    rollback BLOB NOT NULL REFERENCES rollbacks (id),
    kind TEXT NOT NULL CHECK (kind IN ('PLAN', 'AUTHORIZE', 'WRITE', 'ROLL_OUT')),
    attempts INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    error BLOB,
    PRIMARY KEY (rollback, kind)
) STRICT, WITHOUT ROWID;
