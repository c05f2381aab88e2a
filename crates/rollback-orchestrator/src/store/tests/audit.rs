use chassis::testing::TestDatabase;
use chassis::{args, on_both_databases, transaction};
use chrono::TimeDelta;
use model::names::Principal;

use super::*;
use crate::domain::audit::{Attempted, AuditEvent, Event};
use crate::domain::rollback::{State, StateName, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_that_goes_well_is_told_from_its_acceptance_to_its_roll_out,
    each_attempt_is_told,
    a_deploy_found_after_all_is_told,
    a_rollback_that_comes_too_late_is_told,
    a_take_up_is_told,
    attention_is_told_when_it_changes,
    what_repeats_itself_is_told_ever_more_rarely,
    a_cancel_is_told_and_whose_it_is,
    a_roll_out_is_told_to_its_end,
    a_look_that_fails_again_and_again_is_told_ever_more_rarely,
    who_did_it_is_told,
    nothing_is_done_that_cannot_be_told,
    nothing_is_told_that_was_not_done,
    events_are_read_after_a_number_and_of_one_rollback,
);

/// A rollback that was accepted, with its events so far.
struct Told {
    store: Store,
    name: RollbackName,
    fence: Fence,
}

const ACCEPTED: [&str; 3] = [
    "ROLLBACK_ACCEPTED",
    "STEP_SUCCEEDED PLAN 1",
    "STEP_SUCCEEDED AUTHORIZE 1",
];

impl Told {
    async fn new(db: &TestDatabase) -> Self {
        Self::of(db, new(1), LONG).await
    }

    async fn of(db: &TestDatabase, new: NewRollback, duration: TimeDelta) -> Self {
        let store = store(db);
        let fence = accepted(&store, &new, duration).await.fence;
        Self {
            store,
            name: new.name,
            fence,
        }
    }

    async fn events(&self) -> Vec<AuditEvent> {
        let deployment = self.name.deployment();
        self.store
            .audit_events(deployment, Some(self.name.id()), 0, 1_000)
            .await
            .unwrap()
    }

    /// What was told since the acceptance.
    async fn since(&self) -> Vec<String> {
        let events = self.events().await;
        let mut texts = events.iter().map(text).collect::<Vec<_>>();
        let rest = texts.split_off(ACCEPTED.len());
        assert_eq!(texts, ACCEPTED);
        rest
    }

    async fn begin(&self, renews: bool) {
        let (store, lease) = (&self.store, lease(LONG));
        let begun = store.begin_attempt(self.fence, &lease, renews, now());
        assert!(matches!(begun.await.unwrap(), Attempt::Begun(_)));
    }

    async fn fail_step(&self, step: StepKind) {
        let error = error("down");
        let failed = self.store.fail_step(self.fence, step, &error, now());
        failed.await.unwrap();
    }

    async fn begin_close(&self) {
        let (store, lease, closing) = (&self.store, lease(LONG), failed("no"));
        let begun = store.begin_close(self.fence, &lease, &closing, now());
        begun.await.unwrap();
    }

    async fn attention(&self, needed: bool) {
        let (store, lease) = (&self.store, lease(LONG));
        let renewed = store.renew_lease(self.fence, &lease, needed, now());
        renewed.await.unwrap();
    }

    async fn succeed(&self) {
        self.written(&shipped(7)).await;
    }

    async fn written(&self, deploy: &WrittenDeploy) {
        let succeeded = self.store.succeed(self.fence, deploy, &FOLLOW, now());
        succeeded.await.unwrap();
    }

    async fn cancel(&self) {
        let bob = Principal::user("bob@example.com").unwrap();
        let error = error("cancelled");
        let cancelled = self.store.cancel(&self.name, &bob, &error, now());
        cancelled.await.unwrap();
    }

    async fn look(&self, error: Option<StoredError>, needs_attention: bool) {
        let followed = self.store.follow(&lease(LONG)).await.unwrap().unwrap();
        let looked = Looked {
            error,
            needs_attention,
        };
        let looked = self
            .store
            .look_again(&followed, &looked, FOLLOW.looks, now());
        looked.await.unwrap();
    }

