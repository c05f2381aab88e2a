//! Deploys that somebody ships and reports, and rollbacks that follow them.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateDeploymentRequest, DagDeployMode, Delivery, DeployState, Deployment,
    ReportDeployStateRequest,
};
use proto::rollback::v1::{RollOut, Rollback, RollbackState, RollbackStep, StepKind};
use tonic::Code;

use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image, rollback};
use crate::harness::{Orders, Person, Setup, refused, until};
use crate::proxy::Point;

const SHIPPED: &str = "workspaces/acme/deployments/shipped";

on_both_databases!(
    a_rollback_runs_once_whoever_ships_it_says_so,
    a_roll_out_that_fails_is_told_with_the_reason,
    a_roll_out_that_is_overtaken_is_superseded,
    a_roll_out_of_which_nobody_tells_times_out,
    a_roll_out_is_followed_though_the_orchestrator_is_killed,
    a_registry_that_is_away_at_the_deadline_is_asked_when_it_is_back,
    a_deploy_that_ends_before_the_orchestrator_hears_of_it_is_told_at_once,
);

async fn a_rollback_runs_once_whoever_ships_it_says_so(setup: Setup) {
    let orders = with_history(setup).await;
    let dana = &orders.dana;
    let rolled_back = roll_back(dana).await;
    assert_eq!(dana.history(SHIPPED).await[0].state(), DeployState::Pending);
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 2));
    assert!(roll_out_step(&rolled_back).end_time.is_none());

    report(dana, 3, DeployState::RollingOut, "").await;
    report(dana, 3, DeployState::Deployed, "all pods are ready").await;
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 3));
    let ended = rolled_out(dana, &rolled_back).await;
    assert_eq!(ended.roll_out(), RollOut::Deployed);
    assert_eq!(ended.roll_out_reason, "all pods are ready");
    assert_eq!(ended.roll_out_deadline, rolled_back.roll_out_deadline);
    assert_eq!(ended.end_time, rolled_back.end_time);
    assert_ne!(ended.etag, rolled_back.etag);
    let step = roll_out_step(&ended);
    assert_eq!((step.attempts, step.error.as_ref()), (1, None));
    assert_eq!(step.end_time, ended.update_time);

    let late = ReportDeployStateRequest {
        name: deploy(SHIPPED, 3),
        state: DeployState::Failed.into(),
        reason: String::new(),
    };
    refused(dana.registry().report_deploy_state(late).await)
        .is(Code::FailedPrecondition, "DEPLOY_STATE_FINAL");
}

async fn a_roll_out_that_fails_is_told_with_the_reason(setup: Setup) {
    let orders = with_history(setup).await;
    let dana = &orders.dana;
    let rolled_back = roll_back(dana).await;
    report(dana, 3, DeployState::Failed, "the image cannot be pulled").await;
    let ended = rolled_out(dana, &rolled_back).await;
    assert_eq!(ended.state(), RollbackState::Succeeded, "it is written");
    assert_eq!(ended.roll_out(), RollOut::Failed);
    assert_eq!(ended.roll_out_reason, "the image cannot be pulled");
    // What ran before still runs, and can be rolled back again.
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 2));
    let again = dana.roll_back(rollback(SHIPPED, 1, RollbackScope::All));
    assert_eq!(again.await.deploy, deploy(SHIPPED, 4));
}

async fn a_roll_out_that_is_overtaken_is_superseded(setup: Setup) {
    let orders = with_history(setup).await;
    let dana = &orders.dana;
    let rolled_back = roll_back(dana).await;
    dana.ship(SHIPPED, image('c', "3.1-9")).await;
    let ended = rolled_out(dana, &rolled_back).await;
    assert_eq!(ended.roll_out(), RollOut::Superseded);
    let overtaken = &dana.history(SHIPPED).await[1];
    assert_eq!(ended.roll_out_reason, overtaken.state_reason);
    assert_ne!(ended.roll_out_reason, "");
}

async fn a_roll_out_of_which_nobody_tells_times_out(setup: Setup) {
    let setup = setup.orchestrator_flags(&["--roll-out-deadline-seconds", "1"]);
    let orders = with_history(setup).await;
    let dana = &orders.dana;
    let rolled_back = roll_back(dana).await;
    let ended = rolled_out(dana, &rolled_back).await;
    assert_eq!(ended.roll_out(), RollOut::TimedOut);
    assert_ne!(ended.roll_out_reason, "");
    assert!(!ended.needs_attention);
    assert!(ended.update_time.unwrap().seconds >= ended.roll_out_deadline.unwrap().seconds - 1);

    // It may still end, in the history of deploys.
    report(dana, 3, DeployState::Deployed, "").await;
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 3));
    assert_eq!(dana.rollback(&ended.name).await, ended);
}

async fn a_roll_out_is_followed_though_the_orchestrator_is_killed(setup: Setup) {
    let setup = setup.orchestrator_flags(&["--lease-seconds", "1"]);
    let mut orders = with_history(setup).await;
    let rolled_back = roll_back(&orders.dana).await;
    orders.stack.orchestrator.kill();
    report(&orders.dana, 3, DeployState::Deployed, "").await;
    orders.stack.orchestrator.restart().await;
    let ended = rolled_out(&orders.dana, &rolled_back).await;
    assert_eq!(ended.roll_out(), RollOut::Deployed);

    // Killed again and again while it looks.
    let request = rollback(SHIPPED, 2, RollbackScope::All);
    let rolled_back = orders.dana.roll_back(request).await;
    for _ in 0..3 {
        orders.stack.orchestrator.kill();
        orders.stack.orchestrator.restart().await;
        assert_eq!(
            orders.dana.rollback(&rolled_back.name).await.roll_out(),
            RollOut::Unspecified
        );
    }
    report(&orders.dana, 4, DeployState::Failed, "no").await;
    let ended = rolled_out(&orders.dana, &rolled_back).await;
    assert_eq!(ended.roll_out(), RollOut::Failed);
}

