//! Drivers against a store on both databases, between services that fail as they are told.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};

use super::*;
use crate::clients::failure;
use crate::domain::rollback::{State, StepKind};
use crate::domain::samples::number;
use crate::store::Job;
use crate::testing::{Act, Bench, SOON, eventually, new_rollback, patience, refusal};

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_is_written_at_the_first_attempt,
    an_outage_is_tried_again_with_a_renewed_permit,
    a_lost_answer_is_found_by_trying_again,
    an_expired_permit_is_renewed_once,
    what_is_refused_for_good_fails_after_closing,
    a_refusal_that_hid_a_deploy_is_no_failure,
    a_person_who_lost_the_permission_fails_the_rollback,
    past_its_deadline_a_rollback_is_closed_and_fails,
    a_registry_that_never_answers_is_given_up_at_the_deadline,
    what_cannot_be_closed_never_fails_and_asks_for_attention,
    what_cannot_be_closed_is_left_for_others_and_taken_up_again,
    a_rollback_of_which_nothing_was_sent_fails_without_the_registry,
    a_driver_that_lost_its_fence_ends_silently,
    two_replicas_that_race_for_a_lease_drive_it_once,
    a_stopping_replica_lets_go_and_another_one_finishes,
    a_caller_who_goes_away_changes_nothing,
    the_second_of_two_rollbacks_at_once_is_told_of_the_first,
    whatever_crashes_there_is_one_deploy_or_a_failure,
    whatever_crashes_a_lost_answer_is_no_second_deploy,
    whatever_crashes_a_refusal_is_the_reason_of_the_failure,
    whatever_crashes_a_deadline_is_kept,
);

fn lease_of(duration: TimeDelta) -> Lease {
    Lease {
        duration,
        ..patience().lease
    }
}

/// Leases that are over at once, for replicas that die.
fn hasty() -> Patience {
    Patience {
        lease: lease_of(TimeDelta::milliseconds(-1)),
        ..patience()
    }
}

async fn bench(db: &TestDatabase) -> Bench {
    Bench::new(Store::new(db.database.clone())).await
}

fn permit() -> Permit {
    Permit("first".to_owned())
}

/// Accepts a rollback and carries it out; returns how it ended.
async fn carried_out(execution: &Execution, new: NewRollback) -> Rollback {
    let name = new.name.clone();
    let driven = driven(execution.submit(new, permit())).await;
    let ended = execution
        .ended(&name, Some(driven), Instant::now() + SOON)
        .await;
    ended.unwrap().unwrap()
}

