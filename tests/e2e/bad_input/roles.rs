use proto::authorization::v1::{
    CreateRoleBindingRequest, CreateRoleRequest, DeleteRoleRequest, ListPolicyChangesRequest,
    ListRoleBindingsRequest, Role, RoleBinding, UpdateRoleRequest,
};
use tonic::Code;

use super::{Wrong, each_is_told, huge};
use crate::harness::refusal::done;
use crate::harness::requests::role;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    create_role_tells_all_that_is_wrong,
    create_role_binding_tells_all_that_is_wrong,
    update_role_tells_all_that_is_wrong,
    a_role_that_is_changed_and_deleted_leaves_a_record,
);

async fn create_role_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    fn of(request: &mut CreateRoleRequest) -> &mut Role {
        request.role.as_mut().unwrap()
    }
    let wrongs: &[Wrong<CreateRoleRequest>] = &[
        ("no id", |r| r.role_id.clear(), &["role_id"]),
        (
            "an id of the system",
            |r| r.role_id = "DEPLOYMENT_ADMIN".into(),
            &["role_id"],
        ),
        ("a huge id", |r| r.role_id = huge(), &["role_id"]),
        ("no role", |r| r.role = None, &["role"]),
        (
            "a long name",
            |r| of(r).display_name = "x".repeat(101),
            &["role.display_name"],
        ),
        (
            "a description with NUL",
            |r| of(r).description = "\0".into(),
            &["role.description"],
        ),
        (
            "no permission",
            |r| of(r).permissions.clear(),
            &["role.permissions"],
        ),
        (
            "too many permissions",
            |r| of(r).permissions = vec!["deployment.dags.push".into(); 129],
            &["role.permissions"],
        ),
        (
            "permissions that are none here",
            |r| {
                *of(r) = role(&[
                    "deployment.dags.push",
                    "deployment.dags.push",
                    "deployment.fly",
                    "system.iam.update",
                    "system.rollbacks.write",
                ]);
            },
            &[
                "role.permissions[1]",
                "role.permissions[2]",
                "role.permissions[3]",
                "role.permissions[4]",
            ],
        ),
        (
            "a request_id of nobody",
            |r| r.request_id = "!".into(),
            &["request_id"],
        ),
        ("a huge reason", |r| r.reason = huge(), &["reason"]),
        (
            "everything",
            |r| {
                (r.role_id, r.request_id) = ("!".into(), "!".into());
                *of(r) = Role {
                    display_name: "\0".into(),
                    description: huge(),
                    ..Role::default()
                };
            },
            &[
                "role_id",
                "request_id",
                "role.display_name",
                "role.description",
                "role.permissions",
            ],
        ),
    ];
    let good = CreateRoleRequest {
        parent: DEPLOYMENT.to_owned(),
        role_id: "pusher".to_owned(),
        role: Some(role(&["deployment.dags.push"])),
        ..CreateRoleRequest::default()
    };
    let send = async |request| orders.admin.authorization().create_role(request).await;
    each_is_told(good.clone(), wrongs, send).await;
    done(send(good.clone()).await);
    refused(send(good).await).is(Code::AlreadyExists, "RESOURCE_ALREADY_EXISTS");
}

async fn create_role_binding_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    fn of(request: &mut CreateRoleBindingRequest) -> &mut RoleBinding {
        request.role_binding.as_mut().unwrap()
    }
    const PRINCIPAL: &[&str] = &["role_binding.principal"];
    const ROLE: &[&str] = &["role_binding.role"];
    let wrongs: &[Wrong<CreateRoleBindingRequest>] = &[
        ("no binding", |r| r.role_binding = None, &["role_binding"]),
        ("nobody", |r| of(r).principal.clear(), PRINCIPAL),
        (
            "somebody of no kind",
            |r| of(r).principal = "eve".into(),
            PRINCIPAL,
        ),
        (
            "a service",
            |r| of(r).principal = "service:rollback-orchestrator".into(),
            PRINCIPAL,
        ),
        (
            "somebody with a space",
            |r| of(r).principal = "user:e ve".into(),
            PRINCIPAL,
        ),
        (
            "somebody huge",
            |r| of(r).principal = format!("user:{}", huge()),
            PRINCIPAL,
        ),
        ("no role", |r| of(r).role.clear(), ROLE),
        (
            "a role of no form",
            |r| of(r).role = "DEPLOYMENT_EDITOR".into(),
            ROLE,
        ),
        (
            "a role of another level",
            |r| of(r).role = "roles/SYSTEM_ADMIN".into(),
            ROLE,
        ),
        (
            "a role of another Deployment",
            |r| of(r).role = "workspaces/acme/deployments/billing/roles/pusher".into(),
            ROLE,
        ),
        (
            "everything",
            |r| {
                r.request_id = "!".into();
                *of(r) = RoleBinding::default();
            },
            &["request_id", "role_binding.principal", "role_binding.role"],
        ),
    ];
    let good = CreateRoleBindingRequest {
        parent: DEPLOYMENT.to_owned(),
        role_binding: Some(RoleBinding {
            principal: "user:eve".to_owned(),
            role: "roles/DEPLOYMENT_VIEWER".to_owned(),
            ..RoleBinding::default()
        }),
        ..CreateRoleBindingRequest::default()
    };
    let list = ListRoleBindingsRequest {
        parent: DEPLOYMENT.to_owned(),
        ..Default::default()
    };
    let bindings = async || {
        let listed = orders
            .admin
            .authorization()
            .list_role_bindings(list.clone())
            .await;
        done(listed).role_bindings
    };
    let before = bindings().await;
    let send = async |request| {
        orders
            .admin
            .authorization()
            .create_role_binding(request)
            .await
    };
    each_is_told(good.clone(), wrongs, send).await;
    let mut missing = good;
    of(&mut missing).role = format!("{DEPLOYMENT}/roles/missing");
    refused(send(missing).await).not_found();
    assert_eq!(bindings().await, before);
}

