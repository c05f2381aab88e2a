use chassis::problem::Problem;

use super::*;
use crate::testing::Act;

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
async fn what_was_asked_for_beside_is_carried_out_and_told() {
    let service = Service::start("3.1-9", "3.1-9").await;
    for (hold, allow_marked_bad) in [(false, false), (false, true), (true, false), (true, true)] {
        let request = CreateRollbackRequest {
            hold,
            allow_marked_bad,
            ..create_request()
        };
        let trial = CreateRollbackRequest {
            validate_only: true,
            ..request.clone()
        };
        let shown = service.create(trial).await.unwrap();
        assert_eq!(
            (shown.hold, shown.allow_marked_bad),
            (hold, allow_marked_bad)
        );
        let rollback = service.create(request).await.unwrap();
        let told = service.get(&rollback.name).await.unwrap();
        assert_eq!(told, rollback);
        assert_eq!((told.hold, told.allow_marked_bad), (hold, allow_marked_bad));

        let state = service.registry.state();
        let (previewed, written) = (state.previewed.as_ref(), state.written.as_ref());
        for sent in [previewed.unwrap(), written.unwrap()] {
            assert_eq!((sent.hold, sent.allow_marked_bad), (hold, allow_marked_bad));
        }
        let permit = service.authorization.state().first.clone().unwrap();
        assert_eq!(permit.hold, hold);
    }
    service.stop().await;
}
