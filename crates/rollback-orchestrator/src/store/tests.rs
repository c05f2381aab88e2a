use chassis::environment::Environment;
use chassis::testing::TestDatabase;
use chassis::{args, on_both_databases, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::deploys::Scope;
use model::names::{Principal, RequestId, RollbackId, RollbackName};
use uuid::Uuid;

use super::*;
use crate::domain::history::DeploymentUid;
use crate::domain::rollback::{
    Order, RollOut, Rollback, State, StepKind, StoredError, WrittenDeploy,
};
use crate::domain::samples::{all_push, number};
use crate::domain::warning::WarningCode;

const LONG: TimeDelta = TimeDelta::seconds(60);
/// A lease that has expired once it is given.
const GONE: TimeDelta = TimeDelta::seconds(-1);

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_comes_back_as_it_was_accepted,
    times_come_back_to_the_microsecond,
    a_request_is_accepted_once,
    the_request_of_another_person_or_deployment_is_another_request,
    two_rollbacks_of_one_deployment_are_never_unwritten_at_once,
    of_many_who_are_accepted_at_once_one_is,
    of_many_who_repeat_a_request_at_once_one_is_accepted,
    a_rollback_is_written_within_its_deadline_or_its_grant,
    of_many_who_take_up_a_rollback_one_gets_it,
    a_lease_that_holds_is_not_taken,
    a_rollback_that_was_let_go_of_is_taken_up_at_once,
    a_rollback_that_cannot_be_read_does_not_hold_up_others,
    whoever_takes_up_knows_how_far_it_was,
    a_lost_fence_writes_nothing,
    an_ended_rollback_is_written_to_no_more,
    attempts_are_counted_and_errors_kept,
    a_deploy_that_somebody_else_ships_is_not_said_to_run,
    after_its_deadline_nothing_is_attempted,
    attention_is_asked_for_until_the_end,
    every_change_of_the_record_changes_its_version,
    a_deploy_found_while_closing_wins,
    rollbacks_are_found_under_their_own_deployment_only,
);

fn store(db: &TestDatabase) -> Store {
    Store::new(db.database.clone())
}

fn now() -> DateTime<Utc> {
    Environment::system().now()
}

fn new_id() -> Uuid {
    Environment::system().new_uuid()
}

fn lease(duration: TimeDelta) -> Lease {
    Lease {
        owner: new_id(),
        duration,
    }
}

fn name(deployment: u128) -> RollbackName {
    let deployment = format!("workspaces/w/deployments/d{deployment}")
        .parse()
        .unwrap();
    RollbackName::new(deployment, RollbackId::new(new_id()))
}

fn request(id: u128) -> RequestKey {
    RequestKey {
        id: Uuid::from_u128(id)
            .to_string()
            .parse::<RequestId>()
            .unwrap(),
        body: [7; 32],
    }
}

fn error(text: &str) -> StoredError {
    StoredError(text.as_bytes().to_vec())
}

/// A rollback of the Deployment with that number.
fn new(deployment: u128) -> NewRollback {
    let start = now();
    NewRollback {
        name: name(deployment),
        order: Order {
            deployment_uid: DeploymentUid(Uuid::from_u128(deployment)),
            target: number(3),
            expected_latest: number(6),
            replaced: number(5),
            scope: Scope::Dags,
            description: "the orders of today are missing\nsee the ticket, \u{1f525}".to_owned(),
            permissions: all_push(),
            plan_digest: "ab".repeat(32).parse().unwrap(),
            acknowledged: vec![WarningCode::RuntimeDowngrade, WarningCode::MetadataLoss],
            created_by: Principal::user("alice@example.com").unwrap(),
        },
        request: None,
        write_within: LONG,
        grant_expire_time: start + TimeDelta::hours(1),
        planned: StepTimes {
            start,
            end: start + TimeDelta::microseconds(1),
        },
        authorized: StepTimes {
            start,
            end: start + TimeDelta::microseconds(2),
        },
    }
}

async fn accepted(store: &Store, new: &NewRollback, duration: TimeDelta) -> Job {
    match store.accept(new, &lease(duration), now()).await.unwrap() {
        Acceptance::Accepted(job) => *job,
        other @ (Acceptance::Repeated | Acceptance::InProgress(_)) => panic!("{other:?}"),
    }
}

async fn read(store: &Store, name: &RollbackName) -> Rollback {
    store.rollback(name).await.unwrap().unwrap()
}

async fn begin(store: &Store, fence: Fence) -> Attempt {
    store
        .begin_attempt(fence, &lease(LONG), false, now())
        .await
        .unwrap()
}

