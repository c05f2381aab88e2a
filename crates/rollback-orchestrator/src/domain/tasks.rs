//! What a rollback does to tasks.

use model::compatibility::{changes_major, is_downgrade};

use super::agents::{Agents, TaskCounts};
use super::consequences::Versions;
use super::warning::{Severity, Warning, WarningCode};

/// What happens to tasks, and how many are known of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskReport {
    pub(crate) text: String,
    /// None where no remote agent reports.
    pub(crate) counts: Option<TaskCounts>,
}

/// What happens to tasks where the version changes; none where it stays.
pub(super) fn report(versions: Option<&Versions>, agents: Option<&Agents>) -> Option<TaskReport> {
    let versions = versions?;
    change_version(versions).then(|| TaskReport {
        text: text(versions),
        counts: agents.and_then(Agents::tasks),
    })
}

/// That tasks are running, as far as remote agents say.
pub(super) fn running(versions: Option<&Versions>, agents: &Agents) -> Option<Warning> {
    let TaskCounts {
        running,
        queued,
        deferred,
    } = agents.tasks().filter(|tasks| tasks.running > 0)?;
    let what = if versions.is_some_and(change_version) {
        "the version changes, so that those that run fail at once and are retried after the rollback"
    } else {
        "they began with what runs now"
    };
    let text = format!(
        "remote agents run {running} tasks, {queued} are queued and {deferred} deferred: {what}; \
         wait for them if you can"
    );
    Some(Warning::new(
        WarningCode::TasksRunning,
        Severity::Warning,
        text,
    ))
}

/// Also where the versions are not known well enough to tell.
fn change_version(Versions { now, then }: &Versions) -> bool {
    is_downgrade(now, then) || is_downgrade(then, now)
}

fn text(Versions { now, then }: &Versions) -> String {
    let mut text = format!(
        "the version changes from {now} to {then}: tasks that are running fail at once, and their \
         retries run after the rollback; queued tasks wait, and run with the version after the \
         rollback; deferred tasks stay deferred, and go on with it"
    );
    if is_downgrade(now, then) && changes_major(now, then) {
        text.push_str(
            "; those of DAG runs that the migration of the metadata database takes away are gone \
             (METADATA_LOSS)",
        );
    }
    text
}

#[cfg(test)]
mod tests;
