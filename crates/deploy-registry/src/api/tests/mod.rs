//! The handlers with real keys, tokens, permits, database and bundle store. Only the authorization
//! service is a stand-in, which knows who holds what by heart.

mod agents;
mod authorization;
mod bundles;
mod deployments;
mod deploys;
#[cfg(feature = "test-servers")]
mod images;
mod lists;
mod reports;
mod rollbacks;
mod slow_watches;
mod sweeps;
mod targets;
mod updates;
mod watches;
mod workspace_watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::access::Access;
use chassis::client;
use chassis::config::TlsArgs;
use chassis::environment::Environment;
use chassis::identity::{
    AUTHORIZATION_ISSUER, Keyring, LOCAL_ISSUER, PermitVerifier, TokenVerifier, mint_user_token,
};
use chassis::problem::reason_of;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use model::{Catalog, Permission, PermissionSet, ServiceName};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tempfile::TempDir;
use tonic::{Code, Request, Status};

use self::authorization::Authorization;
use super::{ImageVerifier, Pace, Registry, upload_dag_bundle};
use crate::bundle_store::{BundleStore, BundleStoreUrl};
use crate::domain::Retention;
use crate::feed::Feed;
use crate::store::{MIGRATIONS, Store};

const WORKSPACE: &str = "workspaces/data";
/// Enough for all tests but one.
const QUOTA: i64 = 64 * 1024 * 1024;
const ETL: &str = "workspaces/data/deployments/etl";

/// The service under test, and all that it needs.
struct Harness {
    registry: Registry,
    keyring: Keyring,
    verifier: TokenVerifier,
    environment: Environment,
    seconds: Arc<AtomicI64>,
    authorization: Authorization,
    folder: TempDir,
    database: TestDatabase,
}

impl Harness {
    async fn new() -> Self {
        let seconds = Arc::new(AtomicI64::new(1_767_225_600));
        let clock = seconds.clone();
        let environment = Environment::with_clock(move || {
            DateTime::from_timestamp(clock.load(Ordering::SeqCst), 123_456_000).unwrap()
        });
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::init(folder.path().join("keyring"), &environment).unwrap();
        let trust = keyring.trust().unwrap();
        let authorization = Authorization::start().await;
        let endpoint = TlsArgs::default().endpoint(&authorization.address).unwrap();
        let name = ServiceName::DeployRegistry;
        let tokens = keyring.service_tokens(name, environment.clone()).unwrap();
        let database = TestDatabase::sqlite(&MIGRATIONS).await;
        let store = Store::new(database.database.clone());
        let (feed, poller) =
            Feed::new(store.clone(), environment.clone(), Duration::from_millis(5));
        tokio::spawn(poller.run(std::future::pending()));
        let registry = Registry {
            store,
            feed,
            watch_pace: Pace {
                recheck: Duration::from_millis(20),
                keep_alive: Duration::from_secs(3_600),
            },
            bundles: BundleStore::open(&BundleStoreUrl::folder(folder.path().join("bundles")))
                .unwrap(),
            access: Access::new(client::connect(
                endpoint,
                ServiceName::Authorization,
                tokens,
            )),
            permits: PermitVerifier::new(
                trust.permit_keys().clone(),
                AUTHORIZATION_ISSUER,
                environment.clone(),
            ),
            catalog: Arc::new(Catalog::built_in()),
            environment: environment.clone(),
            retention: Retention::days(90),
            images: ImageVerifier::Off,
            rollbacks_enabled: true,
            max_bundle_bytes: 4 * 1024 * 1024,
            bundle_quota: QUOTA,
            upload_stall: Duration::from_secs(30),
        };
        Self {
            registry,
            verifier: TokenVerifier::new(trust, name, environment.clone()),
            keyring,
            environment,
            seconds,
            authorization,
            folder,
            database,
        }
    }

    /// With the Deployment `etl` in the mode DAG_ONLY, and `alice`, who may do everything there.
    async fn with_deployment() -> Self {
        let harness = Self::new().await;
        harness.grant(
            "alice",
            WORKSPACE,
            Permission::ALL.iter().copied().collect(),
        );
        harness.create_deployment("etl").await;
        harness
    }

    fn now(&self) -> DateTime<Utc> {
        self.environment.now()
    }

    fn advance(&self, time: TimeDelta) {
        self.seconds.fetch_add(time.num_seconds(), Ordering::SeqCst);
    }

    /// A call of a person, or of the service `rollback-orchestrator` or `authorization`.
    fn call<T>(&self, who: &str, message: T) -> Request<T> {
        let token = match who.parse::<ServiceName>() {
            Ok(service) => {
                let environment = self.environment.clone();
                let tokens = self.keyring.service_tokens(service, environment).unwrap();
                tokens
                    .token(ServiceName::DeployRegistry)
                    .unwrap()
                    .to_string()
            }
            Err(_) => mint_user_token(
                &self.keyring.local_issuer().unwrap(),
                LOCAL_ISSUER,
                &who.parse().unwrap(),
                &[],
                TimeDelta::hours(1),
                &self.environment,
            )
            .unwrap(),
        };
        self.authorization.introduce(&token, who);
        let mut request = Request::new(message);
        request
            .extensions_mut()
            .insert(self.verifier.verify(&token).unwrap());
        request
    }

