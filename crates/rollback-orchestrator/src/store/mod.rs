//! The rollbacks that were accepted, and who carries them out.
//!
//! | module | holds |
//! | --- | --- |
//! | [`acceptance`] | accepting a rollback, at most one unwritten one for each Deployment |
//! | [`cancelling`] | that somebody wants it cancelled |
//! | [`following`] | the roll-outs of deploys that somebody else ships |
//! | [`leases`] | whose turn it is to carry a rollback out |
//! | [`progress`] | what whoever carries it out writes down |
//! | [`rollbacks`] | reading the record |
//! | [`lists`] | reading many of them |
//! | [`watching`] | reading what happened since |
//! | [`audit`] | what was decided and done, one event for each |
//!
//! Every write to a rollback after its acceptance names the fence that its writer holds. Once
//! somebody else has taken the rollback up, such a write changes nothing and is [`Error::Lost`].

mod acceptance;
mod audit;
mod cancelling;
mod following;
mod leases;
mod lists;
mod progress;
mod rollbacks;
#[cfg(test)]
mod tests;
mod watching;

use chassis::database::{self, Database, Migrations, StoreError};
use chassis::problem::Problem;
use model::names::RollbackId;

pub(crate) use acceptance::{Acceptance, NewRollback, RequestKey, StepTimes};
pub(crate) use audit::{Kept, Refusal};
pub(crate) use following::{Follow, Followed, Looked};
pub(crate) use leases::{Job, Lease};
pub(crate) use lists::Position;
pub(crate) use progress::Attempt;
pub(crate) use watching::Moment;

/// The steps that lead to the newest schema.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    sqlite: &[
        include_str!("../../migrations/sqlite/0001_rollbacks.sql"),
        include_str!("../../migrations/sqlite/0002_whole_rollbacks.sql"),
    ],
    postgres: &[
        include_str!("../../migrations/postgres/0001_rollbacks.sql"),
        include_str!("../../migrations/postgres/0002_whole_rollbacks.sql"),
    ],
};

/// The rollbacks that were accepted. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

/// Why a store method failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Somebody else has taken the rollback up, or it has ended.
    #[error("the rollback is carried out by somebody else now, or has ended")]
    Lost,
}

/// The right to write to a rollback, until somebody else takes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) rollback: RollbackId,
    pub(crate) counter: i64,
}

impl Store {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }
}

impl StoreError for Error {
    fn database(&self) -> Option<&database::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Lost => None,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error.into(),
            error @ Error::Lost => Self::internal(error),
        }
    }
}

/// Fails unless the one row that belongs to the fence was changed.
fn fenced(changed: u64) -> Result<(), Error> {
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::Lost)
    }
}
