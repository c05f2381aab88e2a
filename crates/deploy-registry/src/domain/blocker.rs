use chrono::{DateTime, SecondsFormat, Utc};
use model::{
    DagBundleName, DeployName, DeployState, DeploymentName, ImageDigest, Scope, ScopeBlocker,
    Sha256Digest,
};

use super::{ComposedRollback, Deploy, Deployment, Image, Retention, Verdict};

/// The registry's reasons against a rollback. Those that are about versions are the orchestrator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockerCode {
    RollbackDisabledInstallation,
    RollbackDisabledDeployment,
    DeploymentDeleted,
    NothingDeployed,
    TargetIsCurrent,
    NoChange,
    TargetNotDeployed,
    TargetExpired,
    TargetMarkedBad,
    ArtifactMissing,
    DagsNotSeparate,
    DagDeployModeUnsupported,
    DagDeployModeChanged,
}

/// One reason why a rollback cannot be done. Its text says why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Blocker {
    #[error(
        "rollbacks are switched off for the whole installation: whoever operates it can start the \
         deploy-registry with --rollbacks on"
    )]
    RollbackDisabledInstallation { deployment: DeploymentName },
    #[error(
        "rollbacks are switched off for {deployment} (`rollback_enabled`): make a new deploy instead"
    )]
    RollbackDisabledDeployment { deployment: DeploymentName },
    #[error("{deployment} was deleted, so nothing is written to it any more")]
    DeploymentDeleted { deployment: DeploymentName },
    #[error("nothing runs in {deployment} yet, so there is nothing to roll back: make a deploy")]
    NothingDeployed { deployment: DeploymentName },
    #[error("{target} is what runs now: choose an earlier deploy")]
    TargetIsCurrent { target: DeployName },
    #[error(
        "with scope {scope}, a rollback to {target} would leave everything as it is: choose another \
         deploy or scope"
    )]
    NoChange { target: DeployName, scope: Scope },
    #[error("{target} never ran, its state is {state}: choose a deploy that was DEPLOYED")]
    TargetNotDeployed {
        target: DeployName,
        state: DeployState,
    },
    #[error(
        "{target} stopped being a possible target at {}, by the retention of this installation: \
         choose a newer deploy, or ship its contents as a new one",
        expire_time.to_rfc3339_opts(SecondsFormat::Secs, true)
    )]
    TargetExpired {
        target: DeployName,
        expire_time: DateTime<Utc>,
    },
    #[error(
        "{target} is marked as bad ({reason}): choose another deploy, or allow one that is marked bad"
    )]
    TargetMarkedBad { target: DeployName, reason: String },
    #[error("{bundle} is gone: upload the same bytes again, or choose another deploy")]
    ArtifactMissing { bundle: DagBundleName },
    #[error(
        "the image registry does not have {image} any more: push the same image again, or choose \
         another deploy"
    )]
    ImageMissing { image: String },
    #[error("{blocker}")]
    Scope {
        target: DeployName,
        blocker: ScopeBlocker,
    },
}

impl Blocker {
    pub(crate) const fn code(&self) -> BlockerCode {
        match self {
            Self::RollbackDisabledInstallation { deployment: _ } => {
                BlockerCode::RollbackDisabledInstallation
            }
            Self::RollbackDisabledDeployment { deployment: _ } => {
                BlockerCode::RollbackDisabledDeployment
            }
            Self::DeploymentDeleted { deployment: _ } => BlockerCode::DeploymentDeleted,
            Self::TargetMarkedBad {
                target: _,
                reason: _,
            } => BlockerCode::TargetMarkedBad,
            Self::NothingDeployed { deployment: _ } => BlockerCode::NothingDeployed,
            Self::TargetIsCurrent { target: _ } => BlockerCode::TargetIsCurrent,
            Self::NoChange {
                target: _,
                scope: _,
            } => BlockerCode::NoChange,
            Self::TargetNotDeployed {
                target: _,
                state: _,
            } => BlockerCode::TargetNotDeployed,
            Self::TargetExpired {
                target: _,
                expire_time: _,
            } => BlockerCode::TargetExpired,
            Self::ArtifactMissing { bundle: _ } | Self::ImageMissing { image: _ } => {
                BlockerCode::ArtifactMissing
            }
            Self::Scope { target: _, blocker } => match blocker {
                ScopeBlocker::DagsNotSeparate => BlockerCode::DagsNotSeparate,
                ScopeBlocker::DagDeployModeUnsupported => BlockerCode::DagDeployModeUnsupported,
                ScopeBlocker::DagDeployModeChanged => BlockerCode::DagDeployModeChanged,
            },
        }
    }

    /// The name of what the reason is about.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::RollbackDisabledInstallation { deployment }
            | Self::RollbackDisabledDeployment { deployment }
            | Self::DeploymentDeleted { deployment }
            | Self::NothingDeployed { deployment } => deployment.to_string(),
            Self::TargetIsCurrent { target }
            | Self::TargetMarkedBad { target, reason: _ }
            | Self::NoChange { target, scope: _ }
            | Self::TargetNotDeployed { target, state: _ }
            | Self::TargetExpired {
                target,
                expire_time: _,
            }
            | Self::Scope { target, blocker: _ } => target.to_string(),
            Self::ArtifactMissing { bundle } => bundle.to_string(),
            Self::ImageMissing { image } => image.clone(),
        }
    }
}

