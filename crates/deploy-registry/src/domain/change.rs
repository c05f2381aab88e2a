use chrono::{DateTime, Utc};
use model::{DeployNumber, DeployState};

use super::DeploymentUid;

/// What changed about a Deployment or its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    DeploymentCreated,
    DeploymentUpdated,
    DeploymentDeleted,
    HoldPlaced,
    HoldReleased,
    DeployCreated,
    DeployStateChanged,
    DeployUpdated,
    DeployMarked,
}

impl ChangeKind {
    const ALL: [Self; 9] = [
        Self::DeploymentCreated,
        Self::DeploymentUpdated,
        Self::DeploymentDeleted,
        Self::HoldPlaced,
        Self::HoldReleased,
        Self::DeployCreated,
        Self::DeployStateChanged,
        Self::DeployUpdated,
        Self::DeployMarked,
    ];

    /// The kind of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == text)
    }

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentCreated => "DEPLOYMENT_CREATED",
            Self::DeploymentUpdated => "DEPLOYMENT_UPDATED",
            Self::DeploymentDeleted => "DEPLOYMENT_DELETED",
            Self::HoldPlaced => "HOLD_PLACED",
            Self::HoldReleased => "HOLD_RELEASED",
            Self::DeployCreated => "DEPLOY_CREATED",
            Self::DeployStateChanged => "DEPLOY_STATE_CHANGED",
            Self::DeployUpdated => "DEPLOY_UPDATED",
            Self::DeployMarked => "DEPLOY_MARKED",
        }
    }
}

/// How far the history of a Deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) uid: DeploymentUid,
    /// How often it has changed.
    pub(crate) count: i64,
}

/// One change of a Deployment or its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number; counted from 1 without gaps.
    pub(crate) change: i64,
    pub(crate) kind: ChangeKind,
    /// The deploy that changed, and its state then.
    pub(crate) deploy: Option<(DeployNumber, DeployState)>,
    pub(crate) time: DateTime<Utc>,
}
