use proto::authorization::v1::{CreateRoleRequest, DeleteRoleBindingRequest};
use proto::common::v1::RollbackScope;
use proto::registry::v1::Deployment;
use proto::registry::v1::{CreateDeployRequest, CreateDeploymentRequest, DagDeployMode, Deploy};
use proto::rollback::v1::CreateRollbackRequest;
use tonic::Code;

use crate::harness::orders::{WORKSPACE, rollback_to};
use crate::harness::refusal::done;
use crate::harness::requests::{image, role};
use crate::harness::{DEPLOYMENT, Orders, Refusal, Setup, refused};

on_both_databases!(
    a_request_that_is_repeated_is_done_once,
    a_request_id_is_everybodys_own,
);

async fn a_request_that_is_repeated_is_done_once(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let (admin, dana) = (&orders.admin, &orders.dana);
    let request_id = orders.stack.environment.new_uuid().to_string();
    let is_reused = |refusal: Refusal| {
        let refusal = refusal.is(Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_eq!(refusal.about("request_id"), request_id);
    };

    let create = CreateDeploymentRequest {
        parent: WORKSPACE.to_owned(),
        deployment_id: "fresh".to_owned(),
        deployment: Some(Deployment {
            dag_deploy_mode: DagDeployMode::Image.into(),
            ..Deployment::default()
        }),
        request_id: request_id.clone(),
        ..CreateDeploymentRequest::default()
    };
    let first = done(admin.registry().create_deployment(create.clone()).await);
    assert_eq!(
        done(admin.registry().create_deployment(create.clone()).await),
        first
    );
    let other = CreateDeploymentRequest {
        deployment_id: "other".to_owned(),
        ..create
    };
    is_reused(refused(admin.registry().create_deployment(other).await));

    let create = ship(&request_id, 'c');
    let first = done(dana.registry().create_deploy(create.clone()).await);
    dana.ship(DEPLOYMENT, image('d', "3.1-17")).await;
    assert_eq!(done(dana.registry().create_deploy(create).await), first);
    let other = ship(&request_id, 'd');
    is_reused(refused(dana.registry().create_deploy(other).await));
    assert_eq!(orders.latest().await, 7);

    let create = CreateRollbackRequest {
        request_id: request_id.clone(),
        ..rollback_to(3, RollbackScope::All)
    };
    let first = done(dana.orchestrator().create_rollback(create.clone()).await);
    dana.ship(DEPLOYMENT, image('e', "3.1-17")).await;
    assert_eq!(
        done(dana.orchestrator().create_rollback(create.clone()).await),
        first
    );
    let other = CreateRollbackRequest {
        description: "another reason".to_owned(),
        ..create
    };
    is_reused(refused(dana.orchestrator().create_rollback(other).await));
    assert_eq!(orders.latest().await, 9);

    let create = CreateRoleRequest {
        parent: DEPLOYMENT.to_owned(),
        role_id: "pusher".to_owned(),
        role: Some(role(&["deployment.dags.push"])),
        request_id: request_id.clone(),
        reason: String::new(),
    };
    let first = done(admin.authorization().create_role(create.clone()).await);
    let again = done(admin.authorization().create_role(create.clone()).await);
    assert_eq!(again.role, first.role);
    let other = CreateRoleRequest {
        role: Some(role(&["deployment.images.push"])),
        ..create
    };
    is_reused(refused(admin.authorization().create_role(other).await));

    let binding = admin
        .bind(DEPLOYMENT, "user:eve", "roles/DEPLOYMENT_VIEWER")
        .await;
    let delete = DeleteRoleBindingRequest {
        name: binding,
        request_id: request_id.clone(),
        reason: String::new(),
    };
    for _ in 0..2 {
        done(
            admin
                .authorization()
                .delete_role_binding(delete.clone())
                .await,
        );
    }
    let anew = DeleteRoleBindingRequest {
        request_id: String::new(),
        ..delete
    };
    refused(admin.authorization().delete_role_binding(anew).await).not_found();
}

async fn a_request_id_is_everybodys_own(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request_id = orders.stack.environment.new_uuid().to_string();
    let create = ship(&request_id, 'c');
    for (person, number) in [(&orders.dana, 6), (&orders.admin, 7)] {
        let created = done(person.registry().create_deploy(create.clone()).await);
        assert_eq!(created.deploy.unwrap().number, number);
    }
    // To know somebody's request does not make up for a permission.
    refused(orders.sam.registry().create_deploy(create).await).lacks("deployment.images.push");
}

fn ship(request_id: &str, digit: char) -> CreateDeployRequest {
    CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image(digit, "3.1-17")),
            ..Deploy::default()
        }),
        request_id: request_id.to_owned(),
        ..CreateDeployRequest::default()
    }
}