async fn a_rollback_comes_back_as_it_was_accepted(db: TestDatabase) {
    let store = store(&db);
    let new = NewRollback {
        request: Some(request(1)),
        ..new(1)
    };
    let job = accepted(&store, &new, LONG).await;
    assert_eq!((&job.name, &job.order), (&new.name, &new.order));
    assert!(!job.sent && job.closing.is_none());

    let rollback = read(&store, &new.name).await;
    assert_eq!((&rollback.name, &rollback.order), (&new.name, &new.order));
    assert_eq!(rollback.state, State::Pending);
    assert!(!rollback.needs_attention);
    let steps = rollback
        .steps
        .iter()
        .map(|step| (step.kind, step.attempts))
        .collect::<Vec<_>>();
    assert_eq!(steps, [(StepKind::Plan, 1), (StepKind::Authorize, 1)]);

    let by_request = store
        .rollback_of_request(&new.order.created_by, new.name.deployment(), request(1).id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(by_request.rollback, rollback);
    assert_eq!(by_request.request_body, [7; 32]);
}

async fn times_come_back_to_the_microsecond(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let exact = DateTime::from_timestamp_micros(1_700_000_000_123_457).unwrap();
    let accepted = store.accept(&new, &lease(LONG), exact).await.unwrap();
    assert!(matches!(accepted, Acceptance::Accepted(_)));
    let rollback = read(&store, &new.name).await;
    assert_eq!((rollback.create_time, rollback.update_time), (exact, exact));
    assert_eq!(rollback.steps[1].end_time, Some(new.authorized.end));
}

async fn a_request_is_accepted_once(db: TestDatabase) {
    let store = store(&db);
    let first = NewRollback {
        request: Some(request(1)),
        ..new(1)
    };
    let job = accepted(&store, &first, LONG).await;
    let again = NewRollback {
        request: Some(request(1)),
        ..new(1)
    };
    let repeated = store.accept(&again, &lease(LONG), now()).await.unwrap();
    assert!(matches!(repeated, Acceptance::Repeated));

    // For ever, also once it has ended.
    store.fail(job.fence, &error("no"), now()).await.unwrap();
    let repeated = store.accept(&again, &lease(LONG), now()).await.unwrap();
    assert!(matches!(repeated, Acceptance::Repeated));
    assert_eq!(store.rollback(&again.name).await.unwrap(), None);
}

async fn the_request_of_another_person_or_deployment_is_another_request(db: TestDatabase) {
    let store = store(&db);
    let first = NewRollback {
        request: Some(request(1)),
        ..new(1)
    };
    accepted(&store, &first, LONG).await;
    accepted(
        &store,
        &NewRollback {
            request: Some(request(1)),
            ..new(2)
        },
        LONG,
    )
    .await;
    let bob = Principal::user("bob@example.com").unwrap();
    let mut other = NewRollback {
        request: Some(request(1)),
        ..new(3)
    };
    other.order.created_by = bob.clone();
    accepted(&store, &other, LONG).await;
    let found = store
        .rollback_of_request(&bob, first.name.deployment(), request(1).id)
        .await;
    assert!(found.unwrap().is_none());
}

async fn two_rollbacks_of_one_deployment_are_never_unwritten_at_once(db: TestDatabase) {
    let store = store(&db);
    let first = new(1);
    let job = accepted(&store, &first, LONG).await;
    let uid = first.order.deployment_uid;
    let in_progress = store
        .in_progress(first.name.deployment(), uid)
        .await
        .unwrap();
    assert_eq!(in_progress, Some(first.name.clone()));
    let other = new(2);
    accepted(&store, &other, LONG).await;

    for _ in 0..2 {
        let second = store.accept(&new(1), &lease(LONG), now()).await.unwrap();
        assert!(matches!(second, Acceptance::InProgress(name) if name == first.name));
        begin(&store, job.fence).await;
    }
    store.succeed(job.fence, shipped(7), now()).await.unwrap();
    assert_eq!(
        store
            .in_progress(first.name.deployment(), uid)
            .await
            .unwrap(),
        None
    );
    accepted(&store, &new(1), LONG).await;
}

async fn of_many_who_are_accepted_at_once_one_is(db: TestDatabase) {
    let store = store(&db);
    let racers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(&new(1), &lease(LONG), now()).await.unwrap() })
    });
    let mut accepted = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Acceptance::Accepted(_) => accepted += 1,
            Acceptance::InProgress(_) => {}
            Acceptance::Repeated => panic!("nobody repeats a request here"),
        }
    }
    assert_eq!(accepted, 1);
}

