//! The one task that writes the log of decisions.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Dispatch;

use super::event::{Event, TARGET};
use super::limits::{HeldBack, Limits};
use super::{Counters, Counts};

/// How many events are written at once.
const BATCH: usize = 256;
/// How often it is told what was not written.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Writes what is in the queue.
#[derive(Debug)]
pub(crate) struct Writer {
    events: mpsc::Receiver<Box<Event>>,
    counters: Arc<Counters>,
    limits: Limits,
    /// How many dropped events were told.
    told_dropped: u64,
    /// Where the lines go. Threads that write have no other way to know.
    dispatch: Dispatch,
}

/// What there is to write.
#[derive(Debug)]
enum Line {
    Decision { event: Box<Event>, suppressed: u64 },
    HeldBack(HeldBack),
    Dropped(u64),
}

impl Writer {
    pub(super) fn new(events: mpsc::Receiver<Box<Event>>, counters: Arc<Counters>) -> Self {
        Self {
            events,
            counters,
            limits: Limits::default(),
            told_dropped: 0,
            dispatch: tracing::dispatcher::get_default(Dispatch::clone),
        }
    }

    /// Writes until `stop` resolves, and then what is in the queue.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut batch = Vec::with_capacity(BATCH);
        let mut ticks = tokio::time::interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop, if !self.events.is_closed() => self.events.close(),
                _ = ticks.tick() => {
                    let lines = self.unwritten();
                    self.write(lines).await;
                }
                received = self.events.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    let now = Instant::now();
                    let lines = batch.drain(..).filter_map(|event| self.admit(event, now));
                    let lines = lines.collect();
                    self.write(lines).await;
                }
            }
        }
        let lines = self.unwritten();
        self.write(lines).await;
        let Counts {
            allowed,
            denied,
            permits_issued,
            permits_refused,
            held_back,
            dropped,
        } = self.counters.snapshot();
        tracing::info!(
            allowed,
            denied,
            permits_issued,
            permits_refused,
            held_back,
            dropped,
            "the log of decisions ends"
        );
    }

    fn admit(&mut self, event: Box<Event>, now: Instant) -> Option<Line> {
        match self.limits.admit(event.owner(), now) {
            Some(suppressed) => Some(Line::Decision { event, suppressed }),
            None => {
                super::count(&self.counters.held_back);
                None
            }
        }
    }

    /// What is to be told of events that were not written.
    fn unwritten(&mut self) -> Vec<Line> {
        let held_back = self.limits.held_back(Instant::now());
        let mut lines = held_back
            .into_iter()
            .map(Line::HeldBack)
            .collect::<Vec<_>>();
        let dropped = self.counters.snapshot().dropped;
        if dropped > self.told_dropped {
            lines.push(Line::Dropped(dropped - self.told_dropped));
            self.told_dropped = dropped;
        }
        lines
    }

    /// Writes where it keeps no call waiting: whoever reads the log may be slow.
    async fn write(&self, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        let number = lines.len();
        let dispatch = self.dispatch.clone();
        let written = tokio::task::spawn_blocking(move || {
            tracing::dispatcher::with_default(&dispatch, || lines.iter().for_each(Line::write));
        });
        if written.await.is_err() {
            // There is no log to tell it to.
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            self.counters.dropped.fetch_add(number, Ordering::Relaxed);
        }
    }
}

impl Line {
    fn write(&self) {
        match self {
            Self::Decision { event, suppressed } => event.write(*suppressed),
            Self::HeldBack(HeldBack { principal, events }) => tracing::info!(
                target: TARGET, %principal, suppressed = events,
                "decisions were not written: there are too many of this principal"
            ),
            Self::Dropped(dropped) => tracing::warn!(
                target: TARGET, dropped,
                "decisions were not written: there are more than the log can take"
            ),
        }
    }
}
