//! Everything that a rollback would do, refuse, warn of and leave alone.

use chrono::{DateTime, Utc};
use model::catalog::Catalog;
use model::compatibility::{RULES_VERSION, check_path};
use model::deploys::Scope;
use model::names::{DeployNumber, DeploymentName, Principal, RollbackName};
use model::permissions::{Permission, PermissionSet};

use super::agents::{AgentReport, Agents};
use super::blocker::{Blocker, BlockerCode};
use super::consequences::{self, Versions};
use super::digest::PlanDigest;
use super::history::{Composed, DeployBetween, Deployment, DeploymentUid, Preview, Target};
use super::options::Options;
use super::permissions::PermissionReport;
use super::revision::Change;
use super::tasks::{self, TaskReport};
use super::unchanged::{self, Unchanged};
use super::warning::{Warning, WarningCode};

/// What a plan is made from. All of it is of one moment of the Deployment's history.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) deployment: Deployment,
    pub(crate) target: Target,
    pub(crate) scope: Scope,
    pub(crate) options: Options,
    pub(crate) preview: Preview,
    /// The rollback of the Deployment that is accepted and not written.
    pub(crate) in_progress: Option<RollbackName>,
    /// The deploys after the target, up to the current one, newest first: all of them, or the newest
    /// hundred. None if nobody looked; then nothing is said of git.
    pub(crate) left_behind: Option<Vec<DeployBetween>>,
    /// None where no remote agents run the tasks.
    pub(crate) agents: Option<Agents>,
    pub(crate) caller: Principal,
    /// What the caller holds on the Deployment.
    pub(crate) held: PermissionSet,
}

/// Everything that a rollback would do, refuse, warn of and leave alone.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) deployment: DeploymentName,
    pub(crate) deployment_uid: DeploymentUid,
    pub(crate) target: DeployNumber,
    /// What the write is compared with; [`DeployNumber::NONE`] before the first deploy.
    pub(crate) latest: DeployNumber,
    pub(crate) current: Option<DeployNumber>,
    pub(crate) scope: Scope,
    pub(crate) options: Options,
    pub(crate) changes: Vec<Change>,
    pub(crate) unchanged: Vec<Unchanged>,
    /// Empty for a caller who may not see settings.
    pub(crate) settings_drift: Vec<SettingChange>,
    pub(crate) blockers: Vec<Blocker>,
    pub(crate) in_progress: Option<RollbackName>,
    pub(crate) warnings: Vec<Warning>,
    /// Newest first; the first hundred.
    pub(crate) deploys_between: Vec<DeployBetween>,
    pub(crate) deploys_between_count: i64,
    /// By id; the first hundred.
    pub(crate) agents: Vec<AgentReport>,
    /// None where no version changes.
    pub(crate) tasks: Option<TaskReport>,
    pub(crate) permissions: PermissionReport,
    pub(crate) composed: Option<Composed>,
    pub(crate) target_expire_time: Option<DateTime<Utc>>,
    pub(crate) rules_version: u32,
    pub(crate) digest: PlanDigest,
}

/// A setting that differs between the target deploy and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingChange {
    pub(crate) key: String,
    pub(crate) then: Option<String>,
    pub(crate) now: Option<String>,
}

