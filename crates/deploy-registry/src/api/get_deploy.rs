//! GetDeploy returns one deploy.

use chassis::access::Freshness;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::{DeployName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::{About, deploy_missing};
use super::{Registry, access, decode, encode};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::GetDeployRequest>,
) -> Result<pb::GetDeployResponse, Problem> {
    let caller = caller(&request)?;
    let name: DeployName = decode::name("name", &request.into_inner().name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    let freshness = Freshness::MinimizeLatency;
    let sight = access::require(registry, &caller, name.deployment(), needed, freshness).await?;

    let found = registry.store.deploy(&name).await;
    let found = found.map_err(|error| About::deployment(name.deployment()).problem(error))?;
    let entry = found.ok_or_else(|| deploy_missing(&name))?;
    Ok(pb::GetDeployResponse {
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}
