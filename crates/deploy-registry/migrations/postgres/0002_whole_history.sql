ALTER TABLE deployments ADD COLUMN delivery TEXT NOT NULL DEFAULT 'RECORD';
ALTER TABLE deployments ADD COLUMN execution_mode TEXT NOT NULL DEFAULT 'HOSTED';
-- Set once the Deployment is deleted. Its name stays taken, and its history stays.
ALTER TABLE deployments ADD COLUMN delete_time BIGINT;
-- Set while a hold is on.
ALTER TABLE deployments ADD COLUMN hold_reason TEXT;
ALTER TABLE deployments ADD COLUMN hold_by TEXT;
ALTER TABLE deployments ADD COLUMN hold_time BIGINT;

ALTER TABLE deploys ADD COLUMN state_reason TEXT NOT NULL DEFAULT '';
-- The Deployment's `change` when the deploy last changed; 0 for those of before.
ALTER TABLE deploys ADD COLUMN change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deploys ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
UPDATE deploys SET update_time = create_time;
-- Set while the deploy is marked, and while it is pinned.
ALTER TABLE deploys ADD COLUMN mark TEXT;
ALTER TABLE deploys ADD COLUMN mark_reason TEXT;
ALTER TABLE deploys ADD COLUMN mark_by TEXT;
ALTER TABLE deploys ADD COLUMN mark_time BIGINT;
ALTER TABLE deploys ADD COLUMN pin_by TEXT;
ALTER TABLE deploys ADD COLUMN pin_time BIGINT;

-- Tells which deploy ran at some time. A deploy that never ran has no such time.
CREATE INDEX deploys_by_deploy_time ON deploys (deployment_uid, deploy_time, number);

-- What changed about a Deployment and its history, in order and without gaps: each value of
-- `deployments.change` has its row, until it is trimmed.
CREATE TABLE deploy_changes (
    deployment_uid UUID    NOT NULL REFERENCES deployments (uid),
    change         BIGINT  NOT NULL,
    kind           TEXT    NOT NULL,
    -- Set if it was a deploy that changed.
    number         BIGINT,
    deploy_state   TEXT,
    create_time    BIGINT  NOT NULL,
    PRIMARY KEY (deployment_uid, change)
);

CREATE INDEX deploy_changes_by_time ON deploy_changes (create_time);

-- Tells cheaply which Deployments moved: their rows are large.
CREATE INDEX deployments_by_change ON deployments (workspace, deployment_id, uid, change);

-- What remote agents said of themselves last.
CREATE TABLE agents (
    deployment_uid  UUID    NOT NULL REFERENCES deployments (uid),
    agent_id        TEXT COLLATE "C" NOT NULL,
    runtime_version TEXT    NOT NULL,
    running_tasks   BIGINT  NOT NULL,
    queued_tasks    BIGINT  NOT NULL,
    deferred_tasks  BIGINT  NOT NULL,
    report_time     BIGINT  NOT NULL,
    expire_time     BIGINT  NOT NULL,
    PRIMARY KEY (deployment_uid, agent_id)
);

CREATE INDEX agents_by_expire_time ON agents (expire_time);

-- Whether the image registry confirmed the image, if it was asked, and what it did not confirm.
ALTER TABLE deploys ADD COLUMN image_verification TEXT;
ALTER TABLE deploys ADD COLUMN image_verification_reason TEXT;

-- The bytes of all bundles of the Deployment, which its quota bounds.
ALTER TABLE deployments ADD COLUMN bundle_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE deployments SET bundle_bytes =
    (SELECT CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT) FROM dag_bundles b WHERE b.deployment_uid = deployments.uid);

-- Which object of the bundle store has the bytes.
ALTER TABLE dag_bundles ADD COLUMN object TEXT NOT NULL DEFAULT '';
-- When somebody last brought the bytes or asked to.
ALTER TABLE dag_bundles ADD COLUMN use_time BIGINT NOT NULL DEFAULT 0;
-- Since when nothing needs the bundle, as a sweep found.
ALTER TABLE dag_bundles ADD COLUMN mark_time BIGINT;
UPDATE dag_bundles SET object = sha256, use_time = create_time;

-- Which bundles the revision of each deploy needs.
CREATE TABLE deploy_bundles (
    deployment_uid UUID    NOT NULL REFERENCES deployments (uid),
    number         BIGINT  NOT NULL,
    sha256         TEXT    NOT NULL,
    PRIMARY KEY (deployment_uid, number, sha256)
);

CREATE INDEX deploy_bundles_by_sha256 ON deploy_bundles (deployment_uid, sha256, number);

INSERT INTO deploy_bundles
SELECT deployment_uid, number, revision::jsonb #>> '{dag_bundle,sha256}'
FROM deploys
WHERE revision::jsonb #>> '{dag_bundle,sha256}' IS NOT NULL
UNION
SELECT d.deployment_uid, d.number, b.value ->> 'sha256'
FROM deploys d, jsonb_each(d.revision::jsonb -> 'dbt_bundles') b;

-- Which replica sweeps, until when it does unless it says so again, and when the last sweep ended.
-- There is one row at most.
CREATE TABLE sweep (
    one         BIGINT  NOT NULL PRIMARY KEY CHECK (one = 1),
    holder      UUID    NOT NULL,
    expire_time BIGINT  NOT NULL,
    end_time    BIGINT  NOT NULL
);
