use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use proto::registry::v1::DeployState;

use super::cancelling::{ask_to_cancel, is_cancelled};
use super::following::{roll_out, written};
use super::*;
use crate::domain::rollback::RollOut;

on_both_databases!(crate::store::MIGRATIONS;
    whatever_crashes_there_is_one_deploy_or_a_failure,
    whatever_crashes_a_lost_answer_is_no_second_deploy,
    whatever_crashes_a_refusal_is_the_reason_of_the_failure,
    whatever_crashes_a_deadline_is_kept,
    whatever_crashes_a_step_that_fails_once_is_done_again,
    whatever_crashes_a_close_that_fails_once_is_done_again,
    a_cancel_at_any_step_ends_before_the_write_or_after_it,
    a_cancel_at_any_step_of_a_lost_answer_finds_the_deploy,
    a_cancel_at_any_step_of_a_driver_that_dies_ends_well,
    a_cancel_at_any_step_is_closed_though_that_fails_once,
    whatever_crashes_a_roll_out_ends_once,
    whatever_crashes_a_look_that_fails_once_is_done_again,
);

/// Runs a task for so many of its steps; true if it has ended by then. A process that dies there drops
/// the task.
async fn steps<F: Future<Output = ()>>(task: &mut Pin<Box<F>>, mut left: u32) -> bool {
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        task.as_mut().poll(context).map(|()| true)
    })
    .await
}

/// Accepts a rollback as a replica that is about to die, whose lease nobody has to wait for.
async fn begun(bench: &Bench, dying: &Execution, new: &NewRollback) -> Driver {
    let job = accepted(bench, new, &hasty().lease).await;
    Driver::new(Arc::clone(&dying.0), job, Some(permit()))
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
        let driver = begun(bench, &dying, &new).await;
        let lived = steps(&mut Box::pin(driver.drive()), after).await;
        for after in [1, after] {
            if let Some(job) = bench
                .store
                .take_up(&hasty().lease, Environment::system().now())
                .await
                .unwrap()
            {
                let driver = Driver::new(Arc::clone(&dying.0), job, None);
                steps(&mut Box::pin(driver.drive()), after).await;
            }
        }
        ends.push(settled(bench, &new.name, after).await);
        if lived {
            return ends;
        }
    }
    ends
}

/// Lets somebody cancel a rollback at each of its driver's steps in turn, and lets the driver die so many
/// steps later, if it does. What is left is finished by one that lives.
async fn cancel_matrix(
    bench: &Bench,
    dies_after: Option<u32>,
    prepare: impl Fn(&RollbackName),
) -> Vec<Rollback> {
    let mut ends = Vec::new();
    for after in 0.. {
        let new = new_rollback(long());
        prepare(&new.name);
        let dying = bench.replica(hasty());
        let driver = begun(bench, &dying, &new).await;
        let mut driving = Box::pin(driver.drive());
        let lived = steps(&mut driving, after).await;
        let cancelling = async {
            ask_to_cancel(bench, &new.name).await;
            dying.cancelled(new.name.id());
        };
        let going_on = async move {
            match dies_after {
                _ if lived => {}
                None => driving.await,
                Some(more) => {
                    steps(&mut driving, more).await;
                }
            }
        };
        tokio::join!(cancelling, going_on);
        ends.push(settled(bench, &new.name, after).await);
        if lived {
            return ends;
        }
    }
    ends
}

