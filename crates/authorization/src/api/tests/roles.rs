use proto::authorization::v1::{
    CreateRoleBindingRequest, CreateRoleRequest, DeleteRoleBindingRequest, ListRoleBindingsRequest,
};

use super::*;

async fn a_role_is_created_as_it_was_asked_for(db: TestDatabase) {
    let house = House::new(&db).await;
    let asked = CreateRoleRequest {
        role: Some(pb::Role {
            name: "ignored".to_owned(),
            display_name: "Pusher".to_owned(),
            description: "Pushes\nDAGs".to_owned(),
            permissions: vec!["deployment.dags.push".to_owned()],
            created_by: "user:mallory".to_owned(),
            ..Default::default()
        }),
        ..role("workspaces/w", "pusher", &[])
    };
    let request = house.as_user("admin", asked);
    let answer = house
        .service
        .create_role(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.policy_revision, 2);
    let pb::Role {
        name,
        display_name,
        description,
        permissions,
        created_by,
        create_time,
        etag,
        update_time: _,
        updated_by: _,
        managed_by: _,
        added_permissions: _,
        removed_permissions: _,
    } = answer.role.unwrap();
    assert_eq!(name, "workspaces/w/roles/pusher");
    assert_eq!(
        (display_name.as_str(), description.as_str()),
        ("Pusher", "Pushes\nDAGs")
    );
    assert_eq!(permissions, ["deployment.dags.push"]);
    assert_eq!(created_by, "user:admin");
    assert_eq!(create_time, Some(chassis::convert::timestamp(house.now())));
    assert_eq!(etag.len(), 16);

    let again = house.as_user(
        "admin",
        role("workspaces/w", "pusher", &["deployment.dags.push"]),
    );
    let taken = house.service.create_role(again).await.unwrap_err();
    assert_eq!(reason(&taken), ErrorReason::ResourceAlreadyExists);
}

