//! The warnings of a plan.

use model::catalog::Catalog;
use model::compatibility::{self, RunsOn};
use model::deploys::{DagDeployMode, Scope};
use model::metadata::{self, MetadataHead, Reverted};
use model::names::DeployNumber;
use model::permissions::Permission;

use super::history::{Current, DeployBetween, GitSource, Settings};
use super::options::Options;
use super::plan::{Facts, SettingChange};
use super::revision::Revision;
use super::tasks;
use super::warning::{Certainty, Migrations, Severity, Warning, WarningCode};

/// How many commits a warning names.
const NAMED_COMMITS: usize = 5;

/// The Airflow versions of a rollback.
pub(super) struct Versions {
    /// What runs now.
    pub(super) now: RunsOn,
    /// What would run.
    pub(super) then: RunsOn,
}

/// All warnings of the rollback, the gravest kinds first.
///
/// Where nothing can be composed, or nothing runs now, there is nothing to warn of: the blockers
/// speak. Without versions that the rules know, nothing is said of versions.
pub(super) fn warnings(
    facts: &Facts,
    versions: Option<&Versions>,
    drift: &[SettingChange],
    catalog: &Catalog,
) -> Vec<Warning> {
    let (Some(current), Some(composed)) = (&facts.deployment.current, &facts.preview.composed)
    else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if let Some(versions) = versions {
        warnings.extend(runtime_downgrade(versions));
        warnings.extend(metadata_loss(versions));
        warnings.extend(major_version_change(versions));
        warnings.extend(dags_may_not_fit(
            facts,
            &composed.revision,
            versions,
            catalog,
        ));
    }
    warnings.extend(runtime_restricted(&composed.revision, catalog));
    warnings.extend(settings_drift(facts, drift));
    warnings.extend(dags_stay_in_git(&composed.revision, facts.options));
    warnings.extend(git_not_reverted(facts, current));
    warnings.extend(deploys_skipped(facts.target.number, current.number));
    if let Some(agents) = &facts.agents {
        warnings.extend(agents.unknown(&composed.revision));
        warnings.extend(tasks::running(versions, agents));
    }
    warnings
}

fn runtime_downgrade(Versions { now, then }: &Versions) -> Option<Warning> {
    compatibility::is_downgrade(now, then).then(|| {
        let text = format!(
            "the version goes down from {now} to {then}: tasks that are running fail at once, and \
             their retries run after the rollback; wait for running tasks if you can"
        );
        Warning::new(WarningCode::RuntimeDowngrade, Severity::Critical, text)
    })
}

fn metadata_loss(Versions { now, then }: &Versions) -> Option<Warning> {
    let (certainty, heads) = match metadata::reverted(now, then) {
        Reverted::None => return None,
        Reverted::Certain(heads) => (Certainty::Certain, heads),
        Reverted::Possible(heads) => (Certainty::Possible, heads),
    };
    let loses = heads.iter().any(|head| !head.loses.is_empty());
    let severity = match certainty {
        Certainty::Certain if loses => Severity::Critical,
        Certainty::Certain | Certainty::Possible => Severity::Warning,
    };
    let happens = match certainty {
        Certainty::Certain => "is migrated down",
        Certainty::Possible => {
            "may be migrated down, since the exact Airflow versions are not known"
        }
    };
    let text = format!(
        "the metadata database {happens}: take a backup first; what goes with each migration, newest \
         first: {}",
        listed(&heads)
    );
    let migrations = Some(Migrations { certainty, heads });
    Some(Warning {
        code: WarningCode::MetadataLoss,
        severity,
        text,
        migrations,
    })
}

