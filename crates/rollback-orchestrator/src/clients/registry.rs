//! The history of a Deployment, and the deploy that a rollback makes.

mod decode;
mod targets;

use chassis::client::{ServiceChannel, retry};
use chassis::convert;
use chassis::problem::{Problem, reason_of};
use model::deploys::Scope;
use model::names::{DeployName, DeployNumber, DeploymentName, RollbackName};
use proto::common::v1::ErrorReason;
use proto::registry::v1::deploy_registry_service_client::DeployRegistryServiceClient;
use proto::registry::v1::{
    CloseRollbackRequest, CreateRollbackDeployRequest, GetDeployRequest, GetDeploymentRequest,
    ListAgentsRequest, ListDeploysRequest,
};
use tonic::Status;

use self::decode::Malformed;
pub(crate) use self::targets::{PreviewPage, Previews};
use super::authorization::Permit;
use super::failure::Failure;
use crate::domain::agents::Agents;
use crate::domain::history::{DeployBetween, Deployment, Preview, Target};
use crate::domain::options::Options;
use crate::domain::rollback::WrittenDeploy;

pub(crate) const DEPENDENCY: &str = "deploy-registry";

/// How many of the deploys that a rollback leaves behind are looked at, and how many pages are read
/// to find them: one with large settings can be short, and the newest deploys may not run yet.
const MOST_LEFT_BEHIND: usize = 100;
const MOST_PAGES: u32 = 4;

/// How many remote agents are looked at; a Deployment can have no more.
const MOST_AGENTS: i32 = 1_000;

/// A page of deploys, each with its settings, can be larger than the usual 4 MiB.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The deploy-registry. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    client: DeployRegistryServiceClient<ServiceChannel>,
}

/// A deploy to write for a rollback.
#[derive(Clone, Copy)]
pub(crate) struct Write<'a> {
    pub(crate) rollback: &'a RollbackName,
    pub(crate) target: DeployNumber,
    pub(crate) scope: Scope,
    pub(crate) options: Options,
    pub(crate) expected_latest: DeployNumber,
    pub(crate) description: &'a str,
    pub(crate) permit: &'a Permit,
}

