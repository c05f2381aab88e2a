//! Reading which items of a list are asked for.

use chassis::filter::{Filter, WrongComparison};

use crate::domain::filter::{RollbackFilter, RollbackTest};
use crate::domain::rollback::{RollOut, StateName};

/// The rollbacks that a filter asks for.
pub(super) fn rollbacks(filter: Filter) -> Result<RollbackFilter, WrongComparison> {
    let Filter { comparisons } = filter;
    let tests = comparisons.into_iter().map(|comparison| {
        Ok(match comparison.field.as_str() {
            "state" => RollbackTest::State(comparison.same(
                "PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED",
                StateName::from_name,
            )?),
            "scope" => RollbackTest::Scope(
                comparison.same("ALL, IMAGE or DAGS", |value| value.parse().ok())?,
            ),
            "roll_out" => RollbackTest::RollOut(comparison.same(
                "DEPLOYED, FAILED, SUPERSEDED, TIMED_OUT, or UNSPECIFIED for none that has ended",
                |value| match value {
                    "UNSPECIFIED" => Some(None),
                    value => RollOut::from_name(value).map(Some),
                },
            )?),
            "needs_attention" => RollbackTest::NeedsAttention(
                comparison.same("true or false", |value| value.parse().ok())?,
            ),
            "created_by" => RollbackTest::CreatedBy(comparison.text()?),
            "description" => RollbackTest::Description(comparison.text()?),
            "create_time" => RollbackTest::CreateTime(comparison.time()?),
            _ => return Err(comparison.unknown()),
        })
    });
    tests.collect::<Result<_, _>>().map(RollbackFilter)
}