async fn a_registry_that_is_away_at_the_deadline_is_asked_when_it_is_back(setup: Setup) {
    let setup = setup.orchestrator_flags(&["--roll-out-deadline-seconds", "1"]);
    let mut orders = with_history(setup).await;
    let rolled_back = roll_back(&orders.dana).await;
    orders.stack.registry.kill();
    let waiting = until("the roll-out to need people", async || {
        let rollback = orders.dana.rollback(&rolled_back.name).await;
        rollback.needs_attention.then_some(rollback)
    })
    .await;
    assert_eq!(waiting.state(), RollbackState::Succeeded);
    assert_eq!(waiting.roll_out(), RollOut::Unspecified);
    assert!(roll_out_step(&waiting).error.is_some());

    orders.stack.registry.restart().await;
    report(&orders.dana, 3, DeployState::Deployed, "").await;
    let ended = rolled_out(&orders.dana, &rolled_back).await;
    assert_ne!(ended.roll_out(), RollOut::Unspecified);
    assert!(!ended.needs_attention);
    assert!(roll_out_step(&ended).error.is_none());
}

async fn a_deploy_that_ends_before_the_orchestrator_hears_of_it_is_told_at_once(setup: Setup) {
    let setup = setup
        .proxied()
        .orchestrator_flags(&["--lease-seconds", "1"]);
    let mut orders = with_history(setup).await;
    let mut held = orders.stack.proxy().hold_write(Point::Answer);
    let request = rollback(SHIPPED, 1, RollbackScope::All);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    report(&orders.dana, 3, DeployState::Failed, "no").await;
    orders.stack.orchestrator.restart().await;
    // The one who accepted it is gone; the next one finds the deploy, and how that ended.
    let next = orders.dana.roll_back_after_others(&request).await;
    assert_eq!(next.deploy, deploy(SHIPPED, 4));
    let history = orders.dana.history(SHIPPED).await;
    let made_by = history[1].rollback.as_ref().unwrap();
    let found = orders.dana.rollback(&made_by.rollback).await;
    assert_eq!(found.deploy, deploy(SHIPPED, 3));
    assert_eq!(found.roll_out(), RollOut::Failed);
    assert_eq!(found.roll_out_reason, "no");
}

/// A Deployment that somebody else ships, with two deploys that run.
async fn with_history(setup: Setup) -> Orders {
    let orders = Orders::new(setup).await;
    let request = CreateDeploymentRequest {
        parent: "workspaces/acme".to_owned(),
        deployment_id: "shipped".to_owned(),
        deployment: Some(Deployment {
            dag_deploy_mode: DagDeployMode::Image.into(),
            rollback_enabled: true,
            delivery: Delivery::Agent.into(),
            ..Deployment::default()
        }),
        ..CreateDeploymentRequest::default()
    };
    done(orders.admin.registry().create_deployment(request).await);
    let dana = &orders.dana;
    orders
        .admin
        .bind(SHIPPED, &dana.principal, "roles/DEPLOYMENT_ADMIN")
        .await;
    for (number, digit) in [(1, 'a'), (2, 'b')] {
        let shipped = dana.ship(SHIPPED, image(digit, "3.1-9")).await;
        assert_eq!(shipped.state(), DeployState::Pending);
        report(dana, number, DeployState::RollingOut, "").await;
        report(dana, number, DeployState::Deployed, "").await;
    }
    orders
}

/// Rolls back to deploy 1, whose roll-out nobody has begun.
async fn roll_back(dana: &Person) -> Rollback {
    let rolled_back = dana
        .roll_back(rollback(SHIPPED, 1, RollbackScope::All))
        .await;
    assert_eq!(rolled_back.state(), RollbackState::Succeeded);
    assert_eq!(rolled_back.deploy, deploy(SHIPPED, 3));
    assert_eq!(rolled_back.roll_out(), RollOut::Unspecified);
    assert!(rolled_back.roll_out_deadline.is_some());
    rolled_back
}

/// The rollback once its roll-out has ended.
async fn rolled_out(person: &Person, rolled_back: &Rollback) -> Rollback {
    until("the roll-out to end", async || {
        let rollback = person.rollback(&rolled_back.name).await;
        (rollback.roll_out() != RollOut::Unspecified).then_some(rollback)
    })
    .await
}

fn roll_out_step(rollback: &Rollback) -> &RollbackStep {
    let mut steps = rollback.steps.iter();
    steps.find(|step| step.kind() == StepKind::RollOut).unwrap()
}

async fn report(person: &Person, number: i64, state: DeployState, reason: &str) {
    let request = ReportDeployStateRequest {
        name: deploy(SHIPPED, number),
        state: state.into(),
        reason: reason.to_owned(),
    };
    let reported = done(person.registry().report_deploy_state(request).await);
    assert_eq!(reported.deploy.unwrap().state(), state);
}
