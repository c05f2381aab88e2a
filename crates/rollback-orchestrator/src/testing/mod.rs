//! The two other services as tests need them: real gRPC servers that answer as they are told, fail
//! as they are told, and count.

mod authorization;
mod registry;

use std::net::SocketAddr;
use std::time::Duration;

use chassis::client::{ServiceChannel, connect};
use chassis::environment::Environment;
use chassis::identity::{ServiceTokens, SigningKey};
use chassis::problem::Problem;
use chrono::TimeDelta;
use model::names::{DeploymentName, Principal, RollbackId, RollbackName, ServiceName};
use proto::common::v1::ErrorReason;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

pub(crate) use authorization::FakeAuthorization;
pub(crate) use registry::{Act, FakeRegistry};

use crate::clients::authorization::Authorization;
use crate::clients::registry::Registry;
use crate::domain::history::DeploymentUid;
use crate::domain::options::Options;
use crate::domain::rollback::{Looks, Order};
use crate::domain::samples::{all_push, number};
use crate::execution::{Execution, Patience};
use crate::store::{Follow, Lease, NewRollback, StepTimes, Store};

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Serves routes on a free port until the test ends.
pub(crate) async fn serve(routes: tonic::service::Routes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_routes(routes)
            .serve_with_incoming(incoming),
    );
    address
}

fn channel(address: SocketAddr, callee: ServiceName) -> ServiceChannel {
    let tokens = ServiceTokens::new(
        ServiceName::RollbackOrchestrator,
        SigningKey::generate(),
        Environment::system(),
    );
    connect(
        Endpoint::from_shared(format!("http://{address}")).unwrap(),
        callee,
        tokens,
    )
}

/// An orchestrator's store between the two other services.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) fake_registry: FakeRegistry,
    pub(crate) fake_authorization: FakeAuthorization,
    pub(crate) registry: Registry,
    authorization: Authorization,
}

impl Bench {
    pub(crate) async fn new(store: Store) -> Self {
        let fake_registry = FakeRegistry::default();
        let fake_authorization = FakeAuthorization::default();
        let registry = channel(fake_registry.serve().await, ServiceName::DeployRegistry);
        let authorization = channel(fake_authorization.serve().await, ServiceName::Authorization);
        Self {
            store,
            fake_registry,
            fake_authorization,
            registry: Registry::new(registry),
            authorization: Authorization::new(authorization),
        }
    }

    /// A replica: it shares nothing with another one but the database.
    pub(crate) fn replica(&self, patience: Patience) -> Execution {
        Execution::new(
            self.store.clone(),
            self.registry.clone(),
            self.authorization.clone(),
            Environment::system(),
            patience,
        )
    }
}

/// Patience for tests: leases that last, and no time lost.
pub(crate) fn patience() -> Patience {
    Patience {
        write_within: TimeDelta::seconds(30),
        lease: Lease {
            owner: Environment::system().new_uuid(),
            duration: TimeDelta::seconds(30),
        },
        pauses: (Duration::from_millis(5), Duration::from_millis(20)),
        poll: Duration::from_millis(10),
        follow: Follow {
            within: TimeDelta::seconds(30),
            looks: Looks {
                first: TimeDelta::milliseconds(5),
                longest: TimeDelta::milliseconds(20),
            },
        },
    }
}

/// A rollback to accept, of a Deployment that no other test has.
pub(crate) fn new_rollback(write_within: TimeDelta) -> NewRollback {
    let environment = Environment::system();
    let (uid, now) = (environment.new_uuid(), environment.now());
    let deployment = format!("workspaces/w/deployments/d{}", uid.simple());
    let deployment = deployment.parse::<DeploymentName>().unwrap();
    NewRollback {
        name: RollbackName::new(deployment, RollbackId::new(environment.new_uuid())),
        order: Order {
            deployment_uid: DeploymentUid(uid),
            target: number(3),
            expected_latest: number(5),
            replaced: number(5),
            scope: model::deploys::Scope::All,
            options: Options::default(),
            description: "the orders are missing".to_owned(),
            permissions: all_push(),
            plan_digest: "ab".repeat(32).parse().unwrap(),
            acknowledged: Vec::new(),
            created_by: Principal::user("alice@example.com").unwrap(),
        },
        request: None,
        write_within,
        grant_expire_time: now + TimeDelta::hours(1),
        planned: StepTimes {
            start: now,
            end: now,
        },
        authorized: StepTimes {
            start: now,
            end: now,
        },
    }
}

/// An error as a service of Reprise makes it.
pub(crate) fn refusal(code: Code, reason: ErrorReason) -> Status {
    Problem::new(code, reason, "refused for the test").into()
}

/// Waits until something holds.
pub(crate) async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap()
}
