//! The Airflow metadata migrations that a downgrade reverts.
//!
//! A downgrade touches data only where the heads of the metadata database differ, so that heads are
//! compared and never names of versions. The table is read off the migrations of Apache Airflow:
//! each head holds from its version until the next row's, and the last one up to
//! [`KNOWN_TO`]. What lies beyond is not known, and a downgrade from there may revert migrations
//! that are not listed.

use std::cmp::Ordering;
use std::fmt;

use crate::compatibility::{RunsOn, is_downgrade};
use crate::runtime::{AirflowRelease, AirflowSeries, AirflowVersion};

#[cfg(test)]
mod tests;

/// The last migration of an Airflow version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetadataHead {
    /// The first release with this head.
    pub airflow_from: AirflowRelease,
    /// The revision, as Alembic and `airflow db downgrade --to-revision` name it.
    pub revision: &'static str,
}

impl fmt::Display for MetadataHead {
    /// `cc92b33c6709 (Airflow 3.1.0)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Airflow {})", self.revision, self.airflow_from)
    }
}

const fn head(major: u32, minor: u32, patch: u32, revision: &'static str) -> MetadataHead {
    MetadataHead {
        airflow_from: AirflowRelease::new(major, minor, patch),
        revision,
    }
}

/// Every head, from the oldest.
pub const HEADS: &[MetadataHead] = &[
    head(2, 3, 0, "b1b348e02d07"),
    head(2, 3, 1, "1de7bc13c950"),
    head(2, 3, 2, "3c94c427fdf6"),
    head(2, 3, 3, "f5fcbda3e651"),
    head(2, 4, 0, "ecb43d2a1842"),
    head(2, 4, 2, "b0d31815b5a6"),
    head(2, 4, 3, "e07f49787c9d"),
    head(2, 5, 0, "290244fb8b83"),
    head(2, 6, 0, "98ae134e6fff"),
    head(2, 6, 2, "c804e5c76e3e"),
    head(2, 7, 0, "405de8318b3a"),
    head(2, 8, 0, "10b52ebd31f7"),
    head(2, 8, 1, "88344c1d9134"),
    head(2, 9, 0, "1949afb29106"),
    head(2, 9, 2, "686269002441"),
    head(2, 10, 0, "22ed7efa9da2"),
    head(2, 10, 3, "5f2621c13b39"),
    head(3, 0, 0, "29ce7909c52b"),
    head(3, 0, 3, "fe199e1abd77"),
    head(3, 1, 0, "cc92b33c6709"),
    head(3, 1, 8, "509b94a1042d"),
    head(3, 2, 0, "1d6611b6ab7c"),
    head(3, 3, 0, "d2f4e1b3c5a7"),
];

/// The last release whose head is known.
pub const KNOWN_TO: AirflowRelease = AirflowRelease::new(3, 3, 2);

/// What a downgrade from Airflow 3 to Airflow 2 loses.
pub const LOSES_3_TO_2: &str = "serialized DAGs and DAG code are emptied, and come back by \
    reserializing; DAG runs with no logical date are moved to \
    _airflow_moved__3_0_0__offending_dag_run, and their task instances, XComs and rendered fields \
    are deleted; backfills, DAG versions and bundles, deadlines, human-in-the-loop details, asset \
    triggers, teams and favourites are dropped; runs with a logical date stay, with their task \
    instances and XComs";

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
