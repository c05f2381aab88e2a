use chassis::problem::Problem;
use proto::rollback::v1::AuditEventKind as Kind;
use tonic_types::ErrorDetails;

use super::*;

impl Service {
    async fn events(
        &self,
        request: ListAuditEventsRequest,
    ) -> Result<ListAuditEventsResponse, Status> {
        let mut client = self.client.clone();
        let response = client.list_audit_events(self.call(request)).await?;
        Ok(response.into_inner())
    }

    async fn all_events(&self) -> Vec<AuditEvent> {
        self.events(events_request()).await.unwrap().audit_events
    }
}

fn events_request() -> ListAuditEventsRequest {
    ListAuditEventsRequest {
        parent: DEPLOYMENT.to_owned(),
        ..Default::default()
    }
}

/// The reason that an event keeps.
fn kept_reason(event: &AuditEvent) -> String {
    use prost::Message;

    let error = event.error.clone().unwrap();
    let details = error.encode_to_vec().into();
    let code = Code::from(error.code);
    let status = Status::with_details(code, error.message, details);
    let info = ErrorDetails::error_info(&status.get_error_details()).cloned();
    info.unwrap().reason
}

#[tokio::test]
async fn a_rollback_is_told_from_its_acceptance_to_its_end() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let rollback = service.create(create_request()).await.unwrap();
    let events = service.all_events().await;
    let kinds = events.iter().map(AuditEvent::kind).collect::<Vec<_>>();
    let expected = [
        Kind::RollbackAccepted,
        Kind::StepSucceeded,
        Kind::StepSucceeded,
        Kind::StepStarted,
        Kind::StepSucceeded,
        Kind::RollbackSucceeded,
        Kind::StepSucceeded,
        Kind::RollOutEnded,
    ];
    assert_eq!(kinds, expected);
    for (number, event) in (1..).zip(&events) {
        assert_eq!(event.number, number);
        assert_eq!(event.name, format!("{DEPLOYMENT}/auditEvents/{number}"));
        assert_eq!(event.rollback, rollback.name);
        assert!(event.event_time.is_some());
    }
    let [accepted, plan, authorize, started, .., succeeded, _, ended] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(accepted.principal, "user:alice@example.com");
    assert_eq!(started.principal, "service:rollback-orchestrator");
    assert_eq!(accepted.state(), RollbackState::Pending);
    let request = accepted.request.as_ref().unwrap();
    assert_eq!(request.target_deploy, deploy_name(4));
    assert_eq!(request.expected_latest_deploy, deploy_name(5));
    assert_eq!(request.scope(), RollbackScope::All);
    assert_eq!(request.description, "the orders are missing");
    assert_eq!(request.plan_digest, rollback.plan_digest);
    assert_eq!(
        request.permissions,
        ["deployment.images.push", "deployment.dags.push"]
    );
    assert_eq!(
        (plan.step(), authorize.step()),
        (StepKind::Plan, StepKind::Authorize)
    );
    assert_eq!((started.step(), started.attempt), (StepKind::Write, 1));
    assert_eq!(started.state(), RollbackState::Running);
    assert_eq!(succeeded.state(), RollbackState::Succeeded);
    assert_eq!(succeeded.deploy, deploy_name(6));
    assert_eq!(ended.roll_out(), RollOut::Deployed);
    service.stop().await;
}

#[tokio::test]
async fn whoever_is_refused_is_told_with_what_they_wanted_and_why() {
    let service = Service::start("3.2-2", "3.1-9").await;
    let acknowledged = CreateRollbackRequest {
        acknowledged_warnings: vec![
            WarningCode::MetadataLoss.into(),
            WarningCode::RuntimeDowngrade.into(),
        ],
        ..create_request()
    };
    let refused = async |request: CreateRollbackRequest, reason: ErrorReason| {
        let before = service.all_events().await.len();
        let status = service.create(request.clone()).await.unwrap_err();
        assert_eq!(reason_of(&status), Some(reason));
        let events = service.all_events().await;
        assert_eq!(events.len(), before + 1, "{reason:?}");
        let event = events.last().unwrap();
        assert_eq!(event.kind(), Kind::RollbackRefused);
        assert_eq!(event.principal, "user:alice@example.com");
        assert_eq!((event.rollback.as_str(), event.state), ("", 0));
        let name = reason.as_str_name().strip_prefix("ERROR_REASON_").unwrap();
        assert_eq!(kept_reason(event), name);
        assert_eq!(event.error.as_ref().unwrap().message, status.message());
        let asked = event.request.clone().unwrap();
        assert_eq!(asked.description, request.description);
        assert_eq!(asked.scope, request.scope);
        assert_eq!(asked.plan_digest, request.plan_digest);

        // A trial is none.
        let trial = CreateRollbackRequest {
            validate_only: true,
            ..request
        };
        let _ = service.create(trial).await;
        assert_eq!(service.all_events().await.len(), events.len());
        asked
    };

    let asked = refused(create_request(), ErrorReason::WarningsNotAcknowledged).await;
    assert_eq!(asked.expected_latest_deploy, deploy_name(5));
    assert_eq!(asked.permissions.len(), 2);

    let agreed = CreateRollbackRequest {
        plan_digest: "cd".repeat(32),
        ..acknowledged.clone()
    };
    refused(agreed, ErrorReason::PlanChanged).await;

    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetExpired)];
    refused(acknowledged.clone(), ErrorReason::RollbackBlocked).await;
    service.registry.state().preview.blockers.clear();

    let unknown = CreateRollbackRequest {
        target: Some(create_rollback_request::Target::TargetDeploy(deploy_name(
            99,
        ))),
        ..acknowledged.clone()
    };
    let asked = refused(unknown, ErrorReason::ResourceNotFound).await;
    assert_eq!(asked.target_deploy, deploy_name(99));
    assert_eq!(asked.expected_latest_deploy, "");

    let down = [(); 3].map(|()| Status::unavailable("down"));
    service.authorization.state().permit_errors.extend(down);
    refused(acknowledged.clone(), ErrorReason::DependencyUnavailable).await;

    let alice = "user:alice@example.com".parse().unwrap();
    let lacks = Problem::permission_missing(&alice, PUSHES, &DEPLOYMENT);
    let permit_errors = [Status::from(lacks)];
    service
        .authorization
        .state()
        .permit_errors
        .extend(permit_errors);
    refused(acknowledged.clone(), ErrorReason::PermissionMissing).await;

    service.authorization.state().held = SEEN_BY_ALL;
    refused(acknowledged.clone(), ErrorReason::PermissionMissing).await;
    // Who may know of the Deployment, and no more.
    let seen = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    service.authorization.state().held = seen;
    let create = service.create(acknowledged.clone()).await;
    assert_eq!(reason(create).1, ErrorReason::PermissionMissing);
    service.authorization.state().held = SEEN_BY_ALL.union(PUSHES);
    let events = service.all_events().await;
    assert_eq!(kept_reason(events.last().unwrap()), "PERMISSION_MISSING");
    assert_eq!(events.len(), 8);
    service.stop().await;
}

