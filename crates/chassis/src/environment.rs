//! Time and new ids, as parameters: nothing else in the project asks the operating system for them,
//! so that a test can say what time it is.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Where a service gets the time and new ids from. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl Environment {
    /// The operating system's clock and randomness.
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the system's clock comes in"
        )]
        Self {
            clock: Arc::new(Utc::now),
        }
    }

    /// A clock that the caller moves.
    pub fn with_clock(clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
        }
    }

    /// The time in UTC, truncated to microseconds: the finest that both databases keep.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)().trunc_subsecs(6)
    }

    /// A new random UUID, version 4.
    pub fn new_uuid(&self) -> Uuid {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where randomness comes in"
        )]
        Uuid::new_v4()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
