/// What changed about a Deployment or its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    DeploymentCreated,
    DeployCreated,
    DeployStateChanged,
}

impl ChangeKind {
    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentCreated => "DEPLOYMENT_CREATED",
            Self::DeployCreated => "DEPLOY_CREATED",
            Self::DeployStateChanged => "DEPLOY_STATE_CHANGED",
        }
    }
}