    async fn end_roll_out(&self, how: RollOut) {
        let followed = self.store.follow(&lease(LONG)).await.unwrap().unwrap();
        let reason = String::new();
        let end = RollOutEnd { how, reason };
        let ended = self.store.end_roll_out(&followed, &end, now());
        ended.await.unwrap();
    }

    async fn fail(&self) {
        let closing = failed("no");
        let ended = self.store.end_without_deploy(self.fence, &closing, now());
        ended.await.unwrap();
    }

    async fn take_up(&mut self) {
        self.store.release(self.fence).await.unwrap();
        let job = self.store.take_up(&lease(LONG), now()).await.unwrap();
        self.fence = job.unwrap().fence;
    }
}

/// The kind of an event, and what it is about.
fn text(event: &AuditEvent) -> String {
    let kind = event.event.kind();
    if let Event::StepStarted(attempted)
    | Event::StepSucceeded(attempted)
    | Event::StepFailed { attempted, .. } = &event.event
    {
        let Attempted { step, attempt } = attempted;
        return format!("{kind} {step} {attempt}");
    }
    kind.to_string()
}

const ENDED_WELL: [&str; 3] = [
    "ROLLBACK_SUCCEEDED",
    "STEP_SUCCEEDED ROLL_OUT 1",
    "ROLL_OUT_ENDED",
];

async fn a_rollback_that_goes_well_is_told_from_its_acceptance_to_its_roll_out(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.succeed().await;
    let expected = ["STEP_STARTED WRITE 1", "STEP_SUCCEEDED WRITE 1"];
    assert_eq!(
        told.since().await,
        [expected.as_slice(), &ENDED_WELL].concat()
    );
}

async fn each_attempt_is_told(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.fail_step(StepKind::Write).await;
    told.begin(true).await;
    told.fail_step(StepKind::Authorize).await;
    told.begin(true).await;
    told.store.end_authorize(told.fence, now()).await.unwrap();
    told.succeed().await;
    let expected = [
        "STEP_STARTED WRITE 1",
        "STEP_FAILED WRITE 1",
        "STEP_STARTED AUTHORIZE 2",
        "STEP_STARTED WRITE 2",
        "STEP_FAILED AUTHORIZE 2",
        "STEP_STARTED AUTHORIZE 3",
        "STEP_STARTED WRITE 3",
        "STEP_SUCCEEDED AUTHORIZE 3",
        "STEP_SUCCEEDED WRITE 3",
    ];
    assert_eq!(
        told.since().await,
        [expected.as_slice(), &ENDED_WELL].concat()
    );
}

async fn a_deploy_found_after_all_is_told(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.fail_step(StepKind::Write).await;
    told.begin_close().await;
    told.succeed().await;
    let expected = [
        "STEP_STARTED WRITE 1",
        "STEP_FAILED WRITE 1",
        "ROLLBACK_GIVEN_UP",
        "STEP_SUCCEEDED WRITE 1",
    ];
    assert_eq!(
        told.since().await,
        [expected.as_slice(), &ENDED_WELL].concat()
    );
}

async fn a_rollback_that_comes_too_late_is_told(db: TestDatabase) {
    let late = NewRollback {
        write_within: GONE,
        ..new(1)
    };
    let told = Told::of(&db, late, LONG).await;
    assert_eq!(begin(&told.store, told.fence).await, Attempt::TooLate);
    told.fail().await;
    assert_eq!(told.since().await, ["ROLLBACK_FAILED"]);
}

async fn a_take_up_is_told(db: TestDatabase) {
    let mut told = Told::new(&db).await;
    told.take_up().await;
    told.begin(true).await;
    told.take_up().await;
    told.fail().await;
    let expected = [
        "ROLLBACK_TAKEN_UP",
        "STEP_STARTED AUTHORIZE 2",
        "STEP_STARTED WRITE 1",
        "ROLLBACK_TAKEN_UP",
        "ROLLBACK_FAILED",
    ];
    assert_eq!(told.since().await, expected);
}

