use proto::common::v1::RollbackScope;
use proto::rollback::v1::{ListAuditEventsRequest, ListRollbacksRequest, WatchRollbackRequest};

use super::{Wrong, each_is_told, huge};
use crate::harness::orders::rollback_to;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(lists_and_watches_tell_all_that_is_wrong);

const ROLLBACK: &str =
    "workspaces/acme/deployments/orders/rollbacks/0b5a7f3e-6a51-4c55-8f0e-4d5a6f7b8c9d";

async fn lists_and_watches_tell_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let orchestrator = || orders.dana.orchestrator();
    let wrongs: &[Wrong<ListRollbacksRequest>] = &[
        ("no parent", |r| r.parent.clear(), &["parent"]),
        ("no field", |r| r.filter = "target = 4".into(), &["filter"]),
        ("no value", |r| r.filter = "state =".into(), &["filter"]),
        ("a huge filter", |r| r.filter = huge(), &["filter"]),
        (
            "everything",
            |r| (r.page_size, r.page_token, r.filter) = (-1, huge(), "scope : ALL".into()),
            &["page_size", "page_token", "filter"],
        ),
    ];
    let good = ListRollbacksRequest {
        parent: DEPLOYMENT.into(),
        ..ListRollbacksRequest::default()
    };
    let send = async |request| orchestrator().list_rollbacks(request).await;
    each_is_told(good, wrongs, send).await;

    let wrongs: &[Wrong<ListAuditEventsRequest>] = &[
        ("no parent", |r| r.parent.clear(), &["parent"]),
        ("before all", |r| r.after_event = -1, &["after_event"]),
        (
            "a rollback elsewhere",
            |r| r.rollback = ROLLBACK.replace("orders", "billing"),
            &["rollback"],
        ),
        (
            "everything",
            |r| {
                (r.page_size, r.page_token) = (i32::MIN, "!".into());
                (r.after_event, r.rollback) = (i64::MIN, huge());
            },
            &["page_size", "page_token", "after_event", "rollback"],
        ),
    ];
    let good = ListAuditEventsRequest {
        parent: DEPLOYMENT.into(),
        ..ListAuditEventsRequest::default()
    };
    let send = async |request| orchestrator().list_audit_events(request).await;
    each_is_told(good, wrongs, send).await;

    let rollback = orders
        .dana
        .roll_back(rollback_to(3, RollbackScope::Dags))
        .await;
    let wrongs: &[Wrong<WatchRollbackRequest>] = &[
        ("no name", |r| r.name.clear(), &["name"]),
        ("before all", |r| r.after_event = -1, &["after_event"]),
        ("after all", |r| r.after_event = 1_000, &["after_event"]),
        ("never", |r| r.after_event = i64::MAX, &["after_event"]),
    ];
    let good = WatchRollbackRequest {
        name: rollback.name,
        after_event: 0,
    };
    let send = async |request| orchestrator().watch_rollback(request).await;
    each_is_told(good, wrongs, send).await;
    let name = ROLLBACK.to_owned();
    let unknown = WatchRollbackRequest {
        name,
        after_event: 0,
    };
    refused(orchestrator().watch_rollback(unknown).await).not_found();
}
