//! A plan or a write that was overtaken is refused, and nothing is overwritten.

use proto::common::v1::{BlockerCode, RollbackScope};
use proto::registry::v1::{CreateDeployRequest, Deploy};
use proto::rollback::v1::{CreateRollbackRequest, RollbackState};
use tonic::Code;

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image};
use crate::harness::{DEPLOYMENT, Orders, Refusal, Setup, refused};
use crate::proxy::Point;

on_both_databases!(
    a_plan_that_is_no_longer_true_is_not_carried_out,
    a_deploy_that_lands_before_the_write_makes_the_rollback_fail,
    of_two_people_who_roll_back_at_once_one_succeeds,
    of_many_deploys_that_expect_the_same_history_one_lands,
);

async fn a_plan_that_is_no_longer_true_is_not_carried_out(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    orders.ship_another().await;
    let before = orders.history().await;

    let agreed = CreateRollbackRequest {
        plan_digest: plan.digest.clone(),
        ..rollback_to(3, RollbackScope::All)
    };
    for validate_only in [true, false] {
        let request = CreateRollbackRequest {
            validate_only,
            ..agreed.clone()
        };
        let refusal = refused(orders.dana.orchestrator().create_rollback(request).await);
        let refusal = refusal.is(Code::Aborted, "PLAN_CHANGED");
        assert_ne!(refusal.about("plan_digest"), plan.digest);
    }
    assert_eq!(orders.history().await, before);

    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    let agreed = CreateRollbackRequest {
        plan_digest: plan.digest,
        ..agreed
    };
    assert_eq!(
        orders.dana.roll_back(agreed).await.deploy,
        deploy(DEPLOYMENT, 7)
    );
}

async fn a_deploy_that_lands_before_the_write_makes_the_rollback_fail(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    };
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    let landed = orders.ship_another().await;
    let before = orders.history().await;
    drop(held);

    let refusal = refused(rolling_back.outcome().await);
    let refusal = refusal.is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
    assert_eq!(refusal.about("latest_deploy"), landed.name);
    assert_eq!(orders.history().await, before, "nothing was written");

    // The same request is told the same, and has failed for ever.
    let again = refused(orders.dana.orchestrator().create_rollback(request).await);
    let again = again.is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
    let rollback = orders.dana.rollback(again.about("rollback")).await;
    assert_eq!(rollback.state(), RollbackState::Failed);
    assert_eq!(rollback.deploy, "");
    assert!(!rollback.needs_attention);

    let next = orders
        .dana
        .roll_back(rollback_to(3, RollbackScope::All))
        .await;
    assert_eq!(next.deploy, deploy(DEPLOYMENT, 7));
}

async fn of_two_people_who_roll_back_at_once_one_succeeds(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let danas = orders
        .dana
        .start_rollback(&rollback_to(3, RollbackScope::All));
    held.reached().await;

    let sams = rollback_to(2, RollbackScope::Dags);
    let refusal = refused(
        orders
            .sam
            .orchestrator()
            .create_rollback(sams.clone())
            .await,
    );
    let refusal = refusal.is(Code::Aborted, "ROLLBACK_IN_PROGRESS");
    let in_progress = orders.sam.rollback(refusal.about("rollback")).await;
    assert_eq!(in_progress.created_by, "user:dana");
    let plan = orders.sam.plan(DEPLOYMENT, 2, RollbackScope::Dags).await;
    let blockers = plan.blockers.iter().map(|blocker| blocker.code());
    assert_eq!(
        blockers.collect::<Vec<_>>(),
        [BlockerCode::RollbackInProgress]
    );

    drop(held);
    let danas = done(danas.outcome().await).rollback.unwrap();
    assert_eq!(danas.name, in_progress.name);
    assert_eq!(danas.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(
        orders.sam.roll_back(sams).await.deploy,
        deploy(DEPLOYMENT, 7)
    );
}

async fn of_many_deploys_that_expect_the_same_history_one_lands(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request = |digit| CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image(digit, "3.1-17")),
            ..Deploy::default()
        }),
        expected_latest_deploy: deploy(DEPLOYMENT, 5),
        ..CreateDeployRequest::default()
    };
    let racers = "cdef0123456789".chars().map(|digit| {
        let mut registry = orders.dana.registry();
        let request = request(digit);
        tokio::spawn(async move { registry.create_deploy(request).await })
    });
    let mut landed = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(_) => landed += 1,
            Err(status) => {
                Refusal::of(&status).is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
            }
        }
    }
    assert_eq!(landed, 1);
    let numbers = orders.history().await.into_iter().map(|d| d.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
}
