//! What a plan tells of what is around the rollback: deploys in between, agents and tasks.

use chassis::convert::timestamp;
use model::deploys::DeployState;
use model::names::DeploymentName;
use proto::registry::v1 as registry;
use proto::rollback::v1 as wire;

use super::deploy_name;
use crate::domain::agents::{AgentReport, TaskCounts};
use crate::domain::history::{DeployBetween, GitSource};
use crate::domain::tasks::TaskReport;

pub(super) fn deploys_between(
    deployment: &DeploymentName,
    deploys: Vec<DeployBetween>,
) -> Vec<wire::DeployBetween> {
    let encode = |deploy| {
        let DeployBetween {
            number,
            description,
            created_by,
            create_time,
            state,
            git,
        } = deploy;
        wire::DeployBetween {
            deploy: deploy_name(deployment, number),
            description,
            created_by: created_by.to_string(),
            create_time: Some(timestamp(create_time)),
            state: self::state(state).into(),
            git: git.map(self::git),
        }
    };
    deploys.into_iter().map(encode).collect()
}

pub(super) fn state(state: DeployState) -> registry::DeployState {
    match state {
        DeployState::Pending => registry::DeployState::Pending,
        DeployState::RollingOut => registry::DeployState::RollingOut,
        DeployState::Deployed => registry::DeployState::Deployed,
        DeployState::Failed => registry::DeployState::Failed,
        DeployState::Superseded => registry::DeployState::Superseded,
    }
}

fn git(git: GitSource) -> registry::GitSource {
    let GitSource {
        provider,
        repository,
        branch,
        commit,
        author,
        commit_url,
    } = git;
    registry::GitSource {
        provider,
        repository,
        branch,
        commit_sha: commit,
        author,
        commit_url,
    }
}

pub(super) fn agent(agent: AgentReport) -> wire::AgentReport {
    let AgentReport {
        id,
        runtime,
        too_new,
        report_time,
    } = agent;
    wire::AgentReport {
        agent_id: id,
        runtime_version: runtime,
        too_new,
        report_time: Some(timestamp(report_time)),
    }
}

pub(super) fn tasks(TaskReport { text, counts }: TaskReport) -> wire::TaskReport {
    let Some(TaskCounts {
        running,
        queued,
        deferred,
    }) = counts
    else {
        return wire::TaskReport {
            text,
            ..wire::TaskReport::default()
        };
    };
    wire::TaskReport {
        text,
        running: Some(running),
        queued: Some(queued),
        deferred: Some(deferred),
    }
}
