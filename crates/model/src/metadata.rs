//! The Airflow metadata migrations that a downgrade reverts.
//!
//! A downgrade touches data only where the heads of the metadata database differ, so that heads are
//! compared and never names of versions. Each head holds from its version until the next row's, and
//! the last one up to [`KNOWN_TO`]. What lies beyond is not known, and a downgrade from there may
//! revert migrations that are not listed.

mod heads;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use crate::compatibility::{RunsOn, is_downgrade};
use crate::runtime::{AirflowRelease, AirflowSeries, AirflowVersion};

pub use heads::{HEADS, KNOWN_TO, MetadataHead};

/// What a rollback reverts in the metadata database.
///
/// The heads are those whose migrations are crossed, from the newest. Where a patch is not known,
/// they are all that could be crossed, so that the list never says too little of what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverted {
    /// Nothing: both sides share a head, or it is no downgrade.
    None,
    /// Migrations are reverted, whatever the patches are.
    Certain(Vec<&'static MetadataHead>),
    /// Migrations may be reverted: the patches, or a head, are not known well enough to exclude
    /// it. The list is empty if only migrations newer than [`KNOWN_TO`] could be.
    Possible(Vec<&'static MetadataHead>),
}

/// What a rollback from `now` to `then` reverts in the metadata database.
#[must_use]
pub fn reverted(now: &RunsOn, then: &RunsOn) -> Reverted {
    if !is_downgrade(now, then) || same_airflow(now, then) {
        return Reverted::None;
    }
    let (now, then) = (ranks(now), ranks(then));
    let certain = then.highest < now.lowest;
    let possible = then.lowest < now.highest;

    // The head of rank 1 is the first row: those above the lower rank follow that many rows.
    let crossed = HEADS
        .iter()
        .take(now.highest)
        .skip(then.lowest)
        .rev()
        .collect();
    match (certain, possible) {
        (true, _) => Reverted::Certain(crossed),
        (false, true) => Reverted::Possible(crossed),
        (false, false) => Reverted::None,
    }
}

fn same_airflow(now: &RunsOn, then: &RunsOn) -> bool {
    match (now.airflow(), then.airflow()) {
        (Some(now), Some(then)) => now.release_cmp(then) == Ordering::Equal,
        (None, _) | (_, None) => false,
    }
}

/// The head of an Airflow release; none for a pre-release, and outside the table.
#[must_use]
pub fn head_of(version: &AirflowVersion) -> Option<&'static MetadataHead> {
    let release = version.release();
    if version.is_pre_release() || release > KNOWN_TO {
        return None;
    }
    HEADS.iter().rev().find(|head| head.airflow_from <= release)
}

/// The heads that a revision can have, by rank: 0 is before the table, 1 its first row, and one
/// more than its length is beyond it.
struct Ranks {
    lowest: usize,
    highest: usize,
}

fn ranks(runs_on: &RunsOn) -> Ranks {
    if let Some(airflow) = runs_on.airflow() {
        let release = airflow.release();
        // A pre-release is made on the way from one head to the next.
        let lowest = if airflow.is_pre_release() {
            rank_before(release)
        } else {
            rank(release)
        };
        return Ranks {
            lowest,
            highest: rank_at_most(release),
        };
    }
    match runs_on.airflow_series() {
        Some(AirflowSeries { major, minor }) => Ranks {
            lowest: rank(AirflowRelease::new(major, minor, 0)),
            highest: rank_at_most(AirflowRelease::new(major, minor, u32::MAX)),
        },
        None => Ranks {
            lowest: 0,
            highest: HEADS.len() + 1,
        },
    }
}

fn rank(release: AirflowRelease) -> usize {
    HEADS
        .iter()
        .filter(|head| head.airflow_from <= release)
        .count()
}

fn rank_before(release: AirflowRelease) -> usize {
    HEADS
        .iter()
        .filter(|head| head.airflow_from < release)
        .count()
}

fn rank_at_most(release: AirflowRelease) -> usize {
    if release > KNOWN_TO {
        HEADS.len() + 1
    } else {
        rank(release)
    }
}
