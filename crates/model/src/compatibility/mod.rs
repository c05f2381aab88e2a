//! From which version a rollback may lead to which. `VERSIONS.md` has it for operators, down to every
//! pair; a test compares the two.
//!
//! | now → then | allowed |
//! | --- | --- |
//! | Airflow 3 → 3 | both at least Runtime 3.1-2 |
//! | Airflow 3 → 2 | from at least Runtime 3.1-2 to Runtime 12.x or 13.x (Airflow 2.10, 2.11) |
//! | Airflow 2 → 2 | both at least Runtime 5.0.0 (Airflow 2.3.0) |
//! | either in Runtime 3.0-1 … 3.1-1 | never |
//! | Airflow 2 → 3 | never by rollback: make a new deploy |
//!
//! Plain Airflow versions follow the same rules: 3.1.0 counts as Runtime 3.1-2, 2.10 and 2.11 as
//! Runtime 12.x and 13.x. Where both are known, the Runtime version decides, because it is the
//! finer one. A pre-release lies below its release, so that 3.1-2-rc1 is out.
//!
//! What blocks, in this order, "now" before "then":
//!
//! 1. a side that no rollback may touch is [`VersionBlocker::RuntimeUnsupported`];
//! 2. a side in a series that has no rule here, such as Airflow 4 or Runtime 99.0.0, is
//!    [`VersionBlocker::RuntimeUnknownVersion`];
//! 3. a way between two supported sides that is closed is
//!    [`VersionBlocker::RuntimePathUnsupported`].

mod runs_on;
mod standing;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

use standing::{Outside, Supported, standing};

pub use runs_on::{RunsOn, RunsOnError};

/// The version of the rules of [`crate::scope`], of this module and of [`crate::metadata`].
///
/// It goes up with every change after which a plan made before could say something else.
pub const RULES_VERSION: u32 = 1;

/// Which side of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What runs now.
    Now,
    /// What would run after the rollback.
    Then,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "what runs now",
            Self::Then => "what would run after the rollback",
        })
    }
}

/// Why the versions close a rollback. The text says why, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VersionBlocker {
    /// A version that no rollback may touch, on either side.
    #[error("{side} is {version}, and {rule}: make a new deploy instead")]
    RuntimeUnsupported {
        /// The side with that version.
        side: Side,
        /// The version, in words.
        version: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Two supported versions, with no way from the one to the other.
    #[error("there is no way back from {now} to {then}, because {rule}: {instead}")]
    RuntimePathUnsupported {
        /// The version now, in words.
        now: String,
        /// The version then, in words.
        then: String,
        /// The rule that closes the way.
        rule: &'static str,
        /// What can be done.
        instead: &'static str,
    },
    /// A version in a series that has no rule.
    #[error(
        "{side} is {version}, whose series is not known to these rules: \
         make a new deploy instead, or use a release of Reprise that knows it"
    )]
    RuntimeUnknownVersion {
        /// The side with that version.
        side: Side,
        /// The version, in words.
        version: String,
    },
}

/// Whether a rollback may lead from `now` to `then`, the versions of the current revision and of
/// the composed one. It is asked in every scope, also where the versions are the same.
///
/// # Errors
///
/// What closes the way; see the [module](self) for the order.
pub fn check_path(now: &RunsOn, then: &RunsOn) -> Result<(), VersionBlocker> {
    let (from, to) = match (standing(now), standing(then)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(Outside::Unsupported { rule }), _) => return Err(unsupported(Side::Now, now, rule)),
        (_, Err(Outside::Unsupported { rule })) => return Err(unsupported(Side::Then, then, rule)),
        (Err(Outside::Unknown), _) => return Err(unknown(Side::Now, now)),
        (_, Err(Outside::Unknown)) => return Err(unknown(Side::Then, then)),
    };
    let (rule, instead) = match (from, to) {
        (Supported::Airflow3, Supported::Airflow3 | Supported::LateAirflow2)
        | (
            Supported::EarlyAirflow2 | Supported::LateAirflow2,
            Supported::EarlyAirflow2 | Supported::LateAirflow2,
        ) => return Ok(()),
        (Supported::Airflow3, Supported::EarlyAirflow2) => (
            "Airflow 3 can go back to Runtime 12 and 13 (Airflow 2.10 and 2.11) only",
            "choose a deploy with one of these, or make a new deploy",
        ),
        (Supported::EarlyAirflow2 | Supported::LateAirflow2, Supported::Airflow3) => (
            "an upgrade to Airflow 3 is no rollback",
            "make a new deploy with the newer version",
        ),
    };
    let (now, then) = (now.to_string(), then.to_string());
    Err(VersionBlocker::RuntimePathUnsupported {
        now,
        then,
        rule,
        instead,
    })
}

fn unsupported(side: Side, runs_on: &RunsOn, rule: &'static str) -> VersionBlocker {
    VersionBlocker::RuntimeUnsupported {
        side,
        version: runs_on.to_string(),
        rule,
    }
}

fn unknown(side: Side, runs_on: &RunsOn) -> VersionBlocker {
    VersionBlocker::RuntimeUnknownVersion {
        side,
        version: runs_on.to_string(),
    }
}

/// Whether `then` is below `now`.
///
/// Two Runtime versions compare as such. Otherwise their Airflow versions do; where these are not
/// known well enough to exclude a downgrade, it is one.
#[must_use]
pub fn is_downgrade(now: &RunsOn, then: &RunsOn) -> bool {
    if let (Some(now), Some(then)) = (now.runtime(), then.runtime()) {
        return then.release_cmp(now) == Ordering::Less;
    }
    if let (Some(now), Some(then)) = (now.airflow(), then.airflow()) {
        return then.release_cmp(now) == Ordering::Less;
    }
    match (now.airflow_series(), then.airflow_series()) {
        (Some(now), Some(then)) => then <= now,
        (None, _) | (_, None) => true,
    }
}

/// Whether the two are of different Airflow majors.
#[must_use]
pub fn changes_major(now: &RunsOn, then: &RunsOn) -> bool {
    now.airflow_major() != then.airflow_major()
}
