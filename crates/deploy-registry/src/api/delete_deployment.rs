//! DeleteDeployment ends a Deployment.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use chassis::requests;
use model::{DeploymentName, Permission, PermissionSet, RequestId};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};

const METHOD: &str = "DeleteDeployment";

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::DeleteDeploymentRequest>,
) -> Result<pb::DeleteDeploymentResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let name: DeploymentName = decode::name("name", &request.name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentConfigDelete]);
    let freshness = Freshness::FullyConsistent;
    let sight = access::require(registry, &caller, &name, needed, freshness).await?;

    let mut fields = Fields::new();
    let request_id: Option<Option<RequestId>> =
        fields.parse_optional("request_id", &request.request_id);
    fields.finish()?;
    let replayable = request_id
        .flatten()
        .map(|id| requests::Request::new(caller.principal(), METHOD, &name, id, &request));
    let now = registry.environment.now();
    let deleted = registry
        .store
        .delete_deployment(&name, &request.etag, replayable.as_ref(), now)
        .await
        .map_err(|error| About::deployment(&name).problem(error))?;
    tracing::info!(deployment = %name, by = %caller.principal(), "Deployment deleted");
    Ok(pb::DeleteDeploymentResponse {
        deployment: Some(encode::deployment(deleted, sight)),
    })
}
