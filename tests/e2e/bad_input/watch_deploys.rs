use proto::registry::v1::WatchDeploysRequest;

use super::{Wrong, each_is_told, no_name_is_taken};
use crate::harness::orders::WORKSPACE;
use crate::harness::{DEPLOYMENT, Orders, Setup};

on_both_databases!(a_watch_begins_where_there_is_something_to_go_on_from);

async fn a_watch_begins_where_there_is_something_to_go_on_from(setup: Setup) {
    let orders = Orders::new(setup).await;
    let send = async |request| orders.admin.registry().watch_deploys(request).await;
    fn known(name: &str, change: i64) -> std::collections::BTreeMap<String, i64> {
        [(name.to_owned(), change)].into()
    }
    const KEY: &[&str] = &["after_changes[workspaces/acme/deployments/orders]"];

    let one = WatchDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        ..WatchDeploysRequest::default()
    };
    let wrongs: &[Wrong<WatchDeploysRequest>] = &[
        ("before", |r| r.after_change = -1, &["after_change"]),
        ("ahead", |r| r.after_change = 2, &["after_change"]),
        (
            "far ahead",
            |r| r.after_change = i64::MAX,
            &["after_change"],
        ),
        (
            "positions of many",
            |r| r.after_changes = known(DEPLOYMENT, 1),
            &["after_changes"],
        ),
        ("everything", |r| r.parent = "system".into(), &["parent"]),
    ];
    each_is_told(one, wrongs, send).await;

    let all = WatchDeploysRequest {
        parent: WORKSPACE.to_owned(),
        ..WatchDeploysRequest::default()
    };
    let wrongs: &[Wrong<WatchDeploysRequest>] = &[
        (
            "a position of one",
            |r| r.after_change = 1,
            &["after_change"],
        ),
        ("before", |r| r.after_changes = known(DEPLOYMENT, -1), KEY),
        ("ahead", |r| r.after_changes = known(DEPLOYMENT, 2), KEY),
        (
            "no name",
            |r| r.after_changes = known("orders", 1),
            &["after_changes"],
        ),
        (
            "one of another workspace",
            |r| r.after_changes = known("workspaces/other/deployments/orders", 1),
            &["after_changes"],
        ),
        (
            "too many",
            |r| {
                let names = (0..10_001).map(|n| format!("{WORKSPACE}/deployments/d{n}"));
                r.after_changes = names.map(|name| (name, 1)).collect();
            },
            &["after_changes"],
        ),
    ];
    each_is_told(all, wrongs, send).await;
    no_name_is_taken("parent", async |parent| {
        let request = WatchDeploysRequest {
            parent,
            ..WatchDeploysRequest::default()
        };
        send(request).await
    })
    .await;
}