async fn all_that_is_wrong_with_a_role_is_told_at_once(db: TestDatabase) {
    let house = House::new(&db).await;
    let asked = CreateRoleRequest {
        parent: "workspaces/w".to_owned(),
        role_id: "SYSTEM_ADMIN".to_owned(),
        role: Some(pb::Role {
            display_name: "x".repeat(101),
            description: "a\0b".to_owned(),
            permissions: [
                "deployment.dags.push",
                "deployment.dags.push",
                "system.iam.update",
                "system.permits.issue",
                "deployment.dags.pull",
                "",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Default::default()
        }),
        request_id: "1".to_owned(),
        reason: String::new(),
    };
    let request = house.as_user("admin", asked);
    let wrong = house.service.create_role(request).await.unwrap_err();
    assert_eq!(
        fields(&wrong),
        [
            "role_id",
            "role.display_name",
            "role.description",
            "role.permissions[1]",
            "role.permissions[2]",
            "role.permissions[3]",
            "role.permissions[4]",
            "role.permissions[5]",
            "request_id",
        ]
    );
    for (asked, expected) in [
        (
            CreateRoleRequest {
                role: None,
                ..role("system", "r", &[])
            },
            "role",
        ),
        (role("system", "r", &[]), "role.permissions"),
        (
            role("system", "r", &["deployment.dags.push"; 129]),
            "role.permissions",
        ),
        (
            role("system", "r", &["system.permits.issue"]),
            "role.permissions[0]",
        ),
        (
            role("system", "DEPLOYMENT_VIEWER", &["deployment.dags.push"]),
            "role_id",
        ),
        (role("systems", "r", &["deployment.dags.push"]), "parent"),
        (role("", "r", &["deployment.dags.push"]), "parent"),
    ] {
        let text = format!("{asked:?}");
        let wrong = house
            .service
            .create_role(house.as_user("admin", asked))
            .await
            .unwrap_err();
        assert_eq!(fields(&wrong), [expected], "{text}");
    }
}

async fn administering_needs_its_permission_at_its_level(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind(
            "user:dora",
            "roles/DEPLOYMENT_ADMIN",
            "workspaces/w/deployments/d",
        )
        .await;
    house
        .bind(
            "user:eve",
            "roles/DEPLOYMENT_EDITOR",
            "workspaces/w/deployments/d",
        )
        .await;
    for (who, parent, expected) in [
        ("admin", "system", Ok(())),
        ("wanda", "system", Err(ErrorReason::PermissionMissing)),
        ("stranger", "system", Err(ErrorReason::PermissionMissing)),
        ("wanda", "workspaces/w", Ok(())),
        ("wanda", "workspaces/w/deployments/d", Ok(())),
        ("wanda", "workspaces/v", Err(ErrorReason::ResourceNotFound)),
        ("dora", "workspaces/w/deployments/d", Ok(())),
        (
            "dora",
            "workspaces/w/deployments/e",
            Err(ErrorReason::ResourceNotFound),
        ),
        ("dora", "workspaces/w", Err(ErrorReason::ResourceNotFound)),
        (
            "eve",
            "workspaces/w/deployments/d",
            Err(ErrorReason::PermissionMissing),
        ),
        (
            "stranger",
            "workspaces/w/deployments/d",
            Err(ErrorReason::ResourceNotFound),
        ),
    ] {
        let list = ListRoleBindingsRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        let listed = house
            .service
            .list_role_bindings(house.as_user(who, list))
            .await;
        let found = listed.map(drop).map_err(|status| reason(&status));
        assert_eq!(found, expected, "{who} lists {parent}");

        let bind = binding("user:new", "roles/DEPLOYMENT_VIEWER", parent);
        let bound = house
            .service
            .create_role_binding(house.as_user(who, bind))
            .await;
        let found = bound.map(drop).map_err(|status| reason(&status));
        assert_eq!(found, expected, "{who} binds on {parent}");

        let id = format!("by-{who}");
        let create = role(parent, &id, &["deployment.config.get"]);
        let created = house.service.create_role(house.as_user(who, create)).await;
        let found = created.map(drop).map_err(|status| reason(&status));
        assert_eq!(found, expected, "{who} creates a role in {parent}");
    }
    let services = house.as_orchestrator(binding("user:x", "roles/DEPLOYMENT_VIEWER", "system"));
    let denied = house
        .service
        .create_role_binding(services)
        .await
        .unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
}

async fn a_binding_that_exists_is_returned_as_it_is(db: TestDatabase) {
    let house = House::new(&db).await;
    let first = house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    assert_eq!(first.created_by, "user:admin");
    assert!(
        first.name.starts_with("workspaces/w/roleBindings/"),
        "{}",
        first.name
    );
    house.pass(TimeDelta::seconds(5));
    let again = house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    assert_eq!(first, again);
    let other = house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "system")
        .await;
    assert!(other.name.starts_with("roleBindings/"), "{}", other.name);
}

