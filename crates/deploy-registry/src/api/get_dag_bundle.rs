//! GetDagBundle tells whether the Deployment has a bundle, and its size.

use chassis::access::Freshness;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use model::{DagBundleName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::{self, About};
use super::{Registry, access, decode, encode};
use crate::domain::{DeploymentUid, StoredBundle};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::GetDagBundleRequest>,
) -> Result<pb::GetDagBundleResponse, Problem> {
    let caller = caller(&request)?;
    let (_, bundle) = find(registry, &caller, &request.into_inner().name).await?;
    Ok(pb::GetDagBundleResponse {
        dag_bundle: Some(encode::dag_bundle(&bundle)),
    })
}

/// The bundle that a caller asks for, whose bytes are there, and which Deployment it belongs to.
pub(super) async fn find(
    registry: &Registry,
    caller: &Caller,
    name: &str,
) -> Result<(DeploymentUid, StoredBundle), Problem> {
    let name: DagBundleName = decode::name("name", name)?;
    let needed = PermissionSet::of(&[Permission::DeploymentImagesPull]);
    let freshness = Freshness::MinimizeLatency;
    access::require(registry, caller, name.deployment(), needed, freshness).await?;

    let found = registry.store.bundle(&name).await;
    let found = found.map_err(|error| About::deployment(name.deployment()).problem(error))?;
    let (uid, bundle) = found.ok_or_else(|| errors::bundle_unknown(&name))?;
    let there = registry.bundles.has(uid, &bundle.object, bundle.size).await;
    if there.map_err(errors::bundle_store)? {
        Ok((uid, bundle))
    } else {
        Err(errors::bundles_missing(name.deployment(), &[name.digest()]))
    }
}
