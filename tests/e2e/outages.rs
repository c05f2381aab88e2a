//! What cannot be asked is never a yes, and leaves nothing behind.

use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateDeployRequest, Deploy, DownloadDagBundleRequest, GetDeploymentRequest, ListDeploysRequest,
};
use proto::rollback::v1::{CreateRollbackRequest, GetRollbackRequest};

use crate::harness::orders::{V3, V4_BROKEN, rollback_to};
use crate::harness::requests::{self, deploy, image, sha256};
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    without_authorization_nothing_is_answered_and_nothing_is_pending,
    without_the_registry_nothing_is_planned_and_nothing_is_pending,
    rollbacks_that_are_switched_off_are_refused,
);

async fn without_authorization_nothing_is_answered_and_nothing_is_pending(setup: Setup) {
    let mut orders = Orders::with_history(setup).await;
    let done = orders
        .dana
        .roll_back(rollback_to(3, RollbackScope::Dags))
        .await;
    let before = orders.history().await;
    orders.stack.authorization.kill();

    let dana = &orders.dana;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(2, RollbackScope::Dags)
    };
    refused(dana.orchestrator().create_rollback(request.clone()).await)
        .unavailable("authorization");
    let plan = requests::plan(DEPLOYMENT, 2, RollbackScope::Dags);
    refused(dana.orchestrator().plan_rollback(plan).await).unavailable("authorization");
    let get = GetRollbackRequest { name: done.name };
    refused(dana.orchestrator().get_rollback(get).await).unavailable("authorization");
    let create = CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image('c', "3.1-17")),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    };
    refused(dana.registry().create_deploy(create).await).unavailable("authorization");
    let list = ListDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        ..ListDeploysRequest::default()
    };
    refused(dana.registry().list_deploys(list).await).unavailable("authorization");
    let get = GetDeploymentRequest {
        name: DEPLOYMENT.to_owned(),
    };
    refused(dana.registry().get_deployment(get).await).unavailable("authorization");
    let upload = tokio_stream::iter(requests::upload(DEPLOYMENT, b"new"));
    refused(dana.registry().upload_dag_bundle(upload).await).unavailable("authorization");
    let download = DownloadDagBundleRequest {
        name: format!("{DEPLOYMENT}/dagBundles/{}", sha256(V3)),
    };
    refused(dana.registry().download_dag_bundle(download).await).unavailable("authorization");

    orders.stack.authorization.restart().await;
    assert_eq!(orders.history().await, before);
    let plan = orders.dana.plan(DEPLOYMENT, 2, RollbackScope::Dags).await;
    assert_eq!(plan.blockers, [], "nothing is pending");
    let rollback = orders.dana.roll_back(request).await;
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 7));
}

async fn without_the_registry_nothing_is_planned_and_nothing_is_pending(setup: Setup) {
    let mut orders = Orders::with_history(setup).await;
    orders.stack.registry.kill();
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(3, RollbackScope::All)
    };
    let orchestrator = || orders.dana.orchestrator();
    refused(orchestrator().create_rollback(request.clone()).await).unavailable("deploy-registry");
    let plan = requests::plan(DEPLOYMENT, 3, RollbackScope::All);
    refused(orchestrator().plan_rollback(plan).await).unavailable("deploy-registry");

    orders.stack.registry.restart().await;
    assert_eq!(orders.latest().await, 5);
    let rollback = orders.dana.roll_back(request).await;
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    let bytes = orders.dana.download(DEPLOYMENT, &sha256(V4_BROKEN)).await;
    assert!(bytes == V4_BROKEN);
}

async fn rollbacks_that_are_switched_off_are_refused(setup: Setup) {
    let orders = Orders::with_history(setup.registry_flags(&["--rollbacks", "off"])).await;
    let request = rollback_to(3, RollbackScope::All);
    let refusal = refused(orders.dana.orchestrator().create_rollback(request).await);
    refusal.blocked_by(&["ROLLBACK_DISABLED_INSTALLATION"]);
    assert_eq!(orders.latest().await, 5);
}
