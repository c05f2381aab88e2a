//! From the domain to protobuf.

mod policy_change;

use chassis::convert::timestamp;
use chassis::identity::PublicKey;
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1 as pb;
use sha2::{Digest, Sha256};

pub(super) use self::policy_change::policy_change;
use crate::domain::decision::{Decision, Denied, Granted};
use crate::domain::index::IndexedRole;
use crate::domain::policy::{Role, RoleBinding};
use crate::domain::tokens::{Revocation, ServiceAccountToken};

pub(super) fn decision(decision: &Decision) -> pb::Decision {
    match decision {
        Decision::Allowed(granted) => pb::Decision {
            allowed: true,
            granted_by: Some(grant(granted)),
            explanation: granted.to_string(),
            missing: None,
        },
        Decision::Denied(denied) => pb::Decision {
            allowed: false,
            granted_by: None,
            explanation: denied.to_string(),
            missing: Some(missing(denied)),
        },
    }
}

fn missing(denied: &Denied) -> pb::MissingPermission {
    let Denied {
        principal: _,
        groups: _,
        permission,
        resource,
        expired: _,
        roles,
    } = denied;
    pb::MissingPermission {
        permission: permission.to_string(),
        resource: resource.to_string(),
        roles: roles.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn grant(granted: &Granted) -> pb::Grant {
    match granted {
        Granted::ByBinding {
            principal,
            role,
            binding,
            expire_time,
        } => pb::Grant {
            principal: principal.to_string(),
            role: role.to_string(),
            role_binding: binding.to_string(),
            resource: binding.parent().to_string(),
            expire_time: expire_time.map(timestamp),
        },
        Granted::ByConfiguration { principal } => pb::Grant {
            principal: principal.to_string(),
            role: String::new(),
            role_binding: String::new(),
            resource: String::new(),
            expire_time: None,
        },
    }
}

pub(super) fn permission(permission: Permission) -> pb::Permission {
    pb::Permission {
        name: permission.to_string(),
        level: permission.level().to_string(),
        description: permission.description().to_owned(),
        service_only: permission.service_only(),
    }
}

pub(super) fn role(role: &Role) -> pb::Role {
    let Role {
        name,
        display_name,
        description,
        permissions,
        created_by,
        create_time,
        updated_by,
        update_time,
        managed_by,
    } = role;
    pb::Role {
        name: name.to_string(),
        display_name: display_name.clone(),
        description: description.clone(),
        permissions: texts(*permissions),
        created_by: created_by.to_string(),
        create_time: Some(timestamp(*create_time)),
        etag: etag(role),
        update_time: Some(timestamp(*update_time)),
        updated_by: updated_by.to_string(),
        managed_by: text(managed_by.as_ref()),
        added_permissions: Vec::new(),
        removed_permissions: Vec::new(),
    }
}

/// A role that is built in: nobody has made it, and nobody changes it by a call.
pub(super) fn built_in_role(role: &IndexedRole) -> pb::Role {
    let IndexedRole {
        name,
        permissions,
        complete: _,
    } = role;
    pb::Role {
        name: name.to_string(),
        permissions: texts(*permissions),
        added_permissions: texts(role.added()),
        removed_permissions: texts(role.removed()),
        ..pb::Role::default()
    }
}

/// A digest of all that can change of a role. The time keeps a role that was changed back from
/// looking unchanged.
pub(super) fn etag(role: &Role) -> String {
    let Role {
        name: _,
        display_name,
        description,
        permissions,
        created_by: _,
        create_time: _,
        updated_by,
        update_time,
        managed_by,
    } = role;
    let mut digest = Sha256::new();
    for text in [
        display_name,
        description,
        &permissions.to_string(),
        &updated_by.to_string(),
        &update_time.timestamp_micros().to_string(),
        &text(managed_by.as_ref()),
    ] {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    }
    digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What is not there is empty.
fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn texts(permissions: PermissionSet) -> Vec<String> {
    permissions
        .iter()
        .map(|permission| permission.to_string())
        .collect()
}

pub(super) fn role_binding(binding: &RoleBinding) -> pb::RoleBinding {
    let RoleBinding {
        name,
        principal,
        role,
        created_by,
        create_time,
        expire_time,
        managed_by,
    } = binding;
    pb::RoleBinding {
        name: name.to_string(),
        principal: principal.to_string(),
        role: role.to_string(),
        created_by: created_by.to_string(),
        create_time: Some(timestamp(*create_time)),
        expire_time: expire_time.map(timestamp),
        managed_by: text(managed_by.as_ref()),
    }
}

pub(super) fn service_account_token(token: &ServiceAccountToken) -> pb::ServiceAccountToken {
    let ServiceAccountToken {
        name,
        description,
        expire_time,
        created_by,
        create_time,
        last_use_time,
        revocation,
    } = token;
    let (revoke_time, revoked_by, revoke_reason) = match revocation {
        None => (None, String::new(), String::new()),
        Some(Revocation { time, by, reason }) => {
            (Some(timestamp(*time)), by.to_string(), reason.clone())
        }
    };
    pb::ServiceAccountToken {
        name: name.to_string(),
        description: description.clone(),
        expire_time: Some(timestamp(*expire_time)),
        created_by: created_by.to_string(),
        create_time: Some(timestamp(*create_time)),
        last_use_time: last_use_time.map(timestamp),
        revoke_time,
        revoked_by,
        revoke_reason,
    }
}

/// A key as RFC 7517 and RFC 8037 have it.
pub(super) fn json_web_key(key: &PublicKey) -> pb::JsonWebKey {
    pb::JsonWebKey {
        kid: key.kid().to_owned(),
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        alg: "EdDSA".to_owned(),
        r#use: "sig".to_owned(),
        x: key.x().to_owned(),
    }
}
