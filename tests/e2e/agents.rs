//! Deployments whose tasks are run by remote agents.

use proto::common::v1::{BlockerCode, RollbackScope};
use proto::registry::v1::{
    Agent, CreateDeploymentRequest, DagDeployMode, Deployment, ExecutionMode, ReportAgentRequest,
};
use proto::rollback::v1::{CreateRollbackRequest, Plan, WarningCode};
use tonic::Code;

use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image, rollback};
use crate::harness::{Orders, Person, Setup, refused};

const REMOTE: &str = "workspaces/acme/deployments/remote";

on_both_databases!(
    an_agent_that_is_too_new_blocks_the_rollback_until_it_is_brought_down,
    where_no_agent_reports_the_plan_warns_and_the_rollback_runs,
    who_may_not_report_for_an_agent_changes_no_plan,
);

async fn an_agent_that_is_too_new_blocks_the_rollback_until_it_is_brought_down(setup: Setup) {
    let orders = remote(setup).await;
    let admin = &orders.admin;
    report(admin, agent("agent-a", "3.1-9", 2)).await;
    report(admin, agent("agent-b", "3.2-2", 3)).await;

    let plan = admin.plan(REMOTE, 1, RollbackScope::All).await;
    assert_eq!(blockers(&plan), [BlockerCode::AgentTooNew]);
    assert_eq!(plan.blockers[0].subject, "agent-b");
    assert!(plan.blockers[0].text.contains("agent-b (Runtime 3.2-2)"));
    let agents = plan.agents.iter();
    let agents = agents.map(|agent| (agent.agent_id.as_str(), agent.too_new));
    assert_eq!(
        agents.collect::<Vec<_>>(),
        [("agent-a", false), ("agent-b", true)]
    );
    let tasks = plan.tasks.as_ref().unwrap();
    assert_eq!((tasks.running, tasks.queued), (Some(5), Some(2)));
    assert!(warned(&plan, WarningCode::TasksRunning));
    assert!(!warned(&plan, WarningCode::AgentUnknown));

    let request = CreateRollbackRequest {
        request_id: "8d9a4f9e-5b7e-4f0e-9a53-0d4f3f0c2a11".to_owned(),
        ..rollback(REMOTE, 1, RollbackScope::All)
    };
    let refusal = refused(admin.orchestrator().create_rollback(request.clone()).await);
    let refusal = refusal.is(Code::FailedPrecondition, "ROLLBACK_BLOCKED");
    assert_eq!(refusal.about("blockers"), "AGENT_TOO_NEW");
    assert_eq!(admin.latest(REMOTE).await, 2);

    // A refusal is not remembered: the same request, once the agent was brought down.
    report(admin, agent("agent-b", "3.1-2", 3)).await;
    let rolled_back = admin.roll_back(request.clone()).await;
    assert_eq!(rolled_back.deploy, deploy(REMOTE, 3));

    // What was accepted is returned, whatever agents say by then.
    report(admin, agent("agent-b", "3.3-8", 3)).await;
    assert_eq!(admin.roll_back(request).await.deploy, rolled_back.deploy);
}

async fn where_no_agent_reports_the_plan_warns_and_the_rollback_runs(setup: Setup) {
    let orders = remote(setup).await;
    let admin = &orders.admin;
    let plan = admin.plan(REMOTE, 1, RollbackScope::All).await;
    assert_eq!(blockers(&plan), []);
    assert!(warned(&plan, WarningCode::AgentUnknown));
    assert!(!warned(&plan, WarningCode::TasksRunning));
    assert_eq!(plan.agents, []);
    let tasks = plan.tasks.as_ref().unwrap();
    assert!(tasks.text.contains("fail at once"), "{}", tasks.text);
    assert_eq!(tasks.running, None);
    let between = plan.deploys_between.iter();
    let between = between.map(|deploy| deploy.deploy.as_str());
    assert_eq!(between.collect::<Vec<_>>(), [deploy(REMOTE, 2)]);
    assert_eq!(plan.deploys_between[0].created_by, admin.principal);

    // An agent that fits and its tasks change nothing that was agreed to.
    report(admin, agent("agent-a", "3.1-9", 70)).await;
    let request = CreateRollbackRequest {
        plan_digest: plan.digest,
        ..rollback(REMOTE, 1, RollbackScope::All)
    };
    let rolled_back = admin.roll_back(request).await;
    assert_eq!(rolled_back.deploy, deploy(REMOTE, 3));
}

async fn who_may_not_report_for_an_agent_changes_no_plan(setup: Setup) {
    let orders = remote(setup).await;
    let dana = &orders.dana;
    let viewer = "roles/DEPLOYMENT_VIEWER";
    orders.admin.bind(REMOTE, &dana.principal, viewer).await;
    let request = ReportAgentRequest {
        parent: REMOTE.to_owned(),
        agent: Some(agent("agent-a", "3.3-8", 1)),
    };
    let registry = |person: &Person| person.registry();
    refused(registry(dana).report_agent(request.clone()).await).lacks("deployment.agents.report");
    refused(registry(&orders.stranger).report_agent(request).await).not_found();
    // Whoever may see the history sees the agents of the plan.
    report(&orders.admin, agent("agent-b", "3.2-2", 1)).await;
    let plan = dana.plan(REMOTE, 1, RollbackScope::All).await;
    let agents = plan.agents.iter().map(|agent| agent.agent_id.as_str());
    assert_eq!(agents.collect::<Vec<_>>(), ["agent-b"]);
    assert_eq!(blockers(&plan), [BlockerCode::AgentTooNew]);
}

/// A Deployment with remote agents that went from Runtime 3.1-9 to 3.2-2.
async fn remote(setup: Setup) -> Orders {
    let orders = Orders::new(setup).await;
    let request = CreateDeploymentRequest {
        parent: "workspaces/acme".to_owned(),
        deployment_id: "remote".to_owned(),
        deployment: Some(Deployment {
            dag_deploy_mode: DagDeployMode::Image.into(),
            rollback_enabled: true,
            execution_mode: ExecutionMode::Remote.into(),
            ..Deployment::default()
        }),
        ..CreateDeploymentRequest::default()
    };
    done(orders.admin.registry().create_deployment(request).await);
    orders.admin.ship(REMOTE, image('a', "3.1-9")).await;
    orders.admin.ship(REMOTE, image('b', "3.2-2")).await;
    orders
}

fn agent(id: &str, runtime: &str, running: i32) -> Agent {
    Agent {
        agent_id: id.to_owned(),
        runtime_version: runtime.to_owned(),
        running_tasks: running,
        queued_tasks: 1,
        ..Agent::default()
    }
}

async fn report(person: &Person, agent: Agent) {
    let request = ReportAgentRequest {
        parent: REMOTE.to_owned(),
        agent: Some(agent),
    };
    done(person.registry().report_agent(request).await);
}

fn blockers(plan: &Plan) -> Vec<BlockerCode> {
    plan.blockers.iter().map(|blocker| blocker.code()).collect()
}

fn warned(plan: &Plan, code: WarningCode) -> bool {
    plan.warnings.iter().any(|warning| warning.code() == code)
}
