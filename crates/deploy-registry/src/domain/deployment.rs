use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use model::{DagDeployMode, DeployName, DeployNumber, DeployState, DeploymentName, Principal};
use uuid::Uuid;

use super::etag::etag;
use super::{History, Revision};

/// Tells a Deployment from every other, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeploymentUid(Uuid);

impl DeploymentUid {
    pub(crate) const fn new(uid: Uuid) -> Self {
        Self(uid)
    }

    pub(crate) const fn get(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for DeploymentUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What configures a Deployment beside its deploys. A rollback never touches it.
pub(crate) type Settings = BTreeMap<String, String>;

/// How deploys get to a Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// They are recorded as already done.
    Record,
    /// Whoever ships them reports how it goes.
    Agent,
}

impl Delivery {
    const ALL: [Self; 2] = [Self::Record, Self::Agent];

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "RECORD",
            Self::Agent => "AGENT",
        }
    }

    /// The delivery of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == text)
    }

    /// The state in which a deploy is written.
    pub(crate) const fn first_state(self) -> DeployState {
        match self {
            Self::Record => DeployState::Deployed,
            Self::Agent => DeployState::Pending,
        }
    }
}

/// Where tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecutionMode {
    /// With Airflow itself.
    Hosted,
    /// By remote agents, elsewhere.
    Remote,
}

impl ExecutionMode {
    const ALL: [Self; 2] = [Self::Hosted, Self::Remote];

    /// The text that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hosted => "HOSTED",
            Self::Remote => "REMOTE",
        }
    }

    /// The mode of a stored text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == text)
    }
}

/// One Airflow environment with a deploy history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    pub(crate) name: DeploymentName,
    pub(crate) uid: DeploymentUid,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) dag_deploy_mode: DagDeployMode,
    pub(crate) rollback_enabled: bool,
    pub(crate) delivery: Delivery,
    pub(crate) execution_mode: ExecutionMode,
    pub(crate) settings: Settings,
    pub(crate) history: History,
    /// Counts the changes of the Deployment and of its history.
    pub(crate) change: i64,
    /// Keeps new deploys away.
    pub(crate) hold: Option<Hold>,
    /// Set once it is deleted: then nothing more is written to it.
    pub(crate) delete_time: Option<DateTime<Utc>>,
    /// The revision of the current deploy.
    pub(crate) current_revision: Option<Revision>,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
}

impl Deployment {
    /// Changes whenever the Deployment or its history changes.
    pub(crate) fn etag(&self) -> String {
        etag(&[&self.uid.to_string(), &self.change.to_string()])
    }

    /// The name of the deploy with this number.
    pub(crate) fn deploy(&self, number: DeployNumber) -> DeployName {
        DeployName::new(self.name.clone(), number)
    }
}

/// Keeps new deploys away from a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) reason: String,
    pub(crate) by: Principal,
    pub(crate) time: DateTime<Utc>,
}

impl Hold {
    /// In characters.
    pub(crate) const LONGEST_REASON: usize = 500;
}

/// What is to be changed about how a Deployment is configured. None leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DeploymentChanges {
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) dag_deploy_mode: Option<DagDeployMode>,
    pub(crate) rollback_enabled: Option<bool>,
    pub(crate) settings: Option<Settings>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) execution_mode: Option<ExecutionMode>,
}

impl DeploymentChanges {
    /// The Deployment with the changes.
    pub(crate) fn onto(&self, before: &Deployment) -> Deployment {
        let Self {
            display_name,
            description,
            labels,
            dag_deploy_mode,
            rollback_enabled,
            settings,
            delivery,
            execution_mode,
        } = self;
        let mut after = before.clone();
        set(&mut after.display_name, display_name.as_ref());
        set(&mut after.description, description.as_ref());
        set(&mut after.labels, labels.as_ref());
        set(&mut after.dag_deploy_mode, dag_deploy_mode.as_ref());
        set(&mut after.rollback_enabled, rollback_enabled.as_ref());
        set(&mut after.settings, settings.as_ref());
        set(&mut after.delivery, delivery.as_ref());
        set(&mut after.execution_mode, execution_mode.as_ref());
        after
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// A Deployment that is to be created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewDeployment {
    pub(crate) name: DeploymentName,
    pub(crate) uid: DeploymentUid,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) dag_deploy_mode: DagDeployMode,
    pub(crate) rollback_enabled: bool,
    pub(crate) delivery: Delivery,
    pub(crate) execution_mode: ExecutionMode,
    pub(crate) settings: Settings,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The Deployment `workspaces/data/deployments/etl` with so many deploys, all deployed.
    pub(crate) fn deployment(latest: i64) -> Deployment {
        let number = |number: i64| DeployNumber::new(number.max(0)).unwrap();
        let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        Deployment {
            name: "workspaces/data/deployments/etl".parse().unwrap(),
            uid: DeploymentUid::new(Uuid::from_u128(1)),
            display_name: "ETL".to_owned(),
            description: String::new(),
            labels: BTreeMap::new(),
            dag_deploy_mode: DagDeployMode::DagOnly,
            rollback_enabled: true,
            delivery: Delivery::Record,
            execution_mode: ExecutionMode::Hosted,
            settings: Settings::new(),
            history: History {
                latest: number(latest),
                current: number(latest),
                previous: number(latest - 1),
            },
            change: 1,
            hold: None,
            delete_time: None,
            current_revision: None,
            created_by: "user:alice@example.com".parse().unwrap(),
            create_time: time,
            update_time: time,
        }
    }
}
