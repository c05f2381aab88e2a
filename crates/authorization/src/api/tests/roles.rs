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

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_role_is_created_as_it_was_asked_for,
    all_that_is_wrong_with_a_role_is_told_at_once,
    administering_needs_its_permission_at_its_level,
    a_repeated_request_is_answered_once_more,
    a_replay_is_for_those_who_still_may,
);
