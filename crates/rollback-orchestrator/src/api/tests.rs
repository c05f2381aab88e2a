//! The whole service, between two others that do as they are told.

use std::collections::{BTreeMap, HashMap};

use chassis::config::{CatalogArgs, DatabaseArgs, KeyArgs, ListenArgs, TlsArgs};
use chassis::environment::Environment;
use chassis::identity::{Keyring, LOCAL_ISSUER, mint_user_token};
use chassis::problem::{Problem, reason_of};
use chrono::TimeDelta;
use model::names::Principal;
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

use crate::config::{Args, RollbackArgs};
use crate::service::{StartError, serve};
use crate::testing::{Act, FakeAuthorization, FakeRegistry, SOON, eventually, refusal};

const DEPLOYMENT: &str = "workspaces/data/deployments/etl";
const SEEN_BY_ALL: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentDeployRevisionsGet,
    Permission::DeploymentConfigGet,
]);
const PUSHES: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

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
        ..Default::default()
    }
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
                deploy: Some(deploy(6, revision(4, then))),
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
            },
        };
        let listener = chassis::server::listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(args, listener, Environment::system(), async {
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
        let token = mint_user_token(
            &self.keyring.local_issuer().unwrap(),
            LOCAL_ISSUER,
            &user.parse().unwrap(),
            &[],
            TimeDelta::hours(1),
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

#[tokio::test]
async fn a_plan_tells_what_a_rollback_would_do() {
    let service = Service::start("3.1-9", "3.1-2").await;
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.target_deploy, deploy_name(4));
    assert_eq!(
        (&plan.latest_deploy, &plan.current_deploy),
        (&deploy_name(5), &deploy_name(5))
    );
    assert_eq!(plan.revision, Some(revision(4, "3.1-2")));
    assert_eq!(
        (plan.revision_digest.as_str(), plan.rules_version.as_str()),
        ("composed", "1")
    );
    assert_eq!(plan.changes.len(), 2);
    let codes = plan.warnings.iter().map(Warning::code).collect::<Vec<_>>();
    let expected = [
        WarningCode::RuntimeDowngrade,
        WarningCode::SettingsDrift,
        WarningCode::GitNotReverted,
    ];
    assert_eq!(codes, expected);
    assert!(plan.warnings[0].must_acknowledge && !plan.warnings[1].must_acknowledge);
    let permissions = plan.permissions.unwrap();
    assert_eq!(permissions.principal, "user:alice@example.com");
    assert_eq!(
        permissions.needed,
        ["deployment.images.push", "deployment.dags.push"]
    );
    assert!(permissions.missing.is_empty());
    assert_eq!(permissions.open_scopes.len(), 3);
    // Settings are for others.
    assert!(plan.settings_drift.is_empty());
    assert_eq!(service.authorization.state().checks, 1);
    assert!(service.nothing_was_sent());

    service
        .authorization
        .state()
        .held
        .insert(Permission::DeploymentVariablesGet);
    let seen = service.plan(plan_request()).await.unwrap();
    assert_eq!(seen.settings_drift[0].then.as_deref(), Some("then 4"));
    assert_eq!(seen.settings_drift[0].now.as_deref(), Some("now"));
    assert_eq!(seen.digest, plan.digest);
    service.stop().await;
}

#[tokio::test]
async fn what_a_caller_may_not_see_is_not_found() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    let cases = [
        (PermissionSet::EMPTY, not_found),
        // To see settings is not to see the Deployment.
        (
            PermissionSet::of(&[Permission::DeploymentVariablesGet]),
            not_found,
        ),
        (
            PermissionSet::of(&[Permission::DeploymentConfigGet]),
            missing,
        ),
        (
            PermissionSet::of(&[Permission::WorkspaceDeploymentsGet]),
            missing,
        ),
        (PUSHES, missing),
    ];
    let name = format!("{DEPLOYMENT}/rollbacks/{}", uuid::Uuid::from_u128(1));
    for (held, expected) in cases {
        service.authorization.state().held = held;
        // Wrong fields change nothing: permission comes first.
        let plan = PlanRollbackRequest {
            scope: 99,
            ..plan_request()
        };
        assert_eq!(reason(service.plan(plan).await), expected, "{held:?}");
        let create = CreateRollbackRequest {
            scope: 99,
            ..create_request()
        };
        assert_eq!(reason(service.create(create).await), expected, "{held:?}");
        let expected = if held == PUSHES { not_found } else { expected };
        assert_eq!(reason(service.get(&name).await), expected, "{held:?}");
    }
    service.authorization.state().held = SEEN_BY_ALL;
    assert_eq!(reason(service.get(&name).await), not_found);
    let elsewhere = PlanRollbackRequest {
        parent: "workspaces/data/deployments/other".to_owned(),
        target: Some(plan_rollback_request::Target::TargetDeploy(
            "workspaces/data/deployments/other/deploys/1".to_owned(),
        )),
        ..plan_request()
    };
    assert_eq!(reason(service.plan(elsewhere).await), not_found);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_an_identity() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let unauthenticated = (Code::Unauthenticated, ErrorReason::Unauthenticated);
    let mut client = service.client.clone();
    assert_eq!(
        reason(client.plan_rollback(plan_request()).await),
        unauthenticated
    );
    assert_eq!(
        reason(client.create_rollback(create_request()).await),
        unauthenticated
    );
    let request = GetRollbackRequest {
        name: String::new(),
    };
    assert_eq!(reason(client.get_rollback(request).await), unauthenticated);
    assert_eq!(service.authorization.state().checks, 0);
    service.stop().await;
}

#[tokio::test]
async fn all_that_is_wrong_with_a_request_is_told_at_once() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let target = |name: &str| {
        Some(create_rollback_request::Target::TargetDeploy(
            name.to_owned(),
        ))
    };
    let wrong = CreateRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: target("workspaces/data/deployments/other/deploys/1"),
        scope: 0,
        description: "x".repeat(501),
        request_id: "not a uuid".to_owned(),
        plan_digest: "not a digest".to_owned(),
        acknowledged_warnings: vec![WarningCode::MetadataLoss.into(), 0, 99],
        validate_only: false,
        hold: false,
        allow_marked_bad: false,
    };
    let status = service.create(wrong.clone()).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InvalidFields));
    assert_eq!(
        violations(&status),
        [
            "target_deploy",
            "scope",
            "description",
            "request_id",
            "plan_digest",
            "acknowledged_warnings[1]",
            "acknowledged_warnings[2]",
        ]
    );
    let no_parent = CreateRollbackRequest {
        parent: "workspaces/data".to_owned(),
        ..wrong
    };
    let status = service.create(no_parent).await.unwrap_err();
    assert_eq!(violations(&status)[0], "parent");
    assert!(violations(&status).contains(&"scope".to_owned()));

    let nothing = service
        .create(CreateRollbackRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        violations(&nothing),
        ["parent", "target_deploy", "scope", "description"]
    );

    let bad: &[(&str, CreateRollbackRequest)] = &[
        (
            "description",
            CreateRollbackRequest {
                description: " \n".to_owned(),
                ..create_request()
            },
        ),
        (
            "description",
            CreateRollbackRequest {
                description: "a\0b".to_owned(),
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: None,
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: target(&deploy_name(0)),
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: target(&deploy_name(-1)),
                ..create_request()
            },
        ),
        (
            "scope",
            CreateRollbackRequest {
                scope: i32::MIN,
                ..create_request()
            },
        ),
        (
            "request_id",
            CreateRollbackRequest {
                request_id: uuid::Uuid::nil().to_string(),
                ..create_request()
            },
        ),
        (
            "acknowledged_warnings",
            CreateRollbackRequest {
                acknowledged_warnings: vec![1; 51],
                ..create_request()
            },
        ),
    ];
    for (field, request) in bad {
        let status = service.create(request.clone()).await.unwrap_err();
        assert_eq!(violations(&status), [*field]);
    }
    let status = service
        .get("workspaces/data/rollbacks/7")
        .await
        .unwrap_err();
    assert_eq!(violations(&status), ["name"]);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn a_rollback_is_carried_out_as_it_was_planned() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let plan = service.plan(plan_request()).await.unwrap();
    let (pages, checks) = (
        service.registry.state().pages,
        service.authorization.state().checks,
    );
    let request = CreateRollbackRequest {
        plan_digest: plan.digest.clone(),
        ..create_request()
    };
    let rollback = service.create(request).await.unwrap();
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy_name(6));
    assert_eq!(rollback.roll_out(), RollOut::Deployed);
    assert_eq!(
        (&rollback.target_deploy, &rollback.replaced_deploy),
        (&deploy_name(4), &deploy_name(5))
    );
    assert_eq!(rollback.created_by, "user:alice@example.com");
    assert_eq!(rollback.plan_digest, plan.digest);
    assert_eq!(rollback.steps.len(), 4);
    assert!(rollback.end_time.is_some() && !rollback.etag.is_empty());
    assert_eq!(service.get(&rollback.name).await.unwrap(), rollback);

    let first = service.authorization.state().first.clone().unwrap();
    assert_eq!(first.rollback, rollback.name);
    assert_eq!(first.target_deploy, deploy_name(4));
    assert_eq!(first.expected_latest_deploy, deploy_name(5));
    assert_eq!(
        first.permissions,
        ["deployment.images.push", "deployment.dags.push"]
    );
    assert_eq!(
        (first.revision_digest.as_str(), &first.plan_digest),
        ("composed", &plan.digest)
    );
    assert_eq!(first.deployment_uid, plan.deployment_uid);
    // One check for the call; and what only informs was not looked for.
    assert_eq!(service.authorization.state().checks, checks + 2);
    assert_eq!(service.registry.state().pages, pages);
    service.stop().await;
}

