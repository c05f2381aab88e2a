//! A rollback that is cancelled ends without a deploy, unless the registry has written it already.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{DagDeployMode, DeployTrigger};
use proto::rollback::v1::{AuditEventKind, ListAuditEventsRequest, RollbackState};
use tonic::Code;

use crate::crashes::request;
use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::deploy;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused, until};
use crate::proxy::Point;

on_both_databases!(
    a_cancel_before_the_write_leaves_nothing_behind,
    a_cancel_after_the_write_is_told_of_the_deploy,
    a_cancel_outlives_the_orchestrator,
    a_cancel_that_cannot_be_settled_says_that_it_goes_on,
    who_may_cancel_is_who_could_have_rolled_back,
    what_has_ended_cannot_be_cancelled,
);

async fn a_cancel_before_the_write_leaves_nothing_behind(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;

    // The write is on its way, and nobody waits for what becomes of it.
    let cancelled = done(orders.dana.cancel(&name).await).rollback.unwrap();
    assert_eq!(cancelled.state(), RollbackState::Cancelled);
    assert_eq!(cancelled.cancelled_by, "user:dana");
    assert_eq!(cancelled.deploy, "");
    assert!(cancelled.cancel_time.is_some() && cancelled.end_time.is_some());
    drop(held);
    let refusal = refused(rolling_back.outcome().await);
    let refusal = refusal.is(Code::Aborted, "ROLLBACK_CANCELLED");
    assert_eq!(refusal.about("rollback"), name);
    assert_eq!(orders.latest().await, 5, "nothing was written");

    // It stays cancelled, whoever asks for what, and the Deployment is free.
    let again = done(orders.dana.cancel(&name).await).rollback.unwrap();
    assert_eq!(again, cancelled);
    refused(orders.dana.orchestrator().create_rollback(request).await)
        .is(Code::Aborted, "ROLLBACK_CANCELLED");
    let next = rollback_to(3, RollbackScope::All);
    let next = orders.dana.roll_back(next).await;
    assert_eq!(next.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.latest().await, 6);
}

async fn a_cancel_after_the_write_is_told_of_the_deploy(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Answer);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;

    let refusal = refused(orders.dana.cancel(&name).await);
    let refusal = refusal.is(Code::FailedPrecondition, "ROLLBACK_ENDED");
    assert_eq!(refusal.about("rollback"), name);
    assert_eq!(refusal.about("state"), "SUCCEEDED");
    assert_eq!(refusal.about("deploy"), deploy(DEPLOYMENT, 6));
    let rollback = done(rolling_back.outcome().await).rollback.unwrap();
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(rollback.cancelled_by, "user:dana", "it came too late");
    let history = orders.history().await;
    assert_eq!(history[0].trigger(), DeployTrigger::Rollback);
    assert_eq!(history.len(), 6);
}

async fn a_cancel_outlives_the_orchestrator(setup: Setup) {
    let setup = setup
        .proxied()
        .orchestrator_flags(&["--lease-seconds", "2"]);
    let mut orders = Orders::with_history(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    // So that the rollback cannot be closed before the crash.
    orders.stack.registry.kill();
    let cancelling = {
        let (dana, name) = (orders.dana.clone(), name.clone());
        tokio::spawn(async move { dana.cancel(&name).await })
    };
    until("the cancel to be stored", async || {
        let rollback = orders.dana.rollback(&name).await;
        rollback.cancel_time.is_some().then_some(())
    })
    .await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());
    assert!(cancelling.await.unwrap().is_err());
    drop(held);

    orders.stack.registry.restart().await;
    orders.stack.orchestrator.restart().await;
    let cancelled = until("the rollback to end", async || {
        let rollback = orders.dana.rollback(&name).await;
        rollback.end_time.is_some().then_some(rollback)
    })
    .await;
    assert_eq!(cancelled.state(), RollbackState::Cancelled);
    let again = done(orders.dana.cancel(&name).await).rollback.unwrap();
    assert_eq!(again, cancelled);
    assert_eq!(orders.latest().await, 5);
}

