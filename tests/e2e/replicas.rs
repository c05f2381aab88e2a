//! Two orchestrators over one PostgreSQL database.

use proto::common::v1::RollbackScope;
use proto::rollback::v1::{CreateRollbackRequest, RollbackState};
use tonic::Code;

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::deploy;
use crate::harness::{DEPLOYMENT, Orders, Refusal, Setup};
use crate::proxy::Point;

#[tokio::test]
async fn a_request_that_both_get_at_once_is_one_rollback() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = orders.dana.clone().at_orchestrator(other.address);
    let request = named(&orders, 3);
    let calls = [&orders.dana, &elsewhere, &orders.dana, &elsewhere]
        .map(|dana| dana.start_rollback(&request));
    let mut names = Vec::new();
    for call in calls {
        names.push(done(call.outcome().await).rollback.unwrap().name);
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(orders.latest().await, 6);
}

#[tokio::test]
async fn of_two_requests_that_come_to_both_at_once_one_succeeds() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = orders.dana.clone().at_orchestrator(other.address);
    let calls = [
        orders.dana.start_rollback(&named(&orders, 3)),
        elsewhere.start_rollback(&named(&orders, 2)),
    ];
    let mut written = 0;
    for call in calls {
        match call.outcome().await {
            Ok(_) => written += 1,
            Err(status) => {
                let refusal = Refusal::of(&status);
                assert_eq!(refusal.code, Code::Aborted, "{refusal}");
            }
        }
    }
    // If one was over before the other was planned, both were done, one after the other.
    assert!(written >= 1);
    assert_eq!(orders.latest().await, 5 + written);
}

#[tokio::test]
async fn what_one_has_accepted_before_it_was_killed_the_other_finishes() {
    let setup = Setup::postgres().await.proxied();
    let setup = setup.orchestrator_flags(&["--lease-seconds", "1"]);
    let mut orders = Orders::with_history(setup).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = orders.dana.clone().at_orchestrator(other.address);
    let request = named(&orders, 3);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());

    let rollback = elsewhere.roll_back_again(&request).await;
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.latest().await, 6);
}

fn named(orders: &Orders, target: i64) -> CreateRollbackRequest {
    CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(target, RollbackScope::All)
    }
}
