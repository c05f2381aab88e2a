//! From the registry's answers to the domain. What does not fit is the registry's fault, and INTERNAL.

pub(super) mod targets;

use std::fmt;
use std::str::FromStr;

use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::deploys::{DagDeployMode, DeployState};
use model::names::{DeployName, DeployNumber, RollbackName};
use prost_types::Timestamp;
use proto::common::v1 as common;
use proto::registry::v1 as wire;

use crate::domain::agents::{Agent, Agents};
use crate::domain::blocker::{Blocker, BlockerCode};
use crate::domain::history::{
    Composed, Current, DeployBetween, Deployment, DeploymentUid, ExecutionMode, GitSource, Preview,
    Target,
};
use crate::domain::revision::{Bundle, DbtBundle, Image, Revision};
use crate::domain::rollback::{RollOut, RollOutEnd, WrittenDeploy};

/// An answer of the registry that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the deploy-registry's answer cannot be read: {0}")]
pub(super) struct Malformed(String);

impl From<Malformed> for Problem {
    fn from(error: Malformed) -> Self {
        Self::internal(error)
    }
}

pub(super) fn deployment(response: wire::GetDeploymentResponse) -> Result<Deployment, Malformed> {
    let wire::GetDeploymentResponse { deployment } = response;
    deployment_of(required("deployment", deployment)?)
}

fn deployment_of(deployment: wire::Deployment) -> Result<Deployment, Malformed> {
    let wire::Deployment {
        name,
        uid,
        display_name: _,
        description: _,
        labels: _,
        dag_deploy_mode,
        rollback_enabled: _,
        settings,
        latest_deploy,
        current_deploy,
        current_revision,
        etag: _,
        create_time: _,
        update_time: _,
        created_by: _,
        delivery: _,
        execution_mode,
        delete_time: _,
        hold,
        change: _,
    } = deployment;
    let current = match (current_deploy.as_str(), current_revision) {
        ("", None) => None,
        (name, Some(current)) => Some(Current {
            number: deploy_number(name)?,
            revision: revision(current)?,
        }),
        (_, None) => return Err(Malformed("current_revision is missing".to_owned())),
    };
    let latest = match latest_deploy.as_str() {
        "" => DeployNumber::NONE,
        name => deploy_number(name)?,
    };
    Ok(Deployment {
        name: parse("name", &name)?,
        uid: DeploymentUid(parse("uid", &uid)?),
        mode: mode(dag_deploy_mode)?,
        execution: execution(execution_mode)?,
        settings,
        held: hold.is_some(),
        latest,
        current,
    })
}

pub(super) fn target(response: wire::GetDeployResponse) -> Result<Target, Malformed> {
    let wire::GetDeployResponse { deploy } = response;
    target_of(required("deploy", deploy)?)
}

fn target_of(deploy: wire::Deploy) -> Result<Target, Malformed> {
    Ok(Target {
        number: number(&deploy)?,
        revision: revision(required("revision", deploy.revision)?)?,
        settings: deploy.settings,
        git: deploy.git.map(git),
        expire_time: deploy.artifacts_expire_time.map(time).transpose()?,
    })
}

pub(super) fn preview(response: wire::CreateRollbackDeployResponse) -> Result<Preview, Malformed> {
    let wire::CreateRollbackDeployResponse {
        deploy,
        revision_digest,
        blockers,
    } = response;
    let blockers = blockers
        .into_iter()
        .map(blocker)
        .collect::<Result<Vec<_>, _>>()?;
    let composed = deploy
        .map(|deploy| {
            let origin = required("rollback", deploy.rollback.as_ref())?;
            Ok(Composed {
                number: number(&deploy)?,
                replaced: deploy_number(&origin.replaced_deploy)?,
                revision: revision(required("revision", deploy.revision)?)?,
                digest: required(
                    "revision_digest",
                    Some(revision_digest).filter(|d| !d.is_empty()),
                )?,
            })
        })
        .transpose()?;
    explained(composed, blockers)
}

fn explained(composed: Option<Composed>, blockers: Vec<Blocker>) -> Result<Preview, Malformed> {
    if composed.is_none() && blockers.is_empty() {
        return Err(Malformed(
            "it composed nothing and does not say why".to_owned(),
        ));
    }
    Ok(Preview { composed, blockers })
}

