//! A rollback that was accepted ends well, whatever is killed when, and makes exactly one deploy.

use proto::authorization::v1::DeleteRoleBindingRequest;
use proto::common::v1::RollbackScope;
use proto::registry::v1::DeployTrigger;
use proto::rollback::v1::{CreateRollbackRequest, RollbackState, StepKind};
use serde_json::Value;
use tonic::Code;

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::deploy;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused, until};
use crate::proxy::Point;

on_both_databases!(
    killed_before_the_write_the_orchestrator_writes_after_its_restart,
    killed_after_the_write_the_orchestrator_finds_the_deploy_after_its_restart,
    a_rollback_whose_client_has_gone_is_finished,
    a_registry_that_restarts_during_the_write_gets_it_once,
    a_rollback_that_cannot_be_written_in_time_fails_for_ever,
    a_recovery_waits_for_the_authorization_service,
    who_lost_the_permission_before_the_recovery_gets_no_deploy,
);

/// Crashed work is taken up soon. A call that a case holds must be let go sooner.
const SHORT_LEASE: [&str; 2] = ["--lease-seconds", "2"];

async fn killed_before_the_write_the_orchestrator_writes_after_its_restart(setup: Setup) {
    let mut orders = start(setup).await;
    let request = request(&orders);
    crash_before_the_write(&mut orders, &request).await;

    orders.stack.orchestrator.restart().await;
    has_made_one_deploy(&orders, &request).await;
}

async fn killed_after_the_write_the_orchestrator_finds_the_deploy_after_its_restart(setup: Setup) {
    let mut orders = start(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Answer);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    assert_eq!(orders.latest().await, 6, "the deploy was written");

    // Somebody ships before the orchestrator is back: that does not make the rollback fail.
    orders.ship_another().await;
    orders.stack.orchestrator.restart().await;
    let rollback = orders.dana.roll_back_again(&request).await;
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.latest().await, 7);
}

async fn a_rollback_whose_client_has_gone_is_finished(setup: Setup) {
    let orders = start(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    rolling_back.cancel().await;
    drop(held);

    until("the deploy to be written", async || {
        (orders.latest().await == 6).then_some(())
    })
    .await;
    has_made_one_deploy(&orders, &request).await;
}

async fn a_registry_that_restarts_during_the_write_gets_it_once(setup: Setup) {
    let mut orders = start(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.registry.kill();
    // The call that was held fails now, and is repeated while the registry is away.
    drop(held);
    orders.stack.registry.restart().await;

    let outcome = done(rolling_back.outcome().await);
    let rollback = outcome.rollback.unwrap();
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    has_made_one_deploy(&orders, &request).await;
}

async fn a_rollback_that_cannot_be_written_in_time_fails_for_ever(setup: Setup) {
    let setup = setup.orchestrator_flags(&["--write-deadline-seconds", "2"]);
    let mut orders = start(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.registry.kill();
    drop(held);
    let name = orders.dana.accepted_name(&request).await;
    let in_doubt = until("the rollback to need people", async || {
        let rollback = orders.dana.rollback(&name).await;
        rollback.needs_attention.then_some(rollback)
    })
    .await;
    assert_eq!(in_doubt.state(), RollbackState::Running);

    orders.stack.registry.restart().await;
    let refusal = refused(rolling_back.outcome().await);
    refusal.is(Code::DeadlineExceeded, "ROLLBACK_DEADLINE_EXCEEDED");
    let rollback = orders.dana.rollback(&name).await;
    assert_eq!(rollback.state(), RollbackState::Failed);
    assert!(!rollback.needs_attention);
    assert_eq!(orders.latest().await, 5);
    let next = rollback_to(3, RollbackScope::Dags);
    assert_eq!(
        orders.dana.roll_back(next).await.deploy,
        deploy(DEPLOYMENT, 6)
    );
}

async fn a_recovery_waits_for_the_authorization_service(setup: Setup) {
    let mut orders = start(setup).await;
    let request = request(&orders);
    let name = crash_before_the_write(&mut orders, &request).await;
    orders.stack.authorization.kill();
    orders.stack.orchestrator.restart().await;
    let log = &orders.stack.orchestrator;
    until("the recovery to try", async || {
        let tried = |line: &Value| line["step"] == "AUTHORIZE";
        log.log().iter().any(tried).then_some(())
    })
    .await;

    orders.stack.authorization.restart().await;
    has_made_one_deploy(&orders, &request).await;
    let rollback = orders.dana.rollback(&name).await;
    let authorize = rollback
        .steps
        .iter()
        .find(|step| step.kind() == StepKind::Authorize);
    assert!(authorize.unwrap().attempts > 1, "{rollback:#?}");
}

/// The permit that was issued before is of no use to a recovery: it asks again.
async fn who_lost_the_permission_before_the_recovery_gets_no_deploy(setup: Setup) {
    let mut orders = start(setup).await;
    let eve = orders.stack.person("eve");
    let bind = orders
        .admin
        .bind(DEPLOYMENT, &eve.principal, "roles/DEPLOYMENT_EDITOR");
    let binding = bind.await;
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = eve.start_rollback(&request(&orders));
    held.reached().await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    let delete = DeleteRoleBindingRequest {
        name: binding,
        ..DeleteRoleBindingRequest::default()
    };
    done(
        orders
            .admin
            .authorization()
            .delete_role_binding(delete)
            .await,
    );

    orders.stack.orchestrator.restart().await;
    // As long as the rollback is not over, nobody else can roll back.
    let next = rollback_to(3, RollbackScope::Dags);
    let next = orders.dana.roll_back_after_others(&next).await;
    assert_eq!(next.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.latest().await, 6);
    let history = orders.history().await;
    assert!(
        history
            .iter()
            .all(|deploy| deploy.created_by == "user:dana")
    );
}

async fn start(setup: Setup) -> Orders {
    Orders::with_history(setup.proxied().orchestrator_flags(&SHORT_LEASE)).await
}

/// A rollback that can be repeated.
pub(crate) fn request(orders: &Orders) -> CreateRollbackRequest {
    CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    }
}

/// Kills the orchestrator when it has accepted a request, and returns the name of the rollback.
async fn crash_before_the_write(orders: &mut Orders, request: &CreateRollbackRequest) -> String {
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(request);
    held.reached().await;
    let name = orders.dana.accepted_name(request).await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    assert_eq!(orders.latest().await, 5, "nothing was written");
    name
}

/// The rollback of a request has succeeded, and so it stays.
async fn has_made_one_deploy(orders: &Orders, request: &CreateRollbackRequest) {
    let rollback = orders.dana.roll_back_again(request).await;
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.dana.roll_back_again(request).await, rollback);

    let history = orders.history().await;
    let numbers = history.iter().map(|deploy| deploy.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
    assert_eq!(history[0].trigger(), DeployTrigger::Rollback);
    assert_eq!(history[0].revision, history[3].revision);
    assert_eq!(
        history[0].rollback.as_ref().unwrap().rollback,
        rollback.name
    );
}
