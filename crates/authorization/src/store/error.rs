use std::fmt;

use chassis::database::{self, StoreError};
use chassis::requests::Reused;
use model::names::{RoleBindingName, RoleName};

use crate::domain::limits::Limit;
use crate::domain::tokens::TokenName;

/// Why a store method failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The `request_id` belongs to another request.
    #[error(transparent)]
    Reused(#[from] Reused),
    /// The change was decided at a policy that is not the newest any more. Decide again.
    #[error("the policy has moved on")]
    PolicyMoved,
    /// The role's name is taken.
    #[error("role {0} exists")]
    RoleExists(RoleName),
    /// There is no such role, or no more.
    #[error("role {0} does not exist")]
    NoSuchRole(RoleName),
    /// The role would be taken from somebody.
    #[error("role {role} has {bound} bindings")]
    RoleBound {
        /// The role.
        role: RoleName,
        /// In how many bindings that have not expired.
        bound: i64,
    },
    /// The principal has the role on the resource already, but until another time.
    #[error("binding {0} gives the same until another time")]
    BindingExists(RoleBindingName),
    /// There is no such binding, or no more.
    #[error("binding {0} does not exist")]
    NoSuchBinding(RoleBindingName),
    /// There is no such token, or no more.
    #[error("token {0} does not exist")]
    NoSuchToken(TokenName),
    /// There would be too much of something.
    #[error("{0}")]
    LimitExceeded(Limit),
    /// Nobody could administer the system any more.
    #[error("{0} is the last binding of SYSTEM_ADMIN on the system that does not expire")]
    LastAdministrator(RoleBindingName),
}

impl StoreError for Error {
    fn database(&self) -> Option<&database::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Reused(_)
            | Self::PolicyMoved
            | Self::RoleExists(_)
            | Self::NoSuchRole(_)
            | Self::RoleBound { role: _, bound: _ }
            | Self::BindingExists(_)
            | Self::NoSuchBinding(_)
            | Self::NoSuchToken(_)
            | Self::LimitExceeded(_)
            | Self::LastAdministrator(_) => None,
        }
    }
}

/// What is stored cannot be read.
pub(super) fn corrupt(what: impl fmt::Display) -> Error {
    Error::Database(database::Error::corrupt(what))
}