async fn attention_is_told_when_it_changes(db: TestDatabase) {
    let told = Told::new(&db).await;
    for needed in [false, true, true, false, false, true] {
        told.attention(needed).await;
    }
    told.fail().await;
    let expected = [
        "ATTENTION_NEEDED",
        "ATTENTION_CLEARED",
        "ATTENTION_NEEDED",
        "ROLLBACK_FAILED",
    ];
    assert_eq!(told.since().await, expected);
}

async fn what_repeats_itself_is_told_ever_more_rarely(db: TestDatabase) {
    let mut told = Told::new(&db).await;
    told.begin(false).await;
    told.begin_close().await;
    for _ in 0..70 {
        told.fail_step(StepKind::Write).await;
        told.take_up().await;
    }
    let since = told.since().await;
    let count = |text: &str| since.iter().filter(|event| *event == text).count();
    // Each of the first 8, and the 16th, 32nd and 64th.
    assert_eq!(count("STEP_FAILED WRITE 1"), 11);
    assert_eq!(count("ROLLBACK_TAKEN_UP"), 11);
    // What is stored is what happened last.
    let write = read(&told.store, &told.name).await.steps.pop().unwrap();
    assert_eq!((write.attempts, write.error), (1, Some(error("down"))));
}

async fn a_cancel_is_told_and_whose_it_is(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.cancel().await;
    told.cancel().await;
    assert_eq!(
        told.since().await,
        ["CANCEL_REQUESTED", "ROLLBACK_CANCELLED"]
    );
    let events = told.events().await;
    let [.., requested, cancelled] = events.as_slice() else {
        panic!("{events:?}")
    };
    let bob = Principal::user("bob@example.com").unwrap();
    assert_eq!(requested.principal, bob);
    let states = [requested, cancelled].map(|event| event.rollback.unwrap().state);
    assert_eq!(states, [StateName::Pending, StateName::Cancelled]);

    // One that may have been sent is given up first.
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.cancel().await;
    let closing = Closing {
        ending: Ending::Cancelled,
        error: error("cancelled"),
    };
    let (store, lease) = (&told.store, lease(LONG));
    let begun = store.begin_close(told.fence, &lease, &closing, now());
    begun.await.unwrap();
    let ended = store.end_without_deploy(told.fence, &closing, now());
    ended.await.unwrap();
    let expected = [
        "STEP_STARTED WRITE 1",
        "CANCEL_REQUESTED",
        "ROLLBACK_GIVEN_UP",
        "ROLLBACK_CANCELLED",
    ];
    assert_eq!(told.since().await, expected);
}

async fn a_roll_out_is_told_to_its_end(db: TestDatabase) {
    for how in RollOut::ALL {
        let told = Told::new(&db).await;
        told.begin(false).await;
        told.written(&shipping(7)).await;
        told.look(None, false).await;
        told.look(Some(error("down")), true).await;
        told.look(None, false).await;
        told.end_roll_out(*how).await;
        let expected = [
            "STEP_STARTED WRITE 1",
            "STEP_SUCCEEDED WRITE 1",
            "ROLLBACK_SUCCEEDED",
            "STEP_STARTED ROLL_OUT 1",
            "STEP_FAILED ROLL_OUT 1",
            "ATTENTION_NEEDED",
            "ATTENTION_CLEARED",
        ];
        let end = match how {
            RollOut::Deployed => ["STEP_SUCCEEDED ROLL_OUT 1", "ROLL_OUT_ENDED"].as_slice(),
            RollOut::Failed | RollOut::Superseded | RollOut::TimedOut => &["ROLL_OUT_ENDED"],
        };
        assert_eq!(told.since().await, [expected.as_slice(), end].concat());
        let last = told.events().await.pop().unwrap().event;
        let deploy = number(7);
        let roll_out = *how;
        assert_eq!(last, Event::RollOutEnded { deploy, roll_out });
    }
}

async fn a_look_that_fails_again_and_again_is_told_ever_more_rarely(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.written(&shipping(7)).await;
    for _ in 0..70 {
        told.look(Some(error("down")), false).await;
    }
    let since = told.since().await;
    let failed = |event: &&String| *event == "STEP_FAILED ROLL_OUT 1";
    assert_eq!(since.iter().filter(failed).count(), 11);
}

