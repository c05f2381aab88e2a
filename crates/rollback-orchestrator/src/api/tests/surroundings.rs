//! What a plan tells of what is around the rollback: deploys in between, agents and tasks.

use super::*;

fn agent(id: &str, runtime: &str, running: i32) -> registry::Agent {
    registry::Agent {
        agent_id: id.to_owned(),
        runtime_version: runtime.to_owned(),
        running_tasks: running,
        queued_tasks: 2,
        deferred_tasks: 3,
        report_time: Some(at(7)),
        expire_time: Some(at(127)),
    }
}

async fn remote(now: &str, then: &str, agents: Vec<registry::Agent>) -> Service {
    let service = Service::start(now, then).await;
    let mut state = service.registry.state();
    state.deployment.as_mut().unwrap().execution_mode = registry::ExecutionMode::Remote.into();
    state.agents = agents;
    drop(state);
    service
}

fn codes(plan: &Plan) -> Vec<BlockerCode> {
    plan.blockers.iter().map(Blocker::code).collect()
}

fn warned(plan: &Plan) -> Vec<WarningCode> {
    plan.warnings.iter().map(Warning::code).collect()
}

#[tokio::test]
async fn an_agent_that_is_too_new_is_shown_and_blocks_the_rollback() {
    let agents = vec![agent("a", "3.1-2", 1), agent("b", "3.1-9", 4)];
    let service = remote("3.1-9", "3.1-2", agents).await;
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(codes(&plan), [BlockerCode::AgentTooNew]);
    let report = |id: &str, runtime: &str, too_new| AgentReport {
        agent_id: id.to_owned(),
        runtime_version: runtime.to_owned(),
        too_new,
        report_time: Some(at(7)),
    };
    let expected = [report("a", "3.1-2", false), report("b", "3.1-9", true)];
    assert_eq!(plan.agents, expected);
    let tasks = plan.tasks.as_ref().unwrap();
    let counts = (tasks.running, tasks.queued, tasks.deferred);
    assert_eq!(counts, (Some(5), Some(4), Some(6)));
    assert!(warned(&plan).contains(&WarningCode::TasksRunning));
    assert!(!warned(&plan).contains(&WarningCode::AgentUnknown));

    let status = service
        .create(CreateRollbackRequest {
            acknowledged_warnings: vec![WarningCode::RuntimeDowngrade.into()],
            ..create_request()
        })
        .await
        .unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::RollbackBlocked));
    assert_eq!(metadata(&status)["blockers"], "AGENT_TOO_NEW");
    assert!(service.nothing_was_sent());

    // The agent is brought down, and reports again: another plan.
    service.registry.state().agents[1].runtime_version = "3.1-2".to_owned();
    let fits = service.plan(plan_request()).await.unwrap();
    assert_eq!(codes(&fits), []);
    assert_ne!(fits.digest, plan.digest);
    service.stop().await;
}

#[tokio::test]
async fn counts_and_liveness_of_agents_leave_the_agreed_plan_alone() {
    let service = remote("3.1-9", "3.1-2", vec![agent("a", "3.1-2", 1)]).await;
    let agreed = service.plan(plan_request()).await.unwrap();
    service.registry.state().agents.clear();
    let silent = service.plan(plan_request()).await.unwrap();
    assert!(warned(&silent).contains(&WarningCode::AgentUnknown));
    assert_eq!(silent.tasks.unwrap().running, None);
    assert_eq!(
        (silent.digest, silent.blockers),
        (agreed.digest.clone(), Vec::new())
    );

    service.registry.state().agents = vec![agent("b", "3.1-2", 70)];
    let request = CreateRollbackRequest {
        plan_digest: agreed.digest,
        acknowledged_warnings: vec![WarningCode::RuntimeDowngrade.into()],
        ..create_request()
    };
    service.create(request).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_for_agents_where_tasks_run_beside_airflow() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().agents = vec![agent("a", "3.3-8", 1)];
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(
        (codes(&plan), plan.agents.len(), plan.tasks),
        (vec![], 0, None)
    );
    service.stop().await;
}

/// Makes the history longer: deploys 4 to `current`, which runs, up to `latest`.
fn longer(service: &Service, current: i64, latest: i64) {
    let mut state = service.registry.state();
    for number in 5..=latest {
        let deploy = deploy(number, revision(5, "3.1-9"));
        state.history.insert(deploy.name.clone(), deploy);
    }
    let deployment = state.deployment.as_mut().unwrap();
    deployment.current_deploy = deploy_name(current);
    deployment.latest_deploy = deploy_name(latest);
    state.preview.deploy = Some(composed(latest + 1, current, revision(4, "3.1-9")));
}

#[tokio::test]
async fn deploys_in_between_are_told_with_who_shipped_them_and_why() {
    let service = Service::start("3.1-9", "3.1-9").await;
    longer(&service, 6, 8);
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.deploys_between_count, 2);
    let between = |number| DeployBetween {
        deploy: deploy_name(number),
        description: format!("change {number}"),
        created_by: "user:bob@example.com".to_owned(),
        create_time: Some(at(number)),
        state: registry::DeployState::Deployed.into(),
        git: deploy(number, revision(5, "3.1-9")).git,
    };
    assert_eq!(plan.deploys_between, [between(6), between(5)]);
    service.stop().await;
}

#[tokio::test]
async fn a_long_history_is_read_in_few_pages_and_told_by_its_newest_hundred() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let numbers = |plan: &Plan| {
        let all = plan.deploys_between.iter();
        let all = all.map(|deploy| deploy.deploy.rsplit('/').next().unwrap().parse().unwrap());
        all.collect::<Vec<i64>>()
    };
    longer(&service, 300, 330);
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.deploys_between_count, 296);
    assert_eq!(numbers(&plan), (201..=300).rev().collect::<Vec<_>>());
    assert_eq!(service.registry.state().pages, 2);

    // Pages with large settings are short.
    service.registry.state().longest_page = Some(20);
    let plan = service.plan(plan_request()).await.unwrap();
    assert_eq!(plan.deploys_between_count, 296);
    assert_eq!(numbers(&plan), (251..=300).rev().collect::<Vec<_>>());
    assert_eq!(service.registry.state().pages, 2 + 4);
    service.stop().await;
}

#[tokio::test]
async fn where_the_target_is_what_runs_no_history_is_read() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let target = plan_rollback_request::Target::TargetDeploy(deploy_name(5));
    let plan = service
        .plan(PlanRollbackRequest {
            target: Some(target),
            ..plan_request()
        })
        .await
        .unwrap();
    assert_eq!(
        (plan.deploys_between_count, plan.deploys_between),
        (0, vec![])
    );
    assert_eq!(service.registry.state().pages, 0);
    service.stop().await;
}