/// All that the registry's reasons depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Whether rollbacks are switched on for the installation.
    pub(crate) installation_enabled: bool,
    pub(crate) retention: Retention,
    pub(crate) now: DateTime<Utc>,
    /// Whether a target that is marked as bad is meant.
    pub(crate) allow_marked_bad: bool,
    pub(crate) deployment: &'a Deployment,
    pub(crate) target: &'a Deploy,
    /// None where nothing runs.
    pub(crate) composed: Option<&'a Result<ComposedRollback, ScopeBlocker>>,
    /// The bundles of the composed revision that are gone.
    pub(crate) missing: &'a [Sha256Digest],
    /// The image that the image registry does not have.
    pub(crate) missing_image: Option<ImageDigest>,
}

/// Every reason against a rollback, all at once.
pub(crate) fn blockers(facts: Facts<'_>) -> Vec<Blocker> {
    let Facts {
        installation_enabled,
        retention,
        now,
        allow_marked_bad,
        deployment,
        target,
        composed,
        missing,
        missing_image,
    } = facts;
    let name = || deployment.name.clone();
    let target_name = || target.name.clone();
    let mut blockers = Vec::new();

    if !installation_enabled {
        blockers.push(Blocker::RollbackDisabledInstallation { deployment: name() });
    }
    if !deployment.rollback_enabled {
        blockers.push(Blocker::RollbackDisabledDeployment { deployment: name() });
    }
    if deployment.delete_time.is_some() {
        blockers.push(Blocker::DeploymentDeleted { deployment: name() });
    }
    if composed.is_none() {
        blockers.push(Blocker::NothingDeployed { deployment: name() });
    }
    if target.name.number() == deployment.history.current {
        blockers.push(Blocker::TargetIsCurrent {
            target: target_name(),
        });
    }
    match target.state {
        DeployState::Deployed => {}
        state @ (DeployState::Pending
        | DeployState::RollingOut
        | DeployState::Failed
        | DeployState::Superseded) => {
            blockers.push(Blocker::TargetNotDeployed {
                target: target_name(),
                state,
            });
        }
    }
    if let Some(expire_time) = retention.expire_time(target, deployment.history)
        && expire_time <= now
    {
        blockers.push(Blocker::TargetExpired {
            target: target_name(),
            expire_time,
        });
    }
    if let Some(mark) = &target.mark
        && mark.verdict == Verdict::Bad
        && !allow_marked_bad
    {
        blockers.push(Blocker::TargetMarkedBad {
            target: target_name(),
            reason: mark.reason.clone(),
        });
    }
    match composed {
        Some(Ok(composed)) if composed.changed.is_empty() => {
            blockers.push(Blocker::NoChange {
                target: target_name(),
                scope: composed.scope,
            });
        }
        Some(Err(blocker)) => {
            blockers.push(Blocker::Scope {
                target: target_name(),
                blocker: *blocker,
            });
        }
        Some(Ok(_)) | None => {}
    }
    for digest in missing {
        let bundle = DagBundleName::new(name(), *digest);
        blockers.push(Blocker::ArtifactMissing { bundle });
    }
    if let Some(Ok(composed)) = composed
        && Some(composed.revision.image.digest) == missing_image
    {
        let Image {
            repository,
            tag: _,
            digest,
        } = &composed.revision.image;
        let image = format!("{repository}@{digest}");
        blockers.push(Blocker::ImageMissing { image });
    }
    blockers
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::deploy::tests::deploy;
    use crate::domain::deployment::tests::deployment;
    use crate::domain::revision::tests::{bundle, image_only};
    use crate::domain::{Mark, compose};
    use model::DagDeployMode;

    struct Case {
        installation_enabled: bool,
        allow_marked_bad: bool,
        deployment: Deployment,
        target: Deploy,
        current: Option<Deploy>,
        missing: Vec<Sha256Digest>,
        missing_image: Option<ImageDigest>,
    }

    /// What is changed about a good rollback, its scope, and what is found then.
    type Change = (fn(&mut Case), Scope, &'static [BlockerCode]);

    /// A rollback from deploy 8 to deploy 3 that nothing is against.
    fn good() -> Case {
        let mut target = deploy(3);
        target.ceased_time = Some(target.create_time);
        let revision = image_only(DagDeployMode::DagOnly, 'b', "3.1-10");
        Case {
            installation_enabled: true,
            allow_marked_bad: false,
            deployment: deployment(8),
            target,
            current: Some(Deploy {
                revision,
                ..deploy(8)
            }),
            missing: Vec::new(),
            missing_image: None,
        }
    }

    fn mark(verdict: Verdict) -> Mark {
        Mark {
            verdict,
            reason: "it loses rows".to_owned(),
            by: deploy(3).created_by,
            time: deploy(3).create_time,
        }
    }

    fn found(case: &Case, scope: Scope, days: i64) -> Vec<BlockerCode> {
        let Case {
            installation_enabled,
            allow_marked_bad,
            deployment,
            target,
            current,
            missing,
            missing_image,
        } = case;
        let composed = current
            .as_ref()
            .map(|current| compose(deployment, target, current, scope, false));
        let facts = Facts {
            installation_enabled: *installation_enabled,
            retention: Retention::days(90),
            allow_marked_bad: *allow_marked_bad,
            now: target.create_time + TimeDelta::days(days),
            deployment,
            target,
            composed: composed.as_ref(),
            missing,
            missing_image: *missing_image,
        };
        blockers(facts).iter().map(Blocker::code).collect()
    }

    #[test]
    fn nothing_is_against_a_good_rollback() {
        assert_eq!(found(&good(), Scope::All, 1), []);
        assert_eq!(found(&good(), Scope::Image, 1), []);
    }

    #[test]
    fn each_reason_is_found() {
        use BlockerCode as Code;

        let cases: [Change; 18] = [
            (
                |c| c.installation_enabled = false,
                Scope::All,
                &[Code::RollbackDisabledInstallation],
            ),
            (
                |c| c.deployment.rollback_enabled = false,
                Scope::All,
                &[Code::RollbackDisabledDeployment],
            ),
            (
                |c| c.deployment.delete_time = Some(c.deployment.create_time),
                Scope::All,
                &[Code::DeploymentDeleted],
            ),
            (
                |c| c.target.mark = Some(mark(Verdict::Bad)),
                Scope::All,
                &[Code::TargetMarkedBad],
            ),
            (
                |c| {
                    c.target.mark = Some(mark(Verdict::Bad));
                    c.allow_marked_bad = true;
                },
                Scope::All,
                &[],
            ),
            (
                |c| c.target.mark = Some(mark(Verdict::Good)),
                Scope::All,
                &[],
            ),
            (|c| c.current = None, Scope::All, &[Code::NothingDeployed]),
            (
                |c| c.target = c.current.clone().unwrap(),
                Scope::All,
                &[Code::TargetIsCurrent, Code::NoChange],
            ),
            (|_| {}, Scope::Dags, &[Code::NoChange]),
            (
                |c| c.target.state = DeployState::Failed,
                Scope::All,
                &[Code::TargetNotDeployed],
            ),
            (
                |c| c.target.state = DeployState::Pending,
                Scope::All,
                &[Code::TargetNotDeployed],
            ),
            (
                |c| c.missing = vec![bundle('b').sha256],
                Scope::All,
                &[Code::ArtifactMissing],
            ),
            (
                |c| c.missing_image = Some(c.target.revision.image.digest),
                Scope::All,
                &[Code::ArtifactMissing],
            ),
            // What is looked for is the image that the rollback would bring back.
            (
                |c| c.missing_image = Some(c.current.as_ref().unwrap().revision.image.digest),
                Scope::All,
                &[],
            ),
            (
                |c| c.deployment.dag_deploy_mode = DagDeployMode::Image,
                Scope::Image,
                &[Code::DagDeployModeChanged],
            ),
            (
                |c| c.deployment.dag_deploy_mode = DagDeployMode::Nfs,
                Scope::All,
                &[Code::DagDeployModeUnsupported],
            ),
            (
                |c| {
                    c.target.revision.mode = DagDeployMode::Image;
                    c.deployment.dag_deploy_mode = DagDeployMode::Image;
                },
                Scope::Dags,
                &[Code::DagsNotSeparate],
            ),
            (
                |c| {
                    c.installation_enabled = false;
                    c.deployment.rollback_enabled = false;
                    c.target.state = DeployState::Superseded;
                    c.deployment.dag_deploy_mode = DagDeployMode::Nfs;
                },
                Scope::All,
                &[
                    Code::RollbackDisabledInstallation,
                    Code::RollbackDisabledDeployment,
                    Code::TargetNotDeployed,
                    Code::DagDeployModeUnsupported,
                ],
            ),
        ];
        for (change, scope, expected) in cases {
            let mut case = good();
            change(&mut case);
            assert_eq!(found(&case, scope, 1), expected, "{scope}");
        }
    }

    #[test]
    fn a_target_expires_at_the_end_of_the_retention() {
        assert_eq!(found(&good(), Scope::All, 89), []);
        assert_eq!(found(&good(), Scope::All, 90), [BlockerCode::TargetExpired]);

        let mut previous = good();
        previous.deployment.history.previous = previous.target.name.number();
        assert_eq!(found(&previous, Scope::All, 10_000), []);
    }

    #[test]
    fn a_text_says_why_and_what_to_do() {
        let blocker = Blocker::TargetExpired {
            target: deploy(3).name,
            expire_time: deploy(3).create_time,
        };
        assert_eq!(
            blocker.to_string(),
            "workspaces/data/deployments/etl/deploys/3 stopped being a possible target at \
             2026-01-01T00:00:00Z, by the retention of this installation: choose a newer deploy, or \
             ship its contents as a new one"
        );
        assert_eq!(
            blocker.subject(),
            "workspaces/data/deployments/etl/deploys/3"
        );
    }
}