#[tokio::test]
async fn a_missing_permission_is_told_with_the_scopes_that_are_open() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    service.authorization.state().held = SEEN_BY_ALL.union(dags);
    // Also where something else is wrong with the rollback.
    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetExpired)];
    let status = service.create(create_request()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let metadata = metadata(&status);
    assert_eq!(metadata["permissions"], "deployment.images.push");
    assert_eq!(metadata["open_scopes"], "DAGS");
    assert_eq!(metadata["resource"], DEPLOYMENT);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

fn blocker(code: BlockerCode) -> Blocker {
    Blocker {
        code: code.into(),
        subject: deploy_name(4),
        text: "because".to_owned(),
    }
}

#[tokio::test]
async fn another_plan_than_the_agreed_one_is_not_carried_out() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let plan = service.plan(plan_request()).await.unwrap();
    service.registry.state().preview.revision_digest = "another".to_owned();
    let agreed = CreateRollbackRequest {
        plan_digest: plan.digest.clone(),
        ..create_request()
    };
    let status = service.create(agreed).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status)),
        (Code::Aborted, Some(ErrorReason::PlanChanged))
    );
    let now = metadata(&status)["plan_digest"].clone();
    assert_ne!(now, plan.digest);
    assert!(service.nothing_was_sent());
    let agreed = CreateRollbackRequest {
        plan_digest: now,
        ..create_request()
    };
    service.create(agreed).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn every_blocker_is_told_at_once() {
    let service = Service::start("3.1-9", "11.7.0").await;
    let blockers = [
        BlockerCode::TargetExpired,
        BlockerCode::RollbackDisabledDeployment,
    ];
    service.registry.state().preview.blockers = blockers.map(blocker).to_vec();
    let status = service.create(create_request()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason_of(&status), Some(ErrorReason::RollbackBlocked));
    let expected = "TARGET_EXPIRED,ROLLBACK_DISABLED_DEPLOYMENT,RUNTIME_PATH_UNSUPPORTED";
    assert_eq!(metadata(&status)["blockers"], expected);
    let violations = status
        .get_details_precondition_failure()
        .unwrap()
        .violations;
    let kinds = violations
        .iter()
        .map(|violation| violation.r#type.as_str())
        .collect::<Vec<_>>();
    assert_eq!(kinds.join(","), expected);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn warnings_must_be_acknowledged() {
    let service = Service::start("3.2-2", "3.1-9").await;
    let status = service.create(create_request()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        reason_of(&status),
        Some(ErrorReason::WarningsNotAcknowledged)
    );
    assert_eq!(
        metadata(&status)["warnings"],
        "RUNTIME_DOWNGRADE,METADATA_LOSS"
    );
    assert!(service.nothing_was_sent());

    let acknowledged_warnings = [
        WarningCode::MetadataLoss,
        WarningCode::RuntimeDowngrade,
        WarningCode::MetadataLoss,
    ];
    let read = CreateRollbackRequest {
        acknowledged_warnings: acknowledged_warnings.map(i32::from).to_vec(),
        ..create_request()
    };
    let rollback = service.create(read).await.unwrap();
    let expected = [WarningCode::RuntimeDowngrade, WarningCode::MetadataLoss];
    assert_eq!(rollback.acknowledged_warnings, expected.map(i32::from));
    service.stop().await;
}

#[tokio::test]
async fn a_trial_shows_the_rollback_and_starts_nothing() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let trial = CreateRollbackRequest {
        validate_only: true,
        ..with_id(1)
    };
    let rollback = service.create(trial.clone()).await.unwrap();
    assert_eq!(rollback.state(), RollbackState::Pending);
    assert_eq!(rollback.replaced_deploy, deploy_name(5));
    assert_eq!((rollback.name.as_str(), rollback.deploy.as_str()), ("", ""));
    assert!(service.nothing_was_sent());

    // Everything is checked.
    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetExpired)];
    let blocked = (Code::FailedPrecondition, ErrorReason::RollbackBlocked);
    assert_eq!(reason(service.create(trial.clone()).await), blocked);
    service.registry.state().preview.blockers.clear();

    // The trial did not use up the request id, and shows what has become of it since.
    let done = service.create(with_id(1)).await.unwrap();
    assert_eq!(service.create(trial).await.unwrap(), done);
    service.stop().await;
}

