//! Starting the service, its background tasks, and stopping both.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chassis::config::ConfigError;
use chassis::database::{self, Database};
use chassis::environment::Environment;
use chassis::identity::{Caller, Keyring, KeyringError, KeyringFollower, TokenVerifier};
use chassis::problem::chain;
use chassis::requests;
use chassis::server::{ServeError, Server};
use model::names::{NameError, RoleBindingId, ServiceName};
use proto::authorization::v1::authorization_service_server::AuthorizationServiceServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::api::{Authorization, PUBLIC_METHODS};
use crate::config::Args;
use crate::decision_log;
use crate::policy::{self, Policy};
use crate::policy_files::{self, PolicyFileError};
use crate::store::{self, MIGRATIONS, Store};
use crate::token_uses::TokenUses;

/// Who administers an empty installation.
const FIRST_ADMINISTRATOR: &str = "admin";
/// Where the tables are on PostgreSQL.
const SCHEMA: &str = "reprise_authorization";
/// How often old grants and tokens are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Why the service could not start, or broke.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The policy cannot be read.
    #[error("cannot read the policy")]
    Policy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A policy file cannot be applied.
    #[error(transparent)]
    PolicyFile(#[from] PolicyFileError),
    /// The port cannot be used.
    #[error("the listener is broken")]
    Listener(#[source] std::io::Error),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl From<policy::Error> for StartError {
    fn from(error: policy::Error) -> Self {
        Self::Policy(Box::new(error))
    }
}

impl From<store::Error> for StartError {
    fn from(error: store::Error) -> Self {
        Self::Policy(Box::new(error))
    }
}

impl From<NameError> for StartError {
    fn from(error: NameError) -> Self {
        Self::Policy(Box::new(error))
    }
}

/// Serves until `stop` resolves; then finishes the running calls, stops the background tasks, and
/// closes the database.
///
/// # Errors
///
/// If the keys, the database, the policy, a policy file or the port cannot be used, or serving fails.
pub async fn serve(
    args: Args,
    listener: TcpListener,
    environment: Environment,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StartError> {
    let Args {
        listen,
        database: database_args,
        keys,
        decision_log_sample_rate,
        policy_file,
    } = args;
    let tls = listen
        .tls
        .server(listener.local_addr().map_err(StartError::Listener)?)?;
    let oidc = keys.oidc_client()?;
    let keyring = Keyring::open(keys.keys)?;
    let verifier = TokenVerifier::new(
        keyring.trust()?,
        ServiceName::Authorization,
        environment.clone(),
    );
    let verifier = Arc::new(verifier);
    let signing = keyring.signing_folder(environment.clone())?;
    let following = KeyringFollower::new(keyring, Arc::clone(&verifier))
        .signing(signing.clone())
        .oidc(oidc);

    let database = Database::open(
        &database_args.database_url,
        SCHEMA,
        database_args.database_connections,
        &MIGRATIONS,
    )
    .await?;
    let store = Store::new(database.clone());
    bootstrap(&store, &environment).await?;
    let policy = Arc::new(Policy::load(store.clone(), environment.clone()).await?);

    policy_files::apply(&policy_file, &store, &policy, &environment).await?;

    let (decisions, writer) = decision_log::open(decision_log_sample_rate);
    let (stopping, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(Arc::clone(&policy), stopped.clone()));
    tasks.spawn(requests::forget_hourly(
        database.clone(),
        environment.clone(),
        ended(stopped.clone()),
    ));
    tasks.spawn(writer.run(ended(stopped.clone())));
    tasks.spawn(forget(store.clone(), environment.clone(), stopped.clone()));
    let token_uses = Arc::new(TokenUses::default());
    tasks.spawn(write_uses(Arc::clone(&token_uses), store.clone(), stopped));
    let seen = note_callers(Arc::clone(&token_uses), environment.clone());

    let service = Authorization {
        store,
        policy,
        verifier,
        signing,
        decisions,
        token_uses,
        environment,
    };
    let served = Server {
        name: ServiceName::Authorization,
        proto_name: "reprise.authorization.v1.AuthorizationService",
        routes: Routes::new(AuthorizationServiceServer::with_interceptor(service, seen)),
        keys: following,
        public_methods: PUBLIC_METHODS,
        tls,
        drain: listen.drain(),
    }
    .serve(listener, stop)
    .await;

    drop(stopping);
    tasks.join_all().await;
    database.close().await;
    Ok(served?)
}

async fn bootstrap(store: &Store, environment: &Environment) -> Result<(), StartError> {
    let administrator = FIRST_ADMINISTRATOR.parse()?;
    let binding = RoleBindingId::new(environment.new_uuid());
    if store
        .bootstrap(&administrator, binding, environment.now())
        .await?
    {
        tracing::info!(
            principal = %format_args!("user:{administrator}"), role = "roles/SYSTEM_ADMIN",
            "the first policy was made"
        );
    }
    Ok(())
}

/// Resolves when the service stops.
async fn ended(mut stopped: watch::Receiver<()>) {
    // Nothing is ever sent: it resolves, with an error, when the sender is dropped.
    let _ = stopped.changed().await;
}

async fn follow(policy: Arc<Policy>, stopped: watch::Receiver<()>) {
    policy.follow(ended(stopped)).await;
}

/// Notes the token of every call, before it is handled.
fn note_callers(
    token_uses: Arc<TokenUses>,
    environment: Environment,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| {
        if let Some(caller) = request.extensions().get::<Caller>() {
            token_uses.saw(caller, environment.now());
        }
        Ok(request)
    }
}

async fn write_uses(token_uses: Arc<TokenUses>, store: Store, stopped: watch::Receiver<()>) {
    token_uses.write_until(&store, ended(stopped)).await;
}

/// Forgets old grants and tokens.
async fn forget(store: Store, environment: Environment, stopped: watch::Receiver<()>) {
    let forgetting = async {
        loop {
            told("grants", store.forget_old_grants().await);
            told("tokens", store.forget_old_tokens(environment.now()).await);
            tokio::time::sleep(FORGET_EVERY).await;
        }
    };
    tokio::select! {
        () = ended(stopped) => {}
        () = forgetting => {}
    }
}

fn told(what: &str, forgotten: Result<u64, store::Error>) {
    match forgotten {
        Ok(number) => tracing::debug!(number, "old {what} were forgotten"),
        Err(error) => {
            tracing::warn!(cause = chain(&error), "old {what} could not be forgotten");
        }
    }
}

#[cfg(test)]
mod tests;
