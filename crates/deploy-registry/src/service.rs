//! From settings to a running service.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::access::Access;
use chassis::client;
use chassis::config::ConfigError;
use chassis::database::{self, Database};
use chassis::environment::Environment;
use chassis::identity::{
    AUTHORIZATION_ISSUER, Keyring, KeyringError, PermitVerifier, TokenVerifier,
};
use chassis::server::{ServeError, Server};
use model::catalog::CatalogError;
use model::{Catalog, ServiceName};
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
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// Why the service could not start, or broke.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys cannot be used.
    #[error("cannot use the keys")]
    Keys(#[from] KeyringError),
    /// The settings cannot be used.
    #[error("cannot use the settings")]
    Config(#[from] ConfigError),
    /// The runtime catalog cannot be read.
    #[error("cannot read {}", path.display())]
    CatalogFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The runtime catalog cannot be used.
    #[error("cannot use {}", path.display())]
    Catalog {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CatalogError,
    },
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
    let catalog = catalog(args.runtime_catalog.as_ref())?;
    let bundles = BundleStore::open(&args.bundle_store).map_err(unusable)?;
    let database = Database::open(
        &args.database.database_url,
        SCHEMA,
        args.database.database_connections,
        &MIGRATIONS,
    )
    .await?;
    let store = Store::new(database.clone());

    let registry = Registry {
        store: store.clone(),
        bundles,
        access: Access::new(client::connect(
            authorization,
            ServiceName::Authorization,
            tokens,
        )),
        permits: PermitVerifier::new(
            trust.permit_keys().clone(),
            AUTHORIZATION_ISSUER,
            environment.clone(),
        ),
        catalog: Arc::new(catalog),
        environment: environment.clone(),
        retention: Retention::days(args.retention_days),
        rollbacks_enabled: args.rollbacks == Switch::On,
        max_bundle_bytes: args.max_bundle_bytes,
        upload_stall: args.upload_stall(),
    };
    let (stopped, stopping) = watch::channel(());
    let forgetting = tokio::spawn(forget_old_requests(store, environment.clone(), stopping));

    let served = Server {
        name: NAME,
        proto_name: SERVICE_NAME,
        routes: Routes::new(DeployRegistryServiceServer::new(registry)),
        verifier: Arc::new(TokenVerifier::new(trust, NAME, environment)),
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

fn catalog(path: Option<&PathBuf>) -> Result<Catalog, StartError> {
    let Some(path) = path else {
        return Ok(Catalog::built_in());
    };
    let text = std::fs::read_to_string(path).map_err(|source| StartError::CatalogFile {
        path: path.clone(),
        source,
    })?;
    let catalog = Catalog::from_json(&text).map_err(|source| StartError::Catalog {
        path: path.clone(),
        source,
    })?;
    if !catalog.skipped().is_empty() {
        let skipped = catalog.skipped().join(", ");
        tracing::warn!(
            skipped,
            "entries of the runtime catalog that cannot be read are left out"
        );
    }
    Ok(catalog)
}

/// Forgets old requests once an hour, until the other end of `stopping` is dropped.
async fn forget_old_requests(
    store: Store,
    environment: Environment,
    mut stopping: watch::Receiver<()>,
) {
    loop {
        match store.forget_old_requests(environment.now()).await {
            Ok(forgotten) => tracing::debug!(forgotten, "forgot old requests"),
            Err(error) => {
                let error = chassis::problem::chain(&error);
                tracing::warn!(
                    error,
                    "old requests could not be forgotten; trying again later"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            _ = stopping.changed() => return,
        }
    }
}
