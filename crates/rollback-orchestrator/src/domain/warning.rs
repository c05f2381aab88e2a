//! What a rollback does that somebody should know before.

use model::metadata::MetadataHead;

codes! {
    /// A consequence of a rollback.
    WarningCode {
        RuntimeDowngrade = "RUNTIME_DOWNGRADE",
        MetadataLoss = "METADATA_LOSS",
        MajorVersionChange = "MAJOR_VERSION_CHANGE",
        DagsMayNotFit = "DAGS_MAY_NOT_FIT",
        RuntimeRestricted = "RUNTIME_RESTRICTED",
        SettingsDrift = "SETTINGS_DRIFT",
        DagsStayInGit = "DAGS_STAY_IN_GIT",
        GitNotReverted = "GIT_NOT_REVERTED",
        DeploysSkipped = "DEPLOYS_SKIPPED",
        AgentUnknown = "AGENT_UNKNOWN",
        TasksRunning = "TASKS_RUNNING",
    }
}

impl WarningCode {
    /// Whether a rollback runs only after somebody has said that they have read the warning: where
    /// tasks fail, data is lost, or DAGs may stop working.
    pub(crate) const fn must_acknowledge(self) -> bool {
        match self {
            Self::RuntimeDowngrade
            | Self::MetadataLoss
            | Self::MajorVersionChange
            | Self::DagsMayNotFit => true,
            Self::RuntimeRestricted
            | Self::SettingsDrift
            | Self::DagsStayInGit
            | Self::GitNotReverted
            | Self::DeploysSkipped
            | Self::AgentUnknown
            | Self::TasksRunning => false,
        }
    }
}

/// Orders warnings for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Good to know.
    Info,
    /// Look before you go on.
    Warning,
    /// Something is lost or breaks.
    Critical,
}

/// How sure it is that migrations are reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// The versions are known well enough.
    Certain,
    /// A version is not known well enough to exclude it.
    Possible,
}

/// The migrations of the Airflow metadata database that are reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Migrations {
    pub(crate) certainty: Certainty,
    /// Newest first.
    pub(crate) heads: Vec<&'static MetadataHead>,
}

/// A consequence of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) code: WarningCode,
    pub(crate) severity: Severity,
    /// What happens, and what to do about it.
    pub(crate) text: String,
    /// With [`WarningCode::MetadataLoss`].
    pub(crate) migrations: Option<Migrations>,
}

impl Warning {
    /// A warning that no migrations belong to.
    pub(super) const fn new(code: WarningCode, severity: Severity, text: String) -> Self {
        Self {
            code,
            severity,
            text,
            migrations: None,
        }
    }
}
