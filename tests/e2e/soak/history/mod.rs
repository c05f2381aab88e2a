//! Whether all the records together are what must be, whatever was killed and paused meanwhile.

mod calls;
mod deploys;
mod events;
mod rollbacks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use proto::common::v1::RollbackScope;
use proto::registry::v1::{Deploy, Image, Revision};
use proto::rollback::v1::{AuditEvent, AuditEventKind, Rollback};

/// A rollback that somebody asked for. The description says which.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) person: String,
    pub(super) deployment: String,
    /// The number of the deploy.
    pub(super) target: i64,
    pub(super) scope: RollbackScope,
    pub(super) description: String,
    /// Whether the answer of any attempt was lost.
    pub(super) lost: bool,
    pub(super) answer: Answer,
    pub(super) cancel: Cancel,
    /// What another replica said of it after the answer.
    pub(super) read_again: Option<Rollback>,
}

/// The answer that was not lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Succeeded(Box<Rollback>),
    /// It was accepted, and ended without a deploy.
    Ended {
        rollback: String,
    },
    /// It was not accepted.
    Refused,
}

/// What became of cancelling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    NotAsked,
    Done,
    /// It was over before.
    TooLate,
}

/// A deploy that CI has asked for. The description says which.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shipped {
    pub(super) person: String,
    pub(super) deployment: String,
    pub(super) description: String,
    pub(super) part: Part,
    /// The name of the deploy.
    pub(super) answer: String,
}

/// What a deploy brings; everything else stays as it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Image {
        image: Image,
        runtime_version: String,
    },
    /// The digest of a bundle.
    Dags(String),
}

/// What there is of a Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Records {
    /// From the oldest to the newest.
    pub(super) deploys: Vec<Deploy>,
    /// The name of the latest deploy.
    pub(super) latest: String,
    pub(super) rollbacks: Vec<Rollback>,
    /// From the first to the last.
    pub(super) events: Vec<AuditEvent>,
}

/// All there is.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) asked: Vec<Asked>,
    pub(super) shipped: Vec<Shipped>,
    /// How many deploys each Deployment had at first.
    pub(super) at_first: usize,
    pub(super) found: BTreeMap<String, Records>,
}

/// What must not be. The text names what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Deploys are not numbered one after the other, up to the latest.
    Numbers(String),
    /// Two deploys of one rollback.
    Doubled(String),
    /// A deploy of a rollback that there is no record of.
    Unrecorded(String),
    /// A deploy that says something else of its rollback than the record.
    Mismatch(String),
    /// A deploy whose revision is not what target, scope and the deploy before make of it.
    Revision(String),
    /// A deploy that nobody asked for, or more than once.
    Unasked(String),
    /// A rollback is neither written nor over.
    Stuck(String),
    /// A rollback has succeeded, and has no deploy.
    WithoutDeploy(String),
    /// A rollback has failed or was cancelled, and has a deploy, or gives no reason.
    WithDeploy(String),
    /// A rollback that nobody asked for, or not so, or that somebody asked for once and got twice.
    UnaskedRollback(String),
    /// What was answered is not so, or was not so any more when it was read again.
    Lost(String),
    /// What was refused has happened.
    DoneThoughRefused(String),
    /// A rollback was cancelled by nobody, or was not, though that was answered.
    Cancel(String),
    /// The events of a Deployment are not numbered one after the other.
    EventNumbers(String),
    /// The events of a rollback do not tell what became of it.
    Events(String),
}

impl History {
    /// All that is wrong.
    pub(super) fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (deployment, records) in &self.found {
            deploys::check(self, deployment, records, &mut flaws);
            rollbacks::check(self, deployment, records, &mut flaws);
            events::check(deployment, records, &mut flaws);
        }
        calls::check(self, &mut flaws);
        flaws
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&Records) -> usize| self.found.values().map(count).sum::<usize>();
        let taken_up = self.found.values().flat_map(|records| &records.events);
        write!(
            f,
            "{} rollbacks recorded, {} of them taken up by others, {} deploys, {} audit events",
            sum(|records| records.rollbacks.len()),
            taken_up
                .filter(|event| event.kind() == AuditEventKind::RollbackTakenUp)
                .count(),
            sum(|records| records.deploys.len()),
            sum(|records| records.events.len()),
        )
    }
}

impl Records {
    fn rollback(&self, name: &str) -> Option<&Rollback> {
        self.rollbacks.iter().find(|rollback| rollback.name == name)
    }

    /// The deploy that a rollback has made.
    fn deploy_of(&self, rollback: &str) -> Option<&Deploy> {
        self.deploys.iter().find(|deploy| {
            let origin = deploy.rollback.as_ref();
            origin.is_some_and(|origin| origin.rollback == rollback)
        })
    }
}

/// What a rollback makes of what runs.
fn composed(scope: RollbackScope, target: &Revision, now: &Revision) -> Revision {
    let of = |takes: bool| if takes { target } else { now };
    let image = of(scope != RollbackScope::Dags);
    let dags = of(scope != RollbackScope::Image);
    Revision {
        image: image.image.clone(),
        runtime_version: image.runtime_version.clone(),
        airflow_version: image.airflow_version.clone(),
        dag_bundle: dags.dag_bundle.clone(),
        dbt_bundles: dags.dbt_bundles.clone(),
        dag_deploy_mode: of(scope == RollbackScope::All).dag_deploy_mode,
    }
}
