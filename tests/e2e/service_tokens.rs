//! No service passes for another, and nobody for a service.

use chassis::identity::{Keyring, LOCAL_ISSUER, mint_user_token};
use chrono::TimeDelta;
use model::names::ServiceName;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::{IssuePermitRequest, WhoAmIRequest};
use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CloseRollbackRequest, CreateRollbackDeployRequest, GetDeploymentRequest,
};
use tonic::Code;

use crate::harness::orders::rollback_to;
use crate::harness::{DEPLOYMENT, Orders, Person, Refusal, Setup, Stack, refused};

const AUTHORIZATION: ServiceName = ServiceName::Authorization;
const REGISTRY: ServiceName = ServiceName::DeployRegistry;
const ORCHESTRATOR: ServiceName = ServiceName::RollbackOrchestrator;

on_both_databases!(
    only_the_orchestrator_writes_and_closes_rollbacks,
    only_the_orchestrator_gets_permits_and_only_for_who_may,
    a_token_for_one_service_is_none_for_another,
    what_is_nobodys_token_is_refused_everywhere,
);

async fn only_the_orchestrator_writes_and_closes_rollbacks(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let write = CreateRollbackDeployRequest {
        permit: orders.permit(&orders.dana, &write).await,
        ..write
    };
    let preview = CreateRollbackDeployRequest {
        validate_only: true,
        ..write.clone()
    };
    let close = CloseRollbackRequest {
        rollback: write.rollback.clone(),
    };
    let before = orders.history().await;

    let attempts = async |caller: &Person| {
        let mut registry = caller.registry();
        [
            refused(registry.create_rollback_deploy(write.clone()).await),
            refused(registry.create_rollback_deploy(preview.clone()).await),
            refused(registry.close_rollback(close.clone()).await),
        ]
    };
    for person in [&orders.admin, &orders.dana] {
        for refusal in attempts(person).await {
            refusal.lacks("system.rollbacks.write");
        }
    }
    // These may not even know that the Deployment exists.
    let registry_itself = orders.stack.service(REGISTRY, REGISTRY);
    let authorization_itself = orders.stack.service(AUTHORIZATION, REGISTRY);
    for caller in [&orders.stranger, &registry_itself, &authorization_itself] {
        for refusal in attempts(caller).await {
            refusal.not_found();
        }
    }
    assert_eq!(orders.history().await, before);
}

async fn only_the_orchestrator_gets_permits_and_only_for_who_may(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let request = orders.permit_request(&orders.dana, &write).await;
    let registry_itself = orders.stack.service(REGISTRY, AUTHORIZATION);
    for caller in [&orders.admin, &orders.dana, &registry_itself] {
        refused(caller.authorization().issue_permit(request.clone()).await)
            .lacks("system.permits.issue");
    }

    let orchestrator = orders.stack.service(ORCHESTRATOR, AUTHORIZATION);
    let issue = async |token: &str| {
        let request = IssuePermitRequest {
            authority: Some(Authority::SubjectToken(token.to_owned())),
            ..request.clone()
        };
        refused(orchestrator.authorization().issue_permit(request).await)
    };
    issue(&orders.sam.token)
        .await
        .lacks("deployment.images.push");
    issue(&orders.stranger.token)
        .await
        .lacks("deployment.images.push,deployment.dags.push");
    issue("").await.names_fields(&["subject_token"]);
    for token in ["let me in", &orchestrator.token, &registry_itself.token] {
        issue(token).await.unauthenticated();
    }

    let without_grant = IssuePermitRequest {
        rollback: write.rollback,
        authority: Some(Authority::Grant(true)),
        ..IssuePermitRequest::default()
    };
    refused(
        orchestrator
            .authorization()
            .issue_permit(without_grant)
            .await,
    )
    .not_found();
}

async fn a_token_for_one_service_is_none_for_another(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;

    let for_authorization = orders.stack.service(ORCHESTRATOR, AUTHORIZATION);
    let mut registry = for_authorization.registry();
    refused(registry.create_rollback_deploy(write.clone()).await).unauthenticated();

    let for_registry = orders.stack.orchestrator_itself();
    let asked = for_registry
        .authorization()
        .who_am_i(WhoAmIRequest {})
        .await;
    refused(asked).unauthenticated();

    let permit = orders.permit(&orders.dana, &write).await;
    let mut registry = orders.stack.somebody(&permit).registry();
    refused(registry.create_rollback_deploy(write).await).unauthenticated();
}

async fn what_is_nobodys_token_is_refused_everywhere(setup: Setup) {
    let stack = setup.start().await;
    let token = stack.token_of("admin", &[]);
    let (message, signature) = token.rsplit_once('.').unwrap();
    for token in [
        "",
        "let-me-in",
        message,
        &format!("{message}."),
        &format!("{message}.{}", signature.to_lowercase()),
        &token_of_another_installation(&stack),
        &"x".repeat(9_000),
    ] {
        for refusal in call_each_service(&stack.somebody(token)).await {
            refusal.unauthenticated();
        }
    }
    for refusal in call_each_service(&stack.person("admin")).await {
        assert_ne!(refusal.code, Code::Unauthenticated, "{refusal}");
    }
}

fn token_of_another_installation(stack: &Stack) -> String {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::init(folder.path().join("keys"), &stack.environment).unwrap();
    mint_user_token(
        &keyring.local_issuer().unwrap(),
        LOCAL_ISSUER,
        &"admin".parse().unwrap(),
        &[],
        TimeDelta::hours(1),
        &stack.environment,
    )
    .unwrap()
}

/// Calls that nobody can make with success on an empty installation.
pub(crate) async fn call_each_service(person: &Person) -> [Refusal; 3] {
    let get = GetDeploymentRequest {
        name: DEPLOYMENT.to_owned(),
    };
    let rollback = rollback_to(1, RollbackScope::All);
    let permit = IssuePermitRequest::default();
    [
        refused(person.authorization().issue_permit(permit).await),
        refused(person.registry().get_deployment(get).await),
        refused(person.orchestrator().create_rollback(rollback).await),
    ]
}