/// A page of a history, newest first: its deploys, and the token of the next page.
pub(super) fn page(
    response: wire::ListDeploysResponse,
) -> Result<(Vec<DeployBetween>, Option<String>), Malformed> {
    let wire::ListDeploysResponse {
        deploys,
        next_page_token,
    } = response;
    let deploys = deploys
        .into_iter()
        .map(deploy_between)
        .collect::<Result<_, _>>()?;
    Ok((deploys, Some(next_page_token).filter(|it| !it.is_empty())))
}

fn deploy_between(deploy: wire::Deploy) -> Result<DeployBetween, Malformed> {
    Ok(DeployBetween {
        number: number(&deploy)?,
        description: deploy.description,
        created_by: parse("created_by", &deploy.created_by)?,
        create_time: time(required("create_time", deploy.create_time)?)?,
        state: state(deploy.state)?,
        git: deploy.git.map(git),
    })
}

/// Agents, and whether there are more.
pub(super) fn agents(response: wire::ListAgentsResponse) -> Result<Agents, Malformed> {
    let wire::ListAgentsResponse {
        agents,
        next_page_token,
    } = response;
    Ok(Agents {
        reports: agents.into_iter().map(agent).collect::<Result<_, _>>()?,
        more: !next_page_token.is_empty(),
    })
}

fn agent(agent: wire::Agent) -> Result<Agent, Malformed> {
    let wire::Agent {
        agent_id,
        runtime_version,
        running_tasks,
        queued_tasks,
        deferred_tasks,
        report_time,
        expire_time: _,
    } = agent;
    Ok(Agent {
        id: agent_id,
        runtime: runtime_version,
        running: running_tasks.into(),
        queued: queued_tasks.into(),
        deferred: deferred_tasks.into(),
        report_time: time(required("report_time", report_time)?)?,
    })
}

pub(super) fn written(
    response: wire::CreateRollbackDeployResponse,
    rollback: &RollbackName,
) -> Result<WrittenDeploy, Malformed> {
    let wire::CreateRollbackDeployResponse {
        deploy,
        revision_digest: _,
        blockers: _,
    } = response;
    deploy_of(required("deploy", deploy)?, rollback)
}

pub(super) fn closed(
    response: wire::CloseRollbackResponse,
    rollback: &RollbackName,
) -> Result<Option<WrittenDeploy>, Malformed> {
    let wire::CloseRollbackResponse { deploy } = response;
    deploy.map(|deploy| deploy_of(deploy, rollback)).transpose()
}

/// The deploy of a rollback, as the history tells it. None if it is of another one: the registry has
/// lost ours, and has given its number again.
pub(super) fn looked_at(
    response: wire::GetDeployResponse,
    rollback: &RollbackName,
) -> Result<Option<WrittenDeploy>, Malformed> {
    let wire::GetDeployResponse { deploy } = response;
    let deploy = required("deploy", deploy)?;
    let origin = deploy.rollback.as_ref();
    if origin.is_none_or(|origin| origin.rollback != rollback.to_string()) {
        return Ok(None);
    }
    deploy_of(deploy, rollback).map(Some)
}

/// A deploy that the rollback is said to have made.
fn deploy_of(deploy: wire::Deploy, rollback: &RollbackName) -> Result<WrittenDeploy, Malformed> {
    let origin = required("rollback", deploy.rollback.as_ref())?;
    if origin.rollback != rollback.to_string() {
        return Err(Malformed(format!(
            "the deploy is of {}, not {rollback}",
            origin.rollback
        )));
    }
    let how = match wire::DeployState::try_from(deploy.state) {
        Ok(wire::DeployState::Pending | wire::DeployState::RollingOut) => None,
        Ok(wire::DeployState::Deployed) => Some(RollOut::Deployed),
        Ok(wire::DeployState::Failed) => Some(RollOut::Failed),
        Ok(wire::DeployState::Superseded) => Some(RollOut::Superseded),
        Ok(wire::DeployState::Unspecified) | Err(_) => {
            return Err(Malformed(format!(
                "{} is no state of a deploy",
                deploy.state
            )));
        }
    };
    Ok(WrittenDeploy {
        number: number(&deploy)?,
        roll_out: how.map(|how| RollOutEnd {
            how,
            reason: deploy.state_reason,
        }),
    })
}

