use super::*;

async fn list(house: &House, who: &str, parent: &str, descendants: bool) -> Vec<pb::PolicyChange> {
    let request = pb::ListPolicyChangesRequest {
        parent: parent.to_owned(),
        include_descendants: descendants,
        ..Default::default()
    };
    let request = house.as_user(who, request);
    let answer = house.service.list_policy_changes(request).await.unwrap();
    answer.into_inner().policy_changes
}

async fn who_changed_what_when_and_why_is_told(db: TestDatabase) {
    let house = House::new(&db).await;
    let because = |reason: &str| format!("because of {reason}");
    let create = pb::CreateRoleRequest {
        reason: because("the role"),
        ..role("workspaces/w", "pusher", &["deployment.dags.push"])
    };
    let create = house.as_user("admin", create);
    house.service.create_role(create).await.unwrap();
    house.pass(TimeDelta::minutes(5));
    let update = pb::UpdateRoleRequest {
        role: Some(pb::Role {
            name: "workspaces/w/roles/pusher".to_owned(),
            permissions: vec!["deployment.images.push".to_owned()],
            ..Default::default()
        }),
        reason: because("the update"),
        ..Default::default()
    };
    let update = house.as_user("admin", update);
    house.service.update_role(update).await.unwrap();
    let until = chassis::convert::timestamp(house.now() + TimeDelta::hours(1));
    let deployment = "workspaces/w/deployments/d";
    let mut bind = binding("group:data", "workspaces/w/roles/pusher", deployment);
    bind.reason = because("the binding");
    bind.role_binding.as_mut().unwrap().expire_time = Some(until);
    let bind = house.as_user("admin", bind);
    let bound = house.service.create_role_binding(bind).await.unwrap();
    let bound = bound.into_inner().role_binding.unwrap();
    let delete = pb::DeleteRoleRequest {
        name: "workspaces/w/roles/pusher".to_owned(),
        force: true,
        reason: because("the deletion"),
        ..Default::default()
    };
    let delete = house.as_user("admin", delete);
    house.service.delete_role(delete).await.unwrap();

    let changes = list(&house, "admin", "workspaces/w", true).await;
    let told = changes.iter().map(|change| {
        let (added, removed) = (&change.added_permissions, &change.removed_permissions);
        (
            (change.policy_revision, change.number, change.r#type()),
            change.reason.trim_start_matches("because of "),
            (added.join(","), removed.join(",")),
        )
    });
    let (dags, images) = ("deployment.dags.push", "deployment.images.push");
    let of = |added: &str, removed: &str| (added.to_owned(), removed.to_owned());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (
                (5, 2, pb::PolicyChangeType::RoleDeleted),
                "the deletion",
                of("", images)
            ),
            (
                (5, 1, pb::PolicyChangeType::RoleBindingDeleted),
                "the deletion",
                of("", "")
            ),
            (
                (4, 1, pb::PolicyChangeType::RoleBindingCreated),
                "the binding",
                of("", "")
            ),
            (
                (3, 1, pb::PolicyChangeType::RoleUpdated),
                "the update",
                of(images, dags)
            ),
            (
                (2, 1, pb::PolicyChangeType::RoleCreated),
                "the role",
                of(dags, "")
            ),
        ]
    );
    for change in &changes {
        assert_eq!(
            (change.changed_by.as_str(), change.managed_by.as_str()),
            ("user:admin", "")
        );
    }
    let now = chassis::convert::timestamp(house.now());
    assert_eq!(changes[0].change_time, Some(now));
    assert_ne!(changes[4].change_time, Some(now));
    for change in &changes[1..=2] {
        assert_eq!(
            (change.name.as_str(), change.resource.as_str()),
            (bound.name.as_str(), deployment)
        );
        assert_eq!(
            (change.principal.as_str(), change.role.as_str()),
            ("group:data", bound.role.as_str())
        );
        assert_eq!(change.expire_time, Some(until));
    }
    assert_eq!(changes[0].name, "workspaces/w/roles/pusher");
    assert_eq!(changes[0].resource, "workspaces/w");

    // The resource itself, without what is below it.
    let itself = list(&house, "admin", "workspaces/w", false).await;
    let numbers = itself.iter().map(|change| change.policy_revision);
    assert_eq!(numbers.collect::<Vec<_>>(), [5, 3, 2]);
    let first = list(&house, "admin", "system", true).await.pop().unwrap();
    assert_eq!(first.changed_by, "service:authorization");
    assert_eq!(first.principal, "user:admin");
}

async fn changes_are_for_those_who_administer_the_resource(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind("user:eve", "roles/WORKSPACE_EDITOR", "workspaces/w")
        .await;
    for (who, parent, expected) in [
        ("admin", "system", Ok(())),
        ("wanda", "workspaces/w", Ok(())),
        ("wanda", "workspaces/w/deployments/d", Ok(())),
        ("wanda", "system", Err(ErrorReason::PermissionMissing)),
        ("wanda", "workspaces/v", Err(ErrorReason::ResourceNotFound)),
        ("eve", "workspaces/w", Err(ErrorReason::PermissionMissing)),
        (
            "stranger",
            "workspaces/w",
            Err(ErrorReason::ResourceNotFound),
        ),
    ] {
        let request = pb::ListPolicyChangesRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        let request = house.as_user(who, request);
        let found = house.service.list_policy_changes(request).await;
        let found = found.map(drop).map_err(|status| reason(&status));
        assert_eq!(found, expected, "{who} on {parent}");
    }
}

async fn changes_come_in_pages_that_belong_to_the_list(db: TestDatabase) {
    let house = House::new(&db).await;
    for number in 0..4 {
        house
            .bind(
                &format!("user:{number}"),
                "roles/DEPLOYMENT_VIEWER",
                "workspaces/w",
            )
            .await;
    }
    let page = async |parent: &str, descendants, page_size, page_token: &str| {
        let request = pb::ListPolicyChangesRequest {
            parent: parent.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            include_descendants: descendants,
        };
        let request = house.as_user("admin", request);
        let answer = house.service.list_policy_changes(request).await?;
        let answer = answer.into_inner();
        let changes = answer.policy_changes.into_iter();
        let revisions = changes
            .map(|change| change.policy_revision)
            .collect::<Vec<_>>();
        Ok::<_, Status>((revisions, answer.next_page_token))
    };
    let (one, token) = page("system", true, 3, "").await.unwrap();
    let (two, end) = page("system", true, 3, &token).await.unwrap();
    assert_eq!((one, two, end.as_str()), (vec![5, 4, 3], vec![2, 1], ""));
    for (parent, descendants, page_size, page_token, expected) in [
        ("system", false, 3, token.as_str(), &["page_token"][..]),
        ("workspaces/w", true, 3, token.as_str(), &["page_token"]),
        ("system", true, -1, "junk", &["page_size", "page_token"]),
        ("nowhere", true, 0, "", &["parent"]),
    ] {
        let wrong = page(parent, descendants, page_size, page_token).await;
        assert_eq!(fields(&wrong.unwrap_err()), expected);
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    who_changed_what_when_and_why_is_told,
    changes_are_for_those_who_administer_the_resource,
    changes_come_in_pages_that_belong_to_the_list,
);