    /// Lets a person do these on a resource and all below it.
    fn grant(&self, who: &str, resource: &str, permissions: PermissionSet) {
        self.authorization.grant(who, resource, permissions);
    }

    async fn create_deployment(&self, id: &str) -> pb::Deployment {
        let request = pb::CreateDeploymentRequest {
            parent: WORKSPACE.to_owned(),
            deployment_id: id.to_owned(),
            deployment: Some(deployment()),
            ..Default::default()
        };
        let response = self
            .registry
            .create_deployment(self.call("alice", request))
            .await
            .unwrap();
        response.into_inner().deployment.unwrap()
    }

    async fn get_deployment(&self, who: &str, name: &str) -> Result<pb::Deployment, Status> {
        let request = pb::GetDeploymentRequest {
            name: name.to_owned(),
        };
        let response = self
            .registry
            .get_deployment(self.call(who, request))
            .await?;
        Ok(response.into_inner().deployment.unwrap())
    }

    async fn deploy(&self, who: &str, revision: pb::Revision) -> Result<pb::Deploy, Status> {
        let request = pb::CreateDeployRequest {
            parent: ETL.to_owned(),
            deploy: Some(pb::Deploy {
                revision: Some(revision),
                ..Default::default()
            }),
            ..Default::default()
        };
        let response = self.registry.create_deploy(self.call(who, request)).await?;
        Ok(response.into_inner().deploy.unwrap())
    }

    /// Uploads a bundle to the Deployment `etl` in one chunk.
    async fn upload(&self, who: &str, bytes: &[u8]) -> Result<pb::DagBundle, Status> {
        let messages = vec![header(bytes), chunk(bytes)];
        self.upload_messages(who, messages).await
    }

    async fn upload_messages(
        &self,
        who: &str,
        messages: Vec<pb::UploadDagBundleRequest>,
    ) -> Result<pb::DagBundle, Status> {
        let messages = futures::stream::iter(messages.into_iter().map(Ok));
        let response = upload_dag_bundle::handle(&self.registry, self.call(who, messages)).await?;
        Ok(response.dag_bundle.unwrap())
    }

    /// The files of the bundle store, by path below the folder.
    fn files(&self) -> Vec<String> {
        let root = self.folder.path().join("bundles");
        let mut files = Vec::new();
        for deployment in std::fs::read_dir(&root).unwrap() {
            for file in std::fs::read_dir(deployment.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                files.push(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
        files.sort();
        files
    }
}

fn deployment() -> pb::Deployment {
    pb::Deployment {
        display_name: "ETL".to_owned(),
        dag_deploy_mode: pb::DagDeployMode::DagOnly.into(),
        rollback_enabled: true,
        settings: [("executor".to_owned(), "celery".to_owned())].into(),
        ..Default::default()
    }
}

fn image(digit: char) -> pb::Revision {
    pb::Revision {
        image: Some(pb::Image {
            repository: "registry.example.com/data/etl".to_owned(),
            tag: "1.4".to_owned(),
            digest: format!("sha256:{}", digit.to_string().repeat(64)),
        }),
        runtime_version: "3.1-9".to_owned(),
        ..Default::default()
    }
}

fn dags(bundle: &pb::DagBundle) -> pb::Revision {
    let sha256 = bundle.sha256.clone();
    pb::Revision {
        dag_bundle: Some(pb::Bundle {
            sha256,
            size_bytes: 0,
        }),
        ..Default::default()
    }
}

fn header(bytes: &[u8]) -> pb::UploadDagBundleRequest {
    use sha2::{Digest, Sha256};

    let sha256 = model::Sha256Digest::new(Sha256::digest(bytes).into()).to_string();
    header_of(ETL, &sha256, bytes.len().try_into().unwrap())
}

fn header_of(parent: &str, sha256: &str, size_bytes: i64) -> pb::UploadDagBundleRequest {
    let header = pb::UploadDagBundleHeader {
        parent: parent.to_owned(),
        sha256: sha256.to_owned(),
        size_bytes,
    };
    let part = Some(pb::upload_dag_bundle_request::Part::Header(header));
    pb::UploadDagBundleRequest { part }
}

fn chunk(bytes: &[u8]) -> pb::UploadDagBundleRequest {
    let part = pb::upload_dag_bundle_request::Part::Chunk(bytes.to_vec().into());
    pb::UploadDagBundleRequest { part: Some(part) }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: Code,
    reason: ErrorReason,
) -> Status {
    let status = result.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status)),
        (code, Some(reason)),
        "{status:?}"
    );
    status
}

/// The metadata of the `ErrorInfo`.
fn metadata(status: &Status, key: &str) -> String {
    use tonic_types::StatusExt;

    let info = status.get_details_error_info().unwrap();
    info.metadata.get(key).cloned().unwrap_or_default()
}
