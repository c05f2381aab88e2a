//! The whole service, between two others that do as they are told.

mod access;
mod audit;
mod fields;
mod lists;
mod plans;
mod refusals;
mod repeats;
mod rollbacks;
mod surroundings;
mod targets;
mod watches;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chassis::config::{CatalogArgs, DatabaseArgs, KeyArgs, ListenArgs, TlsArgs};
use chassis::environment::Environment;
use chassis::identity::{Keyring, LOCAL_ISSUER, mint_user_token};
use chassis::problem::reason_of;
use chrono::TimeDelta;
use model::permissions::{Permission, PermissionSet};
use proto::common::v1::{Blocker, BlockerCode, ErrorReason, RollbackScope};
use proto::registry::v1 as registry;
use proto::rollback::v1::rollback_service_client::RollbackServiceClient;
use proto::rollback::v1::*;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::api::Pace;
use crate::config::{Args, RollbackArgs};
use crate::service::{StartError, serve_at};
use crate::testing::{FakeAuthorization, FakeRegistry, SOON, eventually};

const DEPLOYMENT: &str = "workspaces/data/deployments/etl";
const SEEN_BY_ALL: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentDeployRevisionsGet,
    Permission::DeploymentConfigGet,
]);
const PUSHES: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

/// A watch that has much to do.
const BUSY: Pace = Pace {
    recheck: Duration::from_millis(100),
    keep_alive: Duration::from_millis(200),
    at_once: 3,
};

struct Service {
    client: RollbackServiceClient<Channel>,
    registry: FakeRegistry,
    authorization: FakeAuthorization,
    keyring: Keyring,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), StartError>>,
    _folder: TempDir,
}

fn deploy_name(number: i64) -> String {
    format!("{DEPLOYMENT}/deploys/{number}")
}

/// What deploys 4 and 5 run: they differ in the image.
fn revision(image: u8, runtime: &str) -> registry::Revision {
    registry::Revision {
        image: Some(registry::Image {
            repository: "registry.example.com/data/etl".to_owned(),
            tag: String::new(),
            digest: format!("sha256:{}", format!("{image:02x}").repeat(32)),
        }),
        runtime_version: runtime.to_owned(),
        dag_bundle: Some(registry::Bundle {
            sha256: "ab".repeat(32),
            size_bytes: 10,
        }),
        dag_deploy_mode: registry::DagDeployMode::DagOnly.into(),
        ..Default::default()
    }
}

fn deploy(number: i64, revision: registry::Revision) -> registry::Deploy {
    registry::Deploy {
        name: deploy_name(number),
        number,
        revision: Some(revision),
        settings: BTreeMap::from([("executor".to_owned(), format!("then {number}"))]),
        git: Some(registry::GitSource {
            repository: "acme/etl".to_owned(),
            commit_sha: "c".repeat(40),
            ..Default::default()
        }),
        description: format!("change {number}"),
        created_by: "user:bob@example.com".to_owned(),
        create_time: Some(at(number)),
        state: registry::DeployState::Deployed.into(),
        ..Default::default()
    }
}

/// What would be written after deploy `replaced`.
fn composed(number: i64, replaced: i64, revision: registry::Revision) -> registry::Deploy {
    registry::Deploy {
        rollback: Some(registry::RollbackOrigin {
            replaced_deploy: deploy_name(replaced),
            ..Default::default()
        }),
        ..deploy(number, revision)
    }
}

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

impl Service {
    /// A service whose Deployment went from deploy 4 on `then` to deploy 5 on `now`.
    async fn start(now: &str, then: &str) -> Self {
        Self::start_with(now, then, 20).await
    }

