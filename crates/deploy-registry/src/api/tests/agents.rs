use chrono::TimeDelta;
use model::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::{ETL, Harness, assert_refused};

fn agent(id: &str) -> pb::Agent {
    pb::Agent {
        agent_id: id.to_owned(),
        runtime_version: "3.1-9".to_owned(),
        running_tasks: 4,
        ..Default::default()
    }
}

impl Harness {
    async fn report_agent(&self, who: &str, agent: pb::Agent) -> Result<pb::Agent, Status> {
        let request = pb::ReportAgentRequest {
            parent: ETL.to_owned(),
            agent: Some(agent),
        };
        let response = self.registry.report_agent(self.call(who, request)).await?;
        Ok(response.into_inner().agent.unwrap())
    }

    async fn agents(&self, who: &str, page_token: &str) -> Result<pb::ListAgentsResponse, Status> {
        let request = pb::ListAgentsRequest {
            parent: ETL.to_owned(),
            page_size: 1,
            page_token: page_token.to_owned(),
        };
        let response = self.registry.list_agents(self.call(who, request)).await?;
        Ok(response.into_inner())
    }
}

#[tokio::test]
async fn agents_are_listed_while_they_report() {
    let harness = Harness::with_deployment().await;
    let reports = PermissionSet::of(&[Permission::DeploymentAgentsReport]);
    harness.grant("agent", ETL, reports);
    let reported = harness.report_agent("agent", agent("b.1")).await.unwrap();
    assert_eq!(reported.running_tasks, 4);
    let lives = reported.expire_time.unwrap().seconds - reported.report_time.unwrap().seconds;
    assert_eq!(lives, 120);
    harness.report_agent("agent", agent("a")).await.unwrap();

    let first = harness.agents("alice", "").await.unwrap();
    assert_eq!(first.agents[0].agent_id, "a");
    let second = harness
        .agents("alice", &first.next_page_token)
        .await
        .unwrap();
    assert_eq!(second.agents, [reported]);
    assert_eq!(second.next_page_token, "");
    harness.advance(TimeDelta::minutes(2));
    assert_eq!(harness.agents("alice", "").await.unwrap().agents, []);

    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    harness.grant("viewer", ETL, config);
    let refused = harness.report_agent("viewer", agent("a")).await;
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let (code, reason) = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_refused(harness.agents("agent", "").await, code, reason);
    assert_refused(
        harness.report_agent("nobody", agent("a")).await,
        code,
        reason,
    );
}

#[tokio::test]
async fn a_report_makes_sense() {
    let harness = Harness::with_deployment().await;
    let long = "x".repeat(64);
    for id in ["", "A", "-a", "a-", "a b", "é", "a/b", long.as_str()] {
        let wrong = pb::Agent {
            runtime_version: "newest".to_owned(),
            running_tasks: -1,
            queued_tasks: -1,
            deferred_tasks: -1,
            ..agent(id)
        };
        let refused = harness.report_agent("alice", wrong).await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        for field in [
            "agent.agent_id: ",
            "agent.runtime_version: ",
            "agent.running_tasks: ",
            "agent.queued_tasks: ",
            "agent.deferred_tasks: ",
        ] {
            assert!(status.message().contains(field), "{field} {id}: {status:?}");
        }
    }
}
