//! The whole service over a real port.

use std::net::SocketAddr;
use std::path::Path;

use chassis::config::{DatabaseArgs, KeyArgs, ListenArgs, TlsArgs};
use chassis::database::DatabaseUrl;
use chassis::identity::{LOCAL_ISSUER, mint_user_token};
use chrono::TimeDelta;
use proto::authorization::v1 as pb;
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn args(folder: &Path) -> Args {
    let database = folder.join("authorization.db");
    Args {
        listen: ListenArgs {
            listen: None,
            tls: TlsArgs::default(),
            drain_seconds: 5,
        },
        database: DatabaseArgs {
            database_url: DatabaseUrl::Sqlite(database),
            database_connections: 4,
        },
        keys: KeyArgs {
            keys: folder.join("keys"),
            oidc_ca: None,
        },
        decision_log_sample_rate: "1".parse().unwrap(),
        policy_file: Vec::new(),
    }
}

struct Running {
    address: SocketAddr,
    keyring: Keyring,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), StartError>>,
}

impl Running {
    async fn start(folder: &Path) -> Self {
        let environment = Environment::system();
        let keyring = Keyring::init(folder.join("keys"), &environment).unwrap();
        let args = args(folder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(args, listener, environment, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            keyring,
            stop,
            served,
        }
    }

    async fn client(&self) -> AuthorizationServiceClient<Channel> {
        AuthorizationServiceClient::connect(format!("http://{}", self.address))
            .await
            .unwrap()
    }

    fn as_admin<T>(&self, message: T) -> Request<T> {
        let key = self.keyring.local_issuer().unwrap();
        let environment = Environment::system();
        let lifetime = TimeDelta::hours(1);
        let admin = "admin".parse().unwrap();
        let token = mint_user_token(&key, LOCAL_ISSUER, &admin, &[], lifetime, &environment);
        let mut request = Request::new(message);
        let header = format!("Bearer {}", token.unwrap()).parse().unwrap();
        request.metadata_mut().insert("authorization", header);
        request
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.served)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_starts_answers_stops_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path()).await;
    let mut client = running.client().await;

    let keys = client
        .get_signing_keys(pb::GetSigningKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(keys.keys.len(), 1);
    let nobody = client.who_am_i(pb::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let me = client
        .who_am_i(running.as_admin(pb::WhoAmIRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(me.principal, "user:admin");

    let create = pb::CreateRoleBindingRequest {
        parent: "workspaces/w".to_owned(),
        role_binding: Some(pb::RoleBinding {
            principal: "user:bob".to_owned(),
            role: "roles/WORKSPACE_VIEWER".to_owned(),
            ..Default::default()
        }),
        request_id: String::new(),
        reason: String::new(),
    };
    let bound = client
        .create_role_binding(running.as_admin(create))
        .await
        .unwrap()
        .into_inner();
    drop(client);
    running.stop().await;

    let running = Running::start(folder.path()).await;
    let mut client = running.client().await;
    let list = |parent: &str| {
        let parent = parent.to_owned();
        running.as_admin(pb::ListRoleBindingsRequest {
            parent,
            ..Default::default()
        })
    };
    let listed = client
        .list_role_bindings(list("workspaces/w"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.role_bindings, [bound.role_binding.unwrap()]);
    let listed = client
        .list_role_bindings(list("system"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.role_bindings.len(), 1);
    drop(client);
    running.stop().await;
}

#[tokio::test]
async fn keys_that_are_missing_keep_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path()).await;
    running.stop().await;
    std::fs::remove_dir_all(folder.path().join("keys")).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let failed = serve(
        args(folder.path()),
        listener,
        Environment::system(),
        std::future::pending(),
    )
    .await;
    assert!(matches!(failed, Err(StartError::Keyring(_))), "{failed:?}");
}

/// Serves with this policy file until it has started or failed, and stops it.
async fn start_with(folder: &Path, policy: &str) -> Result<(), StartError> {
    let environment = Environment::system();
    Keyring::init(folder.join("keys"), &environment).unwrap();
    let mut args = args(folder);
    let file = folder.join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    args.policy_file = vec![file];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = serve(args, listener, environment, async {});
    tokio::time::timeout(DEADLINE, served).await.unwrap()
}

#[tokio::test]
async fn the_example_of_a_policy_file_is_applied_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../../../../deploy/policy.yaml");
    for _ in 0..2 {
        start_with(folder.path(), example).await.unwrap();
    }
    let running = Running::start(folder.path()).await;
    let bindings = pb::ListRoleBindingsRequest {
        parent: "workspaces/data".to_owned(),
        ..Default::default()
    };
    let bindings = running.as_admin(bindings);
    let mut client = running.client().await;
    let bindings = client.list_role_bindings(bindings).await.unwrap();
    let bindings = bindings.into_inner().role_bindings;
    assert_eq!(bindings.len(), 2);
    for binding in bindings {
        assert_eq!(binding.managed_by, "platform");
        assert_eq!(binding.created_by, "service:authorization");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_policy_file_that_cannot_be_applied_keeps_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    for (policy, expected) in [
        (
            "version: 1\nname: a\nroles: [{name: roles/a, permissions: [fly]}]",
            "policy.yaml: line 3, column 39: roles[0].permissions[0]: unknown permission",
        ),
        (
            "version: 1\nname: a\nrole_bindings: [{resource: system, principal: 'user:x', role: roles/none}]",
            "policy.yaml: role_bindings[0].role: roles/none does not exist",
        ),
    ] {
        let failed = start_with(folder.path(), policy).await.unwrap_err();
        let told = chain(&failed);
        assert!(told.contains(expected), "{told}");
    }
}
