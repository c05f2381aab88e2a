//! What a caller may do on a Deployment, and whether it may know of it at all.

use chassis::access::{Access, Freshness, judge};
use chassis::identity::Caller;
use chassis::problem::Problem;
use model::names::DeploymentName;
use model::permissions::{Permission, PermissionSet};

/// What every RPC here needs.
pub(super) const NEEDED: PermissionSet =
    PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);

/// Whoever holds one of these may know that the Deployment exists.
pub(super) const VISIBLE_BY: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentConfigGet,
    Permission::WorkspaceDeploymentsGet,
]);

/// What rolls back. Who may ship to a Deployment may know of it too.
const PUSHES: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

/// Shows settings. To see settings is not to see the Deployment.
const SHOWS_SETTINGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentVariablesGet]);

/// What the caller holds of all that a plan depends on. Fails unless it may see the history.
pub(super) async fn held_for_plan(
    access: &Access,
    caller: &Caller,
    deployment: &DeploymentName,
    freshness: Freshness,
) -> Result<PermissionSet, Problem> {
    let resource = deployment.clone().into();
    let seen_by = NEEDED.union(VISIBLE_BY).union(PUSHES);
    let held = access
        .held(caller, &resource, seen_by.union(SHOWS_SETTINGS), freshness)
        .await?;
    judge(caller, &resource, NEEDED, held.intersection(seen_by))?;
    Ok(held)
}
