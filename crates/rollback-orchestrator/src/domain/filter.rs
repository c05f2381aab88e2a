//! Which rollbacks of a list are asked for.

use chrono::{DateTime, Utc};
use model::comparison::{OrderTest, Same, TextTest};
use model::deploys::Scope;

use super::rollback::{RollOut, Rollback, StateName};

/// The rollbacks that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RollbackFilter(pub(crate) Vec<RollbackTest>);

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RollbackTest {
    State(Same<StateName>),
    Scope(Same<Scope>),
    /// None where there is no roll-out, or it has not ended.
    RollOut(Same<Option<RollOut>>),
    NeedsAttention(Same<bool>),
    CreatedBy(TextTest),
    Description(TextTest),
    CreateTime(OrderTest<DateTime<Utc>>),
}

impl RollbackFilter {
    /// Whether it lets every rollback through.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn lets_through(&self, rollback: &Rollback) -> bool {
        let order = &rollback.order;
        self.0.iter().all(|test| match test {
            RollbackTest::State(test) => test.holds(&rollback.state.name()),
            RollbackTest::Scope(test) => test.holds(&order.scope),
            RollbackTest::RollOut(test) => test.holds(&rollback.state.roll_out()),
            RollbackTest::NeedsAttention(test) => test.holds(&rollback.needs_attention),
            RollbackTest::CreatedBy(test) => test.holds(&order.created_by.to_string()),
            RollbackTest::Description(test) => test.holds(&order.description),
            RollbackTest::CreateTime(test) => test.holds(&rollback.create_time),
        })
    }

    /// Whether nothing is let through from this time on to earlier ones.
    pub(crate) fn ends_before(&self, create_time: DateTime<Utc>) -> bool {
        self.0.iter().any(|test| match test {
            RollbackTest::CreateTime(test) => test.is_past(&create_time),
            RollbackTest::State(_)
            | RollbackTest::Scope(_)
            | RollbackTest::RollOut(_)
            | RollbackTest::NeedsAttention(_)
            | RollbackTest::CreatedBy(_)
            | RollbackTest::Description(_) => false,
        })
    }
}
