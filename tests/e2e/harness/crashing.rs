use std::cell::Cell;

use chassis::environment::Environment;
use tonic::Status;

use super::process::Process;
use super::{Refusal, until};

/// What clients share who work while a service is killed again and again.
pub(crate) struct Book {
    environment: Environment,
    begun: Cell<usize>,
    closed: Cell<bool>,
}

impl Book {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            begun: Cell::default(),
            closed: Cell::default(),
        }
    }

    /// Another call is begun.
    pub(crate) fn begin(&self) {
        self.begun.update(|begun| begun + 1);
    }

    /// Whether no client begins anything new any more.
    pub(crate) fn closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn now(&self) -> i64 {
        self.environment.now().timestamp()
    }

    pub(crate) fn new_request_id(&self) -> String {
        self.environment.new_uuid().to_string()
    }

    pub(crate) fn random(&self) -> usize {
        let [low, ..] = self.environment.new_uuid().into_bytes();
        low.into()
    }

    /// Kills a service so often, each time after at most so many calls, and starts it again. Then no
    /// client begins anything new.
    pub(crate) async fn kill_again_and_again(
        &self,
        service: &mut Process,
        kills: usize,
        longest_life: usize,
    ) {
        for _ in 0..kills {
            let last = self.begun.get() + 1 + self.random() % longest_life;
            until("the next moment to kill it", async || {
                (self.begun.get() >= last).then_some(())
            })
            .await;
            service.kill();
            service.restart().await;
        }
        self.closed.set(true);
    }
}

/// What a service has said itself, unless the answer was lost: what it says has a reason.
pub(crate) fn said(status: &Status) -> Option<Refusal> {
    let refusal = Refusal::of(status);
    let lost = ["", "DEPENDENCY_UNAVAILABLE"].contains(&refusal.reason.as_str());
    (!lost).then_some(refusal)
}
