//! ReleaseHold lets new deploys through to a Deployment again.

use chassis::access::Freshness;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::{DeploymentName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ReleaseHoldRequest>,
) -> Result<pb::ReleaseHoldResponse, Problem> {
    let caller = caller(&request)?;
    let pb::ReleaseHoldRequest { name } = request.into_inner();
    let name: DeploymentName = decode::name("name", &name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentConfigUpdate]);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require(registry, &caller, &name, needed, freshness).await?;

    let now = registry.environment.now();
    let released = registry.store.release_hold(&name, now).await;
    let released = released.map_err(|error| About::deployment(&name).problem(error))?;
    tracing::info!(deployment = %name, by = %caller.principal(), "hold released");
    Ok(pb::ReleaseHoldResponse {
        deployment: Some(encode::deployment(released, sight)),
    })
}
