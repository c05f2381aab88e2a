use chassis::on_both_databases;
use chassis::testing::TestDatabase;

use super::*;
use crate::domain::rollback::{State, Step, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    a_deploy_that_somebody_else_ships_is_followed_until_that_has_ended,
    a_roll_out_that_has_ended_is_not_followed,
    a_roll_out_is_looked_at_when_it_is_due,
    of_many_who_follow_a_roll_out_one_gets_it,
    a_lost_fence_says_nothing_of_a_roll_out,
    a_look_that_brings_nothing_new_changes_nothing,
    a_roll_out_is_past_its_deadline_by_the_databases_clock,
    followed_roll_outs_are_not_taken_up,
);

/// A rollback whose deploy somebody else ships.
async fn written(store: &Store, follow: &Follow) -> RollbackName {
    let new = new(1);
    let fence = accepted(store, &new, LONG).await.fence;
    begin(store, fence).await;
    store
        .succeed(fence, &shipping(7), follow, now())
        .await
        .unwrap();
    new.name
}

async fn follow(store: &Store, duration: TimeDelta) -> Option<Followed> {
    store.follow(&lease(duration)).await.unwrap()
}

fn roll_out_step(rollback: &Rollback) -> &Step {
    let mut steps = rollback.steps.iter();
    steps.find(|step| step.kind == StepKind::RollOut).unwrap()
}

fn ended(how: RollOut) -> RollOutEnd {
    RollOutEnd {
        how,
        reason: "the pods do not start".to_owned(),
    }
}

fn went(error: Option<StoredError>, needs_attention: bool) -> Looked {
    Looked {
        error,
        needs_attention,
    }
}

async fn look_again(store: &Store, followed: &Followed, looked: Looked) -> Result<(), Error> {
    store
        .look_again(followed, &looked, FOLLOW.looks, now())
        .await
}

async fn a_deploy_that_somebody_else_ships_is_followed_until_that_has_ended(db: TestDatabase) {
    let store = store(&db);
    for (deployment, how) in (1..).zip(RollOut::ALL) {
        let new = new(deployment);
        let fence = accepted(&store, &new, LONG).await.fence;
        begin(&store, fence).await;
        let time = now();
        store
            .succeed(fence, &shipping(7), &FOLLOW, time)
            .await
            .unwrap();
        let rollback = read(&store, &new.name).await;
        let State::Succeeded {
            deploy,
            roll_out: None,
            roll_out_deadline: Some(deadline),
            end_time,
        } = rollback.state
        else {
            panic!("{rollback:?}")
        };
        assert_eq!((deploy, end_time), (number(7), time));
        let step = roll_out_step(&rollback);
        assert_eq!((step.attempts, step.end_time), (1, None));

        let followed = follow(&store, LONG).await.unwrap();
        assert_eq!((&followed.name, followed.deploy), (&new.name, number(7)));
        assert_eq!(followed.deadline, deadline);
        let end = now();
        store
            .end_roll_out(&followed, &ended(*how), end)
            .await
            .unwrap();
        let after = read(&store, &new.name).await;
        let expected = State::Succeeded {
            deploy,
            roll_out: Some(ended(*how)),
            roll_out_deadline: Some(deadline),
            end_time,
        };
        assert_eq!((after.state.clone(), after.update_time), (expected, end));
        assert_eq!(roll_out_step(&after).end_time, Some(end));
        assert!(after.version > rollback.version);
        assert!(follow(&store, LONG).await.is_none());
    }
}

async fn a_roll_out_that_has_ended_is_not_followed(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, GONE).await.fence;
    begin(&store, fence).await;
    store
        .succeed(fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
    assert!(follow(&store, LONG).await.is_none());
}

async fn a_roll_out_is_looked_at_when_it_is_due(db: TestDatabase) {
    let store = store(&db);
    let later = Follow {
        looks: Looks {
            first: LONG,
            longest: LONG,
        },
        within: LONG * 2,
    };
    written(&store, &later).await;
    assert!(follow(&store, LONG).await.is_none());

    written_elsewhere(&store).await;
    let followed = follow(&store, LONG).await.unwrap();
    assert!(follow(&store, LONG).await.is_none(), "somebody looks");
    look_again(&store, &followed, went(None, false))
        .await
        .unwrap();
    let again = follow(&store, LONG).await.unwrap();
    assert_eq!(again.name, followed.name);
    assert!(again.fence.counter > followed.fence.counter);
    store
        .look_again(&again, &went(None, false), later.looks, now())
        .await
        .unwrap();
    assert!(follow(&store, LONG).await.is_none());
}