async fn of_many_who_repeat_a_request_at_once_one_is_accepted(db: TestDatabase) {
    let store = store(&db);
    let racers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let new = NewRollback {
                request: Some(request(1)),
                ..new(1)
            };
            store.accept(&new, &lease(LONG), now()).await.unwrap()
        })
    });
    let mut accepted = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Acceptance::Accepted(_) => accepted += 1,
            Acceptance::Repeated => {}
            Acceptance::InProgress(name) => panic!("{name} is the very same request"),
        }
    }
    assert_eq!(accepted, 1);
}

async fn a_rollback_is_written_within_its_deadline_or_its_grant(db: TestDatabase) {
    let store = store(&db);
    let database_time = db
        .database
        .read()
        .await
        .unwrap()
        .database_time()
        .await
        .unwrap();
    let by_deadline = new(1);
    accepted(&store, &by_deadline, LONG).await;
    let deadline = read(&store, &by_deadline.name).await.write_deadline;
    assert!(deadline >= database_time + LONG);
    assert!(deadline < database_time + LONG + TimeDelta::seconds(30));

    let grant_expire_time = database_time + TimeDelta::seconds(10);
    let by_grant = NewRollback {
        grant_expire_time,
        ..new(2)
    };
    accepted(&store, &by_grant, LONG).await;
    assert_eq!(
        read(&store, &by_grant.name).await.write_deadline,
        grant_expire_time
    );
}

async fn of_many_who_take_up_a_rollback_one_gets_it(db: TestDatabase) {
    let store = store(&db);
    for deployment in 1..=4 {
        accepted(&store, &new(deployment), GONE).await;
    }
    let racers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            // Whoever loses a race looks again.
            for _ in 0..8 {
                taken.extend(store.take_up(&lease(LONG)).await.unwrap());
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        taken.extend(racer.await.unwrap());
    }
    assert_eq!(taken.len(), 4);
    assert!(taken.iter().all(|job| job.fence.counter == 2));
    taken.sort_by_key(|job| job.name.clone());
    taken.dedup_by_key(|job| job.name.clone());
    assert_eq!(taken.len(), 4);
}

async fn a_lease_that_holds_is_not_taken(db: TestDatabase) {
    let store = store(&db);
    let job = accepted(&store, &new(1), LONG).await;
    assert!(store.take_up(&lease(LONG)).await.unwrap().is_none());
    store
        .renew_lease(job.fence, &lease(GONE), false, now())
        .await
        .unwrap();
    let taken = store.take_up(&lease(GONE)).await.unwrap().unwrap();
    assert_eq!(taken.fence.counter, 2);
    let again = store.take_up(&lease(LONG)).await.unwrap().unwrap();
    assert_eq!(again.fence.counter, 3);
    // Every sign of life renews the lease.
    store
        .renew_lease(again.fence, &lease(GONE), false, now())
        .await
        .unwrap();
    begin(&store, again.fence).await;
    assert!(store.take_up(&lease(LONG)).await.unwrap().is_none());
}

async fn a_rollback_that_was_let_go_of_is_taken_up_at_once(db: TestDatabase) {
    let store = store(&db);
    let job = accepted(&store, &new(1), LONG).await;
    store.release(job.fence).await.unwrap();
    let taken = store.take_up(&lease(LONG)).await.unwrap().unwrap();
    assert_eq!(taken.name, job.name);
}

async fn a_rollback_that_cannot_be_read_does_not_hold_up_others(db: TestDatabase) {
    let store = store(&db);
    let strange = accepted(&store, &new(1), GONE).await;
    let changed: Result<u64, database::Error> = transaction!(db.database, |tx| {
        let sql = "UPDATE rollbacks SET scope = 'SIDEWAYS' WHERE id = $1";
        tx.execute(sql, args![strange.name.id().get()]).await
    });
    assert_eq!(changed.unwrap(), 1);
    let known = accepted(&store, &new(2), GONE).await;

    let mut taken = Vec::new();
    let mut unreadable = 0;
    for _ in 0..3 {
        match store.take_up(&lease(LONG)).await {
            Ok(job) => taken.extend(job.map(|job| job.name)),
            Err(_) => unreadable += 1,
        }
    }
    assert_eq!((taken, unreadable), (vec![known.name], 1));
}

async fn whoever_takes_up_knows_how_far_it_was(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let mut job = accepted(&store, &new, GONE).await;
    let mut take_up = async || {
        job = store.take_up(&lease(GONE)).await.unwrap().unwrap();
        job.clone()
    };
    let pending = take_up().await;
    assert_eq!((pending.sent, pending.closing), (false, None));
    assert_eq!(pending.order, new.order);

    let gone = lease(GONE);
    store
        .begin_attempt(pending.fence, &gone, false, now())
        .await
        .unwrap();
    let running = take_up().await;
    assert_eq!((running.sent, running.closing), (true, None));

    store
        .begin_close(running.fence, &gone, &error("refused"), now())
        .await
        .unwrap();
    let closing = take_up().await;
    assert_eq!(
        (closing.sent, closing.closing),
        (true, Some(error("refused")))
    );
    assert_eq!(read(&store, &new.name).await.state, State::Running);
}

