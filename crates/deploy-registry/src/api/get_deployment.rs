//! GetDeployment returns a Deployment with its latest and current deploy.

use chassis::access::{Freshness, judge};
use chassis::identity::caller;
use chassis::problem::Problem;
use model::{DeploymentName, Permission, PermissionSet, ResourceName};
use proto::registry::v1 as pb;
use tonic::Request;

use super::access::{SHOWS_SETTINGS, Sight, VISIBLE_BY};
use super::errors::{About, deployment_missing};
use super::{Registry, decode, encode};
use crate::domain::Deployment;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::GetDeploymentRequest>,
) -> Result<pb::GetDeploymentResponse, Problem> {
    let caller = caller(&request)?;
    let name: DeploymentName = decode::name("name", &request.into_inner().name)?;
    let resource = ResourceName::from(name.clone());
    let held = registry
        .access
        .held(&caller, &resource, ASKED, Freshness::MinimizeLatency)
        .await?;
    if !is_visible(held) {
        judge(&caller, &resource, VISIBLE_BY, PermissionSet::EMPTY)?;
    }

    let found = registry.store.deployment(&name).await;
    let found = found.map_err(|error| About::deployment(&name).problem(error))?;
    let deployment = found.ok_or_else(|| deployment_missing(&name))?;
    Ok(pb::GetDeploymentResponse {
        deployment: Some(show(deployment, held)),
    })
}

/// All that decides what of a Deployment is shown.
pub(super) const ASKED: PermissionSet = VISIBLE_BY.union(PermissionSet::of(&[SHOWS_SETTINGS]));

/// Whether a caller with these permissions may know that the Deployment exists.
pub(super) fn is_visible(held: PermissionSet) -> bool {
    held.contains(Permission::DeploymentConfigGet)
        || held.contains(Permission::WorkspaceDeploymentsGet)
}

/// As much of a Deployment as a caller with these permissions may see.
pub(super) fn show(deployment: Deployment, held: PermissionSet) -> pb::Deployment {
    if held.contains(Permission::DeploymentConfigGet) {
        encode::deployment(
            deployment,
            Sight {
                settings: held.contains(SHOWS_SETTINGS),
            },
        )
    } else {
        encode::names_only(deployment)
    }
}
