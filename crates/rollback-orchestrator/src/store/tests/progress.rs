use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use chrono::TimeDelta;

use super::*;
use crate::domain::rollback::{State, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    attempts_are_counted_and_errors_kept,
    after_its_deadline_nothing_is_attempted,
    attention_is_asked_for_until_the_end,
    every_change_of_the_record_changes_its_version,
    how_a_rollback_ends_is_decided_once,
    a_deploy_found_while_closing_wins,
);

async fn attempts_are_counted_and_errors_kept(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    let Attempt::Begun(left) = begin(&store, fence).await else {
        panic!("there is time")
    };
    assert!(left > TimeDelta::seconds(30) && left <= LONG);
    store
        .fail_step(fence, StepKind::Write, &error("down"), now())
        .await
        .unwrap();
    store
        .begin_attempt(fence, &lease(LONG), true, now())
        .await
        .unwrap();
    store
        .fail_step(fence, StepKind::Authorize, &error("down too"), now())
        .await
        .unwrap();

    let rollback = read(&store, &new.name).await;
    assert_eq!(rollback.state, State::Running);
    let [_, authorize, write] = rollback.steps.as_slice() else {
        panic!("three steps")
    };
    assert_eq!(
        (authorize.attempts, &authorize.error),
        (2, &Some(error("down too")))
    );
    assert_eq!(
        (write.attempts, &write.error, write.end_time),
        (2, &Some(error("down")), None)
    );

    store
        .begin_attempt(fence, &lease(LONG), true, now())
        .await
        .unwrap();
    store.end_authorize(fence, now()).await.unwrap();
    let end = now();
    store
        .succeed(fence, &shipped(7), &FOLLOW, end)
        .await
        .unwrap();
    let rollback = read(&store, &new.name).await;
    assert_eq!(
        rollback.state,
        State::Succeeded {
            deploy: number(7),
            roll_out: shipped(7).roll_out,
            roll_out_deadline: None,
            end_time: end
        }
    );
    let [_, authorize, write, roll_out] = rollback.steps.as_slice() else {
        panic!("four steps")
    };
    assert_eq!((authorize.attempts, &authorize.error), (3, &None));
    assert_eq!(
        (write.attempts, &write.error, write.end_time),
        (3, &None, Some(end))
    );
    assert_eq!((roll_out.kind, roll_out.attempts), (StepKind::RollOut, 1));
    assert_eq!(roll_out.end_time, Some(end));
}

async fn after_its_deadline_nothing_is_attempted(db: TestDatabase) {
    let store = store(&db);
    let late = NewRollback {
        write_within: GONE,
        ..new(1)
    };
    let fence = accepted(&store, &late, LONG).await.fence;
    assert_eq!(begin(&store, fence).await, Attempt::TooLate);
    let rollback = read(&store, &late.name).await;
    assert_eq!((rollback.state, rollback.steps.len()), (State::Pending, 2));
    let end = now();
    store
        .end_without_deploy(fence, &failed("late"), end)
        .await
        .unwrap();
    let rollback = read(&store, &late.name).await;
    assert_eq!(
        rollback.state,
        State::Failed {
            error: error("late"),
            end_time: end
        }
    );
}

async fn attention_is_asked_for_until_the_end(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    store
        .renew_lease(fence, &lease(LONG), true, now())
        .await
        .unwrap();
    assert!(read(&store, &new.name).await.needs_attention);
    store
        .end_without_deploy(fence, &failed("no"), now())
        .await
        .unwrap();
    assert!(!read(&store, &new.name).await.needs_attention);
}

async fn every_change_of_the_record_changes_its_version(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    let lease = lease(LONG);
    let mut version = read(&store, &new.name).await.version;
    let mut changed = async |expected: bool| {
        let now = read(&store, &new.name).await.version;
        assert_eq!(now != version, expected);
        version = now;
    };
    store
        .renew_lease(fence, &lease, false, now())
        .await
        .unwrap();
    changed(false).await;
    begin(&store, fence).await;
    changed(true).await;
    store
        .fail_step(fence, StepKind::Write, &error("no"), now())
        .await
        .unwrap();
    changed(true).await;
    store.renew_lease(fence, &lease, true, now()).await.unwrap();
    changed(true).await;
    store.renew_lease(fence, &lease, true, now()).await.unwrap();
    changed(false).await;
    store
        .succeed(fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
    changed(true).await;
}

async fn how_a_rollback_ends_is_decided_once(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    let lease = lease(LONG);
    store
        .begin_close(fence, &lease, &failed("late"), now())
        .await
        .unwrap();
    let cancelled = Closing {
        ending: Ending::Cancelled,
        ..failed("cancelled")
    };
    let again = store.begin_close(fence, &lease, &cancelled, now()).await;
    assert!(matches!(again, Err(Error::Lost)), "{again:?}");
}

async fn a_deploy_found_while_closing_wins(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    store
        .begin_close(fence, &lease(LONG), &failed("refused"), now())
        .await
        .unwrap();
    store
        .succeed(fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
    let rollback = read(&store, &new.name).await;
    assert!(matches!(rollback.state, State::Succeeded { deploy, .. } if deploy == number(7)));
}
