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
