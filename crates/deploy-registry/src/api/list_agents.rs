//! ListAgents lists the remote agents of a Deployment.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use model::{DeploymentName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::{About, deployment_missing};
use super::{Registry, access, decode, encode};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ListAgentsRequest>,
) -> Result<pb::ListAgentsResponse, Problem> {
    let caller = caller(&request)?;
    let pb::ListAgentsRequest {
        parent,
        page_size,
        page_token,
    } = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &parent)?;
    let needed = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    let freshness = Freshness::MinimizeLatency;
    access::require(registry, &caller, &deployment, needed, freshness).await?;
    let mut fields = Fields::new();
    let Some(page) = Page::read(&mut fields, page_size, &page_token, &deployment) else {
        return Err(fields.into_problem());
    };

    let about = About::deployment(&deployment);
    let found = registry.store.deployment(&deployment).await;
    let found = found.map_err(|error| about.problem(error))?;
    let found = found.ok_or_else(|| deployment_missing(&deployment))?;
    let after = page.after.clone().unwrap_or_default();
    let now = registry.environment.now();
    let agents = registry
        .store
        .agents(found.uid, &after, page.limit() + 1, now)
        .await;
    let mut agents = agents.map_err(|error| about.problem(error))?;
    let next_page_token = page.cut(&mut agents, |agent| agent.id.clone());
    Ok(pb::ListAgentsResponse {
        agents: agents.iter().map(encode::agent).collect(),
        next_page_token,
    })
}
