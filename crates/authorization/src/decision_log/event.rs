//! What is told of a decision.

use model::names::{Principal, ResourceName, RollbackName};
use model::permissions::PermissionSet;
use uuid::Uuid;

use crate::domain::decision::Granted;
use crate::domain::policy::PolicyRevision;

/// The target of every line, to filter by.
pub(super) const TARGET: &str = "reprise::decisions";

/// What was decided about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Who asked.
    pub(crate) caller: &'a Principal,
    /// Whom it is about.
    pub(crate) principal: &'a Principal,
    /// What they would need; of a refusal, what is missing of it.
    pub(crate) permissions: PermissionSet,
    /// Where.
    pub(crate) resource: &'a ResourceName,
    /// The policy that it was decided by; none if it did not come to that.
    pub(crate) policy_revision: Option<PolicyRevision>,
}

impl Question<'_> {
    pub(super) fn event(self, outcome: Outcome) -> Event {
        let Self {
            caller,
            principal,
            permissions,
            resource,
            policy_revision,
        } = self;
        Event {
            outcome,
            caller: caller.clone(),
            principal: principal.clone(),
            permissions,
            resource: resource.clone(),
            policy_revision,
            trace_id: None,
        }
    }
}

/// How it was decided.
#[derive(Debug)]
pub(super) enum Outcome {
    Allowed(Granted),
    Denied(String),
    PermitIssued {
        rollback: RollbackName,
        permit: Uuid,
    },
    PermitRefused {
        rollback: RollbackName,
        reason: String,
    },
}

/// A decision on its way to the log.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) outcome: Outcome,
    pub(super) caller: Principal,
    pub(super) principal: Principal,
    pub(super) permissions: PermissionSet,
    pub(super) resource: ResourceName,
    pub(super) policy_revision: Option<PolicyRevision>,
    /// Of the call that brought it.
    pub(super) trace_id: Option<String>,
}

impl Event {
    /// Whose events are bounded with this one: those of the person whose call it is. A service asks
    /// for others; somebody else who asks about others could name any number of them.
    pub(super) fn owner(&self) -> &Principal {
        match self.caller {
            Principal::Service(_) => &self.principal,
            Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => &self.caller,
        }
    }

    /// Writes it, with the number of the owner's events that were held back before it.
    pub(super) fn write(&self, suppressed: u64) {
        let Self {
            outcome,
            caller,
            principal,
            permissions,
            resource,
            policy_revision,
            trace_id,
        } = self;
        let Fields {
            decision,
            role_binding,
            reason,
            rollback,
            permit_id,
        } = outcome.into();
        tracing::info!(
            target: TARGET,
            decision,
            %principal,
            %permissions,
            %resource,
            role_binding,
            reason,
            rollback = rollback.map(tracing::field::display),
            permit_id = permit_id.map(tracing::field::display),
            policy_revision = policy_revision.map(|revision| revision.0),
            %caller,
            trace_id,
            suppressed = (suppressed > 0).then_some(suppressed),
            "decided"
        );
    }
}

/// What a line says of an outcome.
#[derive(Default)]
struct Fields<'a> {
    decision: &'static str,
    /// Unset if the permission comes by configuration.
    role_binding: Option<String>,
    reason: Option<&'a str>,
    rollback: Option<&'a RollbackName>,
    permit_id: Option<Uuid>,
}

impl<'a> From<&'a Outcome> for Fields<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Allowed(granted) => Self {
                decision: "allowed",
                role_binding: role_binding(granted),
                ..Self::default()
            },
            Outcome::Denied(reason) => Self {
                decision: "denied",
                reason: Some(reason),
                ..Self::default()
            },
            Outcome::PermitIssued { rollback, permit } => Self {
                decision: "permit_issued",
                rollback: Some(rollback),
                permit_id: Some(*permit),
                ..Self::default()
            },
            Outcome::PermitRefused { rollback, reason } => Self {
                decision: "permit_refused",
                reason: Some(reason),
                rollback: Some(rollback),
                ..Self::default()
            },
        }
    }
}

fn role_binding(granted: &Granted) -> Option<String> {
    match granted {
        Granted::ByBinding {
            principal: _,
            role: _,
            binding,
            expire_time: _,
        } => Some(binding.to_string()),
        Granted::ByConfiguration { principal: _ } => None,
    }
}
