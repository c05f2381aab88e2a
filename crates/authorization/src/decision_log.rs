//! The log of decisions: every denial and every permit is one event of the target
//! `reprise::decisions`, and as many of the allowed checks as the operator asks for.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`event`] | what is told of a decision |
//! | [`limits`] | how many events of one principal are written |
//! | [`writer`] | the one task that writes |
//!
//! A call leaves its event in a queue of [`QUEUE`] places and goes on: it waits for nothing. What
//! finds no place is counted and told, and so is what is held back of a principal who has too much
//! of it. Which decisions there are, and how the caller is answered, does not depend on the log.

mod event;
mod limits;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::fmt;
use std::num::ParseFloatError;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chassis::telemetry::current_trace_id;
use model::names::RollbackName;
use tokio::sync::mpsc;
use uuid::Uuid;

pub(crate) use event::Question;
use event::{Event, Outcome};
pub(crate) use writer::Writer;

use crate::domain::decision::Decision;

/// How many events wait to be written, at most.
const QUEUE: usize = 4_096;

/// Makes a log, and what writes it.
pub(crate) fn open(allowed: SampleRate) -> (DecisionLog, Writer) {
    let (queue, events) = mpsc::channel(QUEUE);
    let counters = Arc::new(Counters::default());
    let writer = Writer::new(events, Arc::clone(&counters));
    let log = DecisionLog {
        queue,
        counters,
        allowed,
    };
    (log, writer)
}

/// Takes what is decided. It never waits and never fails.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    queue: mpsc::Sender<Box<Event>>,
    counters: Arc<Counters>,
    allowed: SampleRate,
}

impl DecisionLog {
    /// The answer to a check.
    pub(crate) fn checked(&self, question: Question<'_>, decision: &Decision) {
        match decision {
            Decision::Allowed(granted) => {
                count(&self.counters.allowed);
                if self.allowed.takes() {
                    self.put(question.event(Outcome::Allowed(granted.clone())));
                }
            }
            Decision::Denied(denied) => self.denied(question, denied),
        }
    }

    /// A refusal, of whatever was asked for.
    pub(crate) fn denied(&self, question: Question<'_>, reason: &impl fmt::Display) {
        count(&self.counters.denied);
        self.put(question.event(Outcome::Denied(reason.to_string())));
    }

    /// A permit that is about to be handed out.
    pub(crate) fn permit_issued(
        &self,
        question: Question<'_>,
        rollback: &RollbackName,
        permit: Uuid,
    ) {
        count(&self.counters.permits_issued);
        let rollback = rollback.clone();
        self.put(question.event(Outcome::PermitIssued { rollback, permit }));
    }

    /// A permit that was not given.
    pub(crate) fn permit_refused(
        &self,
        question: Question<'_>,
        rollback: &RollbackName,
        reason: &impl fmt::Display,
    ) {
        count(&self.counters.permits_refused);
        let (rollback, reason) = (rollback.clone(), reason.to_string());
        self.put(question.event(Outcome::PermitRefused { rollback, reason }));
    }

    fn put(&self, mut event: Event) {
        event.trace_id = current_trace_id();
        if self.queue.try_send(Box::new(event)).is_err() {
            count(&self.counters.dropped);
        }
    }
}

/// Which part of the allowed checks is written, from none (0) to all (1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SampleRate(f64);

/// A number that is no rate.
#[derive(Debug, thiserror::Error)]
pub enum SampleRateError {
    /// It is no number.
    #[error(transparent)]
    Number(#[from] ParseFloatError),
    /// It is less than none, more than all, or not a number.
    #[error("must be from 0.0 to 1.0")]
    Range,
}

impl SampleRate {
    fn takes(self) -> bool {
        self.0 > 0.0 && rand::random_bool(self.0)
    }
}

impl FromStr for SampleRate {
    type Err = SampleRateError;

    fn from_str(text: &str) -> Result<Self, SampleRateError> {
        let rate = text.parse::<f64>()?;
        if (0.0..=1.0).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err(SampleRateError::Range)
        }
    }
}

/// What has happened since the start.
#[derive(Debug, Default)]
struct Counters {
    allowed: AtomicU64,
    denied: AtomicU64,
    permits_issued: AtomicU64,
    permits_refused: AtomicU64,
    held_back: AtomicU64,
    dropped: AtomicU64,
}

/// How many decisions there were since the start, and how many of their events were not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    /// Checks that were allowed, written or not.
    allowed: u64,
    denied: u64,
    permits_issued: u64,
    permits_refused: u64,
    /// Of principals who had too many.
    held_back: u64,
    /// Without a place in the queue.
    dropped: u64,
}

impl Counters {
    fn snapshot(&self) -> Counts {
        let Self {
            allowed,
            denied,
            permits_issued,
            permits_refused,
            held_back,
            dropped,
        } = self;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            allowed: read(allowed),
            denied: read(denied),
            permits_issued: read(permits_issued),
            permits_refused: read(permits_refused),
            held_back: read(held_back),
            dropped: read(dropped),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
