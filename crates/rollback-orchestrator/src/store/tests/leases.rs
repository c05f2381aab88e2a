use chassis::testing::TestDatabase;
use chassis::{args, on_both_databases, transaction};

use super::*;
use crate::domain::rollback::{State, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    of_many_who_take_up_a_rollback_one_gets_it,
    a_lease_that_holds_is_not_taken,
    a_rollback_that_was_let_go_of_is_taken_up_at_once,
    a_rollback_that_cannot_be_read_does_not_hold_up_others,
    whoever_takes_up_knows_how_far_it_was,
    a_lost_fence_writes_nothing,
    an_ended_rollback_is_written_to_no_more,
);

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
                taken.extend(store.take_up(&lease(LONG), now()).await.unwrap());
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
    assert!(store.take_up(&lease(LONG), now()).await.unwrap().is_none());
    store
        .renew_lease(job.fence, &lease(GONE), false, now())
        .await
        .unwrap();
    let taken = store.take_up(&lease(GONE), now()).await.unwrap().unwrap();
    assert_eq!(taken.fence.counter, 2);
    let again = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
    assert_eq!(again.fence.counter, 3);
    // Every sign of life renews the lease.
    store
        .renew_lease(again.fence, &lease(GONE), false, now())
        .await
        .unwrap();
    begin(&store, again.fence).await;
    assert!(store.take_up(&lease(LONG), now()).await.unwrap().is_none());
}

async fn a_rollback_that_was_let_go_of_is_taken_up_at_once(db: TestDatabase) {
    let store = store(&db);
    let job = accepted(&store, &new(1), LONG).await;
    store.release(job.fence).await.unwrap();
    let taken = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
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
        match store.take_up(&lease(LONG), now()).await {
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
        job = store.take_up(&lease(GONE), now()).await.unwrap().unwrap();
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
        .begin_close(running.fence, &gone, &failed("refused"), now())
        .await
        .unwrap();
    let closing = take_up().await;
    assert_eq!(
        (closing.sent, closing.closing),
        (true, Some(failed("refused")))
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
    let taken = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
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
        store.begin_close(old, &lease, &failed("late"), now()).await,
        store.renew_lease(old, &lease, true, now()).await,
        store.release(old).await,
        store.succeed(old, &shipped(7), &FOLLOW, now()).await,
        store.end_without_deploy(old, &failed("late"), now()).await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
    }
    assert_eq!(read(&store, &new.name).await, before);
    store
        .succeed(taken.fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
}

async fn an_ended_rollback_is_written_to_no_more(db: TestDatabase) {
    let store = store(&db);
    let succeeded = accepted(&store, &new(1), GONE).await;
    begin(&store, succeeded.fence).await;
    store
        .succeed(succeeded.fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
    let refused = accepted(&store, &new(1), GONE).await;
    store
        .end_without_deploy(refused.fence, &failed("no"), now())
        .await
        .unwrap();

    for Job { fence, name, .. } in [succeeded, refused] {
        let before = read(&store, &name).await;
        let lease = lease(LONG);
        let lost = [
            store
                .begin_attempt(fence, &lease, false, now())
                .await
                .map(drop),
            store
                .begin_close(fence, &lease, &failed("late"), now())
                .await,
            store.renew_lease(fence, &lease, true, now()).await,
            store.release(fence).await,
            store.succeed(fence, &shipped(8), &FOLLOW, now()).await,
            store
                .end_without_deploy(fence, &failed("late"), now())
                .await,
        ];
        for outcome in lost {
            assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
        }
        assert_eq!(read(&store, &name).await, before);
    }
    assert!(store.take_up(&lease(LONG), now()).await.unwrap().is_none());
}