#[tokio::test]
async fn without_authorization_nothing_is_pending() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let unavailable = (Code::Unavailable, ErrorReason::DependencyUnavailable);
    service.authorization.state().check_error = Some(Status::unavailable("down"));
    assert_eq!(reason(service.create(with_id(1)).await), unavailable);
    assert_eq!(reason(service.plan(plan_request()).await), unavailable);
    service.authorization.state().check_error = None;

    let down = [(); 3].map(|()| Status::unavailable("down"));
    service.authorization.state().permit_errors.extend(down);
    let status = service.create(with_id(1)).await.unwrap_err();
    assert_eq!(metadata(&status)["dependency"], "authorization");
    assert_eq!(reason(Err::<(), _>(status)), unavailable);
    assert!(service.registry.state().permits.is_empty());
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.blockers, []);
    // The request id is not used up.
    service.create(with_id(1)).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_refused_permit_is_told_as_it_is_and_nothing_is_pending() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let lacks = |who: &str| {
        let principal = who.parse::<Principal>().unwrap();
        Status::from(Problem::permission_missing(&principal, PUSHES, &DEPLOYMENT))
    };
    let cases = [
        (
            lacks("user:alice@example.com"),
            Code::PermissionDenied,
            ErrorReason::PermissionMissing,
        ),
        // That this service lacks something is not the caller's business.
        (
            lacks("service:rollback-orchestrator"),
            Code::Internal,
            ErrorReason::Internal,
        ),
        (
            refusal(Code::InvalidArgument, ErrorReason::InvalidFields),
            Code::Internal,
            ErrorReason::Internal,
        ),
        (
            refusal(Code::Unauthenticated, ErrorReason::Unauthenticated),
            Code::Unauthenticated,
            ErrorReason::Unauthenticated,
        ),
    ];
    for (refused, code, expected) in cases {
        service
            .authorization
            .state()
            .permit_errors
            .push_back(refused);
        assert_eq!(
            reason(service.create(create_request()).await),
            (code, expected)
        );
        assert!(service.registry.state().permits.is_empty());
    }
    assert_eq!(service.plan(plan_request()).await.unwrap().blockers, []);
    service.stop().await;
}