/// Finishes what is left of a rollback, by a replica that lives, and fails unless it ended well: never
/// without a deploy where there is one, never with one where there is none, and settled for ever.
async fn settled(bench: &Bench, rollback: &RollbackName, after: u32) -> Rollback {
    let survivor = bench.replica(patience());
    let recovery = pin!(survivor.clone().recover());
    let end = tokio::select! {
        end = ended(bench, rollback) => end,
        () = recovery => panic!("the recovery ended"),
    };
    survivor.stop();
    survivor.join().await;

    let name = rollback.to_string();
    {
        let registry = bench.fake_registry.state();
        let has_deploy = registry.deploys.contains_key(&name);
        assert_eq!(is_written(&end), has_deploy, "after {after} steps: {end:?}");
        // Whatever was on its way to the registry can do nothing any more.
        let in_doubt = registry.asked.contains(&name) && !registry.closed.contains(&name);
        assert!(has_deploy || !in_doubt, "after {after} steps: {end:?}");
    }
    assert!(
        bench
            .store
            .take_up(&hasty().lease, Environment::system().now())
            .await
            .unwrap()
            .is_none()
    );
    assert!(end.steps.iter().all(|step| step.end_time.is_some()));
    end
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

async fn whatever_crashes_a_step_that_fails_once_is_done_again(db: TestDatabase) {
    let bench = bench(&db).await;
    let down = || Status::unavailable("down");
    let ends = crash_matrix(&bench, long(), |_| {
        bench.fake_registry.state().writes = [Act::Fail(down())].into();
        bench.fake_authorization.state().permit_errors = [down()].into();
    })
    .await;
    assert!(ends.iter().all(is_written));
}

async fn whatever_crashes_a_close_that_fails_once_is_done_again(db: TestDatabase) {
    let bench = bench(&db).await;
    let changed = refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    bench.fake_registry.state().every_write = Some(Act::Fail(changed));
    let ends = crash_matrix(&bench, long(), |_| {
        let down = Act::Fail(Status::unavailable("down"));
        bench.fake_registry.state().closes = [down, Act::ObeyAndLoseTheAnswer].into();
    })
    .await;
    for end in ends {
        assert_eq!(reason(&end), ErrorReason::LatestDeployChanged);
    }
}

async fn a_cancel_at_any_step_ends_before_the_write_or_after_it(db: TestDatabase) {
    let bench = bench(&db).await;
    let ends = cancel_matrix(&bench, None, |_| ()).await;
    let cancelled = ends.iter().filter(|end| is_cancelled(end)).count();
    let written = ends.iter().filter(|end| is_written(end)).count();
    assert!(cancelled > 0 && written > 0, "{cancelled} and {written}");
    assert_eq!(cancelled + written, ends.len());
}

async fn a_cancel_at_any_step_of_a_lost_answer_finds_the_deploy(db: TestDatabase) {
    let bench = bench(&db).await;
    let ends = cancel_matrix(&bench, None, |_| {
        bench.fake_registry.state().writes = [Act::ObeyAndLoseTheAnswer].into();
    })
    .await;
    assert!(ends.iter().all(|end| is_cancelled(end) || is_written(end)));
    assert!(ends.iter().any(is_written));
}

async fn a_cancel_at_any_step_of_a_driver_that_dies_ends_well(db: TestDatabase) {
    let bench = bench(&db).await;
    for dies_after in [0, 1, 2, 4, 8] {
        let ends = cancel_matrix(&bench, Some(dies_after), |_| ()).await;
        assert!(ends.iter().all(|end| is_cancelled(end) || is_written(end)));
    }
}

async fn a_cancel_at_any_step_is_closed_though_that_fails_once(db: TestDatabase) {
    let bench = bench(&db).await;
    let down = || Act::Fail(Status::unavailable("down"));
    bench.fake_registry.state().every_write = Some(down());
    for dies_after in [None, Some(3)] {
        // Without a cancel it would be tried for long.
        for after in 1..=24 {
            bench.fake_registry.state().closes = [down(), Act::ObeyAndLoseTheAnswer].into();
            let new = new_rollback(long());
            let dying = bench.replica(hasty());
            let mut driving = Box::pin(begun(&bench, &dying, &new).await.drive());
            assert!(!steps(&mut driving, after).await);
            let going_on = async {
                match dies_after {
                    None => driving.await,
                    Some(more) => {
                        steps(&mut driving, more).await;
                        drop(driving);
                    }
                }
            };
            let cancelling = async {
                ask_to_cancel(&bench, &new.name).await;
                dying.cancelled(new.name.id());
            };
            tokio::join!(cancelling, going_on);
            let end = settled(&bench, &new.name, after).await;
            assert!(is_cancelled(&end), "after {after} steps: {end:?}");
        }
    }
}

/// Lets replicas die at each step of looking at a roll-out that has ended. What is left is seen by one
/// that lives.
async fn look_matrix(bench: &Bench, prepare: impl Fn()) {
    for after in 1.. {
        let dying = bench.replica(hasty());
        let name = written(bench, &dying).await;
        let before = bench.store.rollback(&name).await.unwrap().unwrap();
        bench.fake_registry.state().roll_out = Some((DeployState::Deployed, ""));
        prepare();
        let mut lived = false;
        for after in [after, 1, after] {
            let look = async || bench.store.follow(&hasty().lease).await.unwrap();
            let followed = eventually(async || match look().await {
                Some(followed) => Some(Some(followed)),
                None => {
                    let rollback = bench.store.rollback(&name).await.unwrap().unwrap();
                    roll_out(&rollback).map(|_| None)
                }
            });
            if let Some(followed) = followed.await {
                lived = steps(&mut Box::pin(dying.0.look_at(followed)), after).await;
            }
        }

        let survivor = bench.replica(patience());
        let recovery = pin!(survivor.clone().recover());
        let end = tokio::select! {
            end = eventually(async || {
                let rollback = bench.store.rollback(&name).await.unwrap().unwrap();
                roll_out(&rollback).is_some().then_some(rollback)
            }) => end,
            () = recovery => panic!("the recovery ended"),
        };
        survivor.stop();
        survivor.join().await;
        assert_eq!(roll_out(&end).unwrap().how, RollOut::Deployed);
        // Once for the end, and twice for a look that failed and one that did not.
        let changes = end.version - before.version;
        assert!((1..=3).contains(&changes), "{changes} changes");
        assert!(
            end.steps
                .iter()
                .all(|step| step.end_time.is_some() && step.error.is_none())
        );
        assert!(bench.store.follow(&hasty().lease).await.unwrap().is_none());
        if lived {
            return;
        }
    }
}

async fn whatever_crashes_a_roll_out_ends_once(db: TestDatabase) {
    let bench = bench(&db).await;
    look_matrix(&bench, || ()).await;
}

async fn whatever_crashes_a_look_that_fails_once_is_done_again(db: TestDatabase) {
    let bench = bench(&db).await;
    look_matrix(&bench, || {
        let down = Act::Fail(Status::unavailable("down"));
        bench.fake_registry.state().looks = [down, Act::ObeyAndLoseTheAnswer].into();
    })
    .await;
}
