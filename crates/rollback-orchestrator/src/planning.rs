//! Reading what a plan is made from, and making it.

use std::sync::Arc;

use chassis::problem::Problem;
use model::catalog::Catalog;
use model::deploys::Scope;
use model::names::{DeployName, Principal};
use model::permissions::PermissionSet;

use crate::clients::registry::{self, Registry};
use crate::domain::agents::Agents;
use crate::domain::history::{DeployBetween, Deployment, ExecutionMode, Preview, Target};
use crate::domain::options::Options;
use crate::domain::plan::{Facts, Plan};
use crate::store::Store;

/// How often the history is read until what was read is of one moment.
const MOST_READS: u32 = 5;

/// Makes plans. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Planner {
    registry: Registry,
    store: Store,
    catalog: Arc<Catalog>,
}

/// For what a plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be shown, with everything that is known.
    Show,
    /// To decide on. What only informs is not looked for: it counts for nothing here.
    Decide,
}

/// What was read of the Deployment's history, all of one moment.
struct Moment {
    deployment: Deployment,
    target: Target,
    preview: Preview,
}

impl Planner {
    pub(crate) const fn new(registry: Registry, store: Store, catalog: Arc<Catalog>) -> Self {
        Self {
            registry,
            store,
            catalog,
        }
    }

    /// Plans a rollback to `target` for a caller who holds `held` on the Deployment.
    pub(crate) async fn plan(
        &self,
        caller: &Principal,
        held: PermissionSet,
        target: &DeployName,
        scope: Scope,
        options: Options,
        purpose: Purpose,
    ) -> Result<Plan, Problem> {
        let moment = self.read(target, scope, options).await?;
        let in_progress = self
            .store
            .in_progress(&moment.deployment.name, moment.deployment.uid)
            .await?;
        let agents = self.agents(&moment.deployment).await?;
        let left_behind = match purpose {
            Purpose::Show => self.left_behind(target, &moment.deployment).await?,
            Purpose::Decide => None,
        };
        let Moment {
            deployment,
            target,
            preview,
        } = moment;
        let facts = Facts {
            deployment,
            target,
            scope,
            options,
            preview,
            in_progress,
            left_behind,
            agents,
            caller: caller.clone(),
            held,
        };
        Ok(Plan::new(facts, &self.catalog))
    }

    /// Reads until no deploy has landed between the reads.
    async fn read(
        &self,
        target: &DeployName,
        scope: Scope,
        options: Options,
    ) -> Result<Moment, Problem> {
        for _ in 0..MOST_READS {
            let (deployment, deploy, preview) = tokio::join!(
                self.registry.deployment(target.deployment()),
                self.registry.target(target),
                self.registry.preview(target, scope, options),
            );
            let moment = Moment {
                deployment: deployment?,
                target: deploy?,
                preview: preview?,
            };
            if moment.is_one() {
                return Ok(moment);
            }
        }
        Err(Problem::unavailable(
            registry::DEPENDENCY,
            "deploys land faster than they can be read",
        ))
    }

    /// None where no remote agents run the tasks.
    async fn agents(&self, deployment: &Deployment) -> Result<Option<Agents>, Problem> {
        match deployment.execution {
            ExecutionMode::Hosted => Ok(None),
            ExecutionMode::Remote => self.registry.agents(&deployment.name).await.map(Some),
        }
    }

    async fn left_behind(
        &self,
        target: &DeployName,
        deployment: &Deployment,
    ) -> Result<Option<Vec<DeployBetween>>, Problem> {
        let Some(current) = &deployment.current else {
            return Ok(None);
        };
        self.registry
            .left_behind(target, current.number, deployment.latest)
            .await
            .map(Some)
    }
}

impl Moment {
    /// Whether the registry composed the revision for the history that it told.
    fn is_one(&self) -> bool {
        match &self.preview.composed {
            Some(composed) => Some(composed.number) == self.deployment.latest.next(),
            // What is wrong with the target is wrong whatever has landed.
            None => true,
        }
    }
}
