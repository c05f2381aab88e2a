use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta};
use model::names::{Principal, RollbackName};

use super::*;
use crate::domain::rollback::{State, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_comes_back_as_it_was_accepted,
    what_was_asked_for_beside_comes_back_and_is_taken_up,
    times_come_back_to_the_microsecond,
    a_request_is_accepted_once,
    the_request_of_another_person_or_deployment_is_another_request,
    two_rollbacks_of_one_deployment_are_never_unwritten_at_once,
    of_many_who_are_accepted_at_once_one_is,
    of_many_who_repeat_a_request_at_once_one_is_accepted,
    a_rollback_is_written_within_its_deadline_or_its_grant,
    rollbacks_are_found_under_their_own_deployment_only,
);

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

async fn what_was_asked_for_beside_comes_back_and_is_taken_up(db: TestDatabase) {
    let store = store(&db);
    let both = [false, true].map(|hold| {
        [false, true].map(|allow_marked_bad| Options {
            hold,
            allow_marked_bad,
        })
    });
    for (deployment, options) in (1..).zip(both.into_iter().flatten()) {
        let mut new = new(deployment);
        new.order.options = options;
        let job = accepted(&store, &new, GONE).await;
        assert_eq!(job.order.options, options);
        assert_eq!(read(&store, &new.name).await.order.options, options);
        let taken = store.take_up(&lease(LONG), now()).await.unwrap().unwrap();
        assert_eq!((taken.name, taken.order.options), (new.name, options));
    }
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
    store
        .end_without_deploy(job.fence, &failed("no"), now())
        .await
        .unwrap();
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
    store
        .succeed(job.fence, &shipped(7), &FOLLOW, now())
        .await
        .unwrap();
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

async fn rollbacks_are_found_under_their_own_deployment_only(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    accepted(&store, &new, LONG).await;
    let elsewhere = RollbackName::new(name(2).deployment().clone(), new.name.id());
    assert_eq!(store.rollback(&elsewhere).await.unwrap(), None);
    assert_eq!(store.rollback(&name(1)).await.unwrap(), None);
}
