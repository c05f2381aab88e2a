//! Remote agents, which run the tasks of a Deployment elsewhere, and whether they may stay as they
//! are. The vendor's rule: an agent may be older than its Deployment, but not newer.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use model::runtime::RuntimeVersion;

use super::blocker::{Blocker, BlockerCode};
use super::revision::Revision;
use super::warning::{Severity, Warning, WarningCode};

/// How many agents a text names.
const NAMED: usize = 5;
/// How many agents a plan shows.
const SHOWN: usize = 100;

/// What the remote agents of a Deployment said of themselves. Who has not said anything for a while
/// is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agents {
    /// By id.
    pub(crate) reports: Vec<Agent>,
    /// Whether there are more than were read.
    pub(crate) more: bool,
}

/// What one agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) id: String,
    /// Its Runtime version; nothing says that it can be read.
    pub(crate) runtime: String,
    pub(crate) running: i64,
    pub(crate) queued: i64,
    pub(crate) deferred: i64,
    pub(crate) report_time: DateTime<Utc>,
}

/// An agent beside what would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentReport {
    pub(crate) id: String,
    pub(crate) runtime: String,
    pub(crate) too_new: bool,
    pub(crate) report_time: DateTime<Utc>,
}

/// How many tasks the agents know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskCounts {
    pub(crate) running: i64,
    pub(crate) queued: i64,
    pub(crate) deferred: i64,
}

/// How an agent's version stands to the Runtime after the rollback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fits,
    TooNew,
    /// One of the two cannot be compared.
    Unknown,
}

impl Agent {
    fn standing(&self, composed: &Revision) -> Standing {
        let (Some(then), Ok(agent)) = (&composed.runtime, self.runtime.parse::<RuntimeVersion>())
        else {
            return Standing::Unknown;
        };
        match agent.release_cmp(then) {
            Ordering::Greater => Standing::TooNew,
            Ordering::Less | Ordering::Equal => Standing::Fits,
        }
    }
}

impl Agents {
    fn that_are(&self, standing: Standing, composed: &Revision) -> Vec<&Agent> {
        self.reports
            .iter()
            .filter(|agent| agent.standing(composed) == standing)
            .collect()
    }

    /// That an agent is newer than what would run: it would be refused, and its tasks with it.
    pub(super) fn too_new(&self, composed: &Revision) -> Option<Blocker> {
        let too_new = self.that_are(Standing::TooNew, composed);
        let first = too_new.first()?;
        let then = composed.runtime.as_ref()?;
        let text = format!(
            "remote agents are newer than Runtime {then}, which would run after the rollback: {}; \
             bring them to {then} or below first",
            named(&too_new)
        );
        Some(Blocker {
            code: BlockerCode::AgentTooNew,
            subject: first.id.clone(),
            text,
        })
    }

    /// That it is not known of every agent whether it is too new.
    pub(super) fn unknown(&self, composed: &Revision) -> Option<Warning> {
        let unknown = self.that_are(Standing::Unknown, composed);
        let why = match (&composed.runtime, unknown.as_slice()) {
            _ if self.reports.is_empty() => "none of its remote agents reports".to_owned(),
            (None, _) => {
                "what would run has no Runtime version to compare its remote agents with".to_owned()
            }
            (Some(_), []) if self.more => {
                let read = self.reports.len();
                format!("only {read} of its remote agents were looked at")
            }
            (Some(_), []) => return None,
            (Some(_), unknown) => {
                let named = named(unknown);
                format!("the versions of remote agents cannot be read: {named}")
            }
        };
        let text = format!(
            "the Deployment runs its tasks by remote agents, and {why}: check by hand that none is \
             newer than the Runtime after the rollback"
        );
        Some(Warning::new(
            WarningCode::AgentUnknown,
            Severity::Warning,
            text,
        ))
    }

    /// How many tasks there are; none if nobody reports.
    pub(super) fn tasks(&self) -> Option<TaskCounts> {
        let sum = |of: fn(&Agent) -> i64| {
            self.reports
                .iter()
                .fold(0_i64, |sum, agent| sum.saturating_add(of(agent)))
        };
        (!self.reports.is_empty()).then(|| TaskCounts {
            running: sum(|agent| agent.running),
            queued: sum(|agent| agent.queued),
            deferred: sum(|agent| agent.deferred),
        })
    }

    /// The agents as a plan shows them: the first hundred. Without a composed revision nothing is
    /// too new.
    pub(super) fn shown(self, composed: Option<&Revision>) -> Vec<AgentReport> {
        let show = |agent: Agent| {
            let too_new = composed.is_some_and(|it| agent.standing(it) == Standing::TooNew);
            let Agent {
                id,
                runtime,
                running: _,
                queued: _,
                deferred: _,
                report_time,
            } = agent;
            AgentReport {
                id,
                runtime,
                too_new,
                report_time,
            }
        };
        self.reports.into_iter().take(SHOWN).map(show).collect()
    }
}

fn named(agents: &[&Agent]) -> String {
    let first = agents
        .iter()
        .take(NAMED)
        .map(|agent| format!("{} (Runtime {})", agent.id, agent.runtime))
        .collect::<Vec<_>>()
        .join(", ");
    match agents.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
