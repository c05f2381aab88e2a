use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use super::*;
use crate::domain::rollback::{Cancel, State};

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_of_which_nothing_was_sent_is_cancelled_at_once,
    a_rollback_that_may_have_been_sent_is_cancelled_by_whoever_carries_it_out,
    the_first_who_cancels_counts,
    what_was_decided_before_stays_so,
    a_rollback_that_has_ended_is_not_changed_by_a_cancel,
    of_a_cancel_and_an_attempt_at_once_one_is_first,
);

fn bob() -> Principal {
    Principal::user("bob@example.com").unwrap()
}

async fn cancel(store: &Store, name: &RollbackName) -> DateTime<Utc> {
    let time = now();
    let error = error("cancelled");
    store.cancel(name, &bob(), &error, time).await.unwrap();
    time
}

async fn a_rollback_of_which_nothing_was_sent_is_cancelled_at_once(db: TestDatabase) {
    let store = store(&db);
    let new_rollback = new(1);
    let fence = accepted(&store, &new_rollback, GONE).await.fence;
    let before = read(&store, &new_rollback.name).await.version;
    let time = cancel(&store, &new_rollback.name).await;
    let rollback = read(&store, &new_rollback.name).await;
    let cancelled = State::Cancelled {
        error: error("cancelled"),
        end_time: time,
    };
    assert_eq!(rollback.state, cancelled);
    assert_eq!(rollback.cancel, Some(Cancel { by: bob(), time }));
    assert!(rollback.version > before);

    // Nobody goes on with it, and the Deployment is free.
    let attempt = store.begin_attempt(fence, &lease(LONG), false, now()).await;
    assert!(matches!(attempt, Err(Error::Lost)), "{attempt:?}");
    assert!(store.take_up(&lease(LONG), now()).await.unwrap().is_none());
    accepted(&store, &new(1), LONG).await;
}

async fn a_rollback_that_may_have_been_sent_is_cancelled_by_whoever_carries_it_out(
    db: TestDatabase,
) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    let time = cancel(&store, &new.name).await;
    let rollback = read(&store, &new.name).await;
    assert_eq!(rollback.state, State::Running);
    assert_eq!(rollback.cancel, Some(Cancel { by: bob(), time }));

    assert_eq!(begin(&store, fence).await, Attempt::Cancelled(bob()));
    let closing = Closing {
        ending: Ending::Cancelled,
        error: error("cancelled"),
    };
    store
        .begin_close(fence, &lease(GONE), &closing, now())
        .await
        .unwrap();
    let taken = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
    assert_eq!(taken.closing.as_ref(), Some(&closing));
    store
        .end_without_deploy(taken.fence, &closing, now())
        .await
        .unwrap();
    let rollback = read(&store, &new.name).await;
    assert!(
        matches!(&rollback.state, State::Cancelled { error, .. } if *error == closing.error),
        "{rollback:?}"
    );
    assert!(rollback.steps.iter().all(|step| step.end_time.is_some()));
}

async fn the_first_who_cancels_counts(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    cancel(&store, &new.name).await;
    let before = read(&store, &new.name).await;
    let carol = Principal::user("carol@example.com").unwrap();
    let error = error("cancelled again");
    store
        .cancel(&new.name, &carol, &error, now())
        .await
        .unwrap();
    assert_eq!(read(&store, &new.name).await, before);
}

async fn what_was_decided_before_stays_so(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    store
        .begin_close(fence, &lease(GONE), &failed("late"), now())
        .await
        .unwrap();
    cancel(&store, &new.name).await;
    let taken = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
    assert_eq!(taken.closing, Some(failed("late")));
    store
        .end_without_deploy(taken.fence, &failed("late"), now())
        .await
        .unwrap();
    let rollback = read(&store, &new.name).await;
    assert!(matches!(rollback.state, State::Failed { .. }));
    assert!(rollback.cancel.is_some(), "it came too late, and is told");
}

async fn a_rollback_that_has_ended_is_not_changed_by_a_cancel(db: TestDatabase) {
    let store = store(&db);
    let succeeded = new(1);
    let fence = accepted(&store, &succeeded, LONG).await.fence;
    begin(&store, fence).await;
    store
        .succeed(fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
    let ended = new(2);
    let fence = accepted(&store, &ended, LONG).await.fence;
    store
        .end_without_deploy(fence, &failed("no"), now())
        .await
        .unwrap();
    for name in [succeeded.name, ended.name] {
        let before = read(&store, &name).await;
        cancel(&store, &name).await;
        assert_eq!(read(&store, &name).await, before);
    }
    // Nor is one of another Deployment, by a name that is none.
    let other = new(3);
    accepted(&store, &other, LONG).await;
    let elsewhere = RollbackName::new(name(4).deployment().clone(), other.name.id());
    cancel(&store, &elsewhere).await;
    assert_eq!(read(&store, &other.name).await.cancel, None);
}

async fn of_a_cancel_and_an_attempt_at_once_one_is_first(db: TestDatabase) {
    let store = store(&db);
    let (mut sent, mut ended) = (0, 0);
    for deployment in 1..=32 {
        let new = new(deployment);
        let fence = accepted(&store, &new, LONG).await.fence;
        let attempt = tokio::spawn({
            let store = store.clone();
            async move { store.begin_attempt(fence, &lease(LONG), false, now()).await }
        });
        if deployment % 2 == 0 {
            tokio::task::yield_now().await;
        }
        cancel(&store, &new.name).await;
        let rollback = read(&store, &new.name).await;
        match attempt.await.unwrap() {
            Ok(Attempt::Begun(_)) => {
                sent += 1;
                assert_eq!(rollback.state, State::Running);
                assert_eq!(begin(&store, fence).await, Attempt::Cancelled(bob()));
            }
            Err(Error::Lost) => {
                ended += 1;
                assert!(matches!(rollback.state, State::Cancelled { .. }));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent + ended, 32);
}