#[tokio::test]
async fn a_repeated_request_returns_the_same_rollback() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let rollback = service.create(with_id(0xabc)).await.unwrap();
    // However much has changed since.
    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetIsCurrent)];
    assert_eq!(service.create(with_id(0xabc)).await.unwrap(), rollback);
    let upper = CreateRollbackRequest {
        request_id: with_id(0xabc).request_id.to_uppercase(),
        ..create_request()
    };
    assert_eq!(service.create(upper).await.unwrap(), rollback);
    assert_eq!(service.registry.state().permits.len(), 1);

    let other = CreateRollbackRequest {
        description: "another".to_owned(),
        ..with_id(0xabc)
    };
    let status = service.create(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status), Some(ErrorReason::RequestIdReused));

    // Another person's request of the same id is another request.
    let request = service.call_as("bob@example.com", with_id(0xabc));
    let blocked = service.client.clone().create_rollback(request).await;
    assert_eq!(
        reason(blocked),
        (Code::FailedPrecondition, ErrorReason::RollbackBlocked)
    );

    // Permission is checked again, for what was done then.
    service.authorization.state().held = SEEN_BY_ALL;
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    assert_eq!(reason(service.create(with_id(0xabc)).await), missing);
    service.stop().await;
}

#[tokio::test]
async fn a_failed_rollback_is_told_by_its_error_again_and_again() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let changed: Status = Problem::new(Code::Aborted, ErrorReason::LatestDeployChanged, "moved")
        .with("latest_deploy", deploy_name(6))
        .into();
    service
        .registry
        .state()
        .writes
        .push_back(Act::Fail(changed));
    let first = service.create(with_id(1)).await.unwrap_err();
    assert_eq!((first.code(), first.message()), (Code::Aborted, "moved"));
    assert_eq!(reason_of(&first), Some(ErrorReason::LatestDeployChanged));
    assert_eq!(metadata(&first)["latest_deploy"], deploy_name(6));
    let name = metadata(&first)["rollback"].clone();

    let again = service.create(with_id(1)).await.unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (first.code(), first.message())
    );
    assert_eq!(metadata(&again), metadata(&first));
    assert_eq!(service.registry.state().permits.len(), 1);

    let record = service.get(&name).await.unwrap();
    assert_eq!(record.state(), RollbackState::Failed);
    let error = record.error.unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (i32::from(Code::Aborted), "moved")
    );
    assert_eq!(record.deploy, "");
    // A new try is a new request.
    service.create(with_id(2)).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn the_same_request_twice_at_once_is_one_rollback() {
    let service = Service::start("3.1-9", "3.1-9").await;
    for id in 1..=8 {
        let plan_digest = service.plan(plan_request()).await.unwrap().digest;
        let request = CreateRollbackRequest {
            plan_digest,
            ..with_id(id)
        };
        let (one, other) = tokio::join!(
            service.create(request.clone()),
            service.create(request.clone())
        );
        assert_eq!(one.unwrap(), other.unwrap());
    }
    assert_eq!(service.registry.state().deploys.len(), 8);
    service.stop().await;
}

