//! One file per RPC. Each is read from top to bottom: parse the name, authorize, decode, decide,
//! store, encode.

mod access;
mod close_rollback;
mod collect_expired;
mod configuration;
mod create_deploy;
mod create_deployment;
mod create_rollback_deploy;
mod decode;
mod delete_deployment;
mod download_dag_bundle;
mod encode;
mod errors;
mod filter;
mod find_deploy;
mod get_dag_bundle;
mod get_deploy;
mod get_deployment;
mod image;
mod list_agents;
mod list_deployments;
mod list_deploys;
mod mark_deploy;
mod page;
mod permit;
mod place_hold;
mod preview_rollback_deploys;
mod release_hold;
mod report_agent;
mod report_deploy_state;
mod shipment;
#[cfg(test)]
mod tests;
mod update_deploy;
mod update_deployment;
mod upload_dag_bundle;
mod watch_deploys;

use std::sync::Arc;
use std::time::Duration;

use chassis::access::Access;
use chassis::environment::Environment;
use chassis::identity::PermitVerifier;
use chassis::problem::Problem;
use model::Catalog;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::watch_deploys::Pace;
use crate::bundle_store::BundleStore;
use crate::domain::{Retention, VerificationMode};
use crate::feed::Feed;
use crate::images::Images;
use crate::store::Store;

/// The service, as its handlers see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    pub(crate) store: Store,
    pub(crate) bundles: BundleStore,
    pub(crate) access: Access,
    pub(crate) permits: PermitVerifier,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) environment: Environment,
    pub(crate) retention: Retention,
    pub(crate) feed: Feed,
    pub(crate) watch_pace: Pace,
    pub(crate) images: ImageVerifier,
    /// Whether rollbacks are switched on for the installation.
    pub(crate) rollbacks_enabled: bool,
    pub(crate) max_bundle_bytes: i64,
    /// How many bytes the bundles of a Deployment may have.
    pub(crate) bundle_quota: i64,
    /// How long an upload may send nothing.
    pub(crate) upload_stall: Duration,
}

/// Who is asked about images, and what that decides.
#[derive(Clone)]
pub(crate) enum ImageVerifier {
    Off,
    Warn(Images),
    Require(Images),
}

