use model::names::ServiceName;
use prost_types::Timestamp;
use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::permission_result;
use proto::authorization::v1::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, Consistency, CreateRoleBindingRequest,
    CreateRoleRequest, CreateServiceAccountTokenRequest, DeleteRoleBindingRequest,
    IssuePermitRequest, ListRoleBindingsRequest, PermissionQuestion, Role, RoleBinding,
    ServiceAccountToken,
};
use proto::common::v1::RollbackScope;
use tonic::Code;

use super::{Wrong, each_is_told, huge, no_name_is_taken};
use crate::harness::refusal::done;
use crate::harness::requests::role;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    no_name_but_a_name_is_taken,
    a_check_tells_all_that_is_wrong,
    create_role_tells_all_that_is_wrong,
    create_role_binding_tells_all_that_is_wrong,
    create_service_account_token_tells_all_that_is_wrong,
    issue_permit_tells_all_that_is_wrong,
);

async fn no_name_but_a_name_is_taken(setup: Setup) {
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

async fn a_check_tells_all_that_is_wrong(setup: Setup) {
    let stack = setup.start().await;
    let admin = stack.person("admin");
    fn asked(requirement: Requirement) -> Option<Consistency> {
        Some(Consistency {
            requirement: Some(requirement),
        })
    }
    let wrongs: &[Wrong<CheckPermissionRequest>] = &[
        ("no permission", |r| r.permission.clear(), &["permission"]),
        (
            "an unknown permission",
            |r| r.permission = "deployment.fly".into(),
            &["permission"],
        ),
        (
            "a huge permission",
            |r| r.permission = huge(),
            &["permission"],
        ),
        ("no resource", |r| r.resource.clear(), &["resource"]),
        (
            "an unknown resource",
            |r| r.resource = "galaxies/andromeda".into(),
            &["resource"],
        ),
        (
            "a freshness that is none",
            |r| r.consistency = asked(Requirement::AtLeastAsFresh(-1)),
            &["consistency.at_least_as_fresh"],
        ),
        (
            "everything",
            |r| {
                r.permission = "!".into();
                r.resource = "\0".into();
                r.consistency = asked(Requirement::FullyConsistent(false));
            },
            &["permission", "resource", "consistency.fully_consistent"],
        ),
    ];
    let good = CheckPermissionRequest {
        permission: "deployment.dags.push".to_owned(),
        resource: DEPLOYMENT.to_owned(),
        ..CheckPermissionRequest::default()
    };
    let send = async |request| admin.authorization().check_permission(request).await;
    each_is_told(good.clone(), wrongs, send).await;
    assert!(done(send(good).await).decision.unwrap().allowed);

    let batch = |questions| BatchCheckPermissionsRequest {
        questions,
        ..Default::default()
    };
    let question = |permission: &str| PermissionQuestion {
        permission: permission.to_owned(),
        resource: DEPLOYMENT.to_owned(),
    };
    for many in [0, 1_001] {
        let request = batch(vec![question("deployment.dags.push"); many]);
        refused(admin.authorization().batch_check_permissions(request).await)
            .names_fields(&["questions"]);
    }
    // A question that cannot be decided does not stand in the way of the others, and is no yes.
    let request = batch(vec![
        question("deployment.fly"),
        question("deployment.dags.push"),
    ]);
    let answers = done(admin.authorization().batch_check_permissions(request).await).results;
    let answers = answers.into_iter().map(|answer| answer.result.unwrap());
    let [unknown, known] = answers.collect::<Vec<_>>().try_into().unwrap();
    assert!(matches!(unknown, permission_result::Result::Error(error) if error.code == 3));
    assert!(matches!(known, permission_result::Result::Decision(decision) if decision.allowed));
}

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

async fn create_service_account_token_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    fn of(request: &mut CreateServiceAccountTokenRequest) -> &mut ServiceAccountToken {
        request.service_account_token.as_mut().unwrap()
    }
    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }
    const TIME: &[&str] = &["service_account_token.expire_time"];
    let wrongs: &[Wrong<CreateServiceAccountTokenRequest>] = &[
        (
            "no token",
            |r| r.service_account_token = None,
            &["service_account_token"],
        ),
        ("no end", |r| of(r).expire_time = None, TIME),
        (
            "an end in the past",
            |r| of(r).expire_time = at(1_000_000_000, 0),
            TIME,
        ),
        (
            "an end far ahead",
            |r| of(r).expire_time = at(32_503_680_000, 0),
            TIME,
        ),
        (
            "an end at no time",
            |r| of(r).expire_time = at(i64::MAX, 0),
            TIME,
        ),
        (
            "an end before all time",
            |r| of(r).expire_time = at(i64::MIN, 0),
            TIME,
        ),
        (
            "negative nanoseconds",
            |r| of(r).expire_time = at(1_900_000_000, -1),
            TIME,
        ),
        (
            "too many nanoseconds",
            |r| of(r).expire_time = at(1_900_000_000, i32::MAX),
            TIME,
        ),
        (
            "everything",
            |r| {
                r.request_id = "!".into();
                of(r).description = huge();
                of(r).expire_time = at(0, 0);
            },
            &[
                "request_id",
                "service_account_token.description",
                "service_account_token.expire_time",
            ],
        ),
    ];
    let tomorrow = orders.stack.environment.now().timestamp() + 86_400;
    let good = CreateServiceAccountTokenRequest {
        parent: format!("{DEPLOYMENT}/serviceAccounts/ci"),
        service_account_token: Some(ServiceAccountToken {
            expire_time: at(tomorrow, 0),
            ..ServiceAccountToken::default()
        }),
        ..CreateServiceAccountTokenRequest::default()
    };
    let admin = &orders.admin;
    let send = async |request| {
        admin
            .authorization()
            .create_service_account_token(request)
            .await
    };
    each_is_told(good.clone(), wrongs, send).await;

    // The account holds nothing until a role is bound to it.
    let made = done(send(good).await);
    let ci = orders.stack.somebody(&made.token);
    let revision = crate::harness::requests::image('a', "3.1-9");
    let ship = async || {
        let deploy = proto::registry::v1::Deploy {
            revision: Some(revision.clone()),
            ..Default::default()
        };
        let request = proto::registry::v1::CreateDeployRequest {
            parent: DEPLOYMENT.to_owned(),
            deploy: Some(deploy),
            ..Default::default()
        };
        ci.registry().create_deploy(request).await
    };
    refused(ship().await).not_found();
    let account = format!("service-account:{DEPLOYMENT}/serviceAccounts/ci");
    admin
        .bind(DEPLOYMENT, &account, "roles/DEPLOYMENT_EDITOR")
        .await;
    assert_eq!(done(ship().await).deploy.unwrap().created_by, account);
}

