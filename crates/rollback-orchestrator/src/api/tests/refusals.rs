use chassis::problem::Problem;
use model::names::Principal;

use super::*;
use crate::testing::refusal;

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
