//! Nothing is lost by `kill -9`, and SIGTERM ends well.

use proto::common::v1::RollbackScope;
use proto::rollback::v1::CreateRollbackRequest;
use serde_json::Value;

use crate::harness::orders::{V1, V2, V3, V4_BROKEN, rollback_to};
use crate::harness::requests::sha256;
use crate::harness::{DEPLOYMENT, Orders, Setup};

on_both_databases!(
    nothing_is_lost_when_every_service_is_killed,
    sigterm_ends_every_service_well,
);

async fn nothing_is_lost_when_every_service_is_killed(setup: Setup) {
    let mut orders = Orders::with_history(setup).await;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    };
    let rollback = orders.dana.roll_back(request.clone()).await;
    let history = orders.history().await;
    let deployment = orders.dana.deployment(DEPLOYMENT).await;

    let stack = &mut orders.stack;
    for service in [
        &mut stack.orchestrator,
        &mut stack.registry,
        &mut stack.authorization,
    ] {
        service.kill();
    }
    for service in [
        &mut stack.authorization,
        &mut stack.registry,
        &mut stack.orchestrator,
    ] {
        service.restart().await;
    }

    assert_eq!(orders.history().await, history);
    assert_eq!(orders.dana.deployment(DEPLOYMENT).await, deployment);
    assert_eq!(orders.dana.rollback(&rollback.name).await, rollback);
    assert_eq!(orders.dana.roll_back(request).await, rollback);
    for bytes in [V1, V2, V3, V4_BROKEN] {
        assert!(orders.dana.download(DEPLOYMENT, &sha256(bytes)).await == bytes);
    }
    // Sam may push DAGs, as before.
    let next = rollback_to(5, RollbackScope::Dags);
    assert_eq!(orders.sam.roll_back(next).await.created_by, "user:sam");
}

async fn sigterm_ends_every_service_well(setup: Setup) {
    let mut orders = Orders::with_history(setup).await;
    let history = orders.history().await;
    let stack = &mut orders.stack;
    for service in [
        &mut stack.orchestrator,
        &mut stack.registry,
        &mut stack.authorization,
    ] {
        let status = service.terminate().await;
        assert!(status.success(), "{status}");
        // A slow machine makes the driver of the database complain.
        let is_complaint = |line: &Value| line["level"] != "INFO" && is_ours(&line["target"]);
        let complaints = service.log().into_iter().filter(is_complaint);
        assert_eq!(complaints.collect::<Vec<_>>(), Vec::<Value>::new());
    }
    for service in [
        &mut stack.authorization,
        &mut stack.registry,
        &mut stack.orchestrator,
    ] {
        service.restart().await;
    }
    assert_eq!(orders.history().await, history);
}

fn is_ours(target: &Value) -> bool {
    !target.as_str().unwrap_or_default().starts_with("sqlx")
}
