//! CreateDeployment registers an Airflow environment.

use chassis::access::{Freshness, judge};
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use chassis::requests;
use model::{DeploymentName, Permission, PermissionSet, RequestId, ResourceName, WorkspaceName};
use proto::registry::v1 as pb;
use tonic::Request;

use super::access::{SHOWS_SETTINGS, Sight};
use super::configuration::{self, Parts};
use super::errors::About;
use super::{Registry, decode, encode};
use crate::domain::{DeploymentUid, NewDeployment};

const METHOD: &str = "CreateDeployment";

/// Whoever holds one of these may know that the workspace exists.
const WORKSPACE_VISIBLE_BY: PermissionSet = PermissionSet::of(&[
    Permission::WorkspaceConfigGet,
    Permission::WorkspaceDeploymentsGet,
]);

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CreateDeploymentRequest>,
) -> Result<pb::CreateDeploymentResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let workspace = decode::name("parent", &request.parent)?;
    let sight = authorize(registry, &caller, &workspace).await?;

    let (new, request_id) = decode_new(registry, &caller, &workspace, &request)?;
    let replayable = request_id
        .map(|id| requests::Request::new(caller.principal(), METHOD, &workspace, id, &request));
    let deployment = registry
        .store
        .create_deployment(&new, replayable.as_ref(), request.validate_only)
        .await
        .map_err(|error| About::deployment(&new.name).problem(error))?;
    if !request.validate_only {
        let created_by = &deployment.created_by;
        tracing::info!(deployment = %deployment.name, %created_by, "Deployment created");
    }
    Ok(pb::CreateDeploymentResponse {
        deployment: Some(encode::deployment(deployment, sight)),
    })
}

async fn authorize(
    registry: &Registry,
    caller: &Caller,
    workspace: &WorkspaceName,
) -> Result<Sight, Problem> {
    let needed = PermissionSet::of(&[Permission::WorkspaceDeploymentsCreate]);
    let asked = needed.union(WORKSPACE_VISIBLE_BY);
    let shows_settings = PermissionSet::of(&[SHOWS_SETTINGS]);
    let resource = ResourceName::from(workspace.clone());
    let held = registry
        .access
        .held(
            caller,
            &resource,
            asked.union(shows_settings),
            Freshness::FullyConsistent,
        )
        .await?;
    judge(caller, &resource, needed, held.difference(shows_settings))?;
    Ok(Sight {
        settings: held.contains(SHOWS_SETTINGS),
    })
}

fn decode_new(
    registry: &Registry,
    caller: &Caller,
    workspace: &WorkspaceName,
    request: &pb::CreateDeploymentRequest,
) -> Result<(NewDeployment, Option<RequestId>), Problem> {
    let mut fields = Fields::new();
    let name = fields.ok(
        "deployment_id",
        DeploymentName::new(workspace, &request.deployment_id),
    );
    let request_id = fields.parse_optional("request_id", &request.request_id);
    let deployment = fields.required("deployment", request.deployment.clone());
    let parts = deployment.and_then(|deployment| configuration::whole(&mut fields, deployment));
    let (Some(name), Some(request_id), Some(parts)) = (name, request_id, parts) else {
        return Err(fields.into_problem());
    };
    let Parts {
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        delivery,
        execution_mode,
        settings,
    } = parts;
    let new = NewDeployment {
        name,
        uid: DeploymentUid::new(registry.environment.new_uuid()),
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        delivery,
        execution_mode,
        settings,
        created_by: caller.principal().clone(),
        create_time: registry.environment.now(),
    };
    Ok((new, request_id))
}
