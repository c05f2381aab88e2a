//! Reading what a plan is made from, and making it.

mod targets;

use std::sync::Arc;

use chassis::problem::Problem;
use model::catalog::Catalog;
use model::names::{DeployName, DeployNumber, Principal};
use model::permissions::PermissionSet;

use crate::clients::registry::{self, Registry};
use crate::domain::agents::Agents;
use crate::domain::history::{DeployBetween, Deployment, ExecutionMode, Preview, Target};
use crate::domain::plan::{Facts, Plan};
use crate::domain::target::{Aim, Asked, Found};
use crate::store::Store;

pub(crate) use self::targets::{Meant, TargetPage, Targets};

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
    /// Where the history stood when the target was found, if it was not named.
    found_in: Option<Standing>,
}

/// Where the history of a Deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    latest: DeployNumber,
    /// [`DeployNumber::NONE`] while nothing runs.
    current: DeployNumber,
}

impl Planner {
    pub(crate) const fn new(registry: Registry, store: Store, catalog: Arc<Catalog>) -> Self {
        Self {
            registry,
            store,
            catalog,
        }
    }

    /// Plans a rollback for a caller who holds `held` on the Deployment.
    pub(crate) async fn plan(
        &self,
        caller: &Principal,
        held: PermissionSet,
        asked: &Asked,
        purpose: Purpose,
    ) -> Result<Plan, Problem> {
        let moment = self.read(asked).await?;
        let in_progress = self
            .store
            .in_progress(&moment.deployment.name, moment.deployment.uid)
            .await?;
        let agents = self.agents(&moment.deployment).await?;
        let left_behind = match purpose {
            Purpose::Show => {
                self.left_behind(moment.target.number, &moment.deployment)
                    .await?
            }
            Purpose::Decide => None,
        };
        let Moment {
            deployment,
            target,
            preview,
            found_in: _,
        } = moment;
        let facts = Facts {
            deployment,
            target,
            scope: asked.scope,
            options: asked.options,
            preview,
            in_progress,
            left_behind,
            agents,
            caller: caller.clone(),
            held,
        };
        Ok(Plan::new(facts, &self.catalog))
    }

    /// Reads until nothing has landed, and nothing else has come to run, between the reads.
    async fn read(&self, asked: &Asked) -> Result<Moment, Problem> {
        for _ in 0..MOST_READS {
            let moment = match asked.aim {
                Aim::Deploy(number) => self.read_to(asked, number).await?,
                Aim::Previous => {
                    let found = self
                        .registry
                        .previous(&asked.deployment, asked.scope)
                        .await?;
                    self.read_from(asked, found).await?
                }
                Aim::AsOf(time) => {
                    let found = self.registry.as_of(&asked.deployment, time).await?;
                    self.read_from(asked, found).await?
                }
            };
            if moment.is_one() {
                return Ok(moment);
            }
        }
        Err(too_fast())
    }

    async fn read_to(&self, asked: &Asked, number: DeployNumber) -> Result<Moment, Problem> {
        let name = DeployName::new(asked.deployment.clone(), number);
        let (deployment, target, preview) = tokio::join!(
            self.registry.deployment(&asked.deployment),
            self.registry.target(&name),
            self.registry.preview(&name, asked.scope, asked.options),
        );
        Ok(Moment {
            deployment: deployment?,
            target: target?,
            preview: preview?,
            found_in: None,
        })
    }

    async fn read_from(&self, asked: &Asked, found: Found) -> Result<Moment, Problem> {
        let Found {
            target,
            latest,
            current,
        } = found;
        let name = DeployName::new(asked.deployment.clone(), target.number);
        let (deployment, preview) = tokio::join!(
            self.registry.deployment(&asked.deployment),
            self.registry.preview(&name, asked.scope, asked.options),
        );
        Ok(Moment {
            deployment: deployment?,
            target,
            preview: preview?,
            found_in: Some(Standing { latest, current }),
        })
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
        target: DeployNumber,
        deployment: &Deployment,
    ) -> Result<Option<Vec<DeployBetween>>, Problem> {
        let Some(current) = &deployment.current else {
            return Ok(None);
        };
        let target = DeployName::new(deployment.name.clone(), target);
        self.registry
            .left_behind(&target, current.number, deployment.latest)
            .await
            .map(Some)
    }
}

impl Moment {
    /// Whether the registry found the target in, and composed the revision for, the history that it
    /// told.
    fn is_one(&self) -> bool {
        let told = Standing::of(&self.deployment);
        let found = self.found_in.is_none_or(|found| found == told);
        let composed = match &self.preview.composed {
            Some(composed) => {
                Some(composed.number) == told.latest.next() && composed.replaced == told.current
            }
            // What is wrong with the target is wrong whatever has landed.
            None => true,
        };
        found && composed
    }
}

impl Standing {
    fn of(deployment: &Deployment) -> Self {
        let current = deployment.current.as_ref();
        Self {
            latest: deployment.latest,
            current: current.map_or(DeployNumber::NONE, |current| current.number),
        }
    }
}

fn too_fast() -> Problem {
    Problem::unavailable(
        registry::DEPENDENCY,
        "deploys land faster than they can be read",
    )
}
