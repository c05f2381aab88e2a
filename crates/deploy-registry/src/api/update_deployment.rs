//! UpdateDeployment changes how a Deployment is configured.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use chassis::requests;
use model::{DeploymentName, Permission, PermissionSet, RequestId};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, configuration, decode, encode};
use crate::domain::DeploymentChanges;

const METHOD: &str = "UpdateDeployment";

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::UpdateDeploymentRequest>,
) -> Result<pb::UpdateDeploymentResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let deployment = request.deployment.clone().unwrap_or_default();
    let name: DeploymentName = decode::name("deployment.name", &deployment.name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentConfigUpdate]);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require(registry, &caller, &name, needed, freshness).await?;

    let (changes, request_id) = decode_changes(&request, deployment.clone())?;
    let replayable = request_id
        .map(|id| requests::Request::new(caller.principal(), METHOD, &name, id, &request));
    let now = registry.environment.now();
    let updated = registry
        .store
        .update_deployment(&name, &changes, &deployment.etag, replayable.as_ref(), now)
        .await
        .map_err(|error| About::deployment(&name).problem(error))?;
    tracing::info!(deployment = %name, by = %caller.principal(), "Deployment updated");
    Ok(pb::UpdateDeploymentResponse {
        deployment: Some(encode::deployment(updated, sight)),
    })
}

fn decode_changes(
    request: &pb::UpdateDeploymentRequest,
    deployment: pb::Deployment,
) -> Result<(DeploymentChanges, Option<RequestId>), Problem> {
    let mut fields = Fields::new();
    let changes = configuration::changes(&mut fields, deployment, request.update_mask.clone());
    let request_id = fields.parse_optional("request_id", &request.request_id);
    fields.finish()?;
    Ok((changes, request_id.flatten()))
}
