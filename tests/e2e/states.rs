//! Deploys that somebody ships and reports.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateDeploymentRequest, DagDeployMode, Delivery, DeployState, Deployment,
    ReportDeployStateRequest,
};
use proto::rollback::v1::{RollOut, RollbackState};
use tonic::Code;

use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image, rollback};
use crate::harness::{Orders, Person, Setup, refused};

const SHIPPED: &str = "workspaces/acme/deployments/shipped";

on_both_databases!(a_rollback_runs_once_whoever_ships_it_says_so,);

async fn a_rollback_runs_once_whoever_ships_it_says_so(setup: Setup) {
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
        report(dana, number, DeployState::RollingOut).await;
        report(dana, number, DeployState::Deployed).await;
    }

    let rolled_back = dana
        .roll_back(rollback(SHIPPED, 1, RollbackScope::All))
        .await;
    assert_eq!(rolled_back.state(), RollbackState::Succeeded);
    assert_eq!(rolled_back.deploy, deploy(SHIPPED, 3));
    assert_eq!(rolled_back.roll_out(), RollOut::Unspecified);
    assert_eq!(dana.history(SHIPPED).await[0].state(), DeployState::Pending);
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 2));

    report(dana, 3, DeployState::Deployed).await;
    let current = dana.deployment(SHIPPED).await.current_deploy;
    assert_eq!(current, deploy(SHIPPED, 3));
    let late = ReportDeployStateRequest {
        name: deploy(SHIPPED, 3),
        state: DeployState::Failed.into(),
        reason: String::new(),
    };
    refused(dana.registry().report_deploy_state(late).await)
        .is(Code::FailedPrecondition, "DEPLOY_STATE_FINAL");
}

async fn report(person: &Person, number: i64, state: DeployState) {
    let request = ReportDeployStateRequest {
        name: deploy(SHIPPED, number),
        state: state.into(),
        reason: String::new(),
    };
    let reported = done(person.registry().report_deploy_state(request).await);
    assert_eq!(reported.deploy.unwrap().state(), state);
}
