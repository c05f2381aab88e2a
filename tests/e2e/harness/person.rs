use std::net::SocketAddr;

use chassis::identity::{LOCAL_ISSUER, mint_user_token};
use chrono::TimeDelta;
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use proto::authorization::v1::{CreateRoleBindingRequest, CreateRoleRequest, RoleBinding};
use proto::common::v1::RollbackScope;
use proto::registry::v1::deploy_registry_service_client::DeployRegistryServiceClient;
use proto::registry::v1::download_dag_bundle_response::Part;
use proto::registry::v1::{
    CreateDeployRequest, CreateDeploymentRequest, DagBundle, DagDeployMode, Deploy, Deployment,
    DownloadDagBundleRequest, GetDeploymentRequest, ListDeploysRequest, Revision,
};
use proto::rollback::v1::rollback_service_client::RollbackServiceClient;
use proto::rollback::v1::{CreateRollbackRequest, GetRollbackRequest, Plan, Rollback};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Stack;
use super::refusal::done;
use super::requests::{self, last, sha256};

type PersonalChannel = InterceptedService<Channel, Bearer>;
pub(crate) type Authorization = AuthorizationServiceClient<PersonalChannel>;
pub(crate) type Registry = DeployRegistryServiceClient<PersonalChannel>;
pub(crate) type Orchestrator = RollbackServiceClient<PersonalChannel>;

/// Where the three services are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) authorization: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) orchestrator: SocketAddr,
}

/// Somebody who calls the three services with one token.
#[derive(Clone)]
pub(crate) struct Person {
    /// What roles are bound to, such as `user:dana`.
    pub(crate) principal: String,
    pub(crate) token: String,
    authorization: Authorization,
    registry: Registry,
    orchestrator: Orchestrator,
}

impl Person {
    pub(crate) fn new(services: Addresses, principal: &str, token: &str) -> Self {
        let Addresses {
            authorization,
            registry,
            orchestrator,
        } = services;
        Self {
            principal: principal.to_owned(),
            token: token.to_owned(),
            authorization: Authorization::new(connection(authorization, token)),
            registry: Registry::new(connection(registry, token)),
            orchestrator: Orchestrator::new(connection(orchestrator, token)),
        }
    }

    /// The same person, who calls services elsewhere.
    #[cfg(feature = "test-postgres")]
    pub(crate) fn at(&self, services: Addresses) -> Self {
        Self::new(services, &self.principal, &self.token)
    }

    pub(crate) fn authorization(&self) -> Authorization {
        self.authorization.clone()
    }

    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    pub(crate) fn orchestrator(&self) -> Orchestrator {
        self.orchestrator.clone()
    }

    /// Creates a Deployment that may be rolled back.
    pub(crate) async fn create_deployment(&self, name: &str, mode: DagDeployMode) -> Deployment {
        let (workspace, id) = name.split_once("/deployments/").unwrap();
        let request = CreateDeploymentRequest {
            parent: workspace.to_owned(),
            deployment_id: id.to_owned(),
            deployment: Some(Deployment {
                dag_deploy_mode: mode.into(),
                rollback_enabled: true,
                ..Deployment::default()
            }),
            ..CreateDeploymentRequest::default()
        };
        let created = done(self.registry().create_deployment(request).await);
        created.deployment.unwrap()
    }

    pub(crate) async fn deployment(&self, name: &str) -> Deployment {
        let name = name.to_owned();
        let request = GetDeploymentRequest { name };
        done(self.registry().get_deployment(request).await)
            .deployment
            .unwrap()
    }

    /// Creates a custom role, and returns its name.
    pub(crate) async fn create_role(&self, parent: &str, id: &str, permissions: &[&str]) -> String {
        let request = CreateRoleRequest {
            parent: parent.to_owned(),
            role_id: id.to_owned(),
            role: Some(requests::role(permissions)),
            ..CreateRoleRequest::default()
        };
        done(self.authorization().create_role(request).await)
            .role
            .unwrap()
            .name
    }

    /// Gives a role to somebody, and returns the binding's name.
    pub(crate) async fn bind(&self, resource: &str, principal: &str, role: &str) -> String {
        let request = CreateRoleBindingRequest {
            parent: resource.to_owned(),
            role_binding: Some(RoleBinding {
                principal: principal.to_owned(),
                role: role.to_owned(),
                ..RoleBinding::default()
            }),
            ..CreateRoleBindingRequest::default()
        };
        let created = done(self.authorization().create_role_binding(request).await);
        created.role_binding.unwrap().name
    }

