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