async fn what_cannot_be_bound_is_told_by_field(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .create_role("workspaces/w", "r", &["workspace.config.get"])
        .await;
    let bind = binding;
    for (asked, expected) in [
        (
            bind("bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w"),
            "role_binding.principal",
        ),
        (
            bind("", "roles/DEPLOYMENT_EDITOR", "workspaces/w"),
            "role_binding.principal",
        ),
        (
            bind(
                "service:deploy-registry",
                "roles/DEPLOYMENT_EDITOR",
                "workspaces/w",
            ),
            "role_binding.principal",
        ),
        (
            bind(
                &format!("user:{}", "x".repeat(252)),
                "roles/DEPLOYMENT_EDITOR",
                "workspaces/w",
            ),
            "role_binding.principal",
        ),
        (
            bind("user:a\u{7}", "roles/DEPLOYMENT_EDITOR", "workspaces/w"),
            "role_binding.principal",
        ),
        (
            bind("user:bob", "DEPLOYMENT_EDITOR", "workspaces/w"),
            "role_binding.role",
        ),
        (
            bind("user:bob", "roles/SYSTEM_VIEWER", "workspaces/w"),
            "role_binding.role",
        ),
        (
            bind(
                "user:bob",
                "roles/WORKSPACE_VIEWER",
                "workspaces/w/deployments/d",
            ),
            "role_binding.role",
        ),
        // Of the workspace, but it holds what means nothing on a Deployment.
        (
            bind(
                "user:bob",
                "workspaces/w/roles/r",
                "workspaces/w/deployments/d",
            ),
            "role_binding.role",
        ),
        // Of somewhere else, whether it exists or not.
        (
            bind("user:bob", "workspaces/w/roles/r", "workspaces/v"),
            "role_binding.role",
        ),
        (
            bind("user:bob", "workspaces/w/roles/no", "workspaces/v"),
            "role_binding.role",
        ),
        (
            CreateRoleBindingRequest {
                role_binding: None,
                ..bind("", "", "workspaces/w")
            },
            "role_binding",
        ),
        (bind("user:bob", "roles/DEPLOYMENT_EDITOR", "w"), "parent"),
        (
            CreateRoleBindingRequest {
                request_id: "00000000-0000-0000-0000-000000000000".to_owned(),
                ..bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
            },
            "request_id",
        ),
    ] {
        let text = format!("{asked:?}");
        let request = house.as_user("admin", asked);
        let wrong = house
            .service
            .create_role_binding(request)
            .await
            .unwrap_err();
        assert_eq!(fields(&wrong), [expected], "{text}");
    }
    let request = house.as_user(
        "admin",
        bind("user:bob", "workspaces/w/roles/no", "workspaces/w"),
    );
    let missing = house
        .service
        .create_role_binding(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&missing), ErrorReason::ResourceNotFound);
    let info = missing.get_details_resource_info().unwrap();
    assert_eq!(info.resource_name, "workspaces/w/roles/no");
}

async fn a_list_has_pages_that_belong_to_it(db: TestDatabase) {
    let house = House::new(&db).await;
    let mut names = Vec::new();
    for number in 0..5 {
        let principal = format!("user:{number}");
        names.push(
            house
                .bind(&principal, "roles/DEPLOYMENT_VIEWER", "workspaces/w")
                .await
                .name,
        );
    }
    names.sort();
    let list = async |parent: &str, page_size, page_token: &str| {
        let request = ListRoleBindingsRequest {
            parent: parent.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            ..Default::default()
        };
        let answer = house
            .service
            .list_role_bindings(house.as_user("admin", request))
            .await?;
        let answer = answer.into_inner();
        let names = answer.role_bindings.into_iter().map(|binding| binding.name);
        Ok::<_, Status>((names.collect::<Vec<_>>(), answer.next_page_token))
    };
    let mut listed = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let (page, next) = list("workspaces/w", 2, &token).await.unwrap();
        listed.extend(page);
        pages += 1;
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((listed, pages), (names, 3));

    let (_, token) = list("workspaces/w", 2, "").await.unwrap();
    for (parent, page_size, page_token, expected) in [
        ("workspaces/v", 2, token.as_str(), vec!["page_token"]),
        ("workspaces/w", -1, "junk", vec!["page_size", "page_token"]),
    ] {
        let wrong = list(parent, page_size, page_token).await.unwrap_err();
        assert_eq!(fields(&wrong), expected);
    }
}