/// Another one, which is due at once.
async fn written_elsewhere(store: &Store) {
    let new = new(2);
    let fence = accepted(store, &new, LONG).await.fence;
    begin(store, fence).await;
    store
        .succeed(fence, &shipping(7), &FOLLOW, now())
        .await
        .unwrap();
}

async fn of_many_who_follow_a_roll_out_one_gets_it(db: TestDatabase) {
    let store = store(&db);
    written(&store, &FOLLOW).await;
    let racers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { follow(&store, LONG).await })
    });
    let mut got = 0;
    for racer in racers.collect::<Vec<_>>() {
        got += usize::from(racer.await.unwrap().is_some());
    }
    assert_eq!(got, 1);
}

async fn a_lost_fence_says_nothing_of_a_roll_out(db: TestDatabase) {
    let store = store(&db);
    let name = written(&store, &FOLLOW).await;
    let old = follow(&store, GONE).await.unwrap();
    let holder = follow(&store, GONE).await.unwrap();
    let before = read(&store, &name).await;
    let failed = Some(error("down"));
    let lost = [
        look_again(&store, &old, went(failed.clone(), true)).await,
        store
            .end_roll_out(&old, &ended(RollOut::Failed), now())
            .await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
    }
    assert_eq!(read(&store, &name).await, before);

    let end = ended(RollOut::Deployed);
    store.end_roll_out(&holder, &end, now()).await.unwrap();
    let before = read(&store, &name).await;
    let late = [
        look_again(&store, &holder, went(failed, true)).await,
        store
            .end_roll_out(&holder, &ended(RollOut::TimedOut), now())
            .await,
    ];
    for outcome in late {
        assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
    }
    assert_eq!(read(&store, &name).await, before);
}

async fn a_look_that_brings_nothing_new_changes_nothing(db: TestDatabase) {
    let store = store(&db);
    let name = written(&store, &FOLLOW).await;
    let down = || Some(error("down"));
    let looks = [
        (went(None, false), false),
        (went(down(), false), true),
        (went(down(), false), true),
        (went(down(), true), true),
        (went(down(), true), true),
        (went(Some(error("broken")), true), true),
        (went(None, false), true),
        (went(None, false), false),
    ];
    for (looked, changes) in looks {
        let before = read(&store, &name).await;
        let followed = follow(&store, LONG).await.unwrap();
        look_again(&store, &followed, looked.clone()).await.unwrap();
        let after = read(&store, &name).await;
        assert_eq!(after.version != before.version, changes, "{looked:?}");
        assert_eq!(roll_out_step(&after).error, looked.error);
        assert_eq!(after.needs_attention, looked.needs_attention);
    }
}

async fn a_roll_out_is_past_its_deadline_by_the_databases_clock(db: TestDatabase) {
    let store = store(&db);
    let over = Follow {
        within: TimeDelta::zero(),
        ..FOLLOW
    };
    let name = written(&store, &over).await;
    let followed = follow(&store, LONG).await.unwrap();
    assert!(followed.past_deadline);
    let rollback = read(&store, &name).await;
    assert!(matches!(
        rollback.state,
        State::Succeeded { roll_out: None, .. }
    ));

    written_elsewhere(&store).await;
    let followed = follow(&store, LONG).await.unwrap();
    assert!(!followed.past_deadline);
}

async fn followed_roll_outs_are_not_taken_up(db: TestDatabase) {
    let store = store(&db);
    written(&store, &FOLLOW).await;
    assert!(store.take_up(&lease(LONG), now()).await.unwrap().is_none());
    let new = new(2);
    accepted(&store, &new, GONE).await;
    assert!(store.take_up(&lease(GONE), now()).await.unwrap().is_some());
    let followed = follow(&store, LONG).await.unwrap();
    assert_ne!(followed.name, new.name);
    assert!(follow(&store, LONG).await.is_none());
}