async fn a_lost_fence_writes_nothing(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let old = accepted(&store, &new, GONE).await.fence;
    begin(&store, old).await;
    store
        .renew_lease(old, &lease(GONE), false, now())
        .await
        .unwrap();
    let taken = store.take_up(&lease(LONG)).await.unwrap().unwrap();
    let before = read(&store, &new.name).await;

    let lease = lease(LONG);
    let lost = [
        store
            .begin_attempt(old, &lease, true, now())
            .await
            .map(drop),
        store
            .fail_step(old, StepKind::Write, &error("late"), now())
            .await,
        store.end_authorize(old, now()).await,
        store.begin_close(old, &lease, &error("late"), now()).await,
        store.renew_lease(old, &lease, true, now()).await,
        store.release(old).await,
        store.succeed(old, shipped(7), now()).await,
        store.fail(old, &error("late"), now()).await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
    }
    assert_eq!(read(&store, &new.name).await, before);
    store.succeed(taken.fence, shipped(7), now()).await.unwrap();
}

async fn an_ended_rollback_is_written_to_no_more(db: TestDatabase) {
    let store = store(&db);
    let succeeded = accepted(&store, &new(1), GONE).await;
    begin(&store, succeeded.fence).await;
    store
        .succeed(succeeded.fence, shipped(7), now())
        .await
        .unwrap();
    let failed = accepted(&store, &new(1), GONE).await;
    store.fail(failed.fence, &error("no"), now()).await.unwrap();

    for Job { fence, name, .. } in [succeeded, failed] {
        let before = read(&store, &name).await;
        let lease = lease(LONG);
        let lost = [
            store
                .begin_attempt(fence, &lease, false, now())
                .await
                .map(drop),
            store
                .begin_close(fence, &lease, &error("late"), now())
                .await,
            store.renew_lease(fence, &lease, true, now()).await,
            store.release(fence).await,
            store.succeed(fence, shipped(8), now()).await,
            store.fail(fence, &error("late"), now()).await,
        ];
        for outcome in lost {
            assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
        }
        assert_eq!(read(&store, &name).await, before);
    }
    assert!(store.take_up(&lease(LONG)).await.unwrap().is_none());
}

/// A deploy that runs.
fn shipped(deploy: i64) -> WrittenDeploy {
    WrittenDeploy {
        number: number(deploy),
        roll_out: Some(RollOut::Deployed),
    }
}

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
    store.succeed(fence, shipped(7), end).await.unwrap();
    let rollback = read(&store, &new.name).await;
    let deploy = number(7);
    let roll_out = RollOut::Deployed;
    assert_eq!(
        rollback.state,
        State::Succeeded {
            deploy,
            roll_out: Some(roll_out),
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

async fn a_deploy_that_somebody_else_ships_is_not_said_to_run(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    let written = WrittenDeploy {
        roll_out: None,
        ..shipped(7)
    };
    let end = now();
    store.succeed(fence, written, end).await.unwrap();
    let rollback = read(&store, &new.name).await;
    assert_eq!(
        rollback.state,
        State::Succeeded {
            deploy: number(7),
            roll_out: None,
            end_time: end
        }
    );
    let mut kinds = rollback.steps.iter().map(|step| step.kind);
    assert!(kinds.all(|kind| kind != StepKind::RollOut), "{rollback:?}");
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
    store.fail(fence, &error("late"), end).await.unwrap();
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
    store.fail(fence, &error("no"), now()).await.unwrap();
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
    store.succeed(fence, shipped(7), now()).await.unwrap();
    changed(true).await;
}

async fn a_deploy_found_while_closing_wins(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    store
        .begin_close(fence, &lease(LONG), &error("refused"), now())
        .await
        .unwrap();
    store.succeed(fence, shipped(7), now()).await.unwrap();
    let rollback = read(&store, &new.name).await;
    assert!(matches!(rollback.state, State::Succeeded { deploy, .. } if deploy == number(7)));
}

async fn rollbacks_are_found_under_their_own_deployment_only(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    accepted(&store, &new, LONG).await;
    let elsewhere = RollbackName::new(name(2).deployment().clone(), new.name.id());
    assert_eq!(store.rollback(&elsewhere).await.unwrap(), None);
    assert_eq!(store.rollback(&name(1)).await.unwrap(), None);
}