async fn a_repeated_request_is_answered_once_more(db: TestDatabase) {
    let house = House::new(&db).await;
    let request_id = house.environment.new_uuid().to_string();

    let create = CreateRoleRequest {
        request_id: request_id.clone(),
        ..role("system", "r", &["deployment.dags.push"])
    };
    let first = house
        .service
        .create_role(house.as_user("admin", create.clone()))
        .await
        .unwrap();
    house.pass(TimeDelta::hours(1));
    let again = house
        .service
        .create_role(house.as_user("admin", create.clone()))
        .await
        .unwrap();
    assert_eq!(first.into_inner(), again.into_inner());
    let other = CreateRoleRequest {
        role_id: "s".to_owned(),
        ..create
    };
    let reused = house
        .service
        .create_role(house.as_user("admin", other))
        .await
        .unwrap_err();
    assert_eq!(reason(&reused), ErrorReason::RequestIdReused);
    assert_eq!(metadata(&reused, "request_id"), request_id);

    let bind = CreateRoleBindingRequest {
        request_id: request_id.clone(),
        ..binding("user:bob", "roles/r", "system")
    };
    let bound = house
        .service
        .create_role_binding(house.as_user("admin", bind.clone()))
        .await;
    let bound = bound.unwrap().into_inner();
    let again = house
        .service
        .create_role_binding(house.as_user("admin", bind))
        .await
        .unwrap();
    assert_eq!(bound, again.into_inner());

    let name = bound.role_binding.unwrap().name;
    let delete = DeleteRoleBindingRequest {
        name: name.clone(),
        request_id,
        reason: String::new(),
    };
    let first = house
        .service
        .delete_role_binding(house.as_user("admin", delete.clone()))
        .await;
    let first = first.unwrap().into_inner();
    let again = house
        .service
        .delete_role_binding(house.as_user("admin", delete.clone()))
        .await;
    assert_eq!(first, again.unwrap().into_inner());
    // Without its id it is another deletion, of what is not there.
    let delete = DeleteRoleBindingRequest {
        request_id: String::new(),
        ..delete
    };
    let gone = house
        .service
        .delete_role_binding(house.as_user("admin", delete.clone()))
        .await;
    assert_eq!(reason(&gone.unwrap_err()), ErrorReason::ResourceNotFound);

    for name in ["", "roleBindings/1", "workspaces/w/roles/r"] {
        let delete = DeleteRoleBindingRequest {
            name: name.to_owned(),
            ..Default::default()
        };
        let wrong = house
            .service
            .delete_role_binding(house.as_user("admin", delete))
            .await;
        assert_eq!(fields(&wrong.unwrap_err()), ["name"]);
    }
}

async fn a_replay_is_for_those_who_still_may(db: TestDatabase) {
    let house = House::new(&db).await;
    let admin = house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    let bind = CreateRoleBindingRequest {
        request_id: house.environment.new_uuid().to_string(),
        ..binding("user:bob", "roles/DEPLOYMENT_VIEWER", "workspaces/w")
    };
    house
        .service
        .create_role_binding(house.as_user("wanda", bind.clone()))
        .await
        .unwrap();
    house.unbind(&admin.name).await;
    let denied = house
        .service
        .create_role_binding(house.as_user("wanda", bind))
        .await
        .unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::ResourceNotFound);
}

async fn the_last_administrator_cannot_be_deleted(db: TestDatabase) {
    let house = House::new(&db).await;
    let list = ListRoleBindingsRequest {
        parent: "system".to_owned(),
        ..Default::default()
    };
    let listed = house
        .service
        .list_role_bindings(house.as_user("admin", list))
        .await
        .unwrap();
    let listed = listed.into_inner().role_bindings;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].created_by, "service:authorization");
    let delete = DeleteRoleBindingRequest {
        name: listed[0].name.clone(),
        ..Default::default()
    };
    let last = house
        .service
        .delete_role_binding(house.as_user("admin", delete))
        .await;
    let last = last.unwrap_err();
    assert_eq!(reason(&last), ErrorReason::LastAdministrator);
    let info = last.get_details_error_info().unwrap();
    assert_eq!(info.metadata["role_binding"], listed[0].name);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_role_is_created_as_it_was_asked_for,
    all_that_is_wrong_with_a_role_is_told_at_once,
    administering_needs_its_permission_at_its_level,
    a_binding_that_exists_is_returned_as_it_is,
    what_cannot_be_bound_is_told_by_field,
    a_list_has_pages_that_belong_to_it,
    a_repeated_request_is_answered_once_more,
    a_replay_is_for_those_who_still_may,
    the_last_administrator_cannot_be_deleted,
);