async fn update_role_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    let create = CreateRoleRequest {
        parent: DEPLOYMENT.to_owned(),
        role_id: "pusher".to_owned(),
        role: Some(role(&["deployment.dags.push"])),
        ..CreateRoleRequest::default()
    };
    let made = done(orders.admin.authorization().create_role(create).await);
    fn of(request: &mut UpdateRoleRequest) -> &mut Role {
        request.role.as_mut().unwrap()
    }
    let wrongs: &[Wrong<UpdateRoleRequest>] = &[
        ("no role", |r| r.role = None, &["role"]),
        ("no name", |r| of(r).name.clear(), &["role.name"]),
        ("a huge name", |r| of(r).name = huge(), &["role.name"]),
        (
            "a field that nobody sets",
            |r| r.update_mask.get_or_insert_default().paths = vec!["create_time".into()],
            &["update_mask"],
        ),
        (
            "no permission",
            |r| {
                of(r).permissions.clear();
                r.update_mask.get_or_insert_default().paths = vec!["permissions".into()];
            },
            &["role.permissions"],
        ),
        (
            "everything",
            |r| {
                (r.request_id, r.reason) = ("!".into(), huge());
                of(r).display_name = huge();
                of(r).description = "\0".into();
                of(r).permissions = vec!["deployment.fly".into()];
            },
            &[
                "request_id",
                "reason",
                "role.display_name",
                "role.description",
                "role.permissions[0]",
            ],
        ),
    ];
    let good = UpdateRoleRequest {
        role: Some(Role {
            name: format!("{DEPLOYMENT}/roles/pusher"),
            permissions: vec!["deployment.images.push".to_owned()],
            etag: made.role.unwrap().etag,
            ..Role::default()
        }),
        ..UpdateRoleRequest::default()
    };
    let send = async |request| orders.admin.authorization().update_role(request).await;
    each_is_told(good.clone(), wrongs, send).await;
    done(send(good.clone()).await);
    refused(send(good).await).is(Code::Aborted, "ETAG_MISMATCH");
}

async fn a_role_that_is_changed_and_deleted_leaves_a_record(setup: Setup) {
    let orders = Orders::new(setup).await;
    let request_id = orders.stack.environment.new_uuid().to_string();
    let admin = || orders.admin.authorization();
    let name = format!("{DEPLOYMENT}/roles/pusher");
    let create = CreateRoleRequest {
        parent: DEPLOYMENT.to_owned(),
        role_id: "pusher".to_owned(),
        role: Some(role(&["deployment.dags.push"])),
        request_id: request_id.clone(),
        reason: "made".to_owned(),
    };
    done(admin().create_role(create).await);
    let update = UpdateRoleRequest {
        role: Some(Role {
            name: name.clone(),
            ..role(&["deployment.images.push"])
        }),
        request_id: request_id.clone(),
        reason: "changed".to_owned(),
        ..UpdateRoleRequest::default()
    };
    let first = done(admin().update_role(update.clone()).await);
    assert_eq!(done(admin().update_role(update).await), first);
    let bind = CreateRoleBindingRequest {
        parent: DEPLOYMENT.to_owned(),
        role_binding: Some(RoleBinding {
            principal: "user:eve".to_owned(),
            role: name.clone(),
            ..RoleBinding::default()
        }),
        reason: "bound".to_owned(),
        ..CreateRoleBindingRequest::default()
    };
    done(admin().create_role_binding(bind).await);
    let mut delete = DeleteRoleRequest {
        name,
        request_id,
        reason: "deleted".to_owned(),
        ..DeleteRoleRequest::default()
    };
    refused(admin().delete_role(delete.clone()).await).is(Code::FailedPrecondition, "ROLE_BOUND");
    delete.force = true;
    let first = done(admin().delete_role(delete.clone()).await);
    assert_eq!(done(admin().delete_role(delete.clone()).await), first);
    delete.request_id.clear();
    refused(admin().delete_role(delete).await).not_found();

    let list = ListPolicyChangesRequest {
        parent: DEPLOYMENT.to_owned(),
        page_size: 5,
        ..ListPolicyChangesRequest::default()
    };
    let changes = done(admin().list_policy_changes(list).await).policy_changes;
    let reasons = changes.iter().map(|change| change.reason.as_str());
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        ["deleted", "deleted", "bound", "changed", "made"]
    );
}
