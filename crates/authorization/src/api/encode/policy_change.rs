//! A change of the policy.

use chassis::convert::timestamp;
use model::permissions::PermissionSet;
use proto::authorization::v1::{self as pb, PolicyChangeType};

use super::{text, texts};
use crate::domain::policy::RoleBinding;
use crate::domain::policy_change::{Author, Change, PolicyChange, Position};

pub(in crate::api) fn policy_change(change: &PolicyChange) -> pb::PolicyChange {
    let PolicyChange {
        position: Position { revision, number },
        author:
            Author {
                principal,
                time,
                reason,
                managed_by,
            },
        change,
    } = change;
    let (details, kind) = details(change);
    pb::PolicyChange {
        policy_revision: revision.0,
        number: *number,
        r#type: kind.into(),
        resource: change.resource().to_string(),
        name: change.name(),
        changed_by: principal.to_string(),
        change_time: Some(timestamp(*time)),
        reason: reason.clone(),
        managed_by: text(managed_by.as_ref()),
        ..details
    }
}

/// What a change of this type says beyond what every change does.
fn details(change: &Change) -> (pb::PolicyChange, PolicyChangeType) {
    const NONE: PermissionSet = PermissionSet::EMPTY;
    match change {
        Change::RoleCreated {
            role: _,
            permissions,
        } => (of_role(*permissions, NONE), PolicyChangeType::RoleCreated),
        Change::RoleUpdated {
            role: _,
            added,
            removed,
        } => (of_role(*added, *removed), PolicyChangeType::RoleUpdated),
        Change::RoleDeleted {
            role: _,
            permissions,
        } => (of_role(NONE, *permissions), PolicyChangeType::RoleDeleted),
        Change::BuiltInRoleChanged {
            role: _,
            added,
            removed,
        } => (
            of_role(*added, *removed),
            PolicyChangeType::BuiltInRoleChanged,
        ),
        Change::RoleBindingCreated(binding) => {
            (of_binding(binding), PolicyChangeType::RoleBindingCreated)
        }
        Change::RoleBindingUpdated(binding) => {
            (of_binding(binding), PolicyChangeType::RoleBindingUpdated)
        }
        Change::RoleBindingDeleted(binding) => {
            (of_binding(binding), PolicyChangeType::RoleBindingDeleted)
        }
        Change::TokenRevoked { account: _, id: _ } => {
            (pb::PolicyChange::default(), PolicyChangeType::TokenRevoked)
        }
    }
}

fn of_role(added: PermissionSet, removed: PermissionSet) -> pb::PolicyChange {
    pb::PolicyChange {
        added_permissions: texts(added),
        removed_permissions: texts(removed),
        ..pb::PolicyChange::default()
    }
}

fn of_binding(binding: &RoleBinding) -> pb::PolicyChange {
    let RoleBinding {
        name: _,
        principal,
        role,
        created_by: _,
        create_time: _,
        expire_time,
        managed_by: _,
    } = binding;
    pb::PolicyChange {
        principal: principal.to_string(),
        role: role.to_string(),
        expire_time: expire_time.map(timestamp),
        ..pb::PolicyChange::default()
    }
}
