//! What an index is built from, and what of it cannot be used.

use model::UnknownValue;
use model::names::{NameError, RoleBindingId, RoleName};
use model::permissions::Permission;
use model::roles::{RoleChangeError, SystemRole};
use thiserror::Error;

use crate::domain::policy::{PolicyRevision, Unbindable};
use crate::domain::tokens::TokenId;

/// All of the policy at one revision, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRows {
    /// The revision.
    pub(crate) revision: PolicyRevision,
    /// What built-in roles hold differently here.
    pub(crate) built_in_role_changes: Vec<BuiltInRoleChangeRow>,
    /// The custom roles.
    pub(crate) roles: Vec<RoleRow>,
    /// The bindings.
    pub(crate) bindings: Vec<BindingRow>,
    /// The tokens of service accounts that were revoked and have not expired.
    pub(crate) revoked: Vec<TokenId>,
}

/// One permission of a built-in role as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct BuiltInRoleChangeRow {
    /// The role, such as `DEPLOYMENT_EDITOR`.
    pub(crate) role: String,
    /// The permission's name.
    pub(crate) permission: String,
    /// Whether the role holds it.
    pub(crate) held: bool,
}

/// A custom role as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct RoleRow {
    /// Its name.
    pub(crate) name: String,
    /// The names of its permissions; none if the document cannot be read.
    pub(crate) permissions: Option<Vec<String>>,
}

/// A binding as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct BindingRow {
    /// The last part of its name.
    pub(crate) id: RoleBindingId,
    /// Where it holds.
    pub(crate) resource: String,
    /// Whom it is for.
    pub(crate) principal: String,
    /// What it gives.
    pub(crate) role: String,
    /// From when on it gives nothing, in microseconds since 1970.
    pub(crate) expire_time: Option<i64>,
}

/// Something stored that cannot be read, or must not count, and therefore grants nothing.
#[derive(Debug, Error)]
pub(crate) enum Flaw {
    /// A change of a built-in role that there is not.
    #[error("a change of {name:?} is of no built-in role")]
    BuiltInRole {
        /// What is stored.
        name: String,
        /// What is wrong.
        source: UnknownValue,
    },
    /// A change of a built-in role by a permission that there is not.
    #[error("a change of {role} is of no permission, but {name:?}")]
    BuiltInRolePermission {
        /// The role.
        role: SystemRole,
        /// What is stored.
        name: String,
        /// What is wrong.
        source: UnknownValue,
    },
    /// A change that cannot be made to a built-in role.
    #[error("a change of {role} by {permission} cannot count")]
    BuiltInRoleChange {
        /// The role.
        role: SystemRole,
        /// The permission.
        permission: Permission,
        /// What is wrong.
        source: RoleChangeError,
    },
    /// A role whose name is none.
    #[error("role {name:?} has no valid name")]
    RoleName {
        /// What is stored.
        name: String,
        /// What is wrong.
        source: NameError,
    },
    /// A role whose permissions are not all known, or not allowed in it.
    #[error("role {role} holds what it cannot: {what}")]
    Permissions {
        /// The role.
        role: RoleName,
        /// What cannot be read.
        what: String,
    },
    /// A binding whose resource, principal or role is no name.
    #[error("binding {id} has no valid {part}")]
    Binding {
        /// The binding.
        id: RoleBindingId,
        /// Which part.
        part: &'static str,
        /// What is wrong.
        source: NameError,
    },
    /// A binding that expires at no time that there is.
    #[error("binding {id} expires at {micros} microseconds, which is no time")]
    ExpireTime {
        /// The binding.
        id: RoleBindingId,
        /// What is stored.
        micros: i64,
    },
    /// A binding of a role that is not there.
    #[error("binding {id} is of {role:?}, which does not exist")]
    UnknownRole {
        /// The binding.
        id: RoleBindingId,
        /// The role.
        role: String,
    },
    /// A binding for somebody who cannot be bound.
    #[error("binding {id} is for a service, which has its permissions by configuration")]
    Service {
        /// The binding.
        id: RoleBindingId,
    },
    /// A binding where its role means nothing.
    #[error("binding {id} does not fit")]
    Unbindable {
        /// The binding.
        id: RoleBindingId,
        /// Why not.
        source: Unbindable,
    },
}
