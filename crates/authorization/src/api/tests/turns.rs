use std::future::Future;
use std::time::Duration;

use tonic::Response;

use super::*;

/// Only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
const WORKSPACE: &str = "workspaces/w";

chassis::on_both_databases!(crate::store::MIGRATIONS; who_may_change_nothing_waits_for_nobody);

/// Somebody else is about to change the policy for as long as this takes.
async fn who_may_change_nothing_waits_for_nobody(db: TestDatabase) {
    let house = House::new(&db).await;
    let role = house
        .create_role(WORKSPACE, "viewer", &["workspace.config.get"])
        .await
        .name;
    let bound = house.bind("user:bob", &role, WORKSPACE).await.name;
    let service = &house.service;
    let _turn = service.policy.turn().await;

    let create = role_request("other");
    let name = role.clone();
    let update = pb::UpdateRoleRequest {
        role: Some(pb::Role {
            name,
            display_name: "Mine".to_owned(),
            ..pb::Role::default()
        }),
        ..pb::UpdateRoleRequest::default()
    };
    let delete = pb::DeleteRoleRequest {
        name: role.clone(),
        force: true,
        ..pb::DeleteRoleRequest::default()
    };
    let bind = binding("user:bob", &role, WORKSPACE);
    let unbind = pb::DeleteRoleBindingRequest {
        name: bound,
        ..pb::DeleteRoleBindingRequest::default()
    };
    let account = format!("{WORKSPACE}/serviceAccounts/ci");
    let make = pb::CreateServiceAccountTokenRequest {
        parent: account.clone(),
        ..pb::CreateServiceAccountTokenRequest::default()
    };
    let revoke = pb::RevokeServiceAccountTokenRequest {
        name: format!("{account}/tokens/{}", house.environment.new_uuid()),
        ..pb::RevokeServiceAccountTokenRequest::default()
    };
    // Bob may see the workspace, Eve not even that.
    for (who, code) in [("bob", Code::PermissionDenied), ("eve", Code::NotFound)] {
        let refusals = [
            refused(service.create_role(house.as_user(who, create.clone()))).await,
            refused(service.update_role(house.as_user(who, update.clone()))).await,
            refused(service.delete_role(house.as_user(who, delete.clone()))).await,
            refused(service.create_role_binding(house.as_user(who, bind.clone()))).await,
            refused(service.delete_role_binding(house.as_user(who, unbind.clone()))).await,
            refused(service.create_service_account_token(house.as_user(who, make.clone()))).await,
            refused(service.revoke_service_account_token(house.as_user(who, revoke.clone()))).await,
        ];
        assert_eq!(refusals, [code; 7], "{who}");
    }
}

fn role_request(id: &str) -> pb::CreateRoleRequest {
    role(WORKSPACE, id, &["workspace.config.get"])
}

/// The error that a call ends with although it is not its turn.
async fn refused<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Code {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(_)) => panic!("the call went through, and must not"),
        Ok(Err(status)) => status.code(),
        Err(_) => panic!("the call waits for its turn"),
    }
}
