use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use super::*;
use crate::domain::audit::EventKind;

on_both_databases!(crate::store::MIGRATIONS;
    what_is_refused_for_good_fails_after_closing,
    a_refusal_that_hid_a_deploy_is_no_failure,
    past_its_deadline_a_rollback_is_closed_and_fails,
    a_registry_that_never_answers_is_given_up_at_the_deadline,
    what_cannot_be_closed_never_fails_and_asks_for_attention,
    what_cannot_be_closed_is_left_for_others_and_taken_up_again,
    a_rollback_of_which_nothing_was_sent_fails_without_the_registry,
    a_registry_that_restarts_while_it_is_asked_needs_nobody,
    a_deployment_that_the_registry_has_lost_needs_people_and_never_fails_by_itself,
    many_that_cannot_be_closed_hold_up_no_other,
);

async fn what_is_refused_for_good_fails_after_closing(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let refusals = [
        (Code::Aborted, ErrorReason::LatestDeployChanged),
        (Code::FailedPrecondition, ErrorReason::RollbackBlocked),
        (Code::PermissionDenied, ErrorReason::PermitUsed),
        (Code::FailedPrecondition, ErrorReason::RollbackClosed),
        (Code::NotFound, ErrorReason::ResourceNotFound),
    ];
    for (count, (code, expected)) in (1..).zip(refusals) {
        bench
            .fake_registry
            .state()
            .writes
            .push_back(Act::Fail(refusal(code, expected)));
        let rollback = carried_out(&execution, new_rollback(long())).await;
        assert_eq!(reason(&rollback), expected);
        assert_eq!(bench.fake_registry.state().close_calls, count);
        assert!(
            bench
                .fake_registry
                .state()
                .closed
                .contains(&rollback.name.to_string())
        );
        assert_eq!(attempts(&rollback, StepKind::Write), 1);
        assert_eq!(attempts(&rollback, StepKind::RollOut), 0);
    }
}

async fn a_refusal_that_hid_a_deploy_is_no_failure(db: TestDatabase) {
    let bench = bench(&db).await;
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    let new = new_rollback(long());
    bench
        .fake_registry
        .state()
        .deploys
        .insert(new.name.to_string(), 6);
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::Fail(changed));
    let rollback = carried_out(&bench.replica(patience()), new).await;
    assert!(is_written(&rollback));
    assert_eq!(bench.fake_registry.state().close_calls, 1);
}

async fn past_its_deadline_a_rollback_is_closed_and_fails(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let rollback = carried_out(&bench.replica(patience()), new_rollback(short())).await;
    assert_eq!(reason(&rollback), ErrorReason::RollbackDeadlineExceeded);
    assert!(attempts(&rollback, StepKind::Write) >= 1);
    let State::Failed { end_time, .. } = rollback.state else {
        panic!("it failed")
    };
    assert!(end_time >= rollback.write_deadline - TimeDelta::milliseconds(5));
    assert_eq!(bench.fake_registry.state().close_calls, 1);
}

async fn a_registry_that_never_answers_is_given_up_at_the_deadline(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Hang);
    let rollback = carried_out(&bench.replica(patience()), new_rollback(short())).await;
    assert_eq!(reason(&rollback), ErrorReason::RollbackDeadlineExceeded);
}

async fn what_cannot_be_closed_never_fails_and_asks_for_attention(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::ObeyAndLoseTheAnswer);
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(hasty());
    let new = new_rollback(short());
    let name = new.name.clone();
    let submission = execution.submit(new, permit());
    let waiting = eventually(async || {
        let rollback = bench.store.rollback(&name).await.unwrap()?;
        (rollback.needs_attention && bench.fake_registry.state().close_calls > 3)
            .then_some(rollback)
    })
    .await;
    assert_eq!(waiting.state, State::Running);

    bench.fake_registry.state().every_close = None;
    driven(submission).await.await.unwrap();
    // Where the first driver has left it by now.
    let recovery = tokio::spawn(execution.clone().recover());
    let rollback = ended(&bench, &name).await;
    assert!(is_written(&rollback) && !rollback.needs_attention);
    execution.stop();
    recovery.await.unwrap();
}