impl Registry {
    pub(crate) fn new(channel: ServiceChannel) -> Self {
        let client =
            DeployRegistryServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER);
        Self { client }
    }

    /// A Deployment, with what runs now.
    pub(crate) async fn deployment(&self, name: &DeploymentName) -> Result<Deployment, Problem> {
        let request = GetDeploymentRequest {
            name: name.to_string(),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.get_deployment(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::deployment(response)?)
    }

    /// A deploy to roll back to.
    pub(crate) async fn target(&self, name: &DeployName) -> Result<Target, Problem> {
        let request = GetDeployRequest {
            name: name.to_string(),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.get_deploy(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::target(response)?)
    }

    /// What would be written for a rollback, and what is against it.
    pub(crate) async fn preview(
        &self,
        target: &DeployName,
        scope: Scope,
        options: Options,
    ) -> Result<Preview, Problem> {
        let Options {
            hold,
            allow_marked_bad,
        } = options;
        let request = CreateRollbackDeployRequest {
            parent: target.deployment().to_string(),
            target_deploy: target.to_string(),
            scope: convert::scope_to_proto(scope).into(),
            validate_only: true,
            allow_marked_bad,
            hold,
            ..CreateRollbackDeployRequest::default()
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.create_rollback_deploy(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::preview(response)?)
    }

    /// The deploys after `target`, up to `current`, newest first: all of them, or the newest hundred
    /// that a few pages of the history have.
    pub(crate) async fn left_behind(
        &self,
        target: &DeployName,
        current: DeployNumber,
        latest: DeployNumber,
    ) -> Result<Vec<DeployBetween>, Problem> {
        let is_between =
            |deploy: &DeployBetween| deploy.number > target.number() && deploy.number <= current;
        let mut found = Vec::new();
        let mut unread = if target.number() < current {
            latest.get().saturating_sub(target.number().get())
        } else {
            0
        };
        let mut page_token = String::new();
        for _ in 0..MOST_PAGES {
            let missing = MOST_LEFT_BEHIND.saturating_sub(found.len());
            let page_size = usize::try_from(unread).unwrap_or(0).min(missing);
            if page_size == 0 {
                break;
            }
            let (deploys, next) = self
                .deploys(target.deployment(), page_size, page_token)
                .await?;
            if let Some(oldest) = deploys.last() {
                unread = oldest
                    .number
                    .get()
                    .saturating_sub(target.number().get())
                    .saturating_sub(1);
            }
            found.extend(deploys.into_iter().filter(is_between));
            match next {
                Some(next) => page_token = next,
                None => break,
            }
        }
        Ok(found)
    }

    async fn deploys(
        &self,
        parent: &DeploymentName,
        page_size: usize,
        page_token: String,
    ) -> Result<(Vec<DeployBetween>, Option<String>), Problem> {
        let request = ListDeploysRequest {
            parent: parent.to_string(),
            page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
            page_token,
            filter: String::new(),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.list_deploys(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::page(response)?)
    }

    /// The remote agents of a Deployment whose reports count: the first thousand.
    pub(crate) async fn agents(&self, parent: &DeploymentName) -> Result<Agents, Problem> {
        let request = ListAgentsRequest {
            parent: parent.to_string(),
            page_size: MOST_AGENTS,
            page_token: String::new(),
        };
        let response = retry(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.list_agents(request).await }
        })
        .await
        .map_err(told)?;
        Ok(decode::agents(response)?)
    }

    /// Writes the deploy of a rollback, or returns the one that was written before.
    pub(crate) async fn write(&self, write: Write<'_>) -> Result<WrittenDeploy, Failure> {
        let Write {
            rollback,
            target,
            scope,
            options: Options {
                hold,
                allow_marked_bad,
            },
            expected_latest,
            description,
            permit,
        } = write;
        let deploy = |number| DeployName::new(rollback.deployment().clone(), number).to_string();
        let request = CreateRollbackDeployRequest {
            parent: rollback.deployment().to_string(),
            target_deploy: deploy(target),
            scope: convert::scope_to_proto(scope).into(),
            rollback: rollback.to_string(),
            permit: permit.0.clone(),
            expected_latest_deploy: deploy(expected_latest),
            description: description.to_owned(),
            validate_only: false,
            allow_marked_bad,
            hold,
        };
        match self.client.clone().create_rollback_deploy(request).await {
            Ok(response) => decode::written(response.into_inner(), rollback).map_err(unclear),
            Err(status) => Err(Failure::new(DEPENDENCY, status)),
        }
    }

    /// Finds out what became of a rollback: its deploy, or, with none, that there never will be one.
    pub(crate) async fn close(
        &self,
        rollback: &RollbackName,
    ) -> Result<Option<WrittenDeploy>, Failure> {
        let request = CloseRollbackRequest {
            rollback: rollback.to_string(),
        };
        match self.client.clone().close_rollback(request).await {
            Ok(response) => decode::closed(response.into_inner(), rollback).map_err(unclear),
            Err(status) => Err(Failure::new(DEPENDENCY, status)),
        }
    }

    /// Looks once at the deploy that a rollback has written.
    pub(crate) async fn look(
        &self,
        rollback: &RollbackName,
        number: DeployNumber,
    ) -> Result<Look, Failure> {
        let request = GetDeployRequest {
            name: DeployName::new(rollback.deployment().clone(), number).to_string(),
        };
        match self.client.clone().get_deploy(request).await {
            Ok(response) => {
                let found = decode::looked_at(response.into_inner(), rollback).map_err(unclear)?;
                Ok(found.map_or(Look::Lost, Look::Found))
            }
            Err(status) if reason_of(&status) == Some(ErrorReason::ResourceNotFound) => {
                Ok(Look::Lost)
            }
            Err(status) => Err(Failure::new(DEPENDENCY, status)),
        }
    }
}

/// What the history says of the deploy of a rollback.
#[derive(Debug)]
pub(crate) enum Look {
    /// It is there.
    Found(WrittenDeploy),
    /// It is not there, though it was written.
    Lost,
}

/// An answer that cannot be read says nothing of what happened.
fn unclear(error: Malformed) -> Failure {
    Failure::Passing(error.into())
}

/// What an error of a read means for the caller: that what it named or meant does not exist is its
/// business.
fn told(status: Status) -> Problem {
    match reason_of(&status) {
        Some(ErrorReason::ResourceNotFound | ErrorReason::TargetNotFound) => Problem::relay(status),
        Some(_) | None => Problem::from_dependency(DEPENDENCY, status),
    }
}
