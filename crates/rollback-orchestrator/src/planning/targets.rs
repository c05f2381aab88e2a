//! Listing what a rollback can go back to.

use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::deploys::Scope;
use model::names::{DeployNumber, DeploymentName, Principal, RollbackName};
use model::permissions::PermissionSet;
use proto::common::v1::ErrorReason;

use super::{MOST_READS, Planner, Standing, too_fast};
use crate::clients::registry::{PreviewPage, Previews};
use crate::domain::agents::Agents;
use crate::domain::history::{Deployment, Preview};
use crate::domain::options::Options;
use crate::domain::plan::{Facts, Plan};
use crate::domain::target::{Found, JudgedDeploy, Judgement, ListedDeploy, PreviewedDeploy};

/// A page of targets that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TargetPage<'a> {
    pub(crate) previews: PreviewPage<'a>,
    /// On the first page, the deploy that ran at this time is told.
    pub(crate) as_of: Option<DateTime<Utc>>,
}

/// A page of targets.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    pub(crate) deployment: DeploymentName,
    /// Newest first.
    pub(crate) deploys: Vec<JudgedDeploy>,
    /// The registry's token; empty on the last page.
    pub(crate) next_page_token: String,
    pub(crate) meant: Meant,
}

/// What somebody means who names no deploy. Empty after the first page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meant {
    /// The scopes that have one.
    pub(crate) previous: Vec<(Scope, DeployNumber)>,
    pub(crate) as_of: Option<DeployNumber>,
}

/// What all rollbacks of a page have in common.
struct Basis<'a> {
    planner: &'a Planner,
    caller: &'a Principal,
    held: PermissionSet,
    options: Options,
    deployment: Deployment,
    in_progress: Option<RollbackName>,
    agents: Option<Agents>,
}

impl Planner {
    /// Judges rollbacks to a page of deploys, in each scope, for a caller who holds `held` on the
    /// Deployment.
    pub(crate) async fn targets(
        &self,
        caller: &Principal,
        held: PermissionSet,
        page: TargetPage<'_>,
    ) -> Result<Targets, Problem> {
        let (previews, meant) = self.read_page(page).await?;
        let Previews {
            mut deployment,
            deploys,
            next_page_token,
        } = previews;
        // No blocker and nothing that must be acknowledged depends on them.
        deployment.settings.clear();
        let in_progress = self
            .store
            .in_progress(&deployment.name, deployment.uid)
            .await?;
        let basis = Basis {
            planner: self,
            caller,
            held,
            options: Options {
                hold: false,
                allow_marked_bad: page.previews.allow_marked_bad,
            },
            agents: self.agents(&deployment).await?,
            in_progress,
            deployment,
        };
        Ok(Targets {
            deploys: deploys.into_iter().map(|it| basis.judge(it)).collect(),
            deployment: basis.deployment.name,
            next_page_token,
            meant,
        })
    }

    /// Reads a page; the first one until what it tells is of one moment.
    async fn read_page(&self, page: TargetPage<'_>) -> Result<(Previews, Meant), Problem> {
        if !page.previews.token.is_empty() {
            let previews = self.registry.previews(page.previews).await?;
            return Ok((previews, Meant::default()));
        }
        for _ in 0..MOST_READS {
            let (previews, meant) =
                tokio::join!(self.registry.previews(page.previews), self.meant(page));
            let (previews, (meant, found_in)) = (previews?, meant?);
            let told = Standing::of(&previews.deployment);
            if found_in.into_iter().all(|found| found == told) {
                return Ok((previews, meant));
            }
        }
        Err(too_fast())
    }

    /// What somebody means who names no deploy, and where the history stood each time.
    async fn meant(&self, page: TargetPage<'_>) -> Result<(Meant, Vec<Standing>), Problem> {
        let deployment = page.previews.deployment;
        let previous = |scope| self.registry.previous(deployment, scope);
        let as_of = async {
            match page.as_of {
                Some(time) => found(self.registry.as_of(deployment, time).await),
                None => Ok(None),
            }
        };
        let (all, image, dags, as_of) = tokio::join!(
            previous(Scope::All),
            previous(Scope::Image),
            previous(Scope::Dags),
            as_of
        );
        let mut meant = Meant::default();
        let mut found_in = Vec::new();
        for (scope, outcome) in [
            (Scope::All, all),
            (Scope::Image, image),
            (Scope::Dags, dags),
        ] {
            if let Some((number, standing)) = found(outcome)? {
                meant.previous.push((scope, number));
                found_in.push(standing);
            }
        }
        if let Some((number, standing)) = as_of? {
            meant.as_of = Some(number);
            found_in.push(standing);
        }
        Ok((meant, found_in))
    }
}

impl Basis<'_> {
    fn judge(&self, previewed: PreviewedDeploy) -> JudgedDeploy {
        let PreviewedDeploy { deploy, scopes } = previewed;
        let runs_on = deploy.target.revision.runs_on(&self.planner.catalog);
        let scopes = scopes
            .into_iter()
            .map(|(scope, preview)| Judgement::of(self.plan(&deploy, scope, preview)));
        JudgedDeploy {
            scopes: scopes.collect(),
            airflow: runs_on.ok().and_then(|it| it.airflow().cloned()),
            deploy,
        }
    }

    /// The plan of one rollback, without what is only shown.
    fn plan(&self, deploy: &ListedDeploy, scope: Scope, preview: Preview) -> Plan {
        let facts = Facts {
            deployment: self.deployment.clone(),
            target: deploy.target.clone(),
            scope,
            options: self.options,
            preview,
            in_progress: self.in_progress.clone(),
            left_behind: None,
            agents: self.agents.clone(),
            caller: self.caller.clone(),
            held: self.held,
        };
        Plan::new(facts, &self.planner.catalog)
    }
}

/// The deploy that was found, if there is one, and where the history stood.
fn found(outcome: Result<Found, Problem>) -> Result<Option<(DeployNumber, Standing)>, Problem> {
    match outcome {
        Ok(Found {
            target,
            latest,
            current,
        }) => Ok(Some((target.number, Standing { latest, current }))),
        Err(problem) if problem.reason() == ErrorReason::TargetNotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}