    async fn start_with(now: &str, then: &str, write_deadline_seconds: u32) -> Self {
        let registry = FakeRegistry::default();
        {
            let mut state = registry.state();
            state.deployment = Some(registry::Deployment {
                name: DEPLOYMENT.to_owned(),
                uid: "7f3c0d3c-51f0-4c56-9d3f-0a2b4c6d8e0f".to_owned(),
                dag_deploy_mode: registry::DagDeployMode::DagOnly.into(),
                latest_deploy: deploy_name(5),
                current_deploy: deploy_name(5),
                current_revision: Some(revision(5, now)),
                settings: BTreeMap::from([("executor".to_owned(), "now".to_owned())]),
                ..Default::default()
            });
            state.history = [deploy(4, revision(4, then)), deploy(5, revision(5, now))]
                .map(|deploy| (deploy.name.clone(), deploy))
                .into();
            state.preview = registry::CreateRollbackDeployResponse {
                deploy: Some(composed(6, 5, revision(4, then))),
                revision_digest: "composed".to_owned(),
                blockers: Vec::new(),
            };
        }
        let authorization = FakeAuthorization::default();
        authorization.state().held = SEEN_BY_ALL.union(PUSHES);

        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let keyring = Keyring::init(&keys, &Environment::system()).unwrap();
        let database = folder.path().join("orchestrator.db");
        let args = Args {
            listen: ListenArgs {
                listen: None,
                tls: TlsArgs::default(),
                drain_seconds: 20,
            },
            database: DatabaseArgs {
                database_url: format!("sqlite:{}", database.display()).parse().unwrap(),
                database_connections: 4,
            },
            keys: KeyArgs {
                keys,
                oidc_ca: None,
            },
            authorization_address: format!("http://{}", authorization.serve().await),
            registry_address: format!("http://{}", registry.serve().await),
            catalog: CatalogArgs::default(),
            rollbacks: RollbackArgs {
                write_deadline_seconds,
                lease_seconds: 15,
                roll_out_deadline_seconds: 3600,
            },
        };
        let listener = chassis::server::listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let environment = Environment::system();
        let served = tokio::spawn(serve_at(args, listener, environment, BUSY, async {
            let _ = stopped.await;
        }));
        let client = eventually(async || {
            RollbackServiceClient::connect(format!("http://{address}"))
                .await
                .ok()
        })
        .await;
        let stop = Some(stop);
        Self {
            client,
            registry,
            authorization,
            keyring,
            stop,
            served,
            _folder: folder,
        }
    }

    fn call<T>(&self, message: T) -> Request<T> {
        self.call_as("alice@example.com", message)
    }

    fn call_as<T>(&self, user: &str, message: T) -> Request<T> {
        self.call_for(user, TimeDelta::hours(1), message)
    }

    /// A call with a token that lasts so long.
    fn call_for<T>(&self, user: &str, lifetime: TimeDelta, message: T) -> Request<T> {
        let token = mint_user_token(
            &self.keyring.local_issuer().unwrap(),
            LOCAL_ISSUER,
            &user.parse().unwrap(),
            &[],
            lifetime,
            &Environment::system(),
        );
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", token.unwrap()).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }

    async fn plan(&self, request: PlanRollbackRequest) -> Result<Plan, Status> {
        let response = self
            .client
            .clone()
            .plan_rollback(self.call(request))
            .await?;
        Ok(response.into_inner().plan.unwrap())
    }

    async fn create(&self, request: CreateRollbackRequest) -> Result<Rollback, Status> {
        let response = self
            .client
            .clone()
            .create_rollback(self.call(request))
            .await?;
        Ok(response.into_inner().rollback.unwrap())
    }

    async fn get(&self, name: &str) -> Result<Rollback, Status> {
        let request = self.call(GetRollbackRequest {
            name: name.to_owned(),
        });
        let response = self.client.clone().get_rollback(request).await?;
        Ok(response.into_inner().rollback.unwrap())
    }

    /// What nobody was asked for: no permit, and no write.
    fn nothing_was_sent(&self) -> bool {
        self.authorization.state().first_permits == 0 && self.registry.state().permits.is_empty()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(SOON, self.served)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

fn plan_request() -> PlanRollbackRequest {
    PlanRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: Some(plan_rollback_request::Target::TargetDeploy(deploy_name(4))),
        scope: RollbackScope::All.into(),
        hold: false,
        allow_marked_bad: false,
    }
}

fn create_request() -> CreateRollbackRequest {
    CreateRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: Some(create_rollback_request::Target::TargetDeploy(deploy_name(
            4,
        ))),
        scope: RollbackScope::All.into(),
        description: "the orders are missing".to_owned(),
        ..Default::default()
    }
}

fn with_id(id: u128) -> CreateRollbackRequest {
    CreateRollbackRequest {
        request_id: uuid::Uuid::from_u128(id).to_string(),
        ..create_request()
    }
}

fn metadata(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().unwrap().metadata
}

fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, ErrorReason) {
    let status = outcome.unwrap_err();
    (status.code(), reason_of(&status).unwrap())
}

fn violations(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn blocker(code: BlockerCode) -> Blocker {
    Blocker {
        code: code.into(),
        subject: deploy_name(4),
        text: "because".to_owned(),
    }
}
