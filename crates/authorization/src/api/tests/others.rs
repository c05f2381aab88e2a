//! Checks of others by their names, and what somebody holds.

use proto::authorization::v1::permission_result::Result as Answer;

use super::*;

const DEPLOYMENT: &str = "workspaces/w/deployments/d";
const PUSH: &str = "deployment.dags.push";

fn about(principal: &str, groups: &[&str], resource: &str) -> pb::CheckPermissionRequest {
    pb::CheckPermissionRequest {
        principal: principal.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..check(PUSH, resource)
    }
}

async fn whoever_administers_a_resource_checks_others_there(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:wendy", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind("user:dave", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let bound = house
        .bind("group:data", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let service_account = "service-account:workspaces/w/serviceAccounts/ci";
    house
        .bind(service_account, "roles/DEPLOYMENT_AGENT", "workspaces/w")
        .await;

    let orchestrator = house.service_token(ServiceName::RollbackOrchestrator);
    let (wendy, admin) = (
        house.user_token("wendy", &[]),
        house.user_token("admin", &[]),
    );
    for token in [&orchestrator, &wendy, &admin] {
        for (principal, groups, allowed) in [
            ("user:dave", &[][..], true),
            ("user:bob", &[], false),
            ("user:bob", &["group:data", "group:ops"], true),
            ("group:data", &[], true),
            ("group:ops", &[], false),
            (service_account, &[], false),
            ("user:nobody", &[], false),
        ] {
            let request = house.request(token, about(principal, groups, DEPLOYMENT));
            let answer = house.service.check_permission(request).await.unwrap();
            let answer = answer.into_inner();
            assert_eq!(answer.principal, principal);
            let decision = answer.decision.unwrap();
            assert_eq!(decision.allowed, allowed, "{principal} {groups:?}");
            assert_eq!(decision.missing.is_some(), !allowed);
        }
    }
    let request = house.request(&wendy, about("user:bob", &["group:data"], DEPLOYMENT));
    let answer = house.service.check_permission(request).await.unwrap();
    let decision = answer.into_inner().decision.unwrap();
    assert_eq!(decision.granted_by.unwrap().role_binding, bound.name);

    // Whoever sees a resource and does not administer it is refused, whoever does not see it is not
    // told that it is there: whatever else is wrong with the question.
    for (user, resource, expected) in [
        ("dave", DEPLOYMENT, ErrorReason::PermissionMissing),
        ("dave", "workspaces/w", ErrorReason::ResourceNotFound),
        ("wendy", "workspaces/v", ErrorReason::ResourceNotFound),
        ("wendy", "system", ErrorReason::PermissionMissing),
        ("bob", DEPLOYMENT, ErrorReason::ResourceNotFound),
    ] {
        for permission in [PUSH, "deployment.dags.pull"] {
            let question = pb::CheckPermissionRequest {
                permission: permission.to_owned(),
                ..about("user:dave", &[], resource)
            };
            let refused = house
                .service
                .check_permission(house.as_user(user, question))
                .await
                .unwrap_err();
            assert_eq!(reason(&refused), expected, "{user} on {resource}");
        }
        let question = pb::ListEffectivePermissionsRequest {
            resource: resource.to_owned(),
            principal: "user:dave".to_owned(),
            ..Default::default()
        };
        let refused = house
            .service
            .list_effective_permissions(house.as_user(user, question))
            .await
            .unwrap_err();
        assert_eq!(reason(&refused), expected, "{user} on {resource}");
    }
}

async fn whom_a_check_is_about_is_told_in_one_way_only(db: TestDatabase) {
    let house = House::new(&db).await;
    let bob = house.user_token("bob", &[]);
    let groups = |number: usize| vec!["group:g".to_owned(); number];
    let with = |principal: &str, groups: Vec<String>, subject_token: &str| {
        let (principal, subject_token) = (principal.to_owned(), subject_token.to_owned());
        pb::CheckPermissionRequest {
            principal,
            groups,
            subject_token,
            ..check(PUSH, DEPLOYMENT)
        }
    };
    for (question, wrong) in [
        (with("user:bob", groups(0), &bob), &["subject_token"][..]),
        (with("", groups(1), ""), &["principal"]),
        (with("group:data", groups(1), ""), &["groups"]),
        (
            with(
                "service-account:workspaces/w/serviceAccounts/ci",
                groups(1),
                "",
            ),
            &["groups"],
        ),
        (
            with("service:deploy-registry", groups(0), ""),
            &["principal"],
        ),
        (with("bob", groups(0), ""), &["principal"]),
        (with("user:bob", groups(101), ""), &["groups"]),
        (
            with(
                "user:b b",
                vec!["group:a".to_owned(), "user:x".to_owned(), "x".to_owned()],
                &bob,
            ),
            &["subject_token", "groups[1]", "groups[2]", "principal"],
        ),
    ] {
        let text = format!("{question:?}");
        for token in [
            house.service_token(ServiceName::DeployRegistry),
            house.user_token("admin", &[]),
        ] {
            let batch = pb::BatchCheckPermissionsRequest {
                principal: question.principal.clone(),
                groups: question.groups.clone(),
                subject_token: question.subject_token.clone(),
                questions: vec![pb::PermissionQuestion {
                    permission: PUSH.to_owned(),
                    resource: DEPLOYMENT.to_owned(),
                }],
                consistency: None,
            };
            let refused = house
                .service
                .batch_check_permissions(house.request(&token, batch))
                .await;
            assert_eq!(fields(&refused.unwrap_err()), wrong, "{text}");
            let refused = house
                .service
                .check_permission(house.request(&token, question.clone()))
                .await;
            assert_eq!(fields(&refused.unwrap_err()), wrong, "{text}");
        }
    }
    let most = with("user:bob", groups(100), "");
    let answer = house.service.check_permission(house.as_user("admin", most));
    assert!(!answer.await.unwrap().into_inner().decision.unwrap().allowed);
}

async fn a_batch_about_another_is_authorized_question_by_question(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:wendy", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind("user:wendy", "roles/WORKSPACE_VIEWER", "workspaces/v")
        .await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "system")
        .await;
    let resources = [
        DEPLOYMENT,
        "workspaces/v",
        "workspaces/u",
        "nonsense",
        "workspaces/w",
    ];
    let batch = pb::BatchCheckPermissionsRequest {
        questions: resources
            .iter()
            .map(|resource| pb::PermissionQuestion {
                permission: PUSH.to_owned(),
                resource: (*resource).to_owned(),
            })
            .collect(),
        principal: "user:bob".to_owned(),
        ..Default::default()
    };
    let answer = house
        .service
        .batch_check_permissions(house.as_user("wendy", batch))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.principal, "user:bob");
    let results = answer
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Answer::Decision(decision) => Ok(decision.allowed),
            Answer::Error(error) => Err(Code::from(error.code)),
        });
    assert_eq!(
        results.collect::<Vec<_>>(),
        [
            Ok(true),
            Err(Code::PermissionDenied),
            Err(Code::NotFound),
            Err(Code::InvalidArgument),
            Ok(true),
        ]
    );
}

