//! The record of an accepted rollback.

use chrono::{DateTime, TimeDelta, Utc};
use model::deploys::Scope;
use model::names::{DeployNumber, Principal, RollbackId, RollbackName};
use model::permissions::PermissionSet;

use super::digest::PlanDigest;
use super::history::DeploymentUid;
use super::options::Options;
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
    pub(crate) options: Options,
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
    pub(crate) links: Links,
    /// Who asked to cancel it first; also where that came too late.
    pub(crate) cancel: Option<Cancel>,
    pub(crate) write_deadline: DateTime<Utc>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
    /// Goes up with every change of the record.
    pub(crate) version: i64,
}

/// The rollbacks before and after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// The one that made its target.
    pub(crate) target: Option<RollbackId>,
    /// The one that made the deploy that it replaced: it undoes that one.
    pub(crate) replaced: Option<RollbackId>,
    /// The last one that replaced its deploy.
    pub(crate) replaced_by: Option<RollbackId>,
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
        /// None while whoever ships the deploy has not said how that ended.
        roll_out: Option<RollOutEnd>,
        /// Until when that is waited for. None if the roll-out had ended when the deploy was written.
        roll_out_deadline: Option<DateTime<Utc>>,
        end_time: DateTime<Utc>,
    },
    /// No deploy was written, and none ever will be.
    Failed {
        error: StoredError,
        end_time: DateTime<Utc>,
    },
    /// Somebody cancelled it: no deploy was written, and none ever will be.
    Cancelled {
        error: StoredError,
        end_time: DateTime<Utc>,
    },
}

/// That somebody asked to cancel a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cancel {
    pub(crate) by: Principal,
    pub(crate) time: DateTime<Utc>,
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

impl State {
    pub(crate) const fn name(&self) -> StateName {
        match self {
            Self::Pending => StateName::Pending,
            Self::Running => StateName::Running,
            Self::Succeeded { .. } => StateName::Succeeded,
            Self::Failed { .. } => StateName::Failed,
            Self::Cancelled { .. } => StateName::Cancelled,
        }
    }

    /// How the roll-out of the deploy ended, if there is one, and it has.
    pub(crate) fn roll_out(&self) -> Option<RollOut> {
        match self {
            Self::Succeeded { roll_out, .. } => roll_out.as_ref().map(|end| end.how),
            Self::Pending | Self::Running | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }
}

impl Rollback {
    /// Whether nothing will happen any more: it has ended, and so has the roll-out of its deploy.
    pub(crate) fn is_settled(&self) -> bool {
        match &self.state {
            State::Pending | State::Running => false,
            State::Succeeded { roll_out, .. } => roll_out.is_some(),
            State::Failed { .. } | State::Cancelled { .. } => true,
        }
    }

    /// Whether it will have no other state any more.
    pub(crate) const fn has_ended(&self) -> bool {
        match self.state {
            State::Pending | State::Running => false,
            State::Succeeded { .. } | State::Failed { .. } | State::Cancelled { .. } => true,
        }
    }
}

/// The deploy that a rollback wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenDeploy {
    pub(crate) number: DeployNumber,
    /// How its roll-out ended, if it has.
    pub(crate) roll_out: Option<RollOutEnd>,
}

/// How the roll-out of a deploy ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RollOutEnd {
    pub(crate) how: RollOut,
    /// Why, in words of whoever shipped the deploy. May be empty.
    pub(crate) reason: String,
}

codes! {
    /// How the roll-out of the new deploy ended.
    RollOut {
        /// The deploy runs.
        Deployed = "DEPLOYED",
        /// Whoever ships the deploy could not.
        Failed = "FAILED",
        /// A later deploy overtook it.
        Superseded = "SUPERSEDED",
        /// Nobody said that it ended, by its deadline.
        TimedOut = "TIMED_OUT",
    }
}

codes! {
    /// How a rollback ends that has no deploy.
    Ending {
        Failed = "FAILED",
        Cancelled = "CANCELLED",
    }
}

/// How and why a rollback ends, once it is certain that it has no deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) ending: Ending,
    pub(crate) error: StoredError,
}

/// How often the roll-out of a deploy is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    /// How long after the write until the first look. Then the pauses grow with the time that the
    /// roll-out has taken.
    pub(crate) first: TimeDelta,
    pub(crate) longest: TimeDelta,
}

impl Looks {
    /// When to look again at a roll-out that began at `start`: not later than at its deadline, unless
    /// that has passed.
    pub(crate) fn next(
        self,
        start: DateTime<Utc>,
        deadline: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let Self { first, longest } = self;
        let next = now + ((now - start) / 4).clamp(first, longest.max(first));
        if deadline > now {
            next.min(deadline)
        } else {
            next
        }
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
