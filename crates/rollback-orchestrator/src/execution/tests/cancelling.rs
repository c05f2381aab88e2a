use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use model::names::Principal;

use super::*;

on_both_databases!(crate::store::MIGRATIONS;
    what_is_cancelled_before_anything_was_sent_needs_no_registry,
    a_cancel_ends_a_pause_at_once,
    a_cancel_does_not_wait_for_a_registry_that_hangs,
    a_cancel_does_not_wait_for_a_permit,
    a_cancel_that_comes_after_the_write_finds_the_deploy,
    a_cancel_at_another_replica_is_seen_before_the_next_attempt,
    a_cancel_of_what_nobody_carries_out_is_seen_by_whoever_takes_it_up,
    what_is_cancelled_and_cannot_be_closed_asks_for_attention,
    a_cancel_of_another_rollback_only_makes_a_driver_look,
    the_deadline_that_came_first_is_the_reason,
);

/// What CancelRollback does, but for waiting.
async fn cancel(bench: &Bench, at: &Execution, name: &RollbackName) {
    ask_to_cancel(bench, name).await;
    at.cancelled(name.id());
}

/// Asks at a replica that does not carry the rollback out.
pub(super) async fn ask_to_cancel(bench: &Bench, name: &RollbackName) {
    let by = Principal::user("bob@example.com").unwrap();
    let error = failure::cancelled(name, &by);
    let now = Environment::system().now();
    bench.store.cancel(name, &by, &error, now).await.unwrap();
}

pub(super) fn is_cancelled(rollback: &Rollback) -> bool {
    matches!(rollback.state, State::Cancelled { .. })
        && reason(rollback) == ErrorReason::RollbackCancelled
}

/// Pauses that nobody outwaits, so that only a cancel ends them.
fn sluggish() -> Patience {
    Patience {
        pauses: (SOON * 10, SOON * 10),
        ..patience()
    }
}

/// Submits a rollback, and waits until the registry was asked to write it.
async fn under_way(bench: &Bench, execution: &Execution) -> RollbackName {
    let new = new_rollback(long());
    let name = new.name.clone();
    drop(execution.submit(new, permit()));
    eventually(async || {
        let asked = bench
            .fake_registry
            .state()
            .asked
            .contains(&name.to_string());
        asked.then_some(())
    })
    .await;
    name
}

async fn what_is_cancelled_before_anything_was_sent_needs_no_registry(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let new = new_rollback(long());
    let job = accepted(&bench, &new, &patience().lease).await;
    cancel(&bench, &execution, &new.name).await;
    assert!(is_cancelled(&ended(&bench, &new.name).await));

    // Whoever was about to carry it out sends nothing.
    let driver = Driver::new(Arc::clone(&execution.0), job, Some(permit()));
    driver.drive().await;
    assert!(is_cancelled(&ended(&bench, &new.name).await));
    let state = bench.fake_registry.state();
    assert!(state.asked.is_empty() && state.close_calls == 0);
}

async fn a_cancel_ends_a_pause_at_once(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(sluggish());
    let name = under_way(&bench, &execution).await;
    eventually(async || {
        let rollback = bench.store.rollback(&name).await.unwrap().unwrap();
        let write = rollback
            .steps
            .iter()
            .find(|step| step.kind == StepKind::Write)?;
        write.error.is_some().then_some(())
    })
    .await;
    cancel(&bench, &execution, &name).await;
    let rollback = ended(&bench, &name).await;
    assert!(is_cancelled(&rollback), "{rollback:?}");
    assert_eq!(attempts(&rollback, StepKind::Write), 1);
    assert_eq!(bench.fake_registry.state().close_calls, 1);
}

async fn a_cancel_does_not_wait_for_a_registry_that_hangs(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Hang);
    let execution = bench.replica(sluggish());
    let name = under_way(&bench, &execution).await;
    cancel(&bench, &execution, &name).await;
    let rollback = ended(&bench, &name).await;
    assert!(is_cancelled(&rollback), "{rollback:?}");
    // If it had waited for the answer, that would have failed, and been noted.
    let write = rollback
        .steps
        .iter()
        .find(|step| step.kind == StepKind::Write);
    assert_eq!(write.unwrap().error, None);
}

