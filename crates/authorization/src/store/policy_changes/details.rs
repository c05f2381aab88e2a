//! A change as its row holds it: a type, the name of what was changed, and a document.

use chassis::database::time;
use model::names::{RoleBindingName, RoleName};
use model::permissions::{Permission, PermissionSet};
use serde::{Deserialize, Serialize};

use crate::domain::policy::RoleBinding;
use crate::domain::policy_change::Change;
use crate::domain::tokens::TokenId;
use crate::store::error::corrupt;
use crate::store::{Error, document};

const ROLE_CREATED: &str = "role_created";
const ROLE_UPDATED: &str = "role_updated";
const ROLE_DELETED: &str = "role_deleted";
const BUILT_IN_ROLE_CHANGED: &str = "built_in_role_changed";
const ROLE_BINDING_CREATED: &str = "role_binding_created";
const ROLE_BINDING_UPDATED: &str = "role_binding_updated";
const ROLE_BINDING_DELETED: &str = "role_binding_deleted";
const TOKEN_REVOKED: &str = "token_revoked";

/// What the columns `type` and `details` hold.
#[derive(Debug)]
pub(super) struct Details {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

#[derive(Serialize, Deserialize)]
struct RoleDetails {
    added: Vec<String>,
    removed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct BindingDetails {
    principal: String,
    role: String,
    created_by: String,
    create_time: i64,
    expire_time: Option<i64>,
    managed_by: Option<String>,
}

/// The name says all.
#[derive(Serialize, Deserialize)]
struct TokenDetails {}

impl Details {
    pub(super) fn write(change: &Change) -> Result<Self, Error> {
        const NONE: PermissionSet = PermissionSet::EMPTY;
        let (kind, text) = match change {
            Change::RoleCreated {
                role: _,
                permissions,
            } => (ROLE_CREATED, write_role(*permissions, NONE)?),
            Change::RoleUpdated {
                role: _,
                added,
                removed,
            } => (ROLE_UPDATED, write_role(*added, *removed)?),
            Change::RoleDeleted {
                role: _,
                permissions,
            } => (ROLE_DELETED, write_role(NONE, *permissions)?),
            Change::BuiltInRoleChanged {
                role: _,
                added,
                removed,
            } => (BUILT_IN_ROLE_CHANGED, write_role(*added, *removed)?),
            Change::RoleBindingCreated(binding) => (ROLE_BINDING_CREATED, write_binding(binding)?),
            Change::RoleBindingUpdated(binding) => (ROLE_BINDING_UPDATED, write_binding(binding)?),
            Change::RoleBindingDeleted(binding) => (ROLE_BINDING_DELETED, write_binding(binding)?),
            Change::TokenRevoked { account: _, id: _ } => {
                (TOKEN_REVOKED, document::write(&TokenDetails {})?)
            }
        };
        Ok(Self { kind, text })
    }

    /// Reads a change of this type and name.
    pub(super) fn read(kind: &str, name: &str, text: &str) -> Result<Change, Error> {
        match kind {
            ROLE_CREATED => {
                let (permissions, _) = read_role(text)?;
                let role = name.parse().map_err(corrupt)?;
                Ok(Change::RoleCreated { role, permissions })
            }
            ROLE_UPDATED => {
                let (added, removed) = read_role(text)?;
                let role = name.parse().map_err(corrupt)?;
                Ok(Change::RoleUpdated {
                    role,
                    added,
                    removed,
                })
            }
            ROLE_DELETED => {
                let (_, permissions) = read_role(text)?;
                let role = name.parse().map_err(corrupt)?;
                Ok(Change::RoleDeleted { role, permissions })
            }
            BUILT_IN_ROLE_CHANGED => {
                let (added, removed) = read_role(text)?;
                let role = name.parse::<RoleName>().map_err(corrupt)?.system_role();
                let role = role.ok_or_else(|| corrupt(format!("{name} is not built in")))?;
                Ok(Change::BuiltInRoleChanged {
                    role,
                    added,
                    removed,
                })
            }
            ROLE_BINDING_CREATED => Ok(Change::RoleBindingCreated(read_binding(name, text)?)),
            ROLE_BINDING_UPDATED => Ok(Change::RoleBindingUpdated(read_binding(name, text)?)),
            ROLE_BINDING_DELETED => Ok(Change::RoleBindingDeleted(read_binding(name, text)?)),
            TOKEN_REVOKED => {
                let TokenDetails {} = document::read(text)?;
                read_token(name)
            }
            other => Err(corrupt(format!("a change of the type {other:?}"))),
        }
    }
}

fn write_role(added: PermissionSet, removed: PermissionSet) -> Result<String, Error> {
    let names = |set: PermissionSet| {
        set.iter()
            .map(|permission| permission.to_string())
            .collect()
    };
    document::write(&RoleDetails {
        added: names(added),
        removed: names(removed),
    })
}

/// What was gained, and what was lost.
fn read_role(text: &str) -> Result<(PermissionSet, PermissionSet), Error> {
    let RoleDetails { added, removed } = document::read(text)?;
    let set = |names: Vec<String>| {
        let permissions = names.iter().map(|name| name.parse::<Permission>());
        permissions
            .collect::<Result<PermissionSet, _>>()
            .map_err(corrupt)
    };
    Ok((set(added)?, set(removed)?))
}

fn write_binding(binding: &RoleBinding) -> Result<String, Error> {
    let RoleBinding {
        name: _,
        principal,
        role,
        created_by,
        create_time,
        expire_time,
        managed_by,
    } = binding;
    document::write(&BindingDetails {
        principal: principal.to_string(),
        role: role.to_string(),
        created_by: created_by.to_string(),
        create_time: create_time.timestamp_micros(),
        expire_time: expire_time.map(|time| time.timestamp_micros()),
        managed_by: managed_by.as_ref().map(ToString::to_string),
    })
}

fn read_binding(name: &str, text: &str) -> Result<RoleBinding, Error> {
    let BindingDetails {
        principal,
        role,
        created_by,
        create_time,
        expire_time,
        managed_by,
    } = document::read(text)?;
    let managed_by = managed_by.as_deref().map(str::parse).transpose();
    Ok(RoleBinding {
        name: name.parse::<RoleBindingName>().map_err(corrupt)?,
        principal: principal.parse().map_err(corrupt)?,
        role: role.parse().map_err(corrupt)?,
        created_by: created_by.parse().map_err(corrupt)?,
        create_time: time(create_time)?,
        expire_time: expire_time.map(time).transpose()?,
        managed_by: managed_by.map_err(corrupt)?,
    })
}

fn read_token(name: &str) -> Result<Change, Error> {
    let token = name.rsplit_once("/tokens/").and_then(|(account, id)| {
        let (account, id) = (account.parse().ok()?, TokenId::parse(id)?);
        Some(Change::TokenRevoked { account, id })
    });
    token.ok_or_else(|| corrupt(format!("{name:?} is no name of a token")))
}
