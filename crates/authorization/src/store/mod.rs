//! What the service keeps: the policy, service accounts and their tokens, grants, requests.
//!
//! | file | tables |
//! | --- | --- |
//! | [`policy`] | `policy`, and all of `roles` and `role_bindings` at once |
//! | [`roles`] | `roles` |
//! | [`role_bindings`] | `role_bindings` |
//! | [`apply`] | `built_in_role_changes`, and all that a policy file brings |
//! | [`policy_changes`] | `policy_changes` |
//! | [`service_accounts`] | `service_accounts`, `service_account_tokens` |
//! | [`grants`] | `grants` |
//!
//! Invariants:
//! - One method is one transaction.
//! - What changes the policy names the revision that it was decided at, and is refused with
//!   [`Error::PolicyMoved`] if that is not the newest any more. The row of the revision is updated
//!   before anything is written, so that two changes cannot both see it unmoved.
//! - A change that changes nothing does not move the revision.
//! - What moves the revision is recorded in the same transaction: what, by whom, when and why.

mod apply;
mod document;
mod error;
mod grants;
mod limits;
mod policy;
mod policy_changes;
mod role_bindings;
mod roles;
mod service_accounts;
mod span;
#[cfg(test)]
mod tests;

use chassis::database::{Database, Migrations};

pub(crate) use error::Error;
pub(crate) use grants::StoredGrant;
pub(crate) use policy::Freshness;
pub(crate) use role_bindings::ListedBindings;
pub(crate) use service_accounts::Accounts;

use crate::domain::policy::PolicyRevision;

/// The steps that lead to the newest schema.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    sqlite: &[
        include_str!("../../migrations/sqlite/0001_policy.sql"),
        include_str!("../../migrations/sqlite/0002_whole_policy.sql"),
    ],
    postgres: &[
        include_str!("../../migrations/postgres/0001_policy.sql"),
        include_str!("../../migrations/postgres/0002_whole_policy.sql"),
    ],
};

/// The database of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// A store in a database that has the newest schema.
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

/// What a change has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed<T> {
    /// What was made, or was there already.
    pub(crate) value: T,
    /// A policy that has it.
    pub(crate) revision: PolicyRevision,
    /// Whether this call has made it: not if it was there, nor if the call repeats another.
    pub(crate) made: bool,
}