fn number(deploy: &wire::Deploy) -> Result<DeployNumber, Malformed> {
    DeployNumber::new(deploy.number)
        .ok()
        .filter(|number| !number.is_none())
        .ok_or_else(|| Malformed(format!("{} is no number of a deploy", deploy.number)))
}

fn deploy_number(name: &str) -> Result<DeployNumber, Malformed> {
    Ok(parse::<DeployName>("deploy", name)?.number())
}

fn revision(revision: wire::Revision) -> Result<Revision, Malformed> {
    let wire::Revision {
        image,
        runtime_version,
        airflow_version,
        dag_bundle,
        dbt_bundles,
        dag_deploy_mode,
    } = revision;
    Ok(Revision {
        image: image.map(self::image).transpose()?,
        runtime: parse_optional("runtime_version", &runtime_version)?,
        airflow: parse_optional("airflow_version", &airflow_version)?,
        dag_bundle: dag_bundle
            .map(|wire::Bundle { sha256, size_bytes }| bundle(&sha256, size_bytes))
            .transpose()?,
        dbt_bundles: dbt_bundles
            .into_iter()
            .map(
                |wire::DbtBundle {
                     mount_path,
                     sha256,
                     size_bytes,
                 }| {
                    Ok(DbtBundle {
                        mount_path,
                        bundle: bundle(&sha256, size_bytes)?,
                    })
                },
            )
            .collect::<Result<_, Malformed>>()?,
        mode: mode(dag_deploy_mode)?,
    })
}

fn image(
    wire::Image {
        repository,
        tag,
        digest,
    }: wire::Image,
) -> Result<Image, Malformed> {
    Ok(Image {
        repository,
        tag,
        digest: parse("image digest", &digest)?,
    })
}

fn bundle(sha256: &str, size_bytes: i64) -> Result<Bundle, Malformed> {
    Ok(Bundle {
        sha256: parse("sha256", sha256)?,
        size_bytes,
    })
}

fn git(git: wire::GitSource) -> GitSource {
    let wire::GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    } = git;
    GitSource {
        provider,
        repository,
        branch,
        commit: commit_sha,
        author,
        commit_url,
    }
}

fn mode(mode: i32) -> Result<DagDeployMode, Malformed> {
    match wire::DagDeployMode::try_from(mode) {
        Ok(wire::DagDeployMode::Image) => Ok(DagDeployMode::Image),
        Ok(wire::DagDeployMode::DagOnly) => Ok(DagDeployMode::DagOnly),
        Ok(wire::DagDeployMode::GitSync) => Ok(DagDeployMode::GitSync),
        Ok(wire::DagDeployMode::Nfs) => Ok(DagDeployMode::Nfs),
        Ok(wire::DagDeployMode::Unspecified) | Err(_) => {
            Err(Malformed(format!("{mode} is no DAG deploy mode")))
        }
    }
}

/// A registry from before remote agents does not say; then there are none.
fn execution(mode: i32) -> Result<ExecutionMode, Malformed> {
    match wire::ExecutionMode::try_from(mode) {
        Ok(wire::ExecutionMode::Remote) => Ok(ExecutionMode::Remote),
        Ok(wire::ExecutionMode::Hosted | wire::ExecutionMode::Unspecified) => {
            Ok(ExecutionMode::Hosted)
        }
        Err(_) => Err(Malformed(format!("{mode} is no execution mode"))),
    }
}

fn state(state: i32) -> Result<DeployState, Malformed> {
    match wire::DeployState::try_from(state) {
        Ok(wire::DeployState::Pending) => Ok(DeployState::Pending),
        Ok(wire::DeployState::RollingOut) => Ok(DeployState::RollingOut),
        Ok(wire::DeployState::Deployed) => Ok(DeployState::Deployed),
        Ok(wire::DeployState::Failed) => Ok(DeployState::Failed),
        Ok(wire::DeployState::Superseded) => Ok(DeployState::Superseded),
        Ok(wire::DeployState::Unspecified) | Err(_) => {
            Err(Malformed(format!("{state} is no state of a deploy")))
        }
    }
}

fn blocker(blocker: common::Blocker) -> Result<Blocker, Malformed> {
    let common::Blocker {
        code,
        subject,
        text,
    } = blocker;
    // A reason of a newer registry must not be lost: whoever cannot tell it must not go on.
    let code = common::BlockerCode::try_from(code)
        .ok()
        .and_then(|code| BlockerCode::from_name(code.as_str_name().strip_prefix("BLOCKER_CODE_")?))
        .ok_or_else(|| Malformed(format!("{code} is no blocker that is known here")))?;
    Ok(Blocker {
        code,
        subject,
        text,
    })
}

