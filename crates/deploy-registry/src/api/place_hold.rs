//! PlaceHold keeps new deploys away from a Deployment.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use model::{DeploymentName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};
use crate::domain::Hold;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::PlaceHoldRequest>,
) -> Result<pb::PlaceHoldResponse, Problem> {
    let caller = caller(&request)?;
    let pb::PlaceHoldRequest { name, reason } = request.into_inner();
    let name: DeploymentName = decode::name("name", &name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentConfigUpdate]);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require(registry, &caller, &name, needed, freshness).await?;

    let mut fields = Fields::new();
    let Some(reason) = fields.required_text("reason", reason, Hold::LONGEST_REASON) else {
        return Err(fields.into_problem());
    };
    let now = registry.environment.now();
    let held = registry
        .store
        .place_hold(&name, &reason, caller.principal(), now)
        .await
        .map_err(|error| About::deployment(&name).problem(error))?;
    tracing::info!(deployment = %name, by = %caller.principal(), "hold placed");
    Ok(pb::PlaceHoldResponse {
        deployment: Some(encode::deployment(held, sight)),
    })
}
