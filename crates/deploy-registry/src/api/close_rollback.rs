//! CloseRollback settles what became of a rollback whose write is in doubt.

use chassis::identity::caller;
use chassis::problem::Problem;
use model::RollbackName;
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::About;
use super::{Registry, access, decode, encode};

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CloseRollbackRequest>,
) -> Result<pb::CloseRollbackResponse, Problem> {
    let caller = caller(&request)?;
    let rollback: RollbackName = decode::name("rollback", &request.into_inner().rollback)?;
    let sight = access::require_rollback_writer(registry, &caller, rollback.deployment()).await?;

    let settled = registry
        .store
        .close_rollback(&rollback, registry.environment.now())
        .await;
    let entry = settled.map_err(|error| About::rollback(&rollback).problem(error))?;
    let written = entry.is_some();
    tracing::info!(%rollback, written, "rollback settled");
    let deploy = entry.map(|entry| encode::deploy(entry, registry.retention, sight));
    Ok(pb::CloseRollbackResponse { deploy })
}
