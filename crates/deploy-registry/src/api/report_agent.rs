//! ReportAgent says what a remote agent of a Deployment runs.

use chassis::access::Freshness;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::{DeploymentName, Permission, PermissionSet};
use proto::registry::v1 as pb;
use tonic::Request;

use super::errors::{About, deployment_missing};
use super::{Registry, access, decode, encode};
use crate::domain::Agent;

const LONGEST_ID: usize = 63;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::ReportAgentRequest>,
) -> Result<pb::ReportAgentResponse, Problem> {
    let caller = caller(&request)?;
    let pb::ReportAgentRequest { parent, agent } = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &parent)?;
    let needed = PermissionSet::of(&[Permission::DeploymentAgentsReport]);
    let freshness = Freshness::MinimizeLatency;
    access::require(registry, &caller, &deployment, needed, freshness).await?;

    let agent = decode_agent(agent, registry.environment.now())?;
    let about = About::deployment(&deployment);
    let uid = registry.store.deployment_uid(&deployment).await;
    let uid = uid.map_err(|error| about.problem(error))?;
    let uid = uid.ok_or_else(|| deployment_missing(&deployment))?;
    let kept = registry.store.report_agent(uid, &agent).await;
    kept.map_err(|error| about.problem(error))?;
    Ok(pb::ReportAgentResponse {
        agent: Some(encode::agent(&agent)),
    })
}

fn decode_agent(agent: Option<pb::Agent>, now: DateTime<Utc>) -> Result<Agent, Problem> {
    let mut fields = Fields::new();
    let Some(agent) = fields.required("agent", agent) else {
        return Err(fields.into_problem());
    };
    let pb::Agent {
        agent_id,
        runtime_version,
        running_tasks,
        queued_tasks,
        deferred_tasks,
        report_time: _,
        expire_time: _,
    } = agent;
    let id = fields.check("agent.agent_id", agent_id, |id| {
        is_id(id)
            .then_some(())
            .ok_or("must match [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
    });
    let runtime_version = fields.parse("agent.runtime_version", &runtime_version);
    for (field, tasks) in [
        ("agent.running_tasks", running_tasks),
        ("agent.queued_tasks", queued_tasks),
        ("agent.deferred_tasks", deferred_tasks),
    ] {
        if tasks < 0 {
            fields.violation(field, "must not be negative");
        }
    }
    let (Some(id), Some(runtime_version)) = (id, runtime_version) else {
        return Err(fields.into_problem());
    };
    fields.finish()?;
    Ok(Agent {
        id,
        runtime_version,
        running_tasks,
        queued_tasks,
        deferred_tasks,
        report_time: now,
    })
}

fn is_id(id: &str) -> bool {
    let at_an_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    id.len() <= LONGEST_ID
        && id.starts_with(at_an_end)
        && id.ends_with(at_an_end)
        && id.chars().all(|c| at_an_end(c) || "._-".contains(c))
}
