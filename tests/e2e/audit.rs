//! What happens to rollbacks: who watches it, and what is kept of it for ever.

use proto::common::v1::RollbackScope;
use proto::rollback::v1::{
    AuditEvent, AuditEventKind as Kind, CreateRollbackRequest, ListAuditEventsRequest,
    ListRollbacksRequest, RollbackState, WatchRollbackRequest, WatchRollbackResponse,
};
use tonic::{Code, Streaming};

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::deploy;
use crate::harness::{DEPLOYMENT, Orders, Person, Setup, refused, within};
use crate::proxy::Point;

on_both_databases!(
    a_rollback_is_watched_through_a_crash_and_on_where_the_stream_broke_off,
    a_watch_is_for_those_who_may_see_the_history,
    whoever_was_refused_stands_in_the_audit_trail,
    rollbacks_are_listed_with_those_before_and_after_them,
);

impl Person {
    async fn watch(&self, name: &str, after_event: i64) -> Streaming<WatchRollbackResponse> {
        let request = WatchRollbackRequest {
            name: name.to_owned(),
            after_event,
        };
        done(self.orchestrator().watch_rollback(request).await)
    }

    /// What was told of a rollback, or of all of them.
    async fn audit(&self, rollback: &str) -> Vec<AuditEvent> {
        let request = ListAuditEventsRequest {
            parent: DEPLOYMENT.to_owned(),
            rollback: rollback.to_owned(),
            page_size: 1_000,
            ..ListAuditEventsRequest::default()
        };
        done(self.orchestrator().list_audit_events(request).await).audit_events
    }
}

async fn next(watched: &mut Streaming<WatchRollbackResponse>) -> Option<WatchRollbackResponse> {
    // However it ends: the case looks at what was told.
    within("the next message", watched.message())
        .await
        .ok()
        .flatten()
}

fn kinds(events: &[AuditEvent]) -> Vec<Kind> {
    events.iter().map(AuditEvent::kind).collect()
}

async fn a_rollback_is_watched_through_a_crash_and_on_where_the_stream_broke_off(setup: Setup) {
    let setup = setup
        .proxied()
        .orchestrator_flags(&["--lease-seconds", "2"]);
    let mut orders = Orders::with_history(setup).await;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    };
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    let mut watched = orders.sam.watch(&name, 0).await;
    let first = next(&mut watched).await.unwrap();
    let accepted = [
        Kind::RollbackAccepted,
        Kind::StepSucceeded,
        Kind::StepSucceeded,
        Kind::StepStarted,
    ];
    assert_eq!(kinds(&first.events), accepted);
    assert_eq!(first.rollback.unwrap().state(), RollbackState::Running);

    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    let mut last_event = first.last_event;
    while let Some(message) = next(&mut watched).await {
        assert_eq!(message.events, [], "nothing happened");
    }
    drop(held);
    orders.stack.orchestrator.restart().await;

    let mut told = first.events;
    let mut watched = orders.sam.watch(&name, last_event).await;
    let mut record = None;
    while let Some(message) = next(&mut watched).await {
        assert!(message.last_event >= last_event);
        last_event = message.last_event;
        told.extend(message.events);
        record = message.rollback;
    }
    let record = record.unwrap();
    assert_eq!(record.state(), RollbackState::Succeeded);
    assert_eq!(record, orders.dana.rollback(&name).await);
    assert_eq!(told, orders.sam.audit(&name).await);
    assert_eq!(
        (1..).zip(&told).find(|(n, event)| *n != event.number),
        None,
        "no gap"
    );
    let told = kinds(&told);
    assert!(told.contains(&Kind::RollbackTakenUp), "{told:?}");
    assert_eq!(told.last(), Some(&Kind::RollOutEnded));
    let ended = told.iter().filter(|kind| **kind == Kind::RollbackSucceeded);
    assert_eq!(ended.count(), 1);
}

async fn a_watch_is_for_those_who_may_see_the_history(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    };
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    let watch = || WatchRollbackRequest {
        name: name.clone(),
        after_event: 0,
    };
    let stranger = orders.stranger.orchestrator().watch_rollback(watch()).await;
    refused(stranger).not_found();
    let nobody = orders.stack.somebody("");
    refused(nobody.orchestrator().watch_rollback(watch()).await).unauthenticated();

    // Many watch one rollback, and all see the same.
    let mut watchers = Vec::new();
    for _ in 0..20 {
        watchers.push(orders.sam.watch(&name, 0).await);
    }
    drop(held);
    done(rolling_back.outcome().await);
    let expected = orders.sam.audit(&name).await;
    for mut watched in watchers {
        let mut told = Vec::new();
        while let Some(message) = next(&mut watched).await {
            told.extend(message.events);
        }
        assert_eq!(told, expected);
    }
}

