//! What was changed in the policy, by whom, when and why.

use chrono::{DateTime, Utc};
use model::names::{PolicyFileName, Principal, ResourceName, RoleName, ServiceAccountName};
use model::permissions::PermissionSet;
use model::roles::SystemRole;

use super::policy::{PolicyRevision, RoleBinding};
use super::tokens::TokenId;

/// Who makes changes, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    /// Who makes them.
    pub(crate) principal: Principal,
    /// When.
    pub(crate) time: DateTime<Utc>,
    /// Why, in the author's own words; empty if they said nothing.
    pub(crate) reason: String,
    /// The policy file that brings the changes.
    pub(crate) managed_by: Option<PolicyFileName>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A custom role was created.
    RoleCreated {
        /// The role.
        role: RoleName,
        /// What it holds.
        permissions: PermissionSet,
    },
    /// A custom role was changed; if it gained and lost nothing, then in its texts only.
    RoleUpdated {
        /// The role.
        role: RoleName,
        /// What it has gained.
        added: PermissionSet,
        /// What it has lost.
        removed: PermissionSet,
    },
    /// A custom role was deleted.
    RoleDeleted {
        /// The role.
        role: RoleName,
        /// What it held.
        permissions: PermissionSet,
    },
    /// What a built-in role holds was changed for this installation.
    BuiltInRoleChanged {
        /// The role.
        role: SystemRole,
        /// What it has gained.
        added: PermissionSet,
        /// What it has lost.
        removed: PermissionSet,
    },
    /// A role was bound.
    RoleBindingCreated(RoleBinding),
    /// A policy file changed a binding to this.
    RoleBindingUpdated(RoleBinding),
    /// This binding was deleted.
    RoleBindingDeleted(RoleBinding),
    /// A token of a service account was revoked.
    TokenRevoked {
        /// Whose it is.
        account: ServiceAccountName,
        /// Its id.
        id: TokenId,
    },
}

impl Change {
    /// What the role, binding or service account belongs to.
    pub(crate) fn resource(&self) -> ResourceName {
        match self {
            Self::RoleCreated {
                role,
                permissions: _,
            }
            | Self::RoleUpdated {
                role,
                added: _,
                removed: _,
            }
            | Self::RoleDeleted {
                role,
                permissions: _,
            } => role.parent(),
            Self::BuiltInRoleChanged {
                role: _,
                added: _,
                removed: _,
            } => ResourceName::System,
            Self::RoleBindingCreated(binding)
            | Self::RoleBindingUpdated(binding)
            | Self::RoleBindingDeleted(binding) => binding.name.parent(),
            Self::TokenRevoked { account, id: _ } => account.parent(),
        }
    }

    /// The name of the role, the binding or the token.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::RoleCreated {
                role,
                permissions: _,
            }
            | Self::RoleUpdated {
                role,
                added: _,
                removed: _,
            }
            | Self::RoleDeleted {
                role,
                permissions: _,
            } => role.to_string(),
            Self::BuiltInRoleChanged {
                role,
                added: _,
                removed: _,
            } => RoleName::built_in(*role).to_string(),
            Self::RoleBindingCreated(binding)
            | Self::RoleBindingUpdated(binding)
            | Self::RoleBindingDeleted(binding) => binding.name.to_string(),
            Self::TokenRevoked { account, id } => format!("{account}/tokens/{id}"),
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyChange {
    /// Where it stands among all.
    pub(crate) position: Position,
    /// Who made it, when and why.
    pub(crate) author: Author,
    /// What was done.
    pub(crate) change: Change,
}

/// Where a change stands among all: the later one is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The policy that has the change.
    pub(crate) revision: PolicyRevision,
    /// Tells the changes of one revision apart; from 1.
    pub(crate) number: i32,
}