async fn a_cancel_does_not_wait_for_a_permit(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    bench.fake_authorization.state().hangs = true;
    let execution = bench.replica(patience());
    let name = under_way(&bench, &execution).await;
    eventually(async || {
        let rollback = bench.store.rollback(&name).await.unwrap().unwrap();
        (attempts(&rollback, StepKind::Authorize) == 2).then_some(())
    })
    .await;
    cancel(&bench, &execution, &name).await;
    let rollback = ended(&bench, &name).await;
    assert!(is_cancelled(&rollback), "{rollback:?}");
    let authorize = rollback
        .steps
        .iter()
        .find(|step| step.kind == StepKind::Authorize);
    assert_eq!(authorize.unwrap().error, None);
}

async fn a_cancel_that_comes_after_the_write_finds_the_deploy(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::ObeyAndLoseTheAnswer);
    let execution = bench.replica(sluggish());
    let name = under_way(&bench, &execution).await;
    cancel(&bench, &execution, &name).await;
    let rollback = ended(&bench, &name).await;
    assert!(is_written(&rollback), "{rollback:?}");
    assert!(rollback.cancel.is_some());
    assert!(bench.fake_registry.state().closed.is_empty());
}

async fn a_cancel_at_another_replica_is_seen_before_the_next_attempt(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let name = under_way(&bench, &execution).await;
    ask_to_cancel(&bench, &name).await;
    let rollback = ended(&bench, &name).await;
    assert!(is_cancelled(&rollback), "{rollback:?}");
    assert!(
        bench
            .fake_registry
            .state()
            .closed
            .contains(&name.to_string())
    );
}

async fn a_cancel_of_what_nobody_carries_out_is_seen_by_whoever_takes_it_up(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let new = new_rollback(long());
    let job = accepted(&bench, &new, &hasty().lease).await;
    let begun = bench
        .store
        .begin_attempt(
            job.fence,
            &hasty().lease,
            false,
            Environment::system().now(),
        )
        .await;
    assert!(matches!(begun, Ok(store::Attempt::Begun(_))));
    ask_to_cancel(&bench, &new.name).await;
    let recovery = tokio::spawn(execution.clone().recover());
    assert!(is_cancelled(&ended(&bench, &new.name).await));
    assert!(bench.fake_registry.state().asked.is_empty());
    execution.stop();
    recovery.await.unwrap();
}

async fn what_is_cancelled_and_cannot_be_closed_asks_for_attention(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Hang);
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let name = under_way(&bench, &execution).await;
    cancel(&bench, &execution, &name).await;
    let waiting = eventually(async || {
        let rollback = bench.store.rollback(&name).await.unwrap().unwrap();
        rollback.needs_attention.then_some(rollback)
    })
    .await;
    assert_eq!(waiting.state, State::Running);
    bench.fake_registry.state().every_close = None;
    let rollback = ended(&bench, &name).await;
    assert!(is_cancelled(&rollback) && !rollback.needs_attention);
}

async fn a_cancel_of_another_rollback_only_makes_a_driver_look(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let name = under_way(&bench, &execution).await;
    // More than a driver keeps in mind.
    for _ in 0..200 {
        execution.cancelled(RollbackId::new(Environment::system().new_uuid()));
    }
    bench.fake_registry.state().every_write = None;
    assert!(is_written(&ended(&bench, &name).await));
}

async fn the_deadline_that_came_first_is_the_reason(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    bench.fake_registry.state().every_close = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let new = new_rollback(short());
    let name = new.name.clone();
    drop(execution.submit(new, permit()));
    eventually(async || (bench.fake_registry.state().close_calls > 0).then_some(())).await;
    cancel(&bench, &execution, &name).await;
    bench.fake_registry.state().every_close = None;
    let rollback = ended(&bench, &name).await;
    assert_eq!(reason(&rollback), ErrorReason::RollbackDeadlineExceeded);
    assert!(matches!(rollback.state, State::Failed { .. }));
}