async fn driven(
    submission: oneshot::Receiver<Result<Submission, store::Error>>,
) -> oneshot::Receiver<()> {
    match submission.await.unwrap().unwrap() {
        Submission::Accepted(driven) => driven,
        other @ (Submission::Repeated | Submission::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn accepted(bench: &Bench, new: &NewRollback, lease: &Lease) -> Job {
    match bench
        .store
        .accept(new, lease, Environment::system().now())
        .await
        .unwrap()
    {
        Acceptance::Accepted(job) => *job,
        other @ (Acceptance::Repeated | Acceptance::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn ended(bench: &Bench, name: &RollbackName) -> Rollback {
    eventually(async || {
        bench
            .store
            .rollback(name)
            .await
            .unwrap()
            .filter(Rollback::has_ended)
    })
    .await
}

fn reason(rollback: &Rollback) -> ErrorReason {
    match &rollback.state {
        State::Failed { error, end_time: _ } => failure::to_problem(error).reason(),
        other @ (State::Pending | State::Running | State::Succeeded { .. }) => panic!("{other:?}"),
    }
}

fn is_written(rollback: &Rollback) -> bool {
    matches!(rollback.state, State::Succeeded { deploy, .. } if deploy == number(6))
}

fn attempts(rollback: &Rollback, kind: StepKind) -> i32 {
    let step = rollback.steps.iter().find(|step| step.kind == kind);
    step.map_or(0, |step| step.attempts)
}

/// A deadline that passes in a test, but not before the first attempt, however busy the machine is.
const fn short() -> TimeDelta {
    TimeDelta::seconds(2)
}

fn long() -> TimeDelta {
    patience().write_within
}

async fn a_rollback_is_written_at_the_first_attempt(db: TestDatabase) {
    let bench = bench(&db).await;
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    assert_eq!(bench.fake_registry.state().permits, ["first"]);
    assert_eq!(bench.fake_registry.state().close_calls, 0);
    let kinds = rollback
        .steps
        .iter()
        .map(|step| step.kind)
        .collect::<Vec<_>>();
    assert_eq!(kinds, StepKind::ALL);
    assert!(
        rollback
            .steps
            .iter()
            .all(|step| step.end_time.is_some() && step.error.is_none())
    );
}

async fn an_outage_is_tried_again_with_a_renewed_permit(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().writes.extend([
        Act::Fail(Status::unavailable("down")),
        Act::Fail(Status::internal("broken")),
        Act::Fail(Status::unauthenticated("who?")),
    ]);
    bench
        .fake_authorization
        .state()
        .permit_errors
        .push_back(Status::unavailable("down"));
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    let expected = ["first", "renewed 1", "renewed 2", "renewed 3"];
    assert_eq!(bench.fake_registry.state().permits, expected);
    assert_eq!(attempts(&rollback, StepKind::Write), 5);
    // The first permit, one renewal that failed, and three.
    assert_eq!(attempts(&rollback, StepKind::Authorize), 5);
}

async fn a_lost_answer_is_found_by_trying_again(db: TestDatabase) {
    let bench = bench(&db).await;
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::ObeyAndLoseTheAnswer);
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert!(is_written(&rollback));
    assert_eq!(bench.fake_registry.state().deploys.len(), 1);
}

async fn an_expired_permit_is_renewed_once(db: TestDatabase) {
    let bench = bench(&db).await;
    let invalid = refusal(Code::PermissionDenied, ErrorReason::PermitInvalid);
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::Fail(invalid.clone()));
    let execution = bench.replica(patience());
    assert!(is_written(
        &carried_out(&execution, new_rollback(long())).await
    ));

    bench
        .fake_registry
        .state()
        .writes
        .extend([Act::Fail(invalid.clone()), Act::Fail(invalid)]);
    let rollback = carried_out(&execution, new_rollback(long())).await;
    assert_eq!(reason(&rollback), ErrorReason::PermitInvalid);
    assert_eq!(attempts(&rollback, StepKind::Write), 2);
}

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

async fn a_person_who_lost_the_permission_fails_the_rollback(db: TestDatabase) {
    let bench = bench(&db).await;
    bench
        .fake_registry
        .state()
        .writes
        .push_back(Act::Fail(Status::unavailable("down")));
    let lost = refusal(Code::PermissionDenied, ErrorReason::PermissionMissing);
    bench.fake_authorization.state().renewal_error = Some(lost);
    let rollback = carried_out(&bench.replica(patience()), new_rollback(long())).await;
    assert_eq!(reason(&rollback), ErrorReason::PermissionMissing);
    assert!(bench.fake_registry.state().deploys.is_empty());
    let State::Failed { error, .. } = &rollback.state else {
        panic!("it failed")
    };
    let info =
        tonic_types::StatusExt::get_details_error_info(&Status::from(failure::to_problem(error)));
    assert_eq!(
        info.unwrap().metadata["rollback"],
        rollback.name.to_string()
    );
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

async fn a_driver_that_lost_its_fence_ends_silently(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(hasty());
    let new = new_rollback(long());
    let job = accepted(&bench, &new, &hasty().lease).await;
    let lost = Driver::new(Arc::clone(&execution.0), job, Some(permit()));
    let taken = bench
        .store
        .take_up(&lease_of(long()), Environment::system().now())
        .await
        .unwrap()
        .unwrap();
    lost.drive().await;
    let rollback = bench.store.rollback(&new.name).await.unwrap().unwrap();
    assert_eq!(rollback.state, State::Pending);
    assert!(bench.fake_registry.state().permits.is_empty());

    Driver::new(Arc::clone(&execution.0), taken, None)
        .drive()
        .await;
    assert!(is_written(&ended(&bench, &new.name).await));
}

async fn two_replicas_that_race_for_a_lease_drive_it_once(db: TestDatabase) {
    let bench = bench(&db).await;
    let mut names = Vec::new();
    for _ in 0..8 {
        let new = new_rollback(long());
        accepted(&bench, &new, &hasty().lease).await;
        names.push(new.name);
    }
    let replicas = [bench.replica(patience()), bench.replica(patience())];
    let recoveries = replicas
        .clone()
        .map(|replica| tokio::spawn(replica.recover()));
    for name in &names {
        let rollback = ended(&bench, name).await;
        assert!(is_written(&rollback));
        assert_eq!(attempts(&rollback, StepKind::Write), 1);
    }
    assert_eq!(bench.fake_registry.state().permits.len(), names.len());
    for replica in &replicas {
        replica.stop();
        replica.join().await;
    }
    for recovery in recoveries {
        tokio::time::timeout(SOON, recovery).await.unwrap().unwrap();
    }
}

async fn a_stopping_replica_lets_go_and_another_one_finishes(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let stopping = bench.replica(patience());
    let new = new_rollback(long());
    let name = new.name.clone();
    let submission = stopping.submit(new, permit());
    eventually(async || (bench.fake_registry.state().permits.len() > 1).then_some(())).await;
    stopping.stop();
    tokio::time::timeout(SOON, stopping.join()).await.unwrap();
    let until = Instant::now() + SOON;
    let driven = driven(submission).await;
    let unfinished = stopping.ended(&name, Some(driven), until).await;
    assert!(unfinished.unwrap().is_none());

    // The lease was let go of: nobody waits for it to expire.
    bench.fake_registry.state().every_write = None;
    let other = bench.replica(patience());
    let recovery = tokio::spawn(other.clone().recover());
    assert!(is_written(&ended(&bench, &name).await));
    other.stop();
    recovery.await.unwrap();
}

async fn a_caller_who_goes_away_changes_nothing(db: TestDatabase) {
    let bench = bench(&db).await;
    let execution = bench.replica(patience());
    let new = new_rollback(long());
    let name = new.name.clone();
    drop(execution.submit(new, permit()));
    assert!(is_written(&ended(&bench, &name).await));
}

async fn the_second_of_two_rollbacks_at_once_is_told_of_the_first(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let execution = bench.replica(patience());
    let first = new_rollback(long());
    let mut second = new_rollback(long());
    second.order.deployment_uid = first.order.deployment_uid;
    second.name = RollbackName::new(first.name.deployment().clone(), second.name.id());
    let name = first.name.clone();
    let first = execution.submit(first, permit());
    eventually(async || bench.store.rollback(&name).await.unwrap()).await;
    let submission = execution.submit(second, permit()).await.unwrap().unwrap();
    assert!(matches!(submission, Submission::InProgress(first) if first == name));
    bench.fake_registry.state().every_write = None;
    driven(first).await.await.unwrap();
}

/// A process that dies after so many steps of its own.
struct Dies<F> {
    task: Pin<Box<F>>,
    after: u32,
}

impl<F: Future<Output = ()>> Future for Dies<F> {
    type Output = bool;

    /// True if the task ended before its process died.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.after == 0 {
            return Poll::Ready(false);
        }
        self.after -= 1;
        self.task.as_mut().poll(context).map(|()| true)
    }
}

/// Lets a driver die at each of its steps in turn, and lets the next replicas die as well, at their
/// first steps. What is left is finished by one that lives. Returns how it ended each time.
async fn crash_matrix(
    bench: &Bench,
    write_within: TimeDelta,
    prepare: impl Fn(&RollbackName),
) -> Vec<Rollback> {
    let mut ends = Vec::new();
    for after in 1.. {
        let new = new_rollback(write_within);
        prepare(&new.name);
        let dying = bench.replica(hasty());
        let job = accepted(bench, &new, &hasty().lease).await;
        let driver = Driver::new(Arc::clone(&dying.0), job, Some(permit()));
        let lived = Dies {
            task: Box::pin(driver.drive()),
            after,
        }
        .await;
        for after in [1, after] {
            if let Some(job) = bench
                .store
                .take_up(&hasty().lease, Environment::system().now())
                .await
                .unwrap()
            {
                let driver = Driver::new(Arc::clone(&dying.0), job, None);
                Dies {
                    task: Box::pin(driver.drive()),
                    after,
                }
                .await;
            }
        }

        let survivor = bench.replica(patience());
        let recovery = pin!(survivor.clone().recover());
        let end = tokio::select! {
            end = ended(bench, &new.name) => end,
            () = recovery => panic!("the recovery ended"),
        };
        survivor.stop();
        survivor.join().await;

        // Never FAILED with a deploy, never SUCCEEDED without one, and settled for ever.
        let name = new.name.to_string();
        let has_deploy = bench.fake_registry.state().deploys.contains_key(&name);
        assert_eq!(is_written(&end), has_deploy, "after {after} steps: {end:?}");
        assert!(
            bench
                .store
                .take_up(&hasty().lease, Environment::system().now())
                .await
                .unwrap()
                .is_none()
        );
        ends.push(end);
        if lived {
            return ends;
        }
    }
    ends
}

async fn whatever_crashes_there_is_one_deploy_or_a_failure(db: TestDatabase) {
    let bench = bench(&db).await;
    let ends = crash_matrix(&bench, long(), |_| ()).await;
    // The fewer the more the database had answered before it was asked again, but never only one.
    assert!(ends.len() > 1, "{}", ends.len());
    assert!(ends.iter().all(is_written));
}

async fn whatever_crashes_a_lost_answer_is_no_second_deploy(db: TestDatabase) {
    let bench = bench(&db).await;
    let ends = crash_matrix(&bench, long(), |_| {
        bench.fake_registry.state().writes = [Act::ObeyAndLoseTheAnswer].into();
    })
    .await;
    assert!(ends.iter().all(is_written));
}

async fn whatever_crashes_a_refusal_is_the_reason_of_the_failure(db: TestDatabase) {
    let bench = bench(&db).await;
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    bench.fake_registry.state().every_write = Some(Act::Fail(changed));
    let ends = crash_matrix(&bench, long(), |_| ()).await;
    for end in ends {
        assert_eq!(reason(&end), ErrorReason::LatestDeployChanged);
    }
}

async fn whatever_crashes_a_deadline_is_kept(db: TestDatabase) {
    let bench = bench(&db).await;
    bench.fake_registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
    let ends = crash_matrix(&bench, TimeDelta::milliseconds(40), |_| ()).await;
    for end in ends {
        assert_eq!(reason(&end), ErrorReason::RollbackDeadlineExceeded);
    }
}