async fn whoever_was_refused_stands_in_the_audit_trail(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let create = async |person: &Person, request: CreateRollbackRequest| {
        refused(person.orchestrator().create_rollback(request).await)
    };
    let all = rollback_to(3, RollbackScope::All);
    create(&orders.sam, all.clone())
        .await
        .lacks("deployment.images.push");
    create(&orders.stranger, all.clone()).await.not_found();
    let unread = CreateRollbackRequest {
        acknowledged_warnings: Vec::new(),
        ..all.clone()
    };
    let unread = create(&orders.dana, unread).await;
    unread.is(Code::FailedPrecondition, "WARNINGS_NOT_ACKNOWLEDGED");
    let trial = CreateRollbackRequest {
        validate_only: true,
        ..rollback_to(5, RollbackScope::All)
    };
    create(&orders.dana, trial)
        .await
        .blocked_by(&["TARGET_IS_CURRENT", "NO_CHANGE"]);
    create(&orders.dana, rollback_to(99, RollbackScope::All)).await;

    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..all
    };
    let rollback = orders.dana.roll_back(request.clone()).await;
    // Who repeats a request asks for nothing new.
    assert_eq!(orders.dana.roll_back(request).await, rollback);

    let events = orders.sam.audit("").await;
    let who = |event: &AuditEvent| (event.kind(), event.principal.clone());
    let dana = || "user:dana".to_owned();
    let told = events.iter().take(4).map(who).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (Kind::RollbackRefused, "user:sam".to_owned()),
            (Kind::RollbackRefused, dana()),
            (Kind::RollbackRefused, dana()),
            (Kind::RollbackAccepted, dana()),
        ]
    );
    assert!(
        events[4..]
            .iter()
            .all(|event| event.principal == "service:rollback-orchestrator")
    );
    let wanted = events[0].request.as_ref().unwrap();
    assert_eq!(wanted.target_deploy, deploy(DEPLOYMENT, 3));
    assert_eq!(wanted.scope(), RollbackScope::All);
    assert_eq!(
        events[0].error.as_ref().unwrap().code,
        i32::from(Code::PermissionDenied)
    );
    assert_eq!(events[3].rollback, rollback.name);
    let numbers = events.iter().map(|event| event.number);
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>()
    );
}

async fn rollbacks_are_listed_with_those_before_and_after_them(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let roll_back = async |target| {
        let request = rollback_to(target, RollbackScope::Dags);
        orders.dana.roll_back(request).await.name
    };
    let first = roll_back(3).await;
    let undoes = roll_back(5).await;
    let again = roll_back(6).await;
    let list = async |filter: &str, page_size, page_token: String| {
        let request = ListRollbacksRequest {
            parent: DEPLOYMENT.to_owned(),
            page_size,
            page_token,
            filter: filter.to_owned(),
        };
        done(orders.sam.orchestrator().list_rollbacks(request).await)
    };
    let all = list("", 0, String::new()).await.rollbacks;
    let links = all.iter().map(|rollback| {
        [
            rollback.name.as_str(),
            rollback.target_rollback.as_str(),
            rollback.replaced_rollback.as_str(),
            rollback.replaced_by.as_str(),
        ]
    });
    assert_eq!(
        links.collect::<Vec<_>>(),
        [
            [&again, first.as_str(), &undoes, ""],
            [&undoes, "", &first, &again],
            [&first, "", "", &undoes],
        ]
    );
    assert_eq!(all[0], orders.sam.rollback(&again).await);

    let page = list("state = SUCCEEDED", 2, String::new()).await;
    assert_eq!(page.rollbacks, all[..2]);
    let next = list("state = SUCCEEDED", 2, page.next_page_token).await;
    assert_eq!(next.rollbacks, all[2..]);
    assert_eq!(next.next_page_token, "");
    let none = list("state = FAILED", 0, String::new()).await;
    assert_eq!(none.rollbacks, []);
    let recent = list("create_time > 2020-01-01T00:00:00Z", 0, String::new()).await;
    assert_eq!(recent.rollbacks, all);
}
