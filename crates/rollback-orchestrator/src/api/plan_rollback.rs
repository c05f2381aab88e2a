//! PlanRollback: everything that a rollback would do, refuse, warn of and leave alone.
//!
//! It reads only. Whoever may see the history may see the plan, without any permission to roll back:
//! the plan says which one is missing.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::names::DeploymentName;
use proto::rollback::v1::{PlanRollbackRequest, PlanRollbackResponse};
use tonic::Request;

use super::permission::held_for_plan;
use super::target::{self, Said};
use super::{Api, encode};
use crate::domain::options::Options;
use crate::domain::target::Asked;
use crate::planning::Purpose;

pub(super) async fn handle(
    service: &Api,
    request: Request<PlanRollbackRequest>,
) -> Result<PlanRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let PlanRollbackRequest {
        parent,
        scope,
        target,
        hold,
        allow_marked_bad,
    } = request.into_inner();

    let mut fields = Fields::new();
    let parent = fields.parse::<DeploymentName>("parent", &parent);
    let read = target::read(&mut fields, parent.as_ref(), target.map(Said::from), scope);
    let Some(parent) = parent else {
        return Err(fields.into_problem());
    };

    let freshness = Freshness::MinimizeLatency;
    let held = held_for_plan(&service.access, &caller, &parent, freshness).await?;
    let Some((aim, scope)) = read else {
        return Err(fields.into_problem());
    };

    let asked = Asked {
        deployment: parent,
        aim,
        scope,
        options: Options {
            hold,
            allow_marked_bad,
        },
    };
    let plan = service
        .planner
        .plan(caller.principal(), held, &asked, Purpose::Show)
        .await?;
    Ok(PlanRollbackResponse {
        plan: Some(encode::plan(plan)),
    })
}
