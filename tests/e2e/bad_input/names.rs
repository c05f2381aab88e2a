use proto::authorization::v1::{
    CreateRoleBindingRequest, CreateRoleRequest, CreateServiceAccountTokenRequest,
    DeleteRoleBindingRequest, ListRoleBindingsRequest,
};
use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CloseRollbackRequest, CreateDeployRequest, CreateDeploymentRequest,
    CreateRollbackDeployRequest, DownloadDagBundleRequest, FindDeployRequest, GetDagBundleRequest,
    GetDeployRequest, GetDeploymentRequest, ListDeploymentsRequest, ListDeploysRequest,
    PreviewRollbackDeploysRequest,
};
use proto::rollback::v1::{
    CreateRollbackRequest, GetRollbackRequest, ListRollbackTargetsRequest, PlanRollbackRequest,
};

use super::no_name_is_taken;
use crate::harness::orders::rollback_to;
use crate::harness::{DEPLOYMENT, Orders, Setup, requests};

on_both_databases!(
    the_registry_takes_no_name_but_a_name,
    the_orchestrator_takes_no_name_but_a_name,
    authorization_takes_no_name_but_a_name,
);

async fn the_registry_takes_no_name_but_a_name(setup: Setup) {
    let orders = Orders::new(setup).await;
    let registry = || orders.admin.registry();
    no_name_is_taken("name", async |name| {
        registry()
            .get_deployment(GetDeploymentRequest { name })
            .await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry().get_deploy(GetDeployRequest { name }).await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry()
            .get_dag_bundle(GetDagBundleRequest { name })
            .await
    })
    .await;
    no_name_is_taken("name", async |name| {
        registry()
            .download_dag_bundle(DownloadDagBundleRequest { name })
            .await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = ListDeploymentsRequest {
            parent,
            ..Default::default()
        };
        registry().list_deployments(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = ListDeploysRequest {
            parent,
            ..Default::default()
        };
        registry().list_deploys(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateDeploymentRequest {
            parent,
            ..Default::default()
        };
        registry().create_deployment(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateDeployRequest {
            parent,
            ..Default::default()
        };
        registry().create_deploy(request).await
    })
    .await;
    no_name_is_taken("header.parent", async |parent| {
        let header = requests::header(&parent, &"0".repeat(64), 1);
        registry()
            .upload_dag_bundle(tokio_stream::iter([header]))
            .await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = FindDeployRequest {
            parent,
            ..Default::default()
        };
        registry().find_deploy(request).await
    })
    .await;
    let itself = orders.stack.orchestrator_itself();
    no_name_is_taken("parent", async |parent| {
        let request = PreviewRollbackDeploysRequest {
            parent,
            ..Default::default()
        };
        itself.registry().preview_rollback_deploys(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateRollbackDeployRequest {
            parent,
            ..Default::default()
        };
        itself.registry().create_rollback_deploy(request).await
    })
    .await;
    no_name_is_taken("rollback", async |rollback| {
        itself
            .registry()
            .close_rollback(CloseRollbackRequest { rollback })
            .await
    })
    .await;
}

async fn the_orchestrator_takes_no_name_but_a_name(setup: Setup) {
    let orders = Orders::new(setup).await;
    let orchestrator = || orders.admin.orchestrator();
    no_name_is_taken("parent", async |parent| {
        let request = ListRollbackTargetsRequest {
            parent,
            ..Default::default()
        };
        orchestrator().list_rollback_targets(request).await
    })
    .await;
    let good = rollback_to(1, RollbackScope::All);
    no_name_is_taken("parent", async |parent| {
        let request = CreateRollbackRequest {
            parent,
            ..good.clone()
        };
        orchestrator().create_rollback(request).await
    })
    .await;
    let good = requests::plan(DEPLOYMENT, 1, RollbackScope::All);
    no_name_is_taken("parent", async |parent| {
        let request = PlanRollbackRequest {
            parent,
            ..good.clone()
        };
        orchestrator().plan_rollback(request).await
    })
    .await;
    no_name_is_taken("name", async |name| {
        orchestrator()
            .get_rollback(GetRollbackRequest { name })
            .await
    })
    .await;
    no_name_is_taken("name", async |name| orders.dana.cancel(&name).await).await;
}

async fn authorization_takes_no_name_but_a_name(setup: Setup) {
    let stack = setup.start().await;
    let admin = stack.person("admin");
    let authorization = || admin.authorization();
    no_name_is_taken("parent", async |parent| {
        let request = CreateRoleRequest {
            parent,
            ..Default::default()
        };
        authorization().create_role(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateRoleBindingRequest {
            parent,
            ..Default::default()
        };
        authorization().create_role_binding(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = ListRoleBindingsRequest {
            parent,
            ..Default::default()
        };
        authorization().list_role_bindings(request).await
    })
    .await;
    no_name_is_taken("name", async |name| {
        let request = DeleteRoleBindingRequest {
            name,
            ..Default::default()
        };
        authorization().delete_role_binding(request).await
    })
    .await;
    no_name_is_taken("parent", async |parent| {
        let request = CreateServiceAccountTokenRequest {
            parent,
            ..Default::default()
        };
        authorization().create_service_account_token(request).await
    })
    .await;
}
