//! From settings to a running service.

use std::future::Future;
use std::sync::Arc;

use chassis::access::Access;
use chassis::client;
use chassis::config::ConfigError;
use chassis::database::{self, Database};
use chassis::environment::Environment;
use chassis::identity::{
    AUTHORIZATION_ISSUER, Keyring, KeyringError, KeyringFollower, PermitVerifier, TokenVerifier,
};
use chassis::requests;
use chassis::server::{ServeError, Server};
use model::ServiceName;
use proto::registry::v1::deploy_registry_service_server::{
    DeployRegistryServiceServer, SERVICE_NAME,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::api::Registry;
use crate::bundle_store::{self, BundleStore};
use crate::config::{Args, Switch};
use crate::domain::Retention;
use crate::store::{MIGRATIONS, Store};

const NAME: ServiceName = ServiceName::DeployRegistry;
const SCHEMA: &str = "reprise_registry";

/// Why the service could not start, or broke.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys cannot be used.
    #[error("cannot use the keys")]
    Keys(#[from] KeyringError),
    /// The settings cannot be used.
    #[error("cannot use the settings")]
    Config(#[from] ConfigError),
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Database(#[from] database::Error),
    /// The place for bundles cannot be used.
    #[error("cannot open the bundle store")]
    BundleStore(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server broke.
    #[error("cannot serve")]
    Serve(#[from] ServeError),
}

/// Runs the service on `listener` until `stop` resolves and the running calls are done.
///
/// # Errors
///
/// If it cannot start, or the server breaks.
pub async fn serve(
    args: Args,
    listener: TcpListener,
    environment: Environment,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StartError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let tls = args.listen.tls.server(address)?;
    let authorization = args.listen.tls.endpoint(&args.authorization_address)?;
    let keyring = Keyring::open(&args.keys.keys)?;
    let trust = keyring.trust()?;
    let tokens = keyring.service_tokens(NAME, environment.clone())?;
    let catalog = args.catalog.load()?;
    let bundles = BundleStore::open(&args.bundle_store).map_err(unusable)?;
    let database = Database::open(
        &args.database.database_url,
        SCHEMA,
        args.database.database_connections,
        &MIGRATIONS,
    )
    .await?;
    let store = Store::new(database.clone());
    let permits = PermitVerifier::new(
        trust.permit_keys().clone(),
        AUTHORIZATION_ISSUER,
        environment.clone(),
    );
    let verifier = Arc::new(TokenVerifier::new(trust, NAME, environment.clone()));

    let registry = Registry {
        store,
        bundles,
        access: Access::new(client::connect(
            authorization,
            ServiceName::Authorization,
            tokens,
        )),
        permits: permits.clone(),
        catalog: Arc::new(catalog),
        environment: environment.clone(),
        retention: Retention::days(args.retention_days),
        rollbacks_enabled: args.rollbacks == Switch::On,
        max_bundle_bytes: args.max_bundle_bytes,
        upload_stall: args.upload_stall(),
    };
    let (stopped, mut stopping) = watch::channel(());
    let forgetting = tokio::spawn(requests::forget_hourly(
        database.clone(),
        environment.clone(),
        async move {
            // Resolves, with an error, when the sender is dropped.
            let _ = stopping.changed().await;
        },
    ));

    let served = Server {
        name: NAME,
        proto_name: SERVICE_NAME,
        routes: Routes::new(DeployRegistryServiceServer::new(registry)),
        keys: KeyringFollower::new(keyring, verifier).permits(permits),
        public_methods: &[],
        tls,
        drain: args.listen.drain(),
    }
    .serve(listener, stop)
    .await;

    drop(stopped);
    if let Err(error) = forgetting.await {
        tracing::error!(%error, "the task that forgets old requests broke");
    }
    database.close().await;
    Ok(served?)
}

fn unusable(error: bundle_store::Error) -> StartError {
    StartError::BundleStore(error.into())
}
