//! The Deployment and its deploys, as the registry tells them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::deploys::{DagDeployMode, DeployState};
use model::names::{DeployNumber, DeploymentName, Principal};
use uuid::Uuid;

use super::blocker::Blocker;
use super::revision::Revision;

/// Tells a Deployment from every other, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeploymentUid(pub(crate) Uuid);

/// Settings of a Deployment: what a rollback never touches.
pub(crate) type Settings = BTreeMap<String, String>;

/// A Deployment, with what runs now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deployment {
    pub(crate) name: DeploymentName,
    pub(crate) uid: DeploymentUid,
    pub(crate) mode: DagDeployMode,
    pub(crate) execution: ExecutionMode,
    pub(crate) settings: Settings,
    /// Whether a hold keeps new deploys away.
    pub(crate) held: bool,
    /// [`DeployNumber::NONE`] before the first deploy.
    pub(crate) latest: DeployNumber,
    /// None while nothing runs.
    pub(crate) current: Option<Current>,
}

/// Where tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutionMode {
    /// Beside the rest of Airflow.
    Hosted,
    /// Elsewhere, by remote agents.
    Remote,
}

/// The deploy that runs now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Current {
    pub(crate) number: DeployNumber,
    pub(crate) revision: Revision,
}

/// The deploy to roll back to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) number: DeployNumber,
    pub(crate) revision: Revision,
    pub(crate) settings: Settings,
    pub(crate) git: Option<GitSource>,
    pub(crate) expire_time: Option<DateTime<Utc>>,
}

/// The commit that a deploy was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GitSource {
    pub(crate) provider: String,
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) commit: String,
    pub(crate) author: String,
    pub(crate) commit_url: String,
}

/// What the registry would write for a rollback, and what it has against it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preview {
    /// None where nothing can be composed, which the blockers then explain.
    pub(crate) composed: Option<Composed>,
    pub(crate) blockers: Vec<Blocker>,
}

/// The revision after the rollback, as the registry composes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Composed {
    pub(crate) revision: Revision,
    /// The registry's digest of the revision, which permits bind. Opaque.
    pub(crate) digest: String,
    /// The number that the new deploy would have.
    pub(crate) number: DeployNumber,
    /// The deploy that ran when it was composed.
    pub(crate) replaced: DeployNumber,
}

/// A deploy that a rollback leaves behind: one after the target, up to the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeployBetween {
    pub(crate) number: DeployNumber,
    /// In words of whoever shipped it.
    pub(crate) description: String,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) state: DeployState,
    pub(crate) git: Option<GitSource>,
}
