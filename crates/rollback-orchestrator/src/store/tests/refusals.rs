use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use model::names::{DeploymentName, Principal};
use model::permissions::PermissionSet;

use super::*;
use crate::domain::audit::{AuditEvent, AuditedRequest, Event};

on_both_databases!(crate::store::MIGRATIONS;
    an_event_comes_back_as_it_was_written,
    numbers_have_no_gaps_under_racing_writers,
    the_refusals_of_one_principal_are_bounded,
    the_refusals_of_one_principal_are_bounded_under_a_race,
);

fn refusal(deployment: &DeploymentName, user: &str) -> Refusal {
    Refusal {
        deployment: deployment.clone(),
        principal: Principal::user(user).unwrap(),
        rollback: None,
        event: Event::RollbackRefused {
            request: Box::new(AuditedRequest::accepted(&new(1).order)),
            error: error("no"),
        },
    }
}

async fn an_event_comes_back_as_it_was_written(db: TestDatabase) {
    let store = store(&db);
    let deployment = name(1).deployment().clone();
    let order = new(1).order;
    let full = AuditedRequest::accepted(&order);
    let bare = AuditedRequest {
        target: None,
        expected_latest: None,
        permissions: PermissionSet::EMPTY,
        plan_digest: None,
        acknowledged: Vec::new(),
        description: "\"quoted\"\n\u{1f525}".to_owned(),
        ..full.clone()
    };
    let at = DateTime::from_timestamp_micros(1_700_000_000_123_457).unwrap();
    for request in [full, bare] {
        let refusal = Refusal {
            event: Event::RollbackRefused {
                request: Box::new(request),
                error: StoredError(vec![0, 255, 7]),
            },
            ..refusal(&deployment, "alice")
        };
        store.record_refusal(&refusal, at).await.unwrap();
        let events = store.audit_events(&deployment, None, 0, 10).await.unwrap();
        let last = events.last().unwrap();
        let Refusal {
            deployment,
            principal,
            rollback,
            event,
        } = refusal;
        let expected = AuditEvent {
            deployment,
            number: i64::try_from(events.len()).unwrap(),
            event_time: at,
            principal,
            rollback,
            event,
        };
        assert_eq!(*last, expected);
    }
}

async fn numbers_have_no_gaps_under_racing_writers(db: TestDatabase) {
    const WRITERS: usize = 8;
    const EACH: usize = 12;

    let store = store(&db);
    let deployment = name(1).deployment().clone();
    let writers = (0..WRITERS).map(|writer| {
        let (store, deployment) = (store.clone(), deployment.clone());
        tokio::spawn(async move {
            for _ in 0..EACH {
                // One rollback at a time is accepted; whoever comes second is refused.
                match store.accept(&new(1), &lease(LONG), now()).await.unwrap() {
                    Acceptance::Accepted(job) => {
                        begin(&store, job.fence).await;
                        store
                            .end_without_deploy(job.fence, &failed("no"), now())
                            .await
                            .unwrap();
                    }
                    Acceptance::InProgress(_) | Acceptance::Repeated => {
                        let refused = refusal(&deployment, &format!("writer{writer}"));
                        store.record_refusal(&refused, now()).await.unwrap();
                    }
                }
            }
        })
    });
    let writers = writers.collect::<Vec<_>>();

    // Whoever reads on after the last number misses nothing.
    let mut seen = Vec::new();
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let after = i64::try_from(seen.len()).unwrap();
        let events = store.audit_events(&deployment, None, after, 7).await;
        let events = events.unwrap();
        if events.is_empty() && done {
            break;
        }
        for event in events {
            seen.push(event.number);
            assert_eq!(usize::try_from(event.number).unwrap(), seen.len());
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.len() >= WRITERS * EACH, "{}", seen.len());
}

async fn the_refusals_of_one_principal_are_bounded(db: TestDatabase) {
    let store = store(&db);
    let (one, other) = (name(1).deployment().clone(), name(2).deployment().clone());
    let start = now();
    for index in 0..60 {
        let deployment = if index % 2 == 0 { &one } else { &other };
        let at = start + TimeDelta::seconds(index * 30);
        let kept = store
            .record_refusal(&refusal(deployment, "alice"), at)
            .await;
        assert_eq!(kept.unwrap(), Kept::Yes);
    }
    let soon = start + TimeDelta::minutes(59);
    let kept = store.record_refusal(&refusal(&one, "alice"), soon).await;
    assert_eq!(kept.unwrap(), Kept::TooMany);
    let kept = store.record_refusal(&refusal(&one, "bob"), soon).await;
    assert_eq!(kept.unwrap(), Kept::Yes);
    assert_eq!(
        store.audit_events(&one, None, 0, 100).await.unwrap().len(),
        31
    );

    let later = start + TimeDelta::minutes(60);
    for _ in 0..60 {
        let kept = store.record_refusal(&refusal(&one, "alice"), later).await;
        assert_eq!(kept.unwrap(), Kept::Yes);
    }
    let kept = store.record_refusal(&refusal(&one, "alice"), later).await;
    assert_eq!(kept.unwrap(), Kept::TooMany);
}

async fn the_refusals_of_one_principal_are_bounded_under_a_race(db: TestDatabase) {
    let racers = (0..8).map(|deployment| {
        let store = store(&db);
        tokio::spawn(async move {
            let deployment = name(deployment).deployment().clone();
            let mut kept = 0;
            for _ in 0..15 {
                let refused = refusal(&deployment, "alice");
                let outcome = store.record_refusal(&refused, now()).await.unwrap();
                kept += usize::from(outcome == Kept::Yes);
            }
            kept
        })
    });
    let mut kept = 0;
    for racer in racers.collect::<Vec<_>>() {
        kept += racer.await.unwrap();
    }
    assert_eq!(kept, 60);
}
