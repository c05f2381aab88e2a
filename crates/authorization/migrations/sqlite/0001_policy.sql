-- The number of the policy: it grows by one in the transaction of every change of roles or bindings.
CREATE TABLE policy (
    singleton INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    revision  INTEGER NOT NULL CHECK (revision > 0)
) STRICT;

-- Custom roles. `permissions` is a JSON document with a version.
CREATE TABLE roles (
    name         TEXT    NOT NULL PRIMARY KEY,
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    permissions  TEXT    NOT NULL,
    created_by   TEXT    NOT NULL,
    create_time  INTEGER NOT NULL
) STRICT;

CREATE TABLE role_bindings (
    id          BLOB    NOT NULL PRIMARY KEY,
    resource    TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    UNIQUE (resource, principal, role)
) STRICT;

CREATE INDEX role_bindings_in_order ON role_bindings (resource, id);

CREATE TABLE service_accounts (
    name        TEXT    NOT NULL PRIMARY KEY,
    created_by  TEXT    NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

-- What is known of tokens that were given out; never the tokens.
CREATE TABLE service_account_tokens (
    id          BLOB    NOT NULL PRIMARY KEY,
    account     TEXT    NOT NULL REFERENCES service_accounts (name),
    description TEXT    NOT NULL,
    expire_time INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

-- What the first permit of a rollback leaves, so that another one can be had without the person.
-- `groups` and `bound` are JSON documents with a version; `expire_time` is by this database's clock.
CREATE TABLE grants (
    rollback_id BLOB    NOT NULL PRIMARY KEY,
    person      TEXT    NOT NULL,
    groups      TEXT    NOT NULL,
    token_id    TEXT,
    bound       TEXT    NOT NULL,
    expire_time INTEGER NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

CREATE INDEX grants_by_expire_time ON grants (expire_time);

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

CREATE INDEX requests_by_create_time ON requests (create_time);
