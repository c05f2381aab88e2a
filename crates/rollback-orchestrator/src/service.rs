//! Putting the service together, and running it until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chassis::access::Access;
use chassis::client::connect;
use chassis::config::ConfigError;
use chassis::database::{self, Database};
use chassis::environment::Environment;
use chassis::identity::{Keyring, KeyringError, KeyringFollower, TokenVerifier};
use chassis::server::{ServeError, Server};
use chrono::TimeDelta;
use model::names::ServiceName;
use proto::rollback::v1::rollback_service_server::{RollbackServiceServer, SERVICE_NAME};
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::api::{Api, Pace};
use crate::clients::authorization::Authorization;
use crate::clients::registry::Registry;
use crate::config::Args;
use crate::domain::rollback::Looks;
use crate::execution::{Execution, Patience};
use crate::feed::Feed;
use crate::planning::Planner;
use crate::store::{Follow, Lease, MIGRATIONS, Store};

const NAME: ServiceName = ServiceName::RollbackOrchestrator;
const SCHEMA: &str = "reprise_orchestrator";

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_secs(1);

/// How often the database is asked what was written down, while somebody watches.
const WATCH_POLL: Duration = Duration::from_millis(250);

const LOOKS: Looks = Looks {
    first: TimeDelta::seconds(2),
    longest: TimeDelta::seconds(15),
};

/// Why the service could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys cannot be used.
    #[error("cannot use the keys")]
    Keys(#[from] KeyringError),
    /// The database cannot be used.
    #[error("cannot use the database")]
    Database(#[from] database::Error),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs the rollback-orchestrator on a listener until `stop` resolves. Running calls are finished
/// then; rollbacks that cannot be finished at once are left to other replicas, or to the next start.
pub async fn serve(
    args: Args,
    listener: TcpListener,
    environment: Environment,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StartError> {
    serve_at(args, listener, environment, Pace::USUAL, stop).await
}

/// Runs the service with watches of this pace.
pub(crate) async fn serve_at(
    args: Args,
    listener: TcpListener,
    environment: Environment,
    watch_pace: Pace,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StartError> {
    let Args {
        listen,
        database,
        keys,
        authorization_address,
        registry_address,
        catalog,
        rollbacks,
    } = args;
    let catalog = Arc::new(catalog.load()?);
    let oidc = keys.oidc_client()?;
    let keyring = Keyring::open(keys.keys)?;
    let verifier = Arc::new(TokenVerifier::new(
        keyring.trust()?,
        NAME,
        environment.clone(),
    ));
    let tokens = keyring.service_tokens(NAME, environment.clone())?;
    let authorization = connect(
        listen.tls.endpoint(&authorization_address)?,
        ServiceName::Authorization,
        tokens.clone(),
    );
    let registry = connect(
        listen.tls.endpoint(&registry_address)?,
        ServiceName::DeployRegistry,
        tokens,
    );
    let tls = match listener.local_addr() {
        Ok(address) => listen.tls.server(address)?,
        Err(error) => return Err(ServeError::Listener(error).into()),
    };
    let database = Database::open(
        &database.database_url,
        SCHEMA,
        database.database_connections,
        &MIGRATIONS,
    )
    .await?;

    let store = Store::new(database.clone());
    let access = Access::new(authorization.clone());
    let authorization = Authorization::new(authorization);
    let registry = Registry::new(registry);
    let patience = Patience {
        write_within: rollbacks.write_within(),
        lease: Lease {
            owner: environment.new_uuid(),
            duration: rollbacks.lease(),
        },
        pauses: (FIRST_PAUSE, LONGEST_PAUSE),
        poll: POLL,
        follow: Follow {
            within: rollbacks.roll_out_within(),
            looks: LOOKS,
        },
    };
    let execution = Execution::new(
        store.clone(),
        registry.clone(),
        authorization.clone(),
        environment.clone(),
        patience,
    );
    let planner = Planner::new(registry, store.clone(), catalog);
    let (feed, poller) = Feed::new(store.clone(), WATCH_POLL);
    let api = Api {
        access,
        authorization,
        planner,
        store,
        execution: execution.clone(),
        environment,
        feed,
        watch_pace,
    };
    let server = Server {
        name: NAME,
        proto_name: SERVICE_NAME,
        routes: Routes::new(RollbackServiceServer::new(api)),
        keys: KeyringFollower::new(keyring, verifier).oidc(oidc),
        public_methods: &[],
        tls,
        drain: listen.drain(),
    };

    let recovery = tokio::spawn(execution.clone().recover());
    // Streams end when the service begins to stop, or they would keep it.
    let polling = tokio::spawn(poller.run(execution.clone().stopping()));
    let served = server
        .serve(listener, async {
            stop.await;
            execution.stop();
        })
        .await;
    // Also where serving failed.
    execution.stop();
    if let Err(error) = recovery.await {
        tracing::error!(%error, "the recovery broke");
    }
    if let Err(error) = polling.await {
        tracing::error!(%error, "the task that tells watchers what happens broke");
    }
    execution.join().await;
    database.close().await;
    Ok(served?)
}
