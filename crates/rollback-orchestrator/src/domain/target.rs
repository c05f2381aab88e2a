//! What a rollback can go back to: how somebody says it, and what a list tells of each deploy.

use chrono::{DateTime, Utc};
use model::deploys::{DeployState, Scope};
use model::names::{DeployNumber, DeploymentName, Principal};
use model::permissions::PermissionSet;
use model::runtime::AirflowVersion;

use super::blocker::Blocker;
use super::history::{Preview, Target};
use super::options::Options;
use super::plan::Plan;
use super::warning::WarningCode;

/// The rollback that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) deployment: DeploymentName,
    pub(crate) aim: Aim,
    pub(crate) scope: Scope,
    pub(crate) options: Options,
}

/// What to roll back to, as somebody says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    Deploy(DeployNumber),
    /// The last deploy that is known to have worked.
    Previous,
    /// The deploy that ran at this time.
    AsOf(DateTime<Utc>),
}

/// The deploy that somebody means, and where the history stood when it was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) latest: DeployNumber,
    pub(crate) current: DeployNumber,
}

/// A deploy as a list of targets shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListedDeploy {
    /// Without settings.
    pub(crate) target: Target,
    pub(crate) deploy_type: DeployType,
    pub(crate) trigger: DeployTrigger,
    pub(crate) state: DeployState,
    pub(crate) description: String,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    /// When it reached the state DEPLOYED.
    pub(crate) deploy_time: Option<DateTime<Utc>>,
    pub(crate) verdict: Option<Verdict>,
}

codes! {
    /// What a deploy shipped.
    DeployType {
        ImageAndDags = "IMAGE_AND_DAGS",
        ImageOnly = "IMAGE_ONLY",
        DagsOnly = "DAGS_ONLY",
        Dbt = "DBT",
    }
}

codes! {
    /// What made a deploy.
    DeployTrigger {
        Api = "API",
        Rollback = "ROLLBACK",
        Github = "GITHUB",
        GitSync = "GIT_SYNC",
    }
}

codes! {
    /// What became known of a deploy.
    Verdict {
        Good = "GOOD",
        Bad = "BAD",
    }
}

/// A deploy beside what the registry would write for a rollback to it, in each scope.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PreviewedDeploy {
    pub(crate) deploy: ListedDeploy,
    pub(crate) scopes: Vec<(Scope, Preview)>,
}

/// A deploy, and what a rollback to it would meet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JudgedDeploy {
    pub(crate) deploy: ListedDeploy,
    /// The Airflow version that it runs, as far as it is known.
    pub(crate) airflow: Option<AirflowVersion>,
    pub(crate) scopes: Vec<Judgement>,
}

/// What a rollback would meet in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) scope: Scope,
    pub(crate) blockers: Vec<Blocker>,
    /// What the caller lacks.
    pub(crate) missing: PermissionSet,
    pub(crate) must_acknowledge: Vec<WarningCode>,
}

impl Judgement {
    /// What the plan of the rollback says, so that list and plan never disagree.
    pub(crate) fn of(plan: Plan) -> Self {
        Self {
            scope: plan.scope,
            must_acknowledge: plan.must_acknowledge().collect(),
            missing: plan.permissions.missing,
            blockers: plan.blockers,
        }
    }

    /// Whether nothing is against the rollback.
    pub(crate) fn allows(&self) -> bool {
        self.blockers.is_empty() && self.missing.is_empty()
    }
}
