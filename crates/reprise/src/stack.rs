//! The three services in one process, each on its own port and over its own SQLite database: what
//! `up` and `demo` run. They talk to each other as separate processes do, over gRPC and with tokens.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use chassis::environment::Environment;
use chassis::identity::Keyring;
use chassis::server;
use clap::Command;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const READY_WITHIN: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(10);
const DRAIN_SECONDS: &str = "10";

/// Where the services listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub authorization: SocketAddr,
    pub registry: SocketAddr,
    pub orchestrator: SocketAddr,
}

impl Addresses {
    /// Where they listen unless the operator says otherwise.
    pub(crate) const DEFAULT: Self = Self {
        authorization: loopback(50_051),
        registry: loopback(50_052),
        orchestrator: loopback(50_053),
    };

    /// Ports that the operating system chooses.
    pub(crate) const fn any_port() -> Self {
        Self {
            authorization: loopback(0),
            registry: loopback(0),
            orchestrator: loopback(0),
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// The open ports. They are opened before any service starts, so that each knows the others'.
pub(crate) struct Listeners {
    authorization: TcpListener,
    registry: TcpListener,
    orchestrator: TcpListener,
}

impl Listeners {
    /// Opens the three ports.
    pub(crate) async fn open(addresses: Addresses) -> Result<Self> {
        Ok(Self {
            authorization: server::listen(addresses.authorization).await?,
            registry: server::listen(addresses.registry).await?,
            orchestrator: server::listen(addresses.orchestrator).await?,
        })
    }

    fn addresses(&self) -> Result<Addresses> {
        Ok(Addresses {
            authorization: self.authorization.local_addr()?,
            registry: self.registry.local_addr()?,
            orchestrator: self.orchestrator.local_addr()?,
        })
    }
}

/// The running services.
pub(crate) struct Stack {
    addresses: Addresses,
    keyring: Keyring,
    environment: Environment,
    stop: watch::Sender<bool>,
    services: JoinSet<Result<()>>,
}

impl Stack {
    /// Starts the services with all their data in `folder`, which is made if it is missing, and these
    /// policy files. They run until `stop` resolves, or one of them fails.
    pub(crate) fn start(
        folder: &Path,
        policy_files: &[PathBuf],
        listeners: Listeners,
        environment: Environment,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self> {
        let keyring = Keyring::init(folder, &environment)?;
        let addresses = listeners.addresses()?;
        let Listeners {
            authorization,
            registry,
            orchestrator,
        } = listeners;
        let (stopper, stopped) = watch::channel(false);
        let mut services = JoinSet::new();

        let at = |address: SocketAddr| OsString::from(format!("http://{address}"));
        let authorization_address = ("--authorization-address", at(addresses.authorization));
        let registry_address = ("--registry-address", at(addresses.registry));
        let bundle_store = ("--bundle-store", folder.join("bundles").into());

        let policy_files = policy_files
            .iter()
            .map(|file| ("--policy-file", file.into()));
        let args = settings(folder, "authorization", policy_files)?;
        let serving = authorization::serve(
            args,
            authorization,
            environment.clone(),
            on(stopped.clone()),
        );
        services.spawn(serving.map(|ended| ended.context("the authorization service failed")));

        let args = settings(
            folder,
            "registry",
            [authorization_address.clone(), bundle_store],
        )?;
        let serving =
            deploy_registry::serve(args, registry, environment.clone(), on(stopped.clone()));
        services.spawn(serving.map(|ended| ended.context("the deploy-registry failed")));

        let args = settings(
            folder,
            "orchestrator",
            [authorization_address, registry_address],
        )?;
        let serving =
            rollback_orchestrator::serve(args, orchestrator, environment.clone(), on(stopped));
        services.spawn(serving.map(|ended| ended.context("the rollback-orchestrator failed")));

        let sender = stopper.clone();
        tokio::spawn(async move {
            stop.await;
            sender.send_replace(true);
        });
        Ok(Self {
            addresses,
            keyring,
            environment,
            stop: stopper,
            services,
        })
    }

    /// Where the services listen.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The keys that the services share.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The services' source of time and ids.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Stops the services, and waits until they have stopped.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.services.join_next().await.is_some() {}
    }

    /// Waits until every service says that it serves. If one stops instead, what it says of its
    /// failure is the error.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let Addresses {
            authorization,
            registry,
            orchestrator,
        } = self.addresses;
        let all = futures::future::try_join3(
            serves(
                authorization,
                "reprise.authorization.v1.AuthorizationService",
            ),
            serves(registry, "reprise.registry.v1.DeployRegistryService"),
            serves(orchestrator, "reprise.rollback.v1.RollbackService"),
        );
        let ready = tokio::time::timeout(READY_WITHIN, all);
        tokio::select! {
            ready = ready => {
                ready.context("the services did not get ready")??;
                Ok(())
            }
            Some(ended) = self.services.join_next() => {
                flatten(ended).and_then(|()| bail!("a service stopped at once"))
            }
        }
    }

    /// Waits until all services have stopped; if one fails, stops the others.
    pub(crate) async fn join(mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.services.join_next().await {
            if let Err(error) = flatten(ended) {
                self.stop.send_replace(true);
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }
}

fn flatten(ended: Result<Result<()>, JoinError>) -> Result<()> {
    ended.map_err(|error| anyhow!(error).context("a service broke down"))?
}

/// A service's settings, as its own command line would be read with these flags. What is not given
/// has its default: the environment variables are for services that run alone.
fn settings<'a, A: clap::Args>(
    folder: &Path,
    service: &str,
    flags: impl IntoIterator<Item = (&'a str, OsString)>,
) -> Result<A> {
    let mut database = OsString::from("sqlite:");
    database.push(folder.join(format!("{service}.db")));
    let common = [
        ("--keys", folder.into()),
        ("--database-url", database),
        ("--drain-seconds", DRAIN_SECONDS.into()),
    ];
    let words = common
        .into_iter()
        .chain(flags)
        .flat_map(|(flag, value)| [flag.into(), value]);
    let command = A::augment_args(Command::new("service").no_binary_name(true))
        .mut_args(|arg| arg.env(None::<&'static str>));
    Ok(A::from_arg_matches(
        &command.try_get_matches_from(words.collect::<Vec<OsString>>())?,
    )?)
}

async fn on(mut stopped: watch::Receiver<bool>) {
    // An error says that the stack is gone, which is a reason to stop, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn serves(address: SocketAddr, service: &str) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let mut health = HealthClient::new(channel);
    loop {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        match health.check(request).await {
            Ok(response) if response.get_ref().status() == ServingStatus::Serving => return Ok(()),
            Ok(_) | Err(_) => tokio::time::sleep(READY_POLL).await,
        }
    }
}
