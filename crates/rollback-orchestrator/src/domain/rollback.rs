//! The record of an accepted rollback.

use chrono::{DateTime, Utc};
use model::deploys::Scope;
use model::names::{DeployNumber, Principal, RollbackName};
use model::permissions::PermissionSet;

use super::digest::PlanDigest;
use super::history::DeploymentUid;
use super::warning::WarningCode;

/// What is carried out: what was asked for and planned. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) deployment_uid: DeploymentUid,
    pub(crate) target: DeployNumber,
    /// What the write is compared with.
    pub(crate) expected_latest: DeployNumber,
    /// What ran when the plan was made.
    pub(crate) replaced: DeployNumber,
    pub(crate) scope: Scope,
    pub(crate) description: String,
    /// What the person needs for it.
    pub(crate) permissions: PermissionSet,
    pub(crate) plan_digest: PlanDigest,
    /// In order, each once.
    pub(crate) acknowledged: Vec<WarningCode>,
    pub(crate) created_by: Principal,
}

/// The record of an accepted rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rollback {
    pub(crate) name: RollbackName,
    pub(crate) order: Order,
    pub(crate) state: State,
    /// It cannot finish by itself as things stand.
    pub(crate) needs_attention: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) write_deadline: DateTime<Utc>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
    /// Goes up with every change of the record.
    pub(crate) version: i64,
}

/// How far a rollback has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Accepted; nothing was sent to the registry.
    Pending,
    /// Being written.
    Running,
    /// The new deploy is written.
    Succeeded {
        deploy: DeployNumber,
        /// None where somebody else ships the deploy, and has not said that it runs.
        roll_out: Option<RollOut>,
        end_time: DateTime<Utc>,
    },
    /// No deploy was written, and none ever will be.
    Failed {
        error: StoredError,
        end_time: DateTime<Utc>,
    },
}

codes! {
    /// What a state is called.
    StateName {
        Pending = "PENDING",
        Running = "RUNNING",
        Succeeded = "SUCCEEDED",
        Failed = "FAILED",
        Cancelled = "CANCELLED",
    }
}

impl Rollback {
    /// Whether nothing will change any more.
    pub(crate) const fn has_ended(&self) -> bool {
        match self.state {
            State::Pending | State::Running => false,
            State::Succeeded { .. } | State::Failed { .. } => true,
        }
    }
}

/// The deploy that a rollback wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenDeploy {
    pub(crate) number: DeployNumber,
    /// How its roll-out ended, if it has.
    pub(crate) roll_out: Option<RollOut>,
}

codes! {
    /// How the roll-out of the new deploy ended.
    RollOut {
        /// The deploy runs.
        Deployed = "DEPLOYED",
    }
}

codes! {
    /// A step of a rollback, in the order in which they are done.
    StepKind {
        Plan = "PLAN",
        Authorize = "AUTHORIZE",
        Write = "WRITE",
        RollOut = "ROLL_OUT",
    }
}

/// How one step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    /// How often it was begun.
    pub(crate) attempts: i32,
    pub(crate) start_time: DateTime<Utc>,
    pub(crate) end_time: Option<DateTime<Utc>>,
    /// How the last attempt failed, if it did.
    pub(crate) error: Option<StoredError>,
}

/// An error as callers are told it: an encoded `google.rpc.Status`, which only the edge reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredError(pub(crate) Vec<u8>);
