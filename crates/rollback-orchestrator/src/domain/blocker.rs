//! Why a rollback cannot be done.

use model::compatibility::VersionBlocker;

codes! {
    /// A reason why a rollback cannot be done. All but the last five are the registry's.
    BlockerCode {
        RollbackDisabledInstallation = "ROLLBACK_DISABLED_INSTALLATION",
        RollbackDisabledDeployment = "ROLLBACK_DISABLED_DEPLOYMENT",
        TargetIsCurrent = "TARGET_IS_CURRENT",
        NoChange = "NO_CHANGE",
        TargetNotDeployed = "TARGET_NOT_DEPLOYED",
        TargetExpired = "TARGET_EXPIRED",
        ArtifactMissing = "ARTIFACT_MISSING",
        DagsNotSeparate = "DAGS_NOT_SEPARATE",
        DagDeployModeUnsupported = "DAG_DEPLOY_MODE_UNSUPPORTED",
        DagDeployModeChanged = "DAG_DEPLOY_MODE_CHANGED",
        NothingDeployed = "NOTHING_DEPLOYED",
        DeploymentDeleted = "DEPLOYMENT_DELETED",
        TargetMarkedBad = "TARGET_MARKED_BAD",
        RuntimeUnsupported = "RUNTIME_UNSUPPORTED",
        RuntimePathUnsupported = "RUNTIME_PATH_UNSUPPORTED",
        RuntimeUnknownVersion = "RUNTIME_UNKNOWN_VERSION",
        AgentTooNew = "AGENT_TOO_NEW",
        RollbackInProgress = "ROLLBACK_IN_PROGRESS",
    }
}

/// One reason why a rollback cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) code: BlockerCode,
    /// The resource name, version or artifact that the reason is about.
    pub(crate) subject: String,
    /// Why, and what to do, to an operator.
    pub(crate) text: String,
}

impl From<VersionBlocker> for Blocker {
    fn from(blocker: VersionBlocker) -> Self {
        let text = blocker.to_string();
        let (code, subject) = match blocker {
            VersionBlocker::RuntimeUnsupported {
                side: _,
                version,
                rule: _,
            } => (BlockerCode::RuntimeUnsupported, version),
            VersionBlocker::RuntimePathUnsupported {
                now: _,
                then,
                rule: _,
                instead: _,
            } => (BlockerCode::RuntimePathUnsupported, then),
            VersionBlocker::RuntimeUnknownVersion { side: _, version } => {
                (BlockerCode::RuntimeUnknownVersion, version)
            }
        };
        Self {
            code,
            subject,
            text,
        }
    }
}
