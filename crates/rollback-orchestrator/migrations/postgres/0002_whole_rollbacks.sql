ALTER TABLE rollbacks ADD COLUMN hold BOOLEAN NOT NULL DEFAULT FALSE;
-- Whether the person meant a target that is marked bad.
ALTER TABLE rollbacks ADD COLUMN allow_marked_bad BOOLEAN NOT NULL DEFAULT FALSE;
-- Who asked to cancel it, and when; also where that came too late.
ALTER TABLE rollbacks ADD COLUMN cancelled_by TEXT;
ALTER TABLE rollbacks ADD COLUMN cancel_time BIGINT;
-- The state that it ends in once the registry has confirmed that there is no deploy: FAILED or
-- CANCELLED. Set from the moment on at which nothing more is tried.
ALTER TABLE rollbacks ADD COLUMN closing TEXT;
-- Until when the roll-out of the deploy is followed, by the clock of this database. Set if somebody
-- else ships it.
ALTER TABLE rollbacks ADD COLUMN roll_out_deadline BIGINT;
-- Why the roll-out ended as it did, in words of whoever shipped the deploy.
ALTER TABLE rollbacks ADD COLUMN roll_out_reason TEXT;

UPDATE rollbacks SET closing = 'FAILED' WHERE state = 'RUNNING' AND error IS NOT NULL;
UPDATE rollbacks SET roll_out_deadline = end_time + 3600000000 WHERE roll_out = 'NOT_ENDED';

-- Roll-outs that nobody has followed so far are followed from now on.
INSERT INTO rollback_steps (rollback, kind, attempts, start_time)
SELECT id, 'ROLL_OUT', 1, end_time FROM rollbacks WHERE roll_out = 'NOT_ENDED';

ALTER TABLE rollbacks DROP CONSTRAINT rollbacks_state_check;
ALTER TABLE rollbacks DROP CONSTRAINT rollbacks_check3;
ALTER TABLE rollbacks DROP CONSTRAINT rollbacks_check4;
ALTER TABLE rollbacks
    ALTER COLUMN hold DROP DEFAULT,
    ALTER COLUMN allow_marked_bad DROP DEFAULT,
    ADD CONSTRAINT rollbacks_state CHECK (state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    ADD CONSTRAINT rollbacks_error CHECK (state NOT IN ('FAILED', 'CANCELLED') OR error IS NOT NULL),
    ADD CONSTRAINT rollbacks_end CHECK ((state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (end_time IS NOT NULL)),
    ADD CONSTRAINT rollbacks_cancel CHECK ((cancelled_by IS NULL) = (cancel_time IS NULL)),
    ADD CONSTRAINT rollbacks_closing CHECK (state <> 'RUNNING' OR (error IS NULL) = (closing IS NULL));

-- How often the last attempt failed: more than once where nobody knows what became of it.
ALTER TABLE rollback_steps ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
UPDATE rollback_steps SET failures = 1 WHERE error IS NOT NULL;
ALTER TABLE rollback_steps ALTER COLUMN failures DROP DEFAULT;

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
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    -- None for a request that was refused.
    rollback UUID,
    event_time BIGINT NOT NULL,
    -- What else the kind tells, as JSON.
    detail TEXT NOT NULL,
    PRIMARY KEY (deployment, number)
);

CREATE INDEX audit_events_by_rollback ON audit_events (rollback, number) WHERE rollback IS NOT NULL;

-- The number of the last event of each Deployment: who writes one locks the row first, so that numbers
-- have no gaps and are committed in their order.
CREATE TABLE audit_counters (
    deployment TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);

-- How many refusals of a principal were kept since the beginning of its hour: who asks again and again
-- fills no disk.
CREATE TABLE audit_refusals (
    principal TEXT PRIMARY KEY,
    hour_start BIGINT NOT NULL,
    kept BIGINT NOT NULL
);