async fn issue_permit_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let good = orders.permit_request(&orders.dana, &write).await;
    const ELSEWHERE: &str = "workspaces/acme/deployments/billing/deploys/1";
    let wrongs: &[Wrong<IssuePermitRequest>] = &[
        ("no rollback", |r| r.rollback.clear(), &["rollback"]),
        ("nobody", |r| r.authority = None, &["authority"]),
        (
            "no grant",
            |r| r.authority = Some(Authority::Grant(false)),
            &["grant"],
        ),
        (
            "a huge token",
            |r| r.authority = Some(Authority::SubjectToken(huge())),
            &["subject_token"],
        ),
        (
            "no uid",
            |r| r.deployment_uid = "7".into(),
            &["deployment_uid"],
        ),
        (
            "a target elsewhere",
            |r| r.target_deploy = ELSEWHERE.into(),
            &["target_deploy"],
        ),
        (
            "a target of the future",
            |r| r.target_deploy = format!("{DEPLOYMENT}/deploys/6"),
            &["target_deploy"],
        ),
        ("no scope", |r| r.scope = 99, &["scope"]),
        ("no permission", |r| r.permissions.clear(), &["permissions"]),
        (
            "a permission for something else",
            |r| r.permissions = vec!["system.iam.update".into()],
            &["permissions"],
        ),
        (
            "a huge digest",
            |r| r.revision_digest = huge(),
            &["revision_digest"],
        ),
        ("no plan", |r| r.plan_digest.clear(), &["plan_digest"]),
        (
            "a grant and fields",
            |r| r.authority = Some(Authority::Grant(true)),
            &[
                "deployment_uid",
                "target_deploy",
                "expected_latest_deploy",
                "scope",
                "permissions",
                "revision_digest",
                "plan_digest",
            ],
        ),
    ];
    let orchestrator = orders.stack.service(
        ServiceName::RollbackOrchestrator,
        ServiceName::Authorization,
    );
    let send = async |request| orchestrator.authorization().issue_permit(request).await;
    each_is_told(good, wrongs, send).await;
}
