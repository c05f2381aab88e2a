ALTER TABLE deployments ADD COLUMN delivery TEXT NOT NULL DEFAULT 'RECORD';
ALTER TABLE deployments ADD COLUMN execution_mode TEXT NOT NULL DEFAULT 'HOSTED';
-- Set once the Deployment is deleted. Its name stays taken, and its history stays.
ALTER TABLE deployments ADD COLUMN delete_time INTEGER;
-- Set while a hold is on.
ALTER TABLE deployments ADD COLUMN hold_reason TEXT;
ALTER TABLE deployments ADD COLUMN hold_by TEXT;
ALTER TABLE deployments ADD COLUMN hold_time INTEGER;

ALTER TABLE deploys ADD COLUMN state_reason TEXT NOT NULL DEFAULT '';
-- The Deployment's `change` when the deploy last changed; 0 for those of before.
ALTER TABLE deploys ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deploys ADD COLUMN update_time INTEGER NOT NULL DEFAULT 0;
UPDATE deploys SET update_time = create_time;
-- Set while the deploy is marked, and while it is pinned.
ALTER TABLE deploys ADD COLUMN mark TEXT;
ALTER TABLE deploys ADD COLUMN mark_reason TEXT;
ALTER TABLE deploys ADD COLUMN mark_by TEXT;
ALTER TABLE deploys ADD COLUMN mark_time INTEGER;
ALTER TABLE deploys ADD COLUMN pin_by TEXT;
ALTER TABLE deploys ADD COLUMN pin_time INTEGER;

-- Tells which deploy ran at some time. A deploy that never ran has no such time.
CREATE INDEX deploys_by_deploy_time ON deploys (deployment_uid, deploy_time, number);

-- What changed about a Deployment and its history, in order and without gaps: each value of
-- `deployments.change` has its row, until it is trimmed.
CREATE TABLE deploy_changes (
    deployment_uid BLOB    NOT NULL REFERENCES deployments (uid),
    change         INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    -- Set if it was a deploy that changed.
    number         INTEGER,
    deploy_state   TEXT,
    create_time    INTEGER NOT NULL,
    PRIMARY KEY (deployment_uid, change)
) STRICT;

CREATE INDEX deploy_changes_by_time ON deploy_changes (create_time);

-- Tells cheaply which Deployments moved: their rows are large.
CREATE INDEX deployments_by_change ON deployments (workspace, deployment_id, uid, change);

-- What remote agents said of themselves last.
CREATE TABLE agents (
    deployment_uid  BLOB    NOT NULL REFERENCES deployments (uid),
    agent_id        TEXT    NOT NULL,
    runtime_version TEXT    NOT NULL,
    running_tasks   INTEGER NOT NULL,
    queued_tasks    INTEGER NOT NULL,
    deferred_tasks  INTEGER NOT NULL,
    report_time     INTEGER NOT NULL,
    expire_time     INTEGER NOT NULL,
    PRIMARY KEY (deployment_uid, agent_id)
) STRICT;

CREATE INDEX agents_by_expire_time ON agents (expire_time);

-- Whether the image registry confirmed the image, if it was asked, and what it did not confirm.
ALTER TABLE deploys ADD COLUMN image_verification TEXT;
ALTER TABLE deploys ADD COLUMN image_verification_reason TEXT;

-- The bytes of all bundles of the Deployment, which its quota bounds.
ALTER TABLE deployments ADD COLUMN bundle_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE deployments SET bundle_bytes =
    (SELECT CAST(COALESCE(SUM(b.size_bytes), 0) AS INTEGER) FROM dag_bundles b WHERE b.deployment_uid = deployments.uid);

-- Which object of the bundle store has the bytes.
ALTER TABLE dag_bundles ADD COLUMN object TEXT NOT NULL DEFAULT '';
-- When somebody last brought the bytes or asked to.
ALTER TABLE dag_bundles ADD COLUMN use_time INTEGER NOT NULL DEFAULT 0;
-- Since when nothing needs the bundle, as a sweep found.
ALTER TABLE dag_bundles ADD COLUMN mark_time INTEGER;
UPDATE dag_bundles SET object = sha256, use_time = create_time;

-- Which bundles the revision of each deploy needs.
CREATE TABLE deploy_bundles (
    deployment_uid BLOB    NOT NULL REFERENCES deployments (uid),
    number         INTEGER NOT NULL,
    sha256         TEXT    NOT NULL,
    PRIMARY KEY (deployment_uid, number, sha256)
) STRICT;

CREATE INDEX deploy_bundles_by_sha256 ON deploy_bundles (deployment_uid, sha256, number);

INSERT INTO deploy_bundles
SELECT deployment_uid, number, json_extract(revision, '$.dag_bundle.sha256')
FROM deploys
WHERE json_extract(revision, '$.dag_bundle.sha256') IS NOT NULL
UNION
SELECT d.deployment_uid, d.number, json_extract(b.value, '$.sha256')
FROM deploys d, json_each(d.revision, '$.dbt_bundles') b;

-- Which replica sweeps, until when it does unless it says so again, and when the last sweep ended.
-- There is one row at most.
CREATE TABLE sweep (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    holder      BLOB    NOT NULL,
    expire_time INTEGER NOT NULL,
    end_time    INTEGER NOT NULL
) STRICT;