    pub(crate) async fn upload(&self, deployment: &str, bytes: &[u8]) -> DagBundle {
        let messages = requests::upload(deployment, bytes);
        let uploaded = self
            .registry()
            .upload_dag_bundle(tokio_stream::iter(messages))
            .await;
        done(uploaded).dag_bundle.unwrap()
    }

    /// All bytes of a bundle.
    pub(crate) async fn download(&self, deployment: &str, sha256: &str) -> Vec<u8> {
        let request = DownloadDagBundleRequest {
            name: format!("{deployment}/dagBundles/{sha256}"),
        };
        let mut parts = done(self.registry().download_dag_bundle(request).await);
        let first = parts.message().await.unwrap().unwrap().part.unwrap();
        let Part::DagBundle(bundle) = first else {
            panic!("the download began with a chunk");
        };
        let mut bytes = Vec::new();
        while let Some(message) = parts.message().await.unwrap() {
            match message.part.unwrap() {
                Part::Chunk(chunk) => bytes.extend_from_slice(&chunk),
                Part::DagBundle(_) => panic!("the download began again"),
            }
        }
        assert_eq!(bundle.size_bytes, i64::try_from(bytes.len()).unwrap());
        assert_eq!(bundle.sha256, super::requests::sha256(&bytes));
        bytes
    }

    /// Uploads a DAG bundle, and ships a deploy of it and of what else is in the revision.
    pub(crate) async fn ship_dags(
        &self,
        deployment: &str,
        bytes: &[u8],
        revision: Revision,
    ) -> Deploy {
        self.upload(deployment, bytes).await;
        let revision = Revision {
            dag_bundle: Some(requests::bundle(&sha256(bytes))),
            ..revision
        };
        self.ship(deployment, revision).await
    }

    pub(crate) async fn ship(&self, deployment: &str, revision: Revision) -> Deploy {
        let request = CreateDeployRequest {
            parent: deployment.to_owned(),
            deploy: Some(Deploy {
                revision: Some(revision),
                ..Deploy::default()
            }),
            ..CreateDeployRequest::default()
        };
        done(self.registry().create_deploy(request).await)
            .deploy
            .unwrap()
    }

    /// The whole history, newest first.
    pub(crate) async fn history(&self, deployment: &str) -> Vec<Deploy> {
        let request = ListDeploysRequest {
            parent: deployment.to_owned(),
            ..ListDeploysRequest::default()
        };
        done(self.registry().list_deploys(request).await).deploys
    }

    /// The number of the latest deploy.
    pub(crate) async fn latest(&self, deployment: &str) -> i64 {
        let latest = self.deployment(deployment).await.latest_deploy;
        last(&latest).parse().unwrap()
    }

    pub(crate) async fn plan(&self, deployment: &str, target: i64, scope: RollbackScope) -> Plan {
        let request = requests::plan(deployment, target, scope);
        done(self.orchestrator().plan_rollback(request).await)
            .plan
            .unwrap()
    }

    pub(crate) async fn roll_back(&self, request: CreateRollbackRequest) -> Rollback {
        done(self.orchestrator().create_rollback(request).await)
            .rollback
            .unwrap()
    }

    pub(crate) async fn rollback(&self, name: &str) -> Rollback {
        let name = name.to_owned();
        let request = GetRollbackRequest { name };
        done(self.orchestrator().get_rollback(request).await)
            .rollback
            .unwrap()
    }
}

impl Stack {
    /// A valid token of the local issuer, as `reprise admin-token` makes them.
    pub(crate) fn token_of(&self, name: &str, groups: &[&str]) -> String {
        let groups = groups.iter().map(|group| group.parse().unwrap());
        mint_user_token(
            &self.keyring.local_issuer().unwrap(),
            LOCAL_ISSUER,
            &name.parse().unwrap(),
            &groups.collect::<Vec<_>>(),
            TimeDelta::hours(1),
            &self.environment,
        )
        .unwrap()
    }
}

fn connection(address: SocketAddr, token: &str) -> PersonalChannel {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let bearer = match token {
        "" => None,
        token => Some(format!("Bearer {token}").parse().unwrap()),
    };
    InterceptedService::new(channel, Bearer(bearer))
}

/// Puts a token, if there is one, into every call.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}