impl ImageVerifier {
    pub(crate) const fn mode(&self) -> VerificationMode {
        match self {
            Self::Off => VerificationMode::Off,
            Self::Warn(_) => VerificationMode::Warn,
            Self::Require(_) => VerificationMode::Require,
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, Problem>) -> Answer<T> {
    result.map(Response::new).map_err(Status::from)
}

impl Registry {
    /// The answer of a call that changes a history: whoever watches it at this replica is told soon.
    fn changed<T>(&self, result: Result<T, Problem>) -> Answer<T> {
        self.feed.look_soon();
        answer(result)
    }
}

#[rustfmt::skip] // One line per RPC: this is the table of contents.
#[deny(clippy::missing_trait_methods)]
#[tonic::async_trait]
impl DeployRegistryService for Registry {
    async fn create_deployment(&self, request: Request<pb::CreateDeploymentRequest>) -> Answer<pb::CreateDeploymentResponse> { self.changed(create_deployment::handle(self, request).await) }
    async fn get_deployment(&self, request: Request<pb::GetDeploymentRequest>) -> Answer<pb::GetDeploymentResponse> { answer(get_deployment::handle(self, request).await) }
    async fn list_deployments(&self, request: Request<pb::ListDeploymentsRequest>) -> Answer<pb::ListDeploymentsResponse> { answer(list_deployments::handle(self, request).await) }
    async fn update_deployment(&self, request: Request<pb::UpdateDeploymentRequest>) -> Answer<pb::UpdateDeploymentResponse> { self.changed(update_deployment::handle(self, request).await) }
    async fn delete_deployment(&self, request: Request<pb::DeleteDeploymentRequest>) -> Answer<pb::DeleteDeploymentResponse> { self.changed(delete_deployment::handle(self, request).await) }
    async fn place_hold(&self, request: Request<pb::PlaceHoldRequest>) -> Answer<pb::PlaceHoldResponse> { self.changed(place_hold::handle(self, request).await) }
    async fn release_hold(&self, request: Request<pb::ReleaseHoldRequest>) -> Answer<pb::ReleaseHoldResponse> { self.changed(release_hold::handle(self, request).await) }
    async fn create_deploy(&self, request: Request<pb::CreateDeployRequest>) -> Answer<pb::CreateDeployResponse> { self.changed(create_deploy::handle(self, request).await) }
    async fn get_deploy(&self, request: Request<pb::GetDeployRequest>) -> Answer<pb::GetDeployResponse> { answer(get_deploy::handle(self, request).await) }
    async fn list_deploys(&self, request: Request<pb::ListDeploysRequest>) -> Answer<pb::ListDeploysResponse> { answer(list_deploys::handle(self, request).await) }
    async fn watch_deploys(&self, request: Request<pb::WatchDeploysRequest>) -> Answer<watch_deploys::Changes> { answer(watch_deploys::handle(self, request).await) }
    async fn update_deploy(&self, request: Request<pb::UpdateDeployRequest>) -> Answer<pb::UpdateDeployResponse> { self.changed(update_deploy::handle(self, request).await) }
    async fn mark_deploy(&self, request: Request<pb::MarkDeployRequest>) -> Answer<pb::MarkDeployResponse> { self.changed(mark_deploy::handle(self, request).await) }
    async fn report_deploy_state(&self, request: Request<pb::ReportDeployStateRequest>) -> Answer<pb::ReportDeployStateResponse> { self.changed(report_deploy_state::handle(self, request).await) }
    async fn report_agent(&self, request: Request<pb::ReportAgentRequest>) -> Answer<pb::ReportAgentResponse> { answer(report_agent::handle(self, request).await) }
    async fn list_agents(&self, request: Request<pb::ListAgentsRequest>) -> Answer<pb::ListAgentsResponse> { answer(list_agents::handle(self, request).await) }
    async fn upload_dag_bundle(&self, request: Request<Streaming<pb::UploadDagBundleRequest>>) -> Answer<pb::UploadDagBundleResponse> { answer(upload_dag_bundle::handle(self, request).await) }
    async fn download_dag_bundle(&self, request: Request<pb::DownloadDagBundleRequest>) -> Answer<download_dag_bundle::Chunks> { answer(download_dag_bundle::handle(self, request).await) }
    async fn get_dag_bundle(&self, request: Request<pb::GetDagBundleRequest>) -> Answer<pb::GetDagBundleResponse> { answer(get_dag_bundle::handle(self, request).await) }
    async fn create_rollback_deploy(&self, request: Request<pb::CreateRollbackDeployRequest>) -> Answer<pb::CreateRollbackDeployResponse> { self.changed(create_rollback_deploy::handle(self, request).await) }
    async fn preview_rollback_deploys(&self, request: Request<pb::PreviewRollbackDeploysRequest>) -> Answer<pb::PreviewRollbackDeploysResponse> { answer(preview_rollback_deploys::handle(self, request).await) }
    async fn find_deploy(&self, request: Request<pb::FindDeployRequest>) -> Answer<pb::FindDeployResponse> { answer(find_deploy::handle(self, request).await) }
    async fn close_rollback(&self, request: Request<pb::CloseRollbackRequest>) -> Answer<pb::CloseRollbackResponse> { answer(close_rollback::handle(self, request).await) }
    async fn collect_expired(&self, request: Request<pb::CollectExpiredRequest>) -> Answer<pb::CollectExpiredResponse> { answer(collect_expired::handle(self, request).await) }
}

/// The deploys that a filter asks for. For tests and benchmarks of the store.
#[cfg(any(test, feature = "benchmark"))]
#[expect(
    clippy::unwrap_used,
    reason = "whoever tests writes filters that are right"
)]
pub(crate) fn deploy_filter(text: &str) -> crate::domain::DeployFilter {
    filter::deploys(chassis::filter::Filter::parse(text).unwrap()).unwrap()
}