fn time(Timestamp { seconds, nanos }: Timestamp) -> Result<DateTime<Utc>, Malformed> {
    u32::try_from(nanos)
        .ok()
        .and_then(|nanos| DateTime::from_timestamp(seconds, nanos))
        .ok_or_else(|| Malformed(format!("{seconds} s and {nanos} ns is no time")))
}

fn required<T>(what: &str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed(format!("{what} is missing")))
}

fn parse<T: FromStr<Err: fmt::Display>>(what: &str, text: &str) -> Result<T, Malformed> {
    text.parse()
        .map_err(|error| Malformed(format!("{what}: {error}")))
}

fn parse_optional<T: FromStr<Err: fmt::Display>>(
    what: &str,
    text: &str,
) -> Result<Option<T>, Malformed> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(what, text).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blocker_of_the_api_is_known_and_no_other() {
        let known = (1..=BlockerCode::ALL.len()).map(|code| {
            let code = i32::try_from(code).unwrap();
            let blocker = common::Blocker {
                code,
                subject: "s".to_owned(),
                text: "t".to_owned(),
            };
            self::blocker(blocker).unwrap().code
        });
        let mut known = known.collect::<Vec<_>>();
        known.sort_unstable();
        assert_eq!(known, BlockerCode::ALL);
        for code in [-1, 0, i32::MAX] {
            let blocker = common::Blocker {
                code,
                subject: String::new(),
                text: String::new(),
            };
            assert!(self::blocker(blocker).is_err(), "{code}");
        }
    }

    #[test]
    fn a_preview_that_composes_nothing_says_why() {
        let preview = |blockers| {
            let deploy = None;
            let revision_digest = String::new();
            self::preview(wire::CreateRollbackDeployResponse {
                deploy,
                revision_digest,
                blockers,
            })
        };
        assert!(preview(Vec::new()).is_err());
        let blocker = common::Blocker {
            code: common::BlockerCode::NothingDeployed.into(),
            subject: String::new(),
            text: String::new(),
        };
        assert_eq!(
            preview(vec![blocker]).unwrap().blockers[0].code,
            BlockerCode::NothingDeployed
        );
    }

    #[test]
    fn a_final_state_of_a_deploy_is_how_its_roll_out_ended() {
        let rollback = "workspaces/w/deployments/d/rollbacks/00000000-0000-0000-0000-000000000001";
        let read = |state: i32| {
            let deploy = wire::Deploy {
                number: 7,
                rollback: Some(wire::RollbackOrigin {
                    rollback: rollback.to_owned(),
                    ..Default::default()
                }),
                state,
                state_reason: "because".to_owned(),
                ..Default::default()
            };
            let written = deploy_of(deploy, &rollback.parse().unwrap());
            written.map(|written| written.roll_out).ok()
        };
        let found = (0..=6).map(read).collect::<Vec<_>>();
        let ended = |how| {
            let reason = "because".to_owned();
            Some(Some(RollOutEnd { how, reason }))
        };
        let expected = [
            None,
            Some(None),
            Some(None),
            ended(RollOut::Deployed),
            ended(RollOut::Failed),
            ended(RollOut::Superseded),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_deploy_of_another_rollback_is_not_taken_for_ours() {
        let deployment = "workspaces/w/deployments/d";
        let name = |id: u128| format!("{deployment}/rollbacks/{}", uuid::Uuid::from_u128(id));
        let deploy = |rollback: String| wire::Deploy {
            number: 7,
            rollback: Some(wire::RollbackOrigin {
                rollback,
                ..Default::default()
            }),
            state: wire::DeployState::Deployed.into(),
            ..Default::default()
        };
        let ours = name(1).parse::<RollbackName>().unwrap();
        assert_eq!(deploy_of(deploy(name(1)), &ours).unwrap().number.get(), 7);
        assert!(deploy_of(deploy(name(2)), &ours).is_err());
        assert!(
            deploy_of(
                wire::Deploy {
                    number: 7,
                    ..Default::default()
                },
                &ours
            )
            .is_err()
        );
    }
}
