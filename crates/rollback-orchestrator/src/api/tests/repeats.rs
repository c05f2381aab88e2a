use super::*;
use crate::testing::Act;

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
