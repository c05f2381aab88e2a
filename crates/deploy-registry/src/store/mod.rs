//! What the registry keeps, on either database. One method is one transaction.
//!
//! The row of a Deployment is the lock of its history: whoever writes a deploy updates that row
//! first, and so stands in line. Of a deploy that is written, what it ships is never changed, but its
//! state, and when it ceased to be the current one.

mod agents;
mod annotations;
mod bundles;
mod changes;
mod configuration;
mod deploy_row;
mod deployments;
mod deploys;
mod documents;
mod holds;
mod rollbacks;
mod states;
mod sweeps;
mod targets;
#[cfg(test)]
mod tests;

use chassis::database::{self, Database, Migrations, StoreError};
use chassis::paging::{Reading, STEP};
use chassis::requests::Reused;
use model::{DeployNumber, DeployState};

use crate::domain::{Blocker, Hold, Refusal};

pub(crate) use changes::KeptChanges;
pub(crate) use chassis::paging::Listing;
pub(crate) use deployments::{DeploymentList, DeploymentOrder};
pub(crate) use deploys::{Entry, NewDeploy};
pub(crate) use rollbacks::{PermitBounds, RollbackOutcome, WriteRollback};
pub(crate) use sweeps::{RemovedBundle, SweepRules, SweptBundles, SweptDeployment};
pub(crate) use targets::{Previous, RollbackPreviews};

/// The steps that lead to the newest schema.
pub(crate) const MIGRATIONS: Migrations = Migrations {
    sqlite: &[
        include_str!("../../migrations/sqlite/0001_deployments_and_deploys.sql"),
        include_str!("../../migrations/sqlite/0002_whole_history.sql"),
    ],
    postgres: &[
        include_str!("../../migrations/postgres/0001_deployments_and_deploys.sql"),
        include_str!("../../migrations/postgres/0002_whole_history.sql"),
    ],
};

/// The registry's records. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    database: Database,
}

/// A number of rows as a statement takes it.
fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    RequestIdReused(#[from] Reused),
    #[error("the Deployment does not exist")]
    DeploymentMissing,
    #[error("the name of the Deployment is taken")]
    DeploymentExists,
    #[error("another deploy landed in between; the latest one is {latest}")]
    LatestDeployChanged { latest: DeployNumber },
    #[error("the Deployment cannot take the deploy")]
    Refused(Refusal),
    #[error("the deploy does not exist")]
    DeployMissing,
    #[error("the state of the deploy is final: {0}")]
    StateFinal(DeployState),
    #[error("the Deployment was deleted")]
    DeploymentDeleted,
    #[error("the Deployment is held")]
    Held(Box<Hold>),
    #[error("a deploy is unfinished: {0}")]
    DeployUnfinished(DeployNumber),
    #[error("the changes are not kept any more")]
    ChangesTrimmed,
    #[error("there are only {0} changes")]
    ChangeAhead(i64),
    #[error("the Deployment has as many agents as it can")]
    TooManyAgents,
    #[error("it changed since it was read")]
    EtagMismatch,
    #[error("the Deployment takes no reports")]
    ReportsNotTaken,
    #[error("the rollback is another Deployment's")]
    RollbackElsewhere,
    #[error("the rollback id is closed")]
    RollbackClosed,
    #[error("the rollback is blocked")]
    Blocked(Vec<Blocker>),
    /// The permit is genuine, but not for this write.
    #[error("the permit is not for this write: {0}")]
    PermitMismatch(&'static str),
    #[error("the permit was used for another rollback")]
    PermitUsed,
    #[error("the bundles of the Deployment have {used} of {quota} bytes")]
    QuotaExceeded { used: i64, quota: i64 },
}

impl StoreError for Error {
    fn database(&self) -> Option<&database::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::RequestIdReused(_)
            | Self::DeploymentMissing
            | Self::DeploymentExists
            | Self::LatestDeployChanged { latest: _ }
            | Self::Refused(_)
            | Self::DeployMissing
            | Self::StateFinal(_)
            | Self::ReportsNotTaken
            | Self::DeploymentDeleted
            | Self::Held(_)
            | Self::DeployUnfinished(_)
            | Self::ChangesTrimmed
            | Self::ChangeAhead(_)
            | Self::TooManyAgents
            | Self::EtagMismatch
            | Self::RollbackElsewhere
            | Self::RollbackClosed
            | Self::Blocked(_)
            | Self::PermitMismatch(_)
            | Self::PermitUsed
            | Self::QuotaExceeded { used: _, quota: _ } => None,
        }
    }
}

impl Error {
    /// What is stored cannot be read.
    fn corrupt(what: impl ToString) -> Self {
        Self::Database(database::Error::corrupt(what))
    }
}

/// Why a transaction is not committed that can be tried without effect.
enum Attempt<T> {
    /// It was only to be tried.
    Undone(T),
    Failed(Error),
}

impl<T> Attempt<T> {
    /// Ends a run: with `validate_only`, all that it did is to be undone.
    fn end(value: T, validate_only: bool) -> Result<T, Self> {
        if validate_only {
            Err(Self::Undone(value))
        } else {
            Ok(value)
        }
    }

    /// What the run came to, whether it was undone or not.
    fn settle(outcome: Result<T, Self>) -> Result<T, Error> {
        match outcome {
            Ok(value) | Err(Self::Undone(value)) => Ok(value),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

impl<T> From<Error> for Attempt<T> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<T> From<database::Error> for Attempt<T> {
    fn from(error: database::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<T> StoreError for Attempt<T> {
    fn database(&self) -> Option<&database::Error> {
        match self {
            Self::Undone(_) => None,
            Self::Failed(error) => error.database(),
        }
    }
}

impl Store {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }
}
