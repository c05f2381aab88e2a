//! Which items of a list are asked for.

use chrono::{DateTime, Utc};
use model::comparison::{OrderTest, Same, TextTest};
use model::{DagDeployMode, DeployState};

use super::{Delivery, Deploy, DeployTrigger, DeployType, Deployment, ExecutionMode};

/// The deploys that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeployFilter(pub(crate) Vec<DeployTest>);

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeployTest {
    Type(Same<DeployType>),
    Trigger(Same<DeployTrigger>),
    State(Same<DeployState>),
    CreatedBy(TextTest),
    Description(TextTest),
    CreateTime(OrderTest<DateTime<Utc>>),
}

impl DeployFilter {
    /// Whether it lets every deploy through.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn lets_through(&self, deploy: &Deploy) -> bool {
        self.0.iter().all(|test| match test {
            DeployTest::Type(test) => test.holds(&deploy.deploy_type),
            DeployTest::Trigger(test) => test.holds(&deploy.trigger),
            DeployTest::State(test) => test.holds(&deploy.state),
            DeployTest::CreatedBy(test) => test.holds(&deploy.created_by.to_string()),
            DeployTest::Description(test) => test.holds(&deploy.description),
            DeployTest::CreateTime(test) => test.holds(&deploy.create_time),
        })
    }

    /// Whether nothing is let through from this deploy on to older ones: times of a history never run
    /// backwards.
    pub(crate) fn ends_before(&self, deploy: &Deploy) -> bool {
        self.0.iter().any(|test| match test {
            DeployTest::CreateTime(test) => test.is_past(&deploy.create_time),
            DeployTest::Type(_)
            | DeployTest::Trigger(_)
            | DeployTest::State(_)
            | DeployTest::CreatedBy(_)
            | DeployTest::Description(_) => false,
        })
    }
}

/// The Deployments that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeploymentFilter(pub(crate) Vec<DeploymentTest>);

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeploymentTest {
    DisplayName(TextTest),
    CreatedBy(TextTest),
    Label(String, TextTest),
    Mode(Same<DagDeployMode>),
    Delivery(Same<Delivery>),
    ExecutionMode(Same<ExecutionMode>),
    RollbackEnabled(Same<bool>),
    CreateTime(OrderTest<DateTime<Utc>>),
    UpdateTime(OrderTest<DateTime<Utc>>),
}

impl DeploymentFilter {
    /// Whether a Deployment is asked for. Of one that only the name is shown of, nothing else is
    /// compared: what is found would tell it.
    pub(crate) fn lets_through(&self, deployment: &Deployment, names_only: bool) -> bool {
        self.0.iter().all(|test| match test {
            DeploymentTest::DisplayName(test) => test.holds(&deployment.display_name),
            _ if names_only => false,
            DeploymentTest::CreatedBy(test) => test.holds(&deployment.created_by.to_string()),
            DeploymentTest::Label(key, test) => {
                test.holds(deployment.labels.get(key).map_or("", String::as_str))
            }
            DeploymentTest::Mode(test) => test.holds(&deployment.dag_deploy_mode),
            DeploymentTest::Delivery(test) => test.holds(&deployment.delivery),
            DeploymentTest::ExecutionMode(test) => test.holds(&deployment.execution_mode),
            DeploymentTest::RollbackEnabled(test) => test.holds(&deployment.rollback_enabled),
            DeploymentTest::CreateTime(test) => test.holds(&deployment.create_time),
            DeploymentTest::UpdateTime(test) => test.holds(&deployment.update_time),
        })
    }
}
