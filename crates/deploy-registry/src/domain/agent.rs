use chrono::{DateTime, TimeDelta, Utc};
use model::RuntimeVersion;

/// How long a report of an agent counts.
pub(crate) const AGENT_LIVES: TimeDelta = TimeDelta::minutes(2);
/// How many agents a Deployment has at most.
pub(crate) const MOST_AGENTS: i64 = 1_000;

/// What a remote agent said of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) runtime_version: RuntimeVersion,
    pub(crate) running_tasks: i32,
    pub(crate) queued_tasks: i32,
    pub(crate) deferred_tasks: i32,
    pub(crate) report_time: DateTime<Utc>,
}

impl Agent {
    /// When it is forgotten unless it reports again.
    pub(crate) fn expire_time(&self) -> DateTime<Utc> {
        self.report_time + AGENT_LIVES
    }
}