async fn who_did_it_is_told(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    told.succeed().await;
    let events = told.events().await;
    let alice = Principal::user("alice@example.com").unwrap();
    let service = "service:rollback-orchestrator".parse().unwrap();
    assert_eq!(events[0].principal, alice);
    assert!(events[1..].iter().all(|event| event.principal == service));
}

async fn nothing_is_done_that_cannot_be_told(db: TestDatabase) {
    let told = Told::new(&db).await;
    told.begin(false).await;
    let before = read(&told.store, &told.name).await;
    let broken: Result<u64, database::Error> = transaction!(db.database, |tx| {
        tx.execute("DROP TABLE audit_events", args![]).await
    });
    broken.unwrap();

    let (store, fence, lease) = (&told.store, told.fence, lease(LONG));
    let failed = [
        store
            .begin_attempt(fence, &lease, true, now())
            .await
            .map(drop),
        store
            .fail_step(fence, StepKind::Write, &error("no"), now())
            .await,
        store.end_authorize(fence, now()).await,
        store.begin_close(fence, &lease, &failed("no"), now()).await,
        store.renew_lease(fence, &lease, true, now()).await,
        store.succeed(fence, &shipped(7), &FOLLOW, now()).await,
        store.end_without_deploy(fence, &failed("no"), now()).await,
        store.accept(&new(2), &lease, now()).await.map(drop),
        store
            .cancel(&told.name, &new(1).order.created_by, &error("no"), now())
            .await,
    ];
    for outcome in failed {
        assert!(matches!(outcome, Err(Error::Database(_))), "{outcome:?}");
    }
    assert_eq!(read(store, &told.name).await, before);
    store.release(fence).await.unwrap();
    assert!(store.take_up(&lease, now()).await.is_err());
    // Nobody holds it.
    store.release(fence).await.unwrap();
}

async fn nothing_is_told_that_was_not_done(db: TestDatabase) {
    let mut told = Told::new(&db).await;
    let old = told.fence;
    told.take_up().await;
    told.begin(true).await;
    let before = told.events().await;
    let (store, lease) = (&told.store, lease(LONG));
    let lost = [
        store
            .begin_attempt(old, &lease, true, now())
            .await
            .map(drop),
        store
            .fail_step(old, StepKind::Write, &error("no"), now())
            .await,
        store.end_authorize(old, now()).await,
        store.begin_close(old, &lease, &failed("no"), now()).await,
        store.renew_lease(old, &lease, true, now()).await,
        store.succeed(old, &shipped(7), &FOLLOW, now()).await,
        store.end_without_deploy(old, &failed("no"), now()).await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::Lost)), "{outcome:?}");
    }
    let in_the_way = store.accept(&new(1), &lease, now()).await.unwrap();
    assert!(matches!(in_the_way, Acceptance::InProgress(_)));
    assert_eq!(told.events().await, before);
}

async fn events_are_read_after_a_number_and_of_one_rollback(db: TestDatabase) {
    let first = Told::new(&db).await;
    first.fail().await;
    let second = Told::new(&db).await;
    second.fail().await;
    let elsewhere = Told::of(&db, new(2), LONG).await;

    let store = &first.store;
    let deployment = first.name.deployment();
    let numbers = async |rollback: Option<&RollbackName>, after: i64, most: i64| {
        let rollback = rollback.map(RollbackName::id);
        let events = store.audit_events(deployment, rollback, after, most).await;
        let numbers = events.unwrap().into_iter().map(|event| event.number);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 0, 100).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(numbers(None, 2, 3).await, [3, 4, 5]);
    assert_eq!(numbers(None, 8, 3).await, [0_i64; 0]);
    assert_eq!(numbers(Some(&first.name), 0, 100).await, [1, 2, 3, 4]);
    assert_eq!(numbers(Some(&second.name), 5, 2).await, [6, 7]);
    // Of another Deployment.
    assert_eq!(numbers(Some(&elsewhere.name), 0, 100).await, [0_i64; 0]);
    assert!(matches!(
        read(store, &elsewhere.name).await.state,
        State::Pending
    ));
}