fn listed(heads: &[&'static MetadataHead]) -> String {
    if heads.is_empty() {
        return "not known to this release of Reprise".to_owned();
    }
    let loss = |head: &&MetadataHead| match head.loses {
        "" => format!("{head}: no data"),
        loses => format!("{head}: {loses}"),
    };
    heads.iter().map(loss).collect::<Vec<_>>().join(". ")
}

fn is_3_to_2(Versions { now, then }: &Versions) -> bool {
    compatibility::changes_major(now, then) && compatibility::is_downgrade(now, then)
}

fn major_version_change(versions: &Versions) -> Option<Warning> {
    is_3_to_2(versions).then(|| {
        let Versions { now, then } = versions;
        let text = format!(
            "the Airflow major version goes down from {now} to {then}: this takes longer, and DAGs \
             that were written for the newer one may fail to import"
        );
        Warning::new(WarningCode::MajorVersionChange, Severity::Critical, text)
    })
}

/// The DAGs that are beside the image after the rollback were last run by the deploy that they come
/// from: with scope `IMAGE` by the current one, else by the target. DAGs in git are not moved, so
/// that they are what runs now.
fn dags_may_not_fit(
    facts: &Facts,
    composed: &Revision,
    Versions { now, then }: &Versions,
    catalog: &Catalog,
) -> Option<Warning> {
    let target = facts.target.revision.runs_on(catalog).ok()?;
    let (dags, made_for) = match (composed.mode, facts.scope) {
        (DagDeployMode::DagOnly, _) if composed.dag_bundle.is_none() => return None,
        (DagDeployMode::DagOnly, Scope::Image) => ("the DAGs, which stay as they are", now),
        (DagDeployMode::DagOnly, Scope::All | Scope::Dags) => ("the DAGs of the target", &target),
        (DagDeployMode::GitSync, Scope::All | Scope::Image) => ("the DAGs, which stay in git", now),
        // The DAGs are inside the image; or nothing changes about image and DAGs.
        (DagDeployMode::Image, _) | (DagDeployMode::GitSync, Scope::Dags) => return None,
        (DagDeployMode::Nfs, _) => return None,
    };
    compatibility::changes_major(made_for, then).then(|| {
        let text = format!(
            "{dags}, were last run by {made_for}, and the image after the rollback is {then}: they \
             may fail to import; the scope ALL brings image and DAGs back together"
        );
        Warning::new(WarningCode::DagsMayNotFit, Severity::Critical, text)
    })
}

fn runtime_restricted(composed: &Revision, catalog: &Catalog) -> Option<Warning> {
    let runtime = composed.runtime.as_ref()?;
    let reason = catalog.lookup(runtime)?.restricted?;
    let text = format!("Runtime {runtime}, which runs after the rollback, is restricted: {reason}");
    Some(Warning::new(
        WarningCode::RuntimeRestricted,
        Severity::Warning,
        text,
    ))
}

/// Which settings changed is for callers who may see them; that some did is for everybody.
fn settings_drift(facts: &Facts, drift: &[SettingChange]) -> Option<Warning> {
    if facts.target.settings == facts.deployment.settings {
        return None;
    }
    let which = if facts.held.contains(Permission::DeploymentVariablesGet) {
        let keys = drift.iter().map(|change| change.key.as_str()).take(10);
        let more = if drift.len() > 10 { ", …" } else { "" };
        format!(" ({}{more})", keys.collect::<Vec<_>>().join(", "))
    } else {
        String::new()
    };
    let text = format!(
        "settings changed since the target deploy{which}: a rollback does not bring them back; \
         check that the target works with the settings of today"
    );
    Some(Warning::new(
        WarningCode::SettingsDrift,
        Severity::Warning,
        text,
    ))
}

/// The drift of the settings: what the target had, and what is today.
pub(super) fn drift(then: &Settings, now: &Settings) -> Vec<SettingChange> {
    let keys = then
        .keys()
        .chain(now.keys().filter(|key| !then.contains_key(*key)));
    let mut drift = keys
        .filter(|key| then.get(*key) != now.get(*key))
        .map(|key| SettingChange {
            key: key.clone(),
            then: then.get(key).cloned(),
            now: now.get(key).cloned(),
        })
        .collect::<Vec<_>>();
    drift.sort_by(|a, b| a.key.cmp(&b.key));
    drift
}

fn dags_stay_in_git(composed: &Revision, options: Options) -> Option<Warning> {
    (composed.mode == DagDeployMode::GitSync).then(|| {
        let mut text =
            "the Deployment pulls its DAGs from git: they stay as they are there; revert \
                        the commit in the repository to bring DAGs back"
                .to_owned();
        if options.hold {
            text.push_str(
                "; a hold keeps deploys away and cannot stop git-sync: what is pushed to the \
                 repository goes on to arrive",
            );
        }
        Warning::new(WarningCode::DagsStayInGit, Severity::Warning, text)
    })
}

fn git_not_reverted(facts: &Facts, current: &Current) -> Option<Warning> {
    let between = facts.left_behind.as_deref()?;
    let from_git = between
        .iter()
        .filter_map(|deploy| Some((deploy, deploy.git.as_ref()?)))
        .collect::<Vec<_>>();
    let left_behind = count_between(facts.target.number, current.number);
    let repository = match (from_git.as_slice(), &facts.target.git) {
        ([(_, newest), ..], _) => &newest.repository,
        ([], Some(target)) if left_behind > 0 => &target.repository,
        ([], _) => return None,
    };
    let next = if facts.options.hold {
        "once the hold is released, the next deploy"
    } else {
        "the next deploy"
    };
    let mut text = format!(
        "a rollback does not revert commits: {next} from {repository} brings back what this \
         rollback takes away, unless it is reverted there"
    );
    if !from_git.is_empty() {
        let commits = from_git
            .iter()
            .take(NAMED_COMMITS)
            .map(commit)
            .collect::<Vec<_>>();
        let more = from_git.len().saturating_sub(NAMED_COMMITS);
        text.push_str(&format!("; left behind: {}", commits.join(", ")));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    let looked_at = i64::try_from(between.len()).unwrap_or(i64::MAX);
    if left_behind > looked_at {
        text.push_str(&format!(
            "; only the newest {looked_at} of the {left_behind} deploys after the target were looked at"
        ));
    }
    Some(Warning::new(
        WarningCode::GitNotReverted,
        Severity::Warning,
        text,
    ))
}

fn commit((deploy, git): &(&DeployBetween, &GitSource)) -> String {
    let number = deploy.number;
    let GitSource {
        provider: _,
        repository,
        branch,
        commit,
        author: _,
        commit_url: _,
    } = git;
    let short = commit.get(..12).unwrap_or(commit);
    let branch = if branch.is_empty() {
        String::new()
    } else {
        format!(" on {branch}")
    };
    format!("deploy {number} from {repository}{branch} at {short}")
}

/// How many deploys there are after the target, up to the current one.
pub(super) fn count_between(target: DeployNumber, current: DeployNumber) -> i64 {
    current.get().saturating_sub(target.get()).max(0)
}

fn deploys_skipped(target: DeployNumber, current: DeployNumber) -> Option<Warning> {
    let first = target.get().saturating_add(1);
    let last = current.get().saturating_sub(1);
    let skipped = last.saturating_sub(first).saturating_add(1);
    let which = match skipped {
        ..=0 => return None,
        1 => format!("deploy {first} lies between the target and what runs now: what it"),
        2.. => format!(
            "{skipped} deploys ({first} to {last}) lie between the target and what runs now: what they"
        ),
    };
    let text = format!("{which} changed is left behind too");
    Some(Warning::new(
        WarningCode::DeploysSkipped,
        Severity::Info,
        text,
    ))
}
