//! From settings to a running service.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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

use crate::api::{ImageVerifier, Pace, Registry};
use crate::bundle_store::{self, BundleStore};
use crate::config::{Args, ImageVerification, Switch};
use crate::domain::Retention;
use crate::feed::Feed;
use crate::images::{self, Images};
use crate::store::{MIGRATIONS, Store};
use crate::sweep::Sweeper;

const NAME: ServiceName = ServiceName::DeployRegistry;
const SCHEMA: &str = "reprise_registry";
/// How often the database is asked what changed, while somebody watches.
const POLL_EVERY: Duration = Duration::from_millis(500);

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
    /// Image registries cannot be asked.
    #[error("cannot ask image registries")]
    Images(#[from] images::OpenError),
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
    let oidc = args.keys.oidc_client()?;
    let keyring = Keyring::open(&args.keys.keys)?;
    let trust = keyring.trust()?;
    let tokens = keyring.service_tokens(NAME, environment.clone())?;
    let catalog = args.catalog.load()?;
    let bundles = BundleStore::open(&args.bundle_store).map_err(unusable)?;
    let images = image_verifier(&args, environment.clone()).await?;
    let database = Database::open(
        &args.database.database_url,
        SCHEMA,
        args.database.database_connections,
        &MIGRATIONS,
    )
    .await?;
    let store = Store::new(database.clone());
    let retention = Retention::days(args.retention_days);
    let sweeper = Sweeper {
        store: store.clone(),
        bundles: bundles.clone(),
        environment: environment.clone(),
        retention,
    };
    let permits = PermitVerifier::new(
        trust.permit_keys().clone(),
        AUTHORIZATION_ISSUER,
        environment.clone(),
    );
    let verifier = Arc::new(TokenVerifier::new(trust, NAME, environment.clone()));

    let (feed, poller) = Feed::new(store.clone(), environment.clone(), POLL_EVERY);
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
        retention,
        feed,
        watch_pace: Pace::USUAL,
        images,
        rollbacks_enabled: args.rollbacks == Switch::On,
        max_bundle_bytes: args.max_bundle_bytes,
        bundle_quota: args.bundle_quota_bytes,
        upload_stall: args.upload_stall(),
    };
    let (stopped, mut stopping) = watch::channel(());
    let mut sweep_stopping = stopping.clone();
    let sweeping = tokio::spawn(sweeper.repeat(args.sweep_interval(), async move {
        let _ = sweep_stopping.changed().await;
    }));
    let forgetting = tokio::spawn(requests::forget_hourly(
        database.clone(),
        environment.clone(),
        async move {
            // Resolves, with an error, when the sender is dropped.
            let _ = stopping.changed().await;
        },
    ));

    // Streams end when the service begins to stop, or they would keep it.
    let (stopping_now, mut polling) = watch::channel(());
    let polling = tokio::spawn(poller.run(async move {
        let _ = polling.changed().await;
    }));
    let stop = async move {
        stop.await;
        drop(stopping_now);
    };

    let served = Server {
        name: NAME,
        proto_name: SERVICE_NAME,
        routes: Routes::new(DeployRegistryServiceServer::new(registry)),
        keys: KeyringFollower::new(keyring, verifier)
            .permits(permits)
            .oidc(oidc),
        public_methods: &[],
        tls,
        drain: args.listen.drain(),
    }
    .serve(listener, stop)
    .await;

    drop(stopped);
    if let Err(error) = polling.await {
        tracing::error!(%error, "the task that tells watchers what changes broke");
    }
    if let Err(error) = forgetting.await {
        tracing::error!(%error, "the task that forgets old requests broke");
    }
    if let Err(error) = sweeping.await {
        tracing::error!(%error, "the task that sweeps bundles broke");
    }
    database.close().await;
    Ok(served?)
}

/// How long a new deploy waits for an image registry.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a rollback does. It is less than the rollback-orchestrator waits for this service.
const ROLLBACK_PATIENCE: Duration = Duration::from_secs(3);

async fn image_verifier(
    args: &Args,
    environment: Environment,
) -> Result<ImageVerifier, images::OpenError> {
    let verifier = match args.image_verification {
        ImageVerification::Off => return Ok(ImageVerifier::Off),
        ImageVerification::Warn => ImageVerifier::Warn,
        ImageVerification::Require => ImageVerifier::Require,
    };
    let insecure = args.insecure_image_registry.iter();
    let settings = images::Settings {
        docker_config: args.docker_config.clone(),
        insecure: insecure.map(|host| host.to_ascii_lowercase()).collect(),
        patience: PATIENCE,
        rollback_patience: ROLLBACK_PATIENCE,
    };
    Ok(verifier(Images::open(settings, environment).await?))
}

fn unusable(error: bundle_store::Error) -> StartError {
    StartError::BundleStore(error.into())
}
