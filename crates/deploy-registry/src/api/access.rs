//! What a caller may do on a Deployment, and whether it may know of it at all.

use chassis::access::{Freshness, denial, judge};
use chassis::identity::Caller;
use chassis::problem::Problem;
use model::{DeploymentName, Permission, PermissionSet, ResourceName};

use super::Registry;

/// Whoever holds one of these may know that the Deployment exists.
pub(super) const VISIBLE_BY: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentConfigGet,
    Permission::WorkspaceDeploymentsGet,
]);

/// Whoever holds one of these may ship something.
const SHIPS: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

/// Shows settings, which are left out of every answer to others.
pub(super) const SHOWS_SETTINGS: Permission = Permission::DeploymentVariablesGet;

/// Fails unless the caller holds all of `needed` on the Deployment. Returns whether it may see
/// settings as well.
pub(super) async fn require(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
    needed: PermissionSet,
    freshness: Freshness,
) -> Result<Sight, Problem> {
    require_or_see(registry, caller, deployment, needed, VISIBLE_BY, freshness).await
}

/// The same, where more than [`VISIBLE_BY`] lets a caller know of the Deployment.
pub(super) async fn require_or_see(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
    needed: PermissionSet,
    visible_by: PermissionSet,
    freshness: Freshness,
) -> Result<Sight, Problem> {
    let resource = ResourceName::from(deployment.clone());
    let asked = needed
        .union(visible_by)
        .union(PermissionSet::of(&[SHOWS_SETTINGS]));
    let held = registry
        .access
        .held(caller, &resource, asked, freshness)
        .await?;
    // To see settings is not to see the Deployment.
    let seen = held.difference(PermissionSet::of(&[SHOWS_SETTINGS]));
    if needed.is_empty() && seen.is_empty() {
        return Err(Problem::not_found(resource.level().as_str(), &resource));
    }
    judge(caller, &resource, needed, seen)?;
    Ok(Sight {
        settings: held.contains(SHOWS_SETTINGS),
    })
}

/// Fails unless the caller may ship something to the Deployment, whatever it is.
pub(super) async fn require_to_ship(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
) -> Result<Sight, Problem> {
    let shows_settings = PermissionSet::of(&[SHOWS_SETTINGS]);
    let resource = ResourceName::from(deployment.clone());
    let asked = SHIPS.union(VISIBLE_BY).union(shows_settings);
    let held = registry
        .access
        .held(caller, &resource, asked, Freshness::FullyConsistent)
        .await?;
    if held.intersection(SHIPS).is_empty() {
        let seen = held.difference(shows_settings);
        return Err(denial(caller, &resource, SHIPS, seen));
    }
    Ok(Sight {
        settings: held.contains(SHOWS_SETTINGS),
    })
}

/// Fails unless the caller is a service that writes rollbacks.
///
/// Only services can hold that permission, by configuration, so that nobody is asked about it. Others
/// are told that they lack it, if they may see the Deployment.
pub(super) async fn require_rollback_writer(
    registry: &Registry,
    caller: &Caller,
    deployment: &DeploymentName,
) -> Result<Sight, Problem> {
    let needed = PermissionSet::of(&[Permission::SystemRollbacksWrite]);
    let resource = ResourceName::from(deployment.clone());
    let own = caller.service_permissions();
    if needed.is_subset(own) {
        return Ok(Sight {
            settings: own.contains(SHOWS_SETTINGS),
        });
    }
    let seen = registry
        .access
        .held(caller, &resource, VISIBLE_BY, Freshness::FullyConsistent)
        .await?;
    Err(denial(caller, &resource, needed, seen))
}

/// What of a Deployment and its deploys a caller is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) settings: bool,
}
