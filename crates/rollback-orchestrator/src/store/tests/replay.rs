//! What is told is what is stored: whatever happens to a rollback, its events alone lead to its record.

use chassis::on_both_databases;
use chassis::testing::TestDatabase;
use model::names::{DeployNumber, Principal};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::domain::audit::{Attempted, Event};
use crate::domain::rollback::{State, StateName, StepKind};

on_both_databases!(crate::store::MIGRATIONS;
    events_alone_lead_to_the_record,
);

const CASES: u128 = 40;

/// What may happen, also where it makes no sense.
#[derive(Clone, Copy, Debug)]
enum Act {
    Begin { renews: bool },
    EndAuthorize,
    FailStep(StepKind),
    BeginClose,
    Attention(bool),
    TakeUp,
    Cancel,
    Succeed { shipped: bool },
    Fail,
    LookAgain { fails: bool },
    EndRollOut,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => any::<bool>().prop_map(|renews| Act::Begin { renews }),
        1 => Just(Act::EndAuthorize),
        2 => Just(Act::FailStep(StepKind::Write)),
        1 => Just(Act::FailStep(StepKind::Authorize)),
        1 => Just(Act::BeginClose),
        2 => any::<bool>().prop_map(Act::Attention),
        2 => Just(Act::TakeUp),
        1 => Just(Act::Cancel),
        1 => any::<bool>().prop_map(|shipped| Act::Succeed { shipped }),
        1 => Just(Act::Fail),
        2 => any::<bool>().prop_map(|fails| Act::LookAgain { fails }),
        1 => Just(Act::EndRollOut),
    ];
    prop::collection::vec(act, 0..24)
}

/// As much of a record as events tell.
#[derive(Debug, PartialEq)]
struct Replayed {
    state: StateName,
    needs_attention: bool,
    /// Kind, attempts, whether it has ended, and whether its last attempt failed.
    steps: Vec<(StepKind, i32, bool, bool)>,
    deploy: Option<DeployNumber>,
    roll_out: Option<RollOut>,
    cancelled_by: Option<Principal>,
}

impl Replayed {
    fn of_events(events: &[crate::domain::audit::AuditEvent]) -> Self {
        let mut replayed = Self {
            state: StateName::Pending,
            needs_attention: false,
            steps: Vec::new(),
            deploy: None,
            roll_out: None,
            cancelled_by: None,
        };
        for event in events {
            replayed.apply(&event.principal, &event.event);
        }
        replayed.steps.sort_by_key(|(kind, ..)| *kind);
        replayed.forget_looks();
        let last = events.last().unwrap().rollback.unwrap();
        assert_eq!(last.state, replayed.state, "{events:?}");
        replayed
    }

