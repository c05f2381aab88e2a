//! The people of the demo: each calls the three services with a token of their own.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use proto::registry::v1::deploy_registry_service_client::DeployRegistryServiceClient;
use proto::rollback::v1::rollback_service_client::RollbackServiceClient;
use tonic::transport::Endpoint;

use crate::bearer::{self, PersonalChannel};
use crate::stack::Addresses;

/// One caller, with a client of each service.
pub(super) struct Person {
    /// The name that the caller is bound by, such as `user:dana`.
    pub principal: String,
    pub authorization: AuthorizationServiceClient<PersonalChannel>,
    pub registry: DeployRegistryServiceClient<PersonalChannel>,
    pub rollback: RollbackServiceClient<PersonalChannel>,
}

impl Person {
    /// Connects to all three services with this token.
    pub(super) async fn connect(
        principal: &str,
        token: &str,
        services: &Addresses,
    ) -> Result<Self> {
        Ok(Self {
            principal: principal.to_owned(),
            authorization: AuthorizationServiceClient::new(
                channel(services.authorization, token).await?,
            ),
            registry: DeployRegistryServiceClient::new(channel(services.registry, token).await?),
            rollback: RollbackServiceClient::new(channel(services.orchestrator, token).await?),
        })
    }
}

/// Connects to one service with this token.
pub(super) async fn channel(address: SocketAddr, token: &str) -> Result<PersonalChannel> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    bearer::with_token(channel, token)
}