#[tokio::test]
async fn while_one_rollback_is_not_written_another_one_waits() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let first = async { service.create(create_request()).await.unwrap() };
    let second = async {
        eventually(async || (!service.registry.state().permits.is_empty()).then_some(())).await;
        let plan = service.plan(plan_request()).await.unwrap();
        assert_eq!(plan.blockers[0].code(), BlockerCode::RollbackInProgress);
        let status = service.create(create_request()).await.unwrap_err();
        assert_eq!(reason_of(&status), Some(ErrorReason::RollbackInProgress));
        assert_eq!(status.code(), Code::Aborted);
        assert_eq!(metadata(&status)["rollback"], plan.blockers[0].subject);
        service.registry.state().every_write = None;
        metadata(&status)["rollback"].clone()
    };
    let (first, in_progress) = tokio::join!(first, second);
    assert_eq!(first.name, in_progress);
    service.stop().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_gets_the_rollback_with_the_same_request_id() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let call = service.call(with_id(1));
    let mut client = service.client.clone();
    let calling = tokio::spawn(async move { client.create_rollback(call).await });
    eventually(async || (!service.registry.state().permits.is_empty()).then_some(())).await;
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    service.registry.state().every_write = None;
    let rollback = service.create(with_id(1)).await.unwrap();
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(service.registry.state().deploys.len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_stops_answers_that_the_rollback_goes_on() {
    let mut service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let stop = service.stop.take().unwrap();
    let (created, ()) = tokio::join!(service.create(create_request()), async {
        eventually(async || (!service.registry.state().permits.is_empty()).then_some(())).await;
        stop.send(()).unwrap();
    });
    let status = created.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason_of(&status), Some(ErrorReason::RollbackUnfinished));
    assert!(metadata(&status)["rollback"].starts_with(DEPLOYMENT));
    tokio::time::timeout(SOON, service.served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_caller_does_not_wait_for_ever_for_what_cannot_be_settled() {
    let service = Service::start_with("3.1-9", "3.1-9", 1).await;
    service.registry.state().every_write = Some(Act::Hang);
    service.registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let unfinished = (Code::Unavailable, ErrorReason::RollbackUnfinished);
    let status = service.create(with_id(1)).await.unwrap_err();
    let rollback = service.get(&metadata(&status)["rollback"]).await.unwrap();
    assert_eq!(reason(Err::<(), _>(status)), unfinished);
    assert!(rollback.needs_attention);
    assert_eq!(rollback.state(), RollbackState::Running);

    service.registry.state().every_close = None;
    let deadline = (
        Code::DeadlineExceeded,
        ErrorReason::RollbackDeadlineExceeded,
    );
    assert_eq!(reason(service.create(with_id(1)).await), deadline);
    service.stop().await;
}

#[tokio::test]
async fn a_plan_is_of_one_moment() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().stale_reads = 2;
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.latest_deploy, deploy_name(5));
    assert_eq!(service.registry.state().previews, 3);

    // Somebody deploys faster than anybody can read.
    service.registry.state().stale_reads = u32::MAX;
    let unavailable = (Code::Unavailable, ErrorReason::DependencyUnavailable);
    assert_eq!(reason(service.plan(plan_request()).await), unavailable);
    service.stop().await;
}

#[tokio::test]
async fn what_the_registry_says_wrongly_is_not_the_callers_fault() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let internal = (Code::Internal, ErrorReason::Internal);
    service.registry.state().deployment.as_mut().unwrap().uid = "?".to_owned();
    assert_eq!(reason(service.plan(plan_request()).await), internal);
    service.registry.state().deployment = None;
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(reason(service.plan(plan_request()).await), not_found);
    service.stop().await;
}
