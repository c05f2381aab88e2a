//! Which deploys a rollback can go back to.

use chassis::client::retry;
use chassis::convert::{scope_to_proto, timestamp};
use chassis::problem::{Problem, reason_of};
use chrono::{DateTime, Utc};
use model::deploys::Scope;
use model::names::DeploymentName;
use proto::common::v1::ErrorReason;
use proto::registry::v1::find_deploy_request::By;
use proto::registry::v1::{FindDeployRequest, PreviewRollbackDeploysRequest};
use tonic::Status;

use super::decode;
use super::{Registry, told};
use crate::domain::history::Deployment;
use crate::domain::target::{Found, PreviewedDeploy};

/// A page of previews that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreviewPage<'a> {
    pub(crate) deployment: &'a DeploymentName,
    pub(crate) size: i32,
    /// The registry's token; empty for the first page.
    pub(crate) token: &'a str,
    pub(crate) allow_marked_bad: bool,
}

/// Previews of rollbacks to some deploys, all of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Previews {
    pub(crate) deployment: Deployment,
    /// Newest first.
    pub(crate) deploys: Vec<PreviewedDeploy>,
    /// The registry's token; empty on the last page.
    pub(crate) next_page_token: String,
}

impl Registry {
    /// The last deploy that is known to have worked, as far as a scope is concerned.
    pub(crate) async fn previous(
        &self,
        deployment: &DeploymentName,
        scope: Scope,
    ) -> Result<Found, Problem> {
        let by = By::PreviousIn(scope_to_proto(scope).into());
        self.find(deployment, by).await
    }

    /// The deploy that ran at a time.
    pub(crate) async fn as_of(
        &self,
        deployment: &DeploymentName,
        time: DateTime<Utc>,
    ) -> Result<Found, Problem> {
        self.find(deployment, By::AsOf(timestamp(time))).await
    }

    async fn find(&self, deployment: &DeploymentName, by: By) -> Result<Found, Problem> {
        let request = FindDeployRequest {
            parent: deployment.to_string(),
            by: Some(by),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.find_deploy(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::targets::found(response)?)
    }

    /// What rollbacks to a page of deploys would write, and what the registry's records have against
    /// them.
    pub(crate) async fn previews(&self, page: PreviewPage<'_>) -> Result<Previews, Problem> {
        let PreviewPage {
            deployment,
            size,
            token,
            allow_marked_bad,
        } = page;
        let request = PreviewRollbackDeploysRequest {
            parent: deployment.to_string(),
            page_size: size,
            page_token: token.to_owned(),
            allow_marked_bad,
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.preview_rollback_deploys(request).await }
        })
        .await
        .map_err(of_a_page)?;
        Ok(decode::targets::previews(response)?)
    }
}

/// A token that the registry does not take is not one that it has given.
fn of_a_page(status: Status) -> Problem {
    match reason_of(&status) {
        Some(ErrorReason::InvalidFields) => Problem::relay(status),
        Some(_) | None => told(status),
    }
}