impl Plan {
    /// Applies the rules to the facts.
    pub(crate) fn new(facts: Facts, catalog: &Catalog) -> Self {
        let (versions, version_blocker) = versions(&facts, catalog);
        let blockers = blockers(&facts, versions.as_ref(), version_blocker);
        let drift = consequences::drift(&facts.target.settings, &facts.deployment.settings);
        // Whether a version of an unknown series is older is anybody's guess.
        let known = |_: &&Versions| {
            let mut codes = blockers.iter().map(|blocker| blocker.code);
            !codes.any(|code| code == BlockerCode::RuntimeUnknownVersion)
        };
        let versions = versions.as_ref().filter(known);
        let warnings = consequences::warnings(&facts, versions, &drift, catalog);
        let unchanged = unchanged::unchanged(&facts, blockers.is_empty());
        let tasks = tasks::report(versions, facts.agents.as_ref());

        let Facts {
            deployment,
            target,
            scope,
            options,
            preview: Preview {
                composed,
                blockers: _,
            },
            in_progress,
            left_behind,
            agents,
            caller,
            held,
        } = facts;
        let Deployment {
            name,
            uid,
            mode,
            execution: _,
            settings: _,
            held: _,
            latest,
            current,
        } = deployment;

        let has_dbt = !target.revision.dbt_bundles.is_empty()
            || current
                .as_ref()
                .is_some_and(|current| !current.revision.dbt_bundles.is_empty());
        let permissions = PermissionReport::new(
            &caller,
            held,
            scope,
            target.revision.mode,
            mode,
            has_dbt,
            options.hold,
        );
        let changes = match (&current, &composed) {
            (Some(current), Some(composed)) => current.revision.changes(&composed.revision),
            (None, _) | (_, None) => Vec::new(),
        };
        let settings_drift = if held.contains(Permission::DeploymentVariablesGet) {
            drift
        } else {
            Vec::new()
        };
        let current = current.map(|current| current.number);
        let deploys_between_count =
            current.map_or(0, |it| consequences::count_between(target.number, it));
        let revision = composed.as_ref().map(|composed| &composed.revision);
        let agents = agents.map_or_else(Vec::new, |agents| agents.shown(revision));
        let digest = PlanDigest::of(
            uid,
            latest,
            current,
            target.number,
            scope,
            options.hold,
            composed.as_ref().map(|composed| composed.digest.as_str()),
            &blockers,
            &warnings,
        );
        Self {
            deployment: name,
            deployment_uid: uid,
            target: target.number,
            latest,
            current,
            scope,
            options,
            changes,
            unchanged,
            settings_drift,
            blockers,
            in_progress,
            warnings,
            deploys_between: left_behind.unwrap_or_default(),
            deploys_between_count,
            agents,
            tasks,
            permissions,
            composed,
            target_expire_time: target.expire_time,
            rules_version: RULES_VERSION,
            digest,
        }
    }

    /// The warnings that a rollback runs only after they were acknowledged.
    pub(crate) fn must_acknowledge(&self) -> impl Iterator<Item = WarningCode> {
        self.warnings
            .iter()
            .map(|warning| warning.code)
            .filter(|code| code.must_acknowledge())
    }
}

/// The versions on both sides, or why there are none to compare.
fn versions(facts: &Facts, catalog: &Catalog) -> (Option<Versions>, Option<Blocker>) {
    let (Some(current), Some(composed)) = (&facts.deployment.current, &facts.preview.composed)
    else {
        return (None, None);
    };
    match (
        current.revision.runs_on(catalog),
        composed.revision.runs_on(catalog),
    ) {
        (Ok(now), Ok(then)) => (Some(Versions { now, then }), None),
        (Err(error), _) | (_, Err(error)) => {
            let blocker = Blocker {
                code: BlockerCode::RuntimeUnknownVersion,
                subject: facts.deployment.name.to_string(),
                text: format!("{error}, so that no rule can be applied: make a new deploy instead"),
            };
            (None, Some(blocker))
        }
    }
}

/// All reasons against the rollback: the registry's, those of the versions, agents that are too new,
/// and a rollback that is not done yet.
fn blockers(
    facts: &Facts,
    versions: Option<&Versions>,
    version_blocker: Option<Blocker>,
) -> Vec<Blocker> {
    let mut blockers = facts.preview.blockers.clone();
    blockers.extend(version_blocker);
    if let Some(Versions { now, then }) = versions
        && let Err(blocker) = check_path(now, then)
    {
        blockers.push(blocker.into());
    }
    if let (Some(agents), Some(composed)) = (&facts.agents, &facts.preview.composed) {
        blockers.extend(agents.too_new(&composed.revision));
    }
    if let Some(rollback) = &facts.in_progress {
        blockers.push(Blocker {
            code: BlockerCode::RollbackInProgress,
            subject: rollback.to_string(),
            text:
                "another rollback of this Deployment is accepted and not written yet: wait for it, \
                   then plan again"
                    .to_owned(),
        });
    }
    blockers
}

#[cfg(test)]
mod tests;
