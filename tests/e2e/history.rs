//! What is noted about a history after it was written, and who watches it.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    DagDeployMode, DeleteDeploymentRequest, Deployment, GetDeploymentRequest, ListDeploysRequest,
    MarkDeployRequest, PlaceHoldRequest, ReleaseHoldRequest, UpdateDeploymentRequest, Verdict,
    WatchDeploysRequest,
};
use tonic::Code;

use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image, rollback};
use crate::harness::{Orders, Setup, refused};

const NOTED: &str = "workspaces/acme/deployments/noted";

on_both_databases!(a_watcher_sees_each_change_once_while_a_deployment_is_run_to_its_end,);

async fn a_watcher_sees_each_change_once_while_a_deployment_is_run_to_its_end(setup: Setup) {
    let orders = Orders::new(setup).await;
    let admin = &orders.admin;
    admin.create_deployment(NOTED, DagDeployMode::Image).await;
    let watch = WatchDeploysRequest {
        parent: NOTED.to_owned(),
        after_change: 0,
        after_changes: Default::default(),
    };
    let mut changes = done(admin.registry().watch_deploys(watch.clone()).await);
    refused(
        orders
            .stack
            .person("eve")
            .registry()
            .watch_deploys(watch)
            .await,
    )
    .is(Code::NotFound, "RESOURCE_NOT_FOUND");

    for digit in ['a', 'b', 'c'] {
        admin.ship(NOTED, image(digit, "3.1-9")).await;
    }
    let mark = MarkDeployRequest {
        name: deploy(NOTED, 2),
        verdict: Verdict::Bad.into(),
        reason: "it loses rows".to_owned(),
        etag: String::new(),
    };
    done(admin.registry().mark_deploy(mark).await);
    let bad = rollback(NOTED, 2, RollbackScope::All);
    refused(admin.orchestrator().create_rollback(bad).await).blocked_by(&["TARGET_MARKED_BAD"]);

    let hold = PlaceHoldRequest {
        name: NOTED.to_owned(),
        reason: "we look into it".to_owned(),
    };
    done(admin.registry().place_hold(hold).await);
    let shipped = crate::harness::requests::create_deploy(NOTED, image('d', "3.1-9"));
    refused(admin.registry().create_deploy(shipped).await)
        .is(Code::FailedPrecondition, "DEPLOY_HELD");
    let rolled_back = admin
        .roll_back(rollback(NOTED, 1, RollbackScope::All))
        .await;
    assert_eq!(rolled_back.deploy, deploy(NOTED, 4));
    let release = ReleaseHoldRequest {
        name: NOTED.to_owned(),
    };
    done(admin.registry().release_hold(release).await);

    let renamed = UpdateDeploymentRequest {
        deployment: Some(Deployment {
            name: NOTED.to_owned(),
            display_name: "Noted".to_owned(),
            ..Deployment::default()
        }),
        ..UpdateDeploymentRequest::default()
    };
    done(admin.registry().update_deployment(renamed).await);
    let delete = DeleteDeploymentRequest {
        name: NOTED.to_owned(),
        ..DeleteDeploymentRequest::default()
    };
    done(admin.registry().delete_deployment(delete).await);
    let again = crate::harness::requests::create_deploy(NOTED, image('d', "3.1-9"));
    refused(admin.registry().create_deploy(again).await)
        .is(Code::FailedPrecondition, "DEPLOYMENT_DELETED");

    let found = ListDeploysRequest {
        parent: NOTED.to_owned(),
        filter: "trigger = ROLLBACK AND state = DEPLOYED".to_owned(),
        ..ListDeploysRequest::default()
    };
    let found = done(admin.registry().list_deploys(found).await).deploys;
    assert_eq!(found.len(), 1);
    let read = GetDeploymentRequest {
        name: NOTED.to_owned(),
    };
    let read = done(admin.registry().get_deployment(read).await)
        .deployment
        .unwrap();
    assert_eq!((read.display_name.as_str(), read.hold), ("Noted", None));
    assert!(read.delete_time.is_some());

    // Created, three deploys, marked, held, rolled back, released, renamed, deleted.
    let mut seen = Vec::new();
    while seen.last() != Some(&read.change) {
        let message = changes.message().await.unwrap().unwrap();
        seen.extend(message.changes.iter().map(|change| change.change));
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
}