async fn a_denial_says_which_roles_would_help(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .create_role("workspaces/w", "pusher", &[PUSH, "deployment.config.get"])
        .await;
    house
        .bind("user:ann", "roles/WORKSPACE_VIEWER", "workspaces/w")
        .await;
    let missing = async |user: &str| {
        let request = house.as_user(user, check(PUSH, DEPLOYMENT));
        let answer = house.service.check_permission(request).await.unwrap();
        answer.into_inner().decision.unwrap().missing.unwrap()
    };
    let built_in = ["roles/DEPLOYMENT_EDITOR", "roles/DEPLOYMENT_ADMIN"];
    let pb::MissingPermission {
        permission,
        resource,
        roles,
    } = missing("bob").await;
    assert_eq!((permission.as_str(), resource.as_str()), (PUSH, DEPLOYMENT));
    assert_eq!(roles, built_in);
    let roles = missing("ann").await.roles;
    let pusher = "workspaces/w/roles/pusher";
    assert_eq!(roles, [pusher, built_in[0], built_in[1]]);
    // What is said to help does.
    for role in roles {
        let principal = format!("user:by-{}", role.rsplit('/').next().unwrap());
        let id = principal.trim_start_matches("user:").to_owned();
        house.bind(&principal, &role, DEPLOYMENT).await;
        let request = house.as_user(&id, check(PUSH, DEPLOYMENT));
        let answer = house.service.check_permission(request).await.unwrap();
        assert!(answer.into_inner().decision.unwrap().allowed, "{role}");
    }
}

