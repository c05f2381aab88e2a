//! CollectExpired removes the bundles that nothing needs, or shows what would go.

use chassis::access::Freshness;
use chassis::identity::caller;
use chassis::problem::Problem;
use chrono::TimeDelta;
use model::{DagBundleName, Permission, PermissionSet, ResourceName};
use proto::registry::v1 as pb;
use tonic::Request;

use super::{Registry, errors};
use crate::sweep::{Report, Sweeper};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CollectExpiredRequest>,
) -> Result<pb::CollectExpiredResponse, Problem> {
    let caller = caller(&request)?;
    let pb::CollectExpiredRequest { validate_only } = request.into_inner();
    let needed = PermissionSet::of(&[Permission::SystemCleanupDeployRevisionsDelete]);
    let system = ResourceName::System;
    let freshness = Freshness::FullyConsistent;
    let held = registry.access.held(&caller, &system, needed, freshness);
    let missing = needed.difference(held.await?);
    if !missing.is_empty() {
        // That there is a system is known to everybody.
        let principal = caller.principal();
        return Err(Problem::permission_missing(principal, missing, &system));
    }
    let sweeper = Sweeper {
        store: registry.store.clone(),
        bundles: registry.bundles.clone(),
        environment: registry.environment.clone(),
        retention: registry.retention,
    };
    let report = if validate_only {
        sweeper.preview().await
    } else {
        sweeper.run(TimeDelta::zero()).await
    };
    Ok(encode(report.map_err(errors::sweep)?))
}

fn encode(report: Report) -> pb::CollectExpiredResponse {
    let Report {
        removed,
        removed_count,
        removed_bytes,
        marked,
        marked_count,
    } = report;
    let names = |bundles: Vec<DagBundleName>| {
        let names = bundles.iter().map(ToString::to_string);
        names.collect::<Vec<_>>()
    };
    pb::CollectExpiredResponse {
        removed_bundles: names(removed),
        removed_count,
        removed_bytes,
        marked_bundles: names(marked),
        marked_count,
    }
}
