//! What built-in roles hold differently in one installation.

use std::collections::BTreeMap;

use thiserror::Error;

use super::SystemRole;
use crate::names::Level;
use crate::permissions::{Permission, PermissionSet};

/// What built-in roles hold in one installation and not elsewhere, and the other way round.
///
/// What a role gains or loses, every role gains or loses that includes it, unless something is said
/// of that role too. Whatever the changes, a role holds nothing that a custom role of its level
/// could not, and SYSTEM_ADMIN can give roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChanges(BTreeMap<SystemRole, RoleChange>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RoleChange {
    held: PermissionSet,
    not_held: PermissionSet,
}

/// Why a built-in role cannot be changed in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RoleChangeError {
    /// Services have it by configuration.
    #[error("{permission} is for services only: no role holds it")]
    ServiceOnly {
        /// What was to be held, or not.
        permission: Permission,
    },
    /// It means nothing where the role is made for.
    #[error("{permission} has no meaning in {role}, a role of a {level}")]
    AboveLevel {
        /// The role.
        role: SystemRole,
        /// The level of the role.
        level: Level,
        /// What was to be held, or not.
        permission: Permission,
    },
    /// Nobody could give roles any more, nor take this back.
    #[error("{role} cannot lose {permission}: nobody could give roles any more")]
    LastAdministration {
        /// The role.
        role: SystemRole,
        /// What was not to be held.
        permission: Permission,
    },
}

impl RoleChanges {
    /// Says that a role holds a permission, or does not. What was said before of the two is
    /// replaced.
    ///
    /// # Errors
    ///
    /// If no role of that level can hold the permission, or SYSTEM_ADMIN could not give roles any
    /// more. Nothing is changed then.
    pub fn set(
        &mut self,
        role: SystemRole,
        permission: Permission,
        held: bool,
    ) -> Result<(), RoleChangeError> {
        let level = role.level();
        if permission.service_only() {
            return Err(RoleChangeError::ServiceOnly { permission });
        }
        if !PermissionSet::grantable_at(level).contains(permission) {
            return Err(RoleChangeError::AboveLevel {
                role,
                level,
                permission,
            });
        }
        if (role, permission, held) == (SystemRole::SystemAdmin, Permission::SystemIamUpdate, false)
        {
            return Err(RoleChangeError::LastAdministration { role, permission });
        }
        let this = PermissionSet::of(&[permission]);
        let change = self.0.entry(role).or_default();
        change.held = change.held.difference(this);
        change.not_held = change.not_held.difference(this);
        if held {
            change.held.insert(permission);
        } else {
            change.not_held.insert(permission);
        }
        Ok(())
    }

    fn of(&self, role: SystemRole) -> RoleChange {
        self.0.get(&role).copied().unwrap_or_default()
    }
}

impl SystemRole {
    /// Everything that the role holds in an installation with these changes: what the roles hold
    /// that it includes, what it adds, and what it is said to hold; without what it is said not to.
    #[must_use]
    pub fn permissions_with(self, changes: &RoleChanges) -> PermissionSet {
        let RoleChange { held, not_held } = changes.of(self);
        self.includes()
            .iter()
            .map(|role| role.permissions_with(changes))
            .fold(PermissionSet::of(self.adds()), PermissionSet::union)
            .union(held)
            .difference(not_held)
    }
}