async fn everything_that_somebody_holds_is_listed_with_what_brings_it(db: TestDatabase) {
    let house = House::new(&db).await;
    let viewer = house
        .bind("user:bob", "roles/DEPLOYMENT_VIEWER", "workspaces/w")
        .await;
    let agent = house
        .bind("group:data", "roles/DEPLOYMENT_AGENT", DEPLOYMENT)
        .await;
    let list = |resource: &str| pb::ListEffectivePermissionsRequest {
        resource: resource.to_owned(),
        ..Default::default()
    };
    let answer = async |request| {
        let answer = house.service.list_effective_permissions(request).await;
        let pb::ListEffectivePermissionsResponse {
            permissions,
            principal,
            policy_revision,
        } = answer.unwrap().into_inner();
        assert_eq!(policy_revision, 3);
        let permissions = permissions.into_iter().map(|held| {
            let pb::EffectivePermission {
                permission,
                granted_by,
            } = held;
            (permission, granted_by.unwrap().role_binding)
        });
        (principal, permissions.collect::<Vec<_>>())
    };
    let token = house.user_token("bob", &["data"]);
    let (principal, held) = answer(house.request(&token, list(DEPLOYMENT))).await;
    assert_eq!(principal, "user:bob");
    assert!(held.is_sorted(), "{held:?}");
    let by = |permission: &str| {
        let found = held.iter().find(|(held, _)| held == permission);
        found.map(|(_, binding)| binding.clone())
    };
    assert_eq!(held.len(), 14, "{held:?}");
    assert_eq!(by("deployment.logs.get"), Some(viewer.name.clone()));
    assert_eq!(by("deployment.config.get"), Some(agent.name.clone()));
    assert_eq!(by("deployment.deploys.report"), Some(agent.name));
    assert_eq!(by(PUSH), None);

    // By name and groups it is the same, and by the token too.
    let named = pb::ListEffectivePermissionsRequest {
        principal: "user:bob".to_owned(),
        groups: vec!["group:data".to_owned()],
        ..list(DEPLOYMENT)
    };
    let by_name = answer(house.as_user("admin", named)).await;
    assert_eq!(by_name, (principal.clone(), held.clone()));
    let tokened = pb::ListEffectivePermissionsRequest {
        subject_token: token.clone(),
        ..list(DEPLOYMENT)
    };
    let by_token = answer(house.as_orchestrator(tokened)).await;
    assert_eq!(by_token, (principal, held));

    let (_, nothing) = answer(house.request(&token, list("workspaces/v"))).await;
    assert_eq!(nothing, []);
    let (service, held) = answer(house.as_orchestrator(list("system"))).await;
    assert_eq!(service, "service:rollback-orchestrator");
    assert_eq!(held.len(), 6);
    let wrong = house
        .service
        .list_effective_permissions(house.as_user("bob", list("nonsense")))
        .await
        .unwrap_err();
    assert_eq!(fields(&wrong), ["resource"]);
}

async fn every_permission_is_listed_by_name(db: TestDatabase) {
    let house = House::new(&db).await;
    let request = house.as_user("bob", pb::ListPermissionsRequest {});
    let answer = house.service.list_permissions(request).await.unwrap();
    let permissions = answer.into_inner().permissions;
    assert_eq!(permissions.len(), model::Permission::ALL.len());
    assert!(permissions.is_sorted_by(|one, next| one.name < next.name));
    let named = |name: &str| {
        let found = permissions.iter().find(|found| found.name == name);
        found.unwrap().clone()
    };
    let pb::Permission {
        name: _,
        level,
        description,
        service_only,
    } = named(PUSH);
    assert_eq!((level.as_str(), service_only), ("deployment", false));
    assert!(description.contains("DAGs"), "{description}");
    assert!(named("system.permits.issue").service_only);
    assert_eq!(named("deployment.airflow.get").description, "");

    let request = Request::new(pb::ListPermissionsRequest {});
    let nobody = house.service.list_permissions(request).await.unwrap_err();
    assert_eq!(reason(&nobody), ErrorReason::Unauthenticated);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    whoever_administers_a_resource_checks_others_there,
    whom_a_check_is_about_is_told_in_one_way_only,
    a_batch_about_another_is_authorized_question_by_question,
    a_denial_says_which_roles_would_help,
    everything_that_somebody_holds_is_listed_with_what_brings_it,
    every_permission_is_listed_by_name,
);
