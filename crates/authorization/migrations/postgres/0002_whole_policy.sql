-- Names are compared byte by byte, as in SQLite, whatever the language of the database is.
ALTER TABLE roles ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE role_bindings ALTER COLUMN resource TYPE TEXT COLLATE "C";
ALTER TABLE role_bindings ALTER COLUMN principal TYPE TEXT COLLATE "C";
ALTER TABLE role_bindings ALTER COLUMN role TYPE TEXT COLLATE "C";
ALTER TABLE service_account_tokens ALTER COLUMN account TYPE TEXT COLLATE "C";
ALTER TABLE service_accounts ALTER COLUMN name TYPE TEXT COLLATE "C";

ALTER TABLE roles ADD COLUMN updated_by TEXT NOT NULL DEFAULT '';
ALTER TABLE roles ADD COLUMN update_time BIGINT NOT NULL DEFAULT 0;
-- The name of the policy file that keeps the role as it is; null if none does.
ALTER TABLE roles ADD COLUMN managed_by TEXT;
UPDATE roles SET updated_by = created_by, update_time = create_time;

-- By the clocks of the replicas, which must be in step. An expired binding stays, and gives nothing.
ALTER TABLE role_bindings ADD COLUMN expire_time BIGINT;
ALTER TABLE role_bindings ADD COLUMN managed_by TEXT;
CREATE INDEX role_bindings_by_principal ON role_bindings (principal, resource, id);
CREATE INDEX role_bindings_by_role ON role_bindings (role, resource, id);

-- What built-in roles hold in this installation and not elsewhere (`held`), or the other way round.
CREATE TABLE built_in_role_changes (
    role       TEXT    NOT NULL,
    permission TEXT    NOT NULL,
    held       BOOLEAN NOT NULL,
    managed_by TEXT    NOT NULL,
    PRIMARY KEY (role, permission)
);

ALTER TABLE service_account_tokens ADD COLUMN last_use_time BIGINT;
ALTER TABLE service_account_tokens ADD COLUMN revoke_time BIGINT;
ALTER TABLE service_account_tokens ADD COLUMN revoked_by TEXT;
ALTER TABLE service_account_tokens ADD COLUMN revoke_reason TEXT;
CREATE INDEX service_account_tokens_by_account ON service_account_tokens (account, id);
CREATE INDEX service_account_tokens_revoked ON service_account_tokens (expire_time)
    WHERE revoke_time IS NOT NULL;

-- Who changed the policy, when and why: written in the transaction of the change, never changed.
-- `workspace` is the one that the resource is, or is in; null for the system. `details` is a JSON
-- document with a version.
CREATE TABLE policy_changes (
    revision    BIGINT NOT NULL,
    number      BIGINT NOT NULL CHECK (number > 0),
    type        TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    workspace   TEXT,
    name        TEXT    NOT NULL,
    changed_by  TEXT    NOT NULL,
    change_time BIGINT NOT NULL,
    reason      TEXT    NOT NULL,
    managed_by  TEXT,
    details     TEXT    NOT NULL,
    PRIMARY KEY (revision, number)
);

CREATE INDEX policy_changes_by_resource ON policy_changes (resource, revision, number);
CREATE INDEX policy_changes_by_workspace ON policy_changes (workspace, revision, number);
