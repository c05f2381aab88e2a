use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use chassis::environment::Environment;

use super::faults::Fault;

/// What clients and faults share: how much was done so far.
pub(super) struct Book {
    environment: Environment,
    /// How many rollbacks and faults are enough.
    enough: (usize, usize),
    succeeded: Cell<usize>,
    refused: RefCell<BTreeMap<String, usize>>,
    lost: Cell<usize>,
    kills: Cell<usize>,
    pauses: Cell<usize>,
}

impl Book {
    pub(super) fn new(environment: Environment, rollbacks: usize, faults: usize) -> Self {
        Self {
            environment,
            enough: (rollbacks, faults),
            succeeded: Cell::default(),
            refused: RefCell::default(),
            lost: Cell::default(),
            kills: Cell::default(),
            pauses: Cell::default(),
        }
    }

    pub(super) fn new_request_id(&self) -> String {
        self.environment.new_uuid().to_string()
    }

    /// How many rollbacks were answered with success.
    pub(super) fn succeeded(&self) -> usize {
        self.succeeded.get()
    }

    /// Whether nobody begins anything new any more.
    pub(super) fn is_over(&self) -> bool {
        let (rollbacks, faults) = self.enough;
        self.succeeded() >= rollbacks && self.kills.get() + self.pauses.get() >= faults
    }

    pub(super) fn succeed(&self) {
        self.succeeded.update(|succeeded| succeeded + 1);
    }

    pub(super) fn refuse(&self, reason: &str) {
        *self
            .refused
            .borrow_mut()
            .entry(reason.to_owned())
            .or_default() += 1;
    }

    /// How many answers were lost.
    pub(super) fn lost(&self) -> usize {
        self.lost.get()
    }

    /// So many answers were lost.
    pub(super) fn lose(&self, answers: usize) {
        self.lost.update(|lost| lost + answers);
    }

    pub(super) fn injected(&self, fault: Fault) {
        let counter = match fault {
            Fault::Kill(_) => &self.kills,
            Fault::Pause(_) => &self.pauses,
        };
        counter.update(|faults| faults + 1);
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rollbacks succeeded, {} kills, {} pauses, {} answers lost, refused: {:?}",
            self.succeeded.get(),
            self.kills.get(),
            self.pauses.get(),
            self.lost.get(),
            self.refused.borrow(),
        )
    }
}