#[tokio::test]
async fn what_is_no_refusal_is_not_told() {
    let service = Service::start("3.1-9", "3.1-9").await;
    // Nobody whom the Deployment is hidden from.
    service.authorization.state().held = PermissionSet::EMPTY;
    service.create(create_request()).await.unwrap_err();
    service.authorization.state().held = SEEN_BY_ALL.union(PUSHES);
    // No request that means nothing.
    let wrong = CreateRollbackRequest {
        scope: 99,
        ..create_request()
    };
    service.create(wrong).await.unwrap_err();
    // Nothing that nobody could judge.
    service.authorization.state().check_error = Some(Status::unavailable("down"));
    service.create(create_request()).await.unwrap_err();
    service.authorization.state().check_error = None;
    assert_eq!(service.all_events().await, []);

    // No repetition.
    service.create(with_id(1)).await.unwrap();
    let told = service.all_events().await.len();
    service.create(with_id(1)).await.unwrap();
    let other = CreateRollbackRequest {
        description: "another".to_owned(),
        ..with_id(1)
    };
    service.create(other).await.unwrap_err();
    service.authorization.state().held = SEEN_BY_ALL;
    service.create(with_id(1)).await.unwrap_err();
    assert_eq!(service.all_events().await.len(), told);
    service.stop().await;
}

#[tokio::test]
async fn whoever_asks_again_and_again_fills_no_disk_and_is_told_the_same() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetExpired)];
    for _ in 0..70 {
        let blocked = (Code::FailedPrecondition, ErrorReason::RollbackBlocked);
        assert_eq!(reason(service.create(create_request()).await), blocked);
    }
    let page = ListAuditEventsRequest {
        page_size: 1_000,
        ..events_request()
    };
    assert_eq!(service.events(page).await.unwrap().audit_events.len(), 60);
    service.stop().await;
}

#[tokio::test]
async fn events_are_listed_page_by_page() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let rollback = service.create(create_request()).await.unwrap();
    let all = service.all_events().await;
    let mut paged = Vec::new();
    let mut request = ListAuditEventsRequest {
        page_size: 3,
        ..events_request()
    };
    loop {
        let page = service.events(request.clone()).await.unwrap();
        assert!(page.audit_events.len() <= 3);
        paged.extend(page.audit_events);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);

    let of = |rollback: &str, after_event| ListAuditEventsRequest {
        rollback: rollback.to_owned(),
        after_event,
        ..events_request()
    };
    let of_it = service.events(of(&rollback.name, 2)).await.unwrap();
    assert_eq!(of_it.audit_events, all[2..]);
    let unknown = format!("{DEPLOYMENT}/rollbacks/{}", uuid::Uuid::from_u128(1));
    let of_none = service.events(of(&unknown, 0)).await.unwrap();
    assert_eq!(of_none, ListAuditEventsResponse::default());
    service.stop().await;
}

#[tokio::test]
async fn events_are_for_those_who_may_see_the_history() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let elsewhere = format!(
        "workspaces/data/deployments/other/rollbacks/{}",
        uuid::Uuid::from_u128(1)
    );
    let wrong = ListAuditEventsRequest {
        page_size: -1,
        page_token: "?".to_owned(),
        after_event: -1,
        rollback: elsewhere,
        ..events_request()
    };
    let status = service.events(wrong.clone()).await.unwrap_err();
    assert_eq!(
        violations(&status),
        ["page_size", "page_token", "after_event", "rollback"]
    );
    let status = service.events(ListAuditEventsRequest::default()).await;
    assert_eq!(violations(&status.unwrap_err()), ["parent"]);
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    service.authorization.state().held = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    assert_eq!(reason(service.events(wrong.clone()).await), missing);
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    service.authorization.state().held = PermissionSet::EMPTY;
    assert_eq!(reason(service.events(wrong).await), not_found);
    service.stop().await;
}