async fn what_cannot_be_closed_is_left_for_others_and_taken_up_again(db: TestDatabase) {
    let bench = bench(&db).await;
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    bench.fake_registry.state().every_write = Some(Act::Fail(changed));
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(hasty());
    let new = new_rollback(long());
    let name = new.name.clone();
    driven(execution.submit(new, permit())).await.await.unwrap();
    let left = bench.store.rollback(&name).await.unwrap().unwrap();
    assert!(left.state == State::Running && left.needs_attention);

    bench.fake_registry.state().every_close = None;
    let recovery = tokio::spawn(execution.clone().recover());
    let rollback = ended(&bench, &name).await;
    assert_eq!(reason(&rollback), ErrorReason::LatestDeployChanged);
    execution.stop();
    recovery.await.unwrap();
}

async fn a_rollback_of_which_nothing_was_sent_fails_without_the_registry(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let rollback = carried_out(&bench.replica(patience()), new_rollback(TimeDelta::zero())).await;
    assert_eq!(reason(&rollback), ErrorReason::RollbackDeadlineExceeded);
    assert_eq!(bench.fake_registry.state().close_calls, 0);
    assert!(bench.fake_registry.state().permits.is_empty());
}

async fn a_registry_that_restarts_while_it_is_asked_needs_nobody(db: TestDatabase) {
    let bench = bench(&db).await;
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    let down = || Act::Fail(Status::unavailable("down"));
    bench.fake_registry.state().every_write = Some(Act::Fail(changed));
    bench.fake_registry.state().closes = [down(), down()].into();
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert_eq!(reason(&rollback), ErrorReason::LatestDeployChanged);
    let events = bench
        .store
        .audit_events(rollback.name.deployment(), None, 0, 100)
        .await
        .unwrap();
    let told = events.iter().map(|event| event.event.kind());
    assert!(
        !told
            .into_iter()
            .any(|kind| kind == EventKind::AttentionNeeded)
    );
}

async fn a_deployment_that_the_registry_has_lost_needs_people_and_never_fails_by_itself(
    db: TestDatabase,
) {
    let bench = bench(&db).await;
    let lost = || Act::Fail(refusal(Code::NotFound, ErrorReason::ResourceNotFound));
    bench.fake_registry.state().every_write = Some(lost());
    bench.fake_registry.state().every_close = Some(lost());
    let execution = bench.replica(hasty());
    let new = new_rollback(long());
    let name = new.name.clone();
    driven(execution.submit(new, permit())).await.await.unwrap();
    let recovery = tokio::spawn(execution.clone().recover());
    let calls = bench.fake_registry.state().close_calls;
    eventually(async || (bench.fake_registry.state().close_calls > calls + 5).then_some(())).await;
    let waiting = bench.store.rollback(&name).await.unwrap().unwrap();
    assert!(waiting.state == State::Running && waiting.needs_attention);

    // Somebody creates it again.
    bench.fake_registry.state().every_close = None;
    let rollback = ended(&bench, &name).await;
    assert_eq!(reason(&rollback), ErrorReason::ResourceNotFound);
    assert!(!rollback.needs_attention);
    execution.stop();
    recovery.await.unwrap();
}

/// More than one replica has room for.
async fn many_that_cannot_be_closed_hold_up_no_other(db: TestDatabase) {
    let bench = bench(&db).await;
    let dying = bench.replica(hasty());
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    bench.fake_registry.state().every_write = Some(Act::Fail(changed));
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let stuck =
        (0..MOST_TAKEN_UP + 4).map(|_| driven(dying.submit(new_rollback(long()), permit())));
    for driven in stuck.collect::<Vec<_>>() {
        driven.await.await.unwrap();
    }

    // As one that was left is found among those.
    bench.fake_registry.state().every_write = None;
    let left = new_rollback(long());
    accepted(&bench, &left, &hasty().lease).await;
    let sluggish = Patience {
        pauses: (SOON * 10, SOON * 10),
        ..patience()
    };
    let execution = bench.replica(sluggish);
    let recovery = tokio::spawn(execution.clone().recover());
    assert!(is_written(&ended(&bench, &left.name).await));
    execution.stop();
    recovery.await.unwrap();
}
