//! The Deployment and its deploys, as the registry tells them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::deploys::DagDeployMode;
use model::names::{DeployNumber, DeploymentName};
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
    pub(crate) settings: Settings,
    /// [`DeployNumber::NONE`] before the first deploy.
    pub(crate) latest: DeployNumber,
    /// None while nothing runs.
    pub(crate) current: Option<Current>,
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
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) commit: String,
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
}

/// The deploys that a rollback leaves behind: those after the target, up to the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftBehind {
    /// Which of them came from git, newest first.
    pub(crate) from_git: Vec<(DeployNumber, GitSource)>,
    /// How many were looked at. If there are more, these are the newest.
    pub(crate) looked_at: i64,
}
