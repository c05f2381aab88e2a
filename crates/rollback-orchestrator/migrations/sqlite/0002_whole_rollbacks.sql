-- SQLite changes no constraint of a table: both tables are made anew.
CREATE TABLE new_rollbacks (
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
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
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
    hold INTEGER NOT NULL,
    -- Whether the person meant a target that is marked bad.
    allow_marked_bad INTEGER NOT NULL,
    -- Who asked to cancel it, and when; also where that came too late.
    cancelled_by TEXT,
    cancel_time INTEGER,
    -- The state that it ends in once the registry has confirmed that there is no deploy: FAILED or
    -- CANCELLED. Set from the moment on at which nothing more is tried.
    closing TEXT,
    -- Until when the roll-out of the deploy is followed, by the clock of this database. Set if somebody
    -- else ships it.
    roll_out_deadline INTEGER,
    -- Why the roll-out ended as it did, in words of whoever shipped the deploy.
    roll_out_reason TEXT,
    CHECK ((request_id IS NULL) = (request_body IS NULL)),
    CHECK ((state = 'SUCCEEDED') = (deploy IS NOT NULL)),
    CHECK ((deploy IS NULL) = (roll_out IS NULL)),
    CHECK (state NOT IN ('FAILED', 'CANCELLED') OR error IS NOT NULL),
    CHECK ((state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (end_time IS NOT NULL)),
    CHECK ((cancelled_by IS NULL) = (cancel_time IS NULL)),
    CHECK (state <> 'RUNNING' OR (error IS NULL) = (closing IS NULL))
) STRICT;

INSERT INTO new_rollbacks (
    id, deployment, deployment_uid, request_id, request_body, created_by, target,
    expected_latest, replaced, scope, description, permissions, plan_digest, acknowledged,
    state, needs_attention, deploy, roll_out, error, write_deadline, create_time, update_time,
    end_time, version, lease_owner, lease_expire_time, fence,
    hold, allow_marked_bad, closing, roll_out_deadline
)
SELECT
    id, deployment, deployment_uid, request_id, request_body, created_by, target,
    expected_latest, replaced, scope, description, permissions, plan_digest, acknowledged,
    state, needs_attention, deploy, roll_out, error, write_deadline, create_time, update_time,
    end_time, version, lease_owner, lease_expire_time, fence,
    0, 0, CASE WHEN state = 'RUNNING' AND error IS NOT NULL THEN 'FAILED' END,
    CASE WHEN roll_out = 'NOT_ENDED' THEN end_time + 3600000000 END
FROM rollbacks;

CREATE TABLE new_rollback_steps (
    rollback BLOB NOT NULL REFERENCES new_rollbacks (id),
    kind TEXT NOT NULL CHECK (kind IN ('PLAN', 'AUTHORIZE', 'WRITE', 'ROLL_OUT')),
    attempts INTEGER NOT NULL,
    -- How often the last attempt failed: more than once where nobody knows what became of it.
    failures INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    error BLOB,
    PRIMARY KEY (rollback, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO new_rollback_steps
SELECT rollback, kind, attempts, CASE WHEN error IS NULL THEN 0 ELSE 1 END, start_time, end_time, error
FROM rollback_steps;
DROP TABLE rollback_steps;
DROP TABLE rollbacks;
ALTER TABLE new_rollbacks RENAME TO rollbacks;
ALTER TABLE new_rollback_steps RENAME TO rollback_steps;

-- Roll-outs that nobody has followed so far are followed from now on.
INSERT INTO rollback_steps (rollback, kind, attempts, failures, start_time)
SELECT id, 'ROLL_OUT', 1, 0, end_time FROM rollbacks WHERE roll_out = 'NOT_ENDED';

-- A request is accepted once.
CREATE UNIQUE INDEX rollbacks_by_request ON rollbacks (created_by, deployment, request_id);

-- At most one rollback of a Deployment lies between its acceptance and its write.
CREATE UNIQUE INDEX rollbacks_unwritten ON rollbacks (deployment_uid)
    WHERE state IN ('PENDING', 'RUNNING');

CREATE INDEX rollbacks_to_take_up ON rollbacks (lease_expire_time)
    WHERE state IN ('PENDING', 'RUNNING');

-- Those whose roll-out is followed. Who looks at one says by its lease when to look again.
CREATE INDEX rollbacks_to_follow ON rollbacks (lease_expire_time) WHERE roll_out = 'NOT_ENDED';

-- Newest first, for lists.
CREATE INDEX rollbacks_by_time ON rollbacks (deployment, create_time, id);

-- Which rollback made a deploy, and which one replaced it.
CREATE INDEX rollbacks_by_deploy ON rollbacks (deployment_uid, deploy) WHERE deploy IS NOT NULL;
CREATE INDEX rollbacks_by_replaced ON rollbacks (deployment_uid, replaced) WHERE deploy IS NOT NULL;

-- What was decided and done about the rollbacks of a Deployment. Rows are for ever. Each is written in the
-- transaction of what it tells of.
CREATE TABLE audit_events (
    deployment TEXT NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    -- None for a request that was refused.
    rollback BLOB,
    event_time INTEGER NOT NULL,
    -- What else the kind tells, as JSON.
    detail TEXT NOT NULL,
    PRIMARY KEY (deployment, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_events_by_rollback ON audit_events (rollback, number) WHERE rollback IS NOT NULL;

-- The number of the last event of each Deployment: who writes one locks the row first, so that numbers
-- have no gaps and are committed in their order.
CREATE TABLE audit_counters (
    deployment TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many refusals of a principal were kept since the beginning of its hour: who asks again and again
-- fills no disk.
CREATE TABLE audit_refusals (
    principal TEXT PRIMARY KEY,
    hour_start INTEGER NOT NULL,
    kept INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
