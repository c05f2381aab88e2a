//! UpdateDeploy changes the description of a deploy, or pins it.

use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::mask::Mask;
use chassis::problem::Problem;
use chassis::requests;
use model::{DeployName, RequestId};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};
use crate::domain::DeployChanges;

const METHOD: &str = "UpdateDeploy";
const CHANGEABLE: [&str; 2] = ["description", "pinned"];
const LONGEST_DESCRIPTION: usize = 500;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::UpdateDeployRequest>,
) -> Result<pb::UpdateDeployResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let deploy = request.deploy.clone().unwrap_or_default();
    let name: DeployName = decode::name("deploy.name", &deploy.name)?;
    let sight = access::require_to_ship(registry, &caller, name.deployment()).await?;

    let (changes, request_id) = decode_changes(&request, &deploy)?;
    let replayable = request_id.map(|id| {
        requests::Request::new(caller.principal(), METHOD, name.deployment(), id, &request)
    });
    let now = registry.environment.now();
    let entry = registry
        .store
        .update_deploy(
            &name,
            &changes,
            &deploy.etag,
            caller.principal(),
            replayable.as_ref(),
            now,
        )
        .await
        .map_err(|error| About::deploy(&name).problem(error))?;
    tracing::info!(deploy = %name, by = %caller.principal(), "deploy updated");
    Ok(pb::UpdateDeployResponse {
        deploy: Some(encode::deploy(entry, registry.retention, sight)),
    })
}

fn decode_changes(
    request: &pb::UpdateDeployRequest,
    deploy: &pb::Deploy,
) -> Result<(DeployChanges, Option<RequestId>), Problem> {
    let mut fields = Fields::new();
    let mask = Mask::read(&mut fields, request.update_mask.clone(), &CHANGEABLE);
    let mut changes = DeployChanges::default();
    if mask.has("description", deploy.description.is_empty()) {
        let description = deploy.description.clone();
        changes.description = fields.text("deploy.description", description, LONGEST_DESCRIPTION);
    }
    if mask.has("pinned", !deploy.pinned) {
        changes.pinned = Some(deploy.pinned);
    }
    let request_id = fields.parse_optional("request_id", &request.request_id);
    fields.finish()?;
    Ok((changes, request_id.flatten()))
}
