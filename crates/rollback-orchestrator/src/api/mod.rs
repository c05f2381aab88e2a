//! The RPCs of the rollback-orchestrator, one file each.

mod cancel_rollback;
mod create_rollback;
mod encode;
mod filter;
mod get_rollback;
mod list_audit_events;
mod list_rollback_targets;
mod list_rollbacks;
mod permission;
mod plan_rollback;
mod refusals;
mod target;
#[cfg(test)]
mod tests;
mod watch_rollback;

use std::time::Duration;

use chassis::access::Access;
use chassis::environment::Environment;
use chassis::problem::Problem;
use model::names::RollbackName;
use proto::common::v1::ErrorReason;
use proto::rollback::v1::rollback_service_server::RollbackService;
use proto::rollback::v1::{
    CancelRollbackRequest, CancelRollbackResponse, CreateRollbackRequest, CreateRollbackResponse,
    GetRollbackRequest, GetRollbackResponse, ListAuditEventsRequest, ListAuditEventsResponse,
    ListRollbackTargetsRequest, ListRollbackTargetsResponse, ListRollbacksRequest,
    ListRollbacksResponse, PlanRollbackRequest, PlanRollbackResponse, WatchRollbackRequest,
};
use tonic::{Code, Request, Response, Status};

pub(crate) use self::watch_rollback::Pace;
use crate::clients::authorization::Authorization;
use crate::execution::Execution;
use crate::feed::Feed;
use crate::planning::Planner;
use crate::store::Store;

/// The service behind the RPCs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) access: Access,
    pub(crate) authorization: Authorization,
    pub(crate) planner: Planner,
    pub(crate) store: Store,
    pub(crate) execution: Execution,
    pub(crate) environment: Environment,
    pub(crate) feed: Feed,
    pub(crate) watch_pace: Pace,
}

#[deny(clippy::missing_trait_methods)]
#[tonic::async_trait]
impl RollbackService for Api {
    async fn list_rollback_targets(
        &self,
        request: Request<ListRollbackTargetsRequest>,
    ) -> Result<Response<ListRollbackTargetsResponse>, Status> {
        Ok(list_rollback_targets::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn plan_rollback(
        &self,
        request: Request<PlanRollbackRequest>,
    ) -> Result<Response<PlanRollbackResponse>, Status> {
        Ok(plan_rollback::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn create_rollback(
        &self,
        request: Request<CreateRollbackRequest>,
    ) -> Result<Response<CreateRollbackResponse>, Status> {
        Ok(create_rollback::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn get_rollback(
        &self,
        request: Request<GetRollbackRequest>,
    ) -> Result<Response<GetRollbackResponse>, Status> {
        Ok(get_rollback::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        Ok(list_audit_events::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn list_rollbacks(
        &self,
        request: Request<ListRollbacksRequest>,
    ) -> Result<Response<ListRollbacksResponse>, Status> {
        Ok(list_rollbacks::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn watch_rollback(
        &self,
        request: Request<WatchRollbackRequest>,
    ) -> Result<Response<watch_rollback::Messages>, Status> {
        Ok(watch_rollback::handle(self, request)
            .await
            .map(Response::new)?)
    }

    async fn cancel_rollback(
        &self,
        request: Request<CancelRollbackRequest>,
    ) -> Result<Response<CancelRollbackResponse>, Status> {
        Ok(cancel_rollback::handle(self, request)
            .await
            .map(Response::new)?)
    }
}

/// What a caller is told who has waited for a rollback that goes on.
fn unfinished(rollback: &RollbackName) -> Problem {
    Problem::new(
        Code::Unavailable,
        ErrorReason::RollbackUnfinished,
        format!("{rollback} is accepted and goes on by itself: read it with GetRollback"),
    )
    .with("rollback", rollback)
    .retry_after(Duration::from_secs(1))
}