    fn step(&mut self, kind: StepKind) -> &mut (StepKind, i32, bool, bool) {
        let known = self.steps.iter().position(|(known, ..)| *known == kind);
        let index = known.unwrap_or_else(|| {
            self.steps.push((kind, 0, false, false));
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }

    fn apply(&mut self, principal: &Principal, event: &Event) {
        match event {
            Event::RollbackAccepted { .. }
            | Event::TakenUp
            | Event::GivenUp { .. }
            | Event::CancelRefused { .. }
            | Event::RollbackRefused { .. } => {}
            Event::StepStarted(Attempted { step, attempt }) => {
                if self.state == StateName::Pending {
                    self.state = StateName::Running;
                }
                let (_, attempts, ended, _) = self.step(*step);
                (*attempts, *ended) = (*attempt, false);
            }
            Event::StepSucceeded(Attempted { step, attempt }) => {
                *self.step(*step) = (*step, *attempt, true, false);
            }
            Event::StepFailed { attempted, .. } => self.step(attempted.step).3 = true,
            Event::CancelRequested => self.cancelled_by = Some(principal.clone()),
            Event::AttentionNeeded => self.needs_attention = true,
            Event::AttentionCleared => self.needs_attention = false,
            Event::Succeeded { deploy } => {
                self.deploy = Some(*deploy);
                self.end(StateName::Succeeded);
            }
            Event::Failed { .. } => self.end(StateName::Failed),
            Event::Cancelled => self.end(StateName::Cancelled),
            Event::RollOutEnded { roll_out, .. } => {
                self.roll_out = Some(*roll_out);
                self.needs_attention = false;
                let (_, _, ended, failed) = self.step(StepKind::RollOut);
                (*ended, *failed) = (true, false);
            }
        }
    }

    fn end(&mut self, state: StateName) {
        self.state = state;
        self.needs_attention = false;
        for (_, _, ended, _) in &mut self.steps {
            *ended = true;
        }
    }

    fn of_record(rollback: &Rollback) -> Self {
        let steps = rollback.steps.iter().map(|step| {
            let (ended, failed) = (step.end_time.is_some(), step.error.is_some());
            (step.kind, step.attempts, ended, failed)
        });
        let mut replayed = Self {
            state: rollback.state.name(),
            needs_attention: rollback.needs_attention,
            steps: steps.collect(),
            deploy: match &rollback.state {
                State::Succeeded { deploy, .. } => Some(*deploy),
                State::Pending
                | State::Running
                | State::Failed { .. }
                | State::Cancelled { .. } => None,
            },
            roll_out: rollback.state.roll_out(),
            cancelled_by: rollback.cancel.as_ref().map(|cancel| cancel.by.clone()),
        };
        replayed.forget_looks();
        replayed
    }

    /// A look at a roll-out that goes well is not told, also after one that failed.
    fn forget_looks(&mut self) {
        for (kind, _, ended, failed) in &mut self.steps {
            *failed &= *kind != StepKind::RollOut || *ended;
        }
    }
}

async fn act(store: &Store, name: &RollbackName, fence: &mut Fence, act: Act) {
    let (held, lease, at) = (*fence, lease(LONG), now());
    let down = error("down");
    // What makes no sense is refused, and changes neither.
    let _ = match act {
        Act::Begin { renews } => {
            let begun = store.begin_attempt(held, &lease, renews, at).await;
            begun.map(drop)
        }
        Act::EndAuthorize => store.end_authorize(held, at).await,
        Act::FailStep(kind) => store.fail_step(held, kind, &down, at).await,
        Act::BeginClose => store.begin_close(held, &lease, &failed("no"), at).await,
        Act::Attention(needed) => store.renew_lease(held, &lease, needed, at).await,
        Act::TakeUp => {
            if store.release(held).await.is_ok() {
                *fence = store.take_up(&lease, at).await.unwrap().unwrap().fence;
            }
            Ok(())
        }
        Act::Cancel => {
            let bob = Principal::user("bob@example.com").unwrap();
            store.cancel(name, &bob, &error("cancelled"), at).await
        }
        Act::Succeed { shipped: true } => store.succeed(held, &shipped(7), &FOLLOW, at).await,
        Act::Succeed { shipped: false } => store.succeed(held, &shipping(7), &FOLLOW, at).await,
        Act::Fail => store.end_without_deploy(held, &failed("no"), at).await,
        Act::LookAgain { fails } => match store.follow(&lease).await.unwrap() {
            Some(followed) => {
                let looked = Looked {
                    error: fails.then_some(down),
                    needs_attention: fails,
                };
                let looks = FOLLOW.looks;
                store.look_again(&followed, &looked, looks, at).await
            }
            None => Ok(()),
        },
        Act::EndRollOut => match store.follow(&lease).await.unwrap() {
            Some(followed) => {
                let end = RollOutEnd {
                    how: RollOut::Superseded,
                    reason: "overtaken".to_owned(),
                };
                store.end_roll_out(&followed, &end, at).await
            }
            None => Ok(()),
        },
    };
}

async fn events_alone_lead_to_the_record(db: TestDatabase) {
    let store = store(&db);
    let mut runner = TestRunner::deterministic();
    for deployment in 1..=CASES {
        let sequence = acts().new_tree(&mut runner).unwrap().current();
        let new = new(deployment);
        let mut fence = accepted(&store, &new, LONG).await.fence;
        for next in &sequence {
            act(&store, &new.name, &mut fence, *next).await;
            let events = store
                .audit_events(new.name.deployment(), Some(new.name.id()), 0, 1_000)
                .await
                .unwrap();
            let record = read(&store, &new.name).await;
            assert_eq!(
                Replayed::of_events(&events),
                Replayed::of_record(&record),
                "after {next:?} of {sequence:?}"
            );
        }
        // Nothing is left to take up or to follow.
        act(&store, &new.name, &mut fence, Act::Fail).await;
        act(&store, &new.name, &mut fence, Act::EndRollOut).await;
    }
}
