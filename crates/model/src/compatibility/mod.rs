//! From which version a rollback may lead to which.
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

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

use crate::runtime::{AirflowRelease, AirflowVersion, RuntimeRelease, Scheme};

pub use runs_on::{RunsOn, RunsOnError};

/// The version of the rules of [`crate::scope`], of this module and of [`crate::metadata`].
///
/// It goes up with every change after which a plan made before could say something else.
pub const RULES_VERSION: u32 = 1;

/// The first Runtime version of Airflow 3 that a rollback may touch.
const AIRFLOW_3_FROM: RuntimeRelease = RuntimeRelease::new(3, 1, 2);
/// The same for plain Airflow.
const PLAIN_AIRFLOW_3_FROM: AirflowRelease = AirflowRelease::new(3, 1, 0);
/// The first Runtime version of Airflow 2 that a rollback may touch.
const AIRFLOW_2_FROM: RuntimeRelease = RuntimeRelease::old(5, 0, 0);
/// The same for plain Airflow.
const PLAIN_AIRFLOW_2_FROM: AirflowRelease = AirflowRelease::new(2, 3, 0);
/// The first Runtime version of Airflow 2 that a rollback from Airflow 3 may lead to.
const BELOW_AIRFLOW_3_FROM: RuntimeRelease = RuntimeRelease::old(12, 0, 0);
/// The same for plain Airflow.
const PLAIN_BELOW_AIRFLOW_3_FROM: AirflowRelease = AirflowRelease::new(2, 10, 0);
/// The last series of Airflow 2, as a Runtime major and as an Airflow minor.
const LAST_AIRFLOW_2: u32 = 13;
const LAST_PLAIN_AIRFLOW_2: u32 = 11;

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
    let sides = [
        (Side::Now, now, standing(now)),
        (Side::Then, then, standing(then)),
    ];

    for (side, runs_on, standing) in &sides {
        if let Standing::Unsupported { rule } = standing {
            let (side, version) = (*side, runs_on.to_string());
            return Err(VersionBlocker::RuntimeUnsupported {
                side,
                version,
                rule,
            });
        }
    }
    for (side, runs_on, standing) in &sides {
        if matches!(standing, Standing::Unknown) {
            let (side, version) = (*side, runs_on.to_string());
            return Err(VersionBlocker::RuntimeUnknownVersion { side, version });
        }
    }

    let [(_, _, standing_now), (_, _, standing_then)] = sides;
    let (rule, instead) = match (standing_now, standing_then) {
        (Standing::Airflow2 { below_3: _ }, Standing::Airflow3) => (
            "an upgrade to Airflow 3 is no rollback",
            "make a new deploy with the newer version",
        ),
        (Standing::Airflow3, Standing::Airflow2 { below_3: false }) => (
            "Airflow 3 can go back to Runtime 12 and 13 (Airflow 2.10 and 2.11) only",
            "choose a deploy with one of these, or make a new deploy",
        ),
        (
            Standing::Airflow2 { below_3: _ }
            | Standing::Airflow3
            | Standing::Unsupported { rule: _ }
            | Standing::Unknown,
            Standing::Airflow2 { below_3: _ }
            | Standing::Airflow3
            | Standing::Unsupported { rule: _ }
            | Standing::Unknown,
        ) => return Ok(()),
    };
    Err(VersionBlocker::RuntimePathUnsupported {
        now: now.to_string(),
        then: then.to_string(),
        rule,
        instead,
    })
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

/// Where one side stands, whatever the other is.
#[derive(Clone, Copy)]
enum Standing {
    Airflow2 {
        /// Whether a rollback from Airflow 3 may lead there.
        below_3: bool,
    },
    Airflow3,
    Unsupported {
        rule: &'static str,
    },
    Unknown,
}

const TOO_OLD: Standing = Standing::Unsupported {
    rule: "no rollback goes below Runtime 5.0.0 (Airflow 2.3.0)",
};
const EARLY_AIRFLOW_3: Standing = Standing::Unsupported {
    rule: "Runtime 3.0-1 to 3.1-1 (Airflow 3.0) can be rolled back neither from nor to",
};

fn standing(runs_on: &RunsOn) -> Standing {
    match (runs_on.runtime(), runs_on.airflow()) {
        (Some(runtime), _) => of_runtime(runtime.release()),
        (None, Some(airflow)) => of_airflow(airflow),
        (None, None) => Standing::Unknown,
    }
}

fn of_runtime(release: RuntimeRelease) -> Standing {
    match (release.scheme, release.major) {
        (Scheme::Old, _) if release < AIRFLOW_2_FROM => TOO_OLD,
        (Scheme::Old, major) if major <= LAST_AIRFLOW_2 => Standing::Airflow2 {
            below_3: release >= BELOW_AIRFLOW_3_FROM,
        },
        (Scheme::New, 3) if release < AIRFLOW_3_FROM => EARLY_AIRFLOW_3,
        (Scheme::New, 3) => Standing::Airflow3,
        (Scheme::Old | Scheme::New, _) => Standing::Unknown,
    }
}

fn of_airflow(version: &AirflowVersion) -> Standing {
    let AirflowRelease {
        major,
        minor,
        patch: _,
    } = version.release();
    match major {
        _ if !version.is_at_least(PLAIN_AIRFLOW_2_FROM) => TOO_OLD,
        2 if minor <= LAST_PLAIN_AIRFLOW_2 => Standing::Airflow2 {
            below_3: version.is_at_least(PLAIN_BELOW_AIRFLOW_3_FROM),
        },
        3 if !version.is_at_least(PLAIN_AIRFLOW_3_FROM) => EARLY_AIRFLOW_3,
        3 => Standing::Airflow3,
        _ => Standing::Unknown,
    }
}