async fn a_cancel_that_cannot_be_settled_says_that_it_goes_on(setup: Setup) {
    let mut orders = Orders::with_history(setup.proxied()).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    orders.stack.registry.kill();
    let refusal = refused(orders.dana.cancel(&name).await);
    let refusal = refusal.is(Code::Unavailable, "ROLLBACK_UNFINISHED");
    assert_eq!(refusal.about("rollback"), name);
    assert!(orders.dana.rollback(&name).await.needs_attention);

    drop(held);
    orders.stack.registry.restart().await;
    refused(rolling_back.outcome().await).is(Code::Aborted, "ROLLBACK_CANCELLED");
    let cancelled = done(orders.dana.cancel(&name).await).rollback.unwrap();
    assert_eq!(cancelled.state(), RollbackState::Cancelled);
    assert!(!cancelled.needs_attention);
}

async fn who_may_cancel_is_who_could_have_rolled_back(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    refused(orders.sam.cancel(&name).await).lacks("deployment.images.push");
    refused(orders.stranger.cancel(&name).await).not_found();
    refused(orders.stack.somebody("").cancel(&name).await).unauthenticated();
    assert_eq!(orders.dana.rollback(&name).await.cancelled_by, "");

    let request = ListAuditEventsRequest {
        parent: DEPLOYMENT.to_owned(),
        rollback: name.clone(),
        ..ListAuditEventsRequest::default()
    };
    let told = done(orders.dana.orchestrator().list_audit_events(request).await);
    let told = told
        .audit_events
        .iter()
        .filter(|event| event.kind() == AuditEventKind::CancelRefused)
        .map(|event| event.principal.as_str());
    assert_eq!(told.collect::<Vec<_>>(), ["user:sam"]);

    // Anybody else who holds what it needs may.
    let cancelled = done(orders.admin.cancel(&name).await).rollback.unwrap();
    assert_eq!(cancelled.cancelled_by, "user:admin");
    refused(rolling_back.outcome().await).is(Code::Aborted, "ROLLBACK_CANCELLED");
}

async fn what_has_ended_cannot_be_cancelled(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request = rollback_to(3, RollbackScope::All);
    let written = orders.dana.roll_back(request).await;
    let refusal = refused(orders.dana.cancel(&written.name).await);
    let refusal = refusal.is(Code::FailedPrecondition, "ROLLBACK_ENDED");
    assert_eq!(refusal.about("deploy"), deploy(DEPLOYMENT, 6));
    assert_eq!(orders.dana.rollback(&written.name).await, written);
}

/// As after a restore from a backup that is older than the Deployment.
#[tokio::test]
async fn a_rollback_whose_deployment_is_lost_ends_when_that_is_created_again() {
    let setup = Setup::sqlite().proxied();
    let setup = setup.orchestrator_flags(&["--lease-seconds", "2"]);
    let mut orders = Orders::with_history(setup).await;
    let request = request(&orders);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let name = orders.dana.accepted_name(&request).await;
    orders.stack.registry.kill();
    orders.stack.lose_records_of_registry();
    drop(held);
    orders.stack.registry.restart().await;
    let in_doubt = until("the rollback to need people", async || {
        let rollback = orders.dana.rollback(&name).await;
        rollback.needs_attention.then_some(rollback)
    })
    .await;
    assert_eq!(in_doubt.state(), RollbackState::Running);

    let mode = DagDeployMode::DagOnly;
    orders.admin.create_deployment(DEPLOYMENT, mode).await;
    let refusal = refused(rolling_back.outcome().await);
    refusal.is(Code::NotFound, "RESOURCE_NOT_FOUND");
    let failed = orders.dana.rollback(&name).await;
    assert_eq!(failed.state(), RollbackState::Failed);
    assert!(!failed.needs_attention);
}
