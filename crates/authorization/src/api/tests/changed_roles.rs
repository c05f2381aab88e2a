//! Roles that are read, listed, changed and deleted.

use tokio::task::JoinSet;

use super::*;

/// An update of the fields that `mask` names; of those that are set, if it names none.
fn update(role: pb::Role, mask: &[&str]) -> pb::UpdateRoleRequest {
    let mut request = pb::UpdateRoleRequest {
        role: Some(role),
        ..Default::default()
    };
    if !mask.is_empty() {
        let paths = mask.iter().map(|path| (*path).to_owned()).collect();
        request.update_mask.get_or_insert_default().paths = paths;
    }
    request
}

fn holding(name: &str, permissions: &[&str]) -> pb::Role {
    pb::Role {
        name: name.to_owned(),
        permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
        ..Default::default()
    }
}

async fn updated(
    house: &House,
    who: &str,
    request: pb::UpdateRoleRequest,
) -> Result<pb::UpdateRoleResponse, Status> {
    let request = house.as_user(who, request);
    let answer = house.service.update_role(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn deleted(house: &House, who: &str, request: pb::DeleteRoleRequest) -> Result<i64, Status> {
    let request = house.as_user(who, request);
    let answer = house.service.delete_role(request).await?;
    Ok(answer.into_inner().policy_revision)
}

fn delete(name: &str) -> pb::DeleteRoleRequest {
    pb::DeleteRoleRequest {
        name: name.to_owned(),
        ..Default::default()
    }
}

async fn got(house: &House, who: &str, name: &str) -> Result<pb::Role, Status> {
    let name = name.to_owned();
    let request = house.as_user(who, pb::GetRoleRequest { name });
    let answer = house.service.get_role(request).await?;
    Ok(answer.into_inner().role.unwrap())
}

/// What a call has come to.
fn outcome<T>(answer: Result<T, Status>) -> Result<(), ErrorReason> {
    answer.map(drop).map_err(|status| reason(&status))
}

async fn an_update_changes_what_the_mask_names(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "workspaces/w/roles/r";
    house
        .create_role("workspaces/w", "r", &["deployment.dags.push"])
        .await;
    let full = pb::Role {
        display_name: "New".to_owned(),
        description: "Newer".to_owned(),
        ..holding(name, &["deployment.images.push"])
    };
    let dags = "deployment.dags.push";
    let images = "deployment.images.push";
    let mut revision = 2;
    let mut etags = vec![got(&house, "admin", name).await.unwrap().etag];
    for (role, mask, display_name, description, permission, changes) in [
        (full.clone(), &["display_name"][..], "New", "", dags, true),
        (full.clone(), &["display_name"], "New", "", dags, false),
        (
            full.clone(),
            &["description", "permissions"],
            "New",
            "Newer",
            images,
            true,
        ),
        (holding(name, &[dags]), &[], "New", "Newer", dags, true),
        (holding(name, &[]), &[], "New", "Newer", dags, false),
        (holding(name, &[images]), &["*"], "", "", images, true),
        (
            pb::Role {
                description: "x".to_owned(),
                ..holding(name, &[])
            },
            &["display_name"],
            "",
            "",
            images,
            false,
        ),
        (full.clone(), &[], "New", "Newer", images, true),
    ] {
        house.pass(TimeDelta::seconds(1));
        let answer = updated(&house, "admin", update(role, mask)).await.unwrap();
        revision += i64::from(changes);
        assert_eq!(answer.policy_revision, revision, "{mask:?}");
        let role = answer.role.unwrap();
        assert_eq!(
            (role.display_name.as_str(), role.description.as_str()),
            (display_name, description),
            "{mask:?}"
        );
        assert_eq!(role.permissions, [permission], "{mask:?}");
        let now = chassis::convert::timestamp(house.now());
        assert_eq!(role.update_time == Some(now), changes, "{mask:?}");
        assert_eq!(!etags.contains(&role.etag), changes, "{mask:?}");
        assert_eq!(got(&house, "admin", name).await.unwrap(), role);
        etags.push(role.etag);
    }
}

async fn an_update_needs_the_role_as_it_was_read(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "roles/r";
    let read = house
        .create_role("system", "r", &["deployment.dags.push"])
        .await;
    let rename = |display_name: &str, etag: &str| pb::Role {
        display_name: display_name.to_owned(),
        etag: etag.to_owned(),
        ..holding(name, &[])
    };
    let request = pb::UpdateRoleRequest {
        request_id: house.environment.new_uuid().to_string(),
        ..update(rename("One", &read.etag), &[])
    };
    let first = updated(&house, "admin", request.clone()).await.unwrap();
    let stale = updated(&house, "admin", update(rename("Two", &read.etag), &[])).await;
    let stale = stale.unwrap_err();
    assert_eq!(reason(&stale), ErrorReason::EtagMismatch);
    assert_eq!(metadata(&stale, "resource"), name);
    // A retry is answered as the first time, though the role has changed by it, and by others.
    assert_eq!(
        updated(&house, "admin", request.clone()).await.unwrap(),
        first
    );
    let newest = first.role.unwrap().etag;
    updated(&house, "admin", update(rename("Three", &newest), &[]))
        .await
        .unwrap();
    let again = updated(&house, "admin", request.clone()).await.unwrap();
    assert_eq!(
        (
            again.role.unwrap().display_name.as_str(),
            again.policy_revision
        ),
        ("Three", 4)
    );
    let other = pb::UpdateRoleRequest {
        reason: "another".to_owned(),
        ..request
    };
    let reused = updated(&house, "admin", other).await;
    assert_eq!(outcome(reused), Err(ErrorReason::RequestIdReused));

    let stale = pb::DeleteRoleRequest {
        etag: newest,
        ..delete(name)
    };
    assert_eq!(
        outcome(deleted(&house, "admin", stale).await),
        Err(ErrorReason::EtagMismatch)
    );
    let request = pb::DeleteRoleRequest {
        etag: got(&house, "admin", name).await.unwrap().etag,
        request_id: house.environment.new_uuid().to_string(),
        ..delete(name)
    };
    assert_eq!(deleted(&house, "admin", request.clone()).await.unwrap(), 5);
    assert_eq!(deleted(&house, "admin", request).await.unwrap(), 5);
    let gone = deleted(&house, "admin", delete(name)).await;
    assert_eq!(outcome(gone), Err(ErrorReason::ResourceNotFound));
}

async fn all_that_is_wrong_with_an_update_is_told_at_once(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "workspaces/w/roles/r";
    house
        .create_role("workspaces/w", "r", &["deployment.dags.push"])
        .await;
    let wrong = pb::UpdateRoleRequest {
        request_id: "1".to_owned(),
        reason: "x".repeat(501),
        ..update(
            pb::Role {
                display_name: "x".repeat(101),
                description: "\0".to_owned(),
                ..holding(name, &["system.iam.update", "deployment.fly"])
            },
            &["display_name", "description", "permissions", "etag"],
        )
    };
    let unnamed = pb::UpdateRoleRequest::default();
    let everything = [
        "update_mask",
        "role.display_name",
        "role.description",
        "role.permissions[0]",
        "role.permissions[1]",
        "request_id",
        "reason",
    ];
    for (request, expected) in [
        (wrong, &everything[..]),
        (unnamed, &["role"]),
        (update(holding("", &[]), &[]), &["role.name"]),
        (update(holding("roles/NOBODY", &[]), &[]), &["role.name"]),
        (
            update(holding(name, &[]), &["permissions"]),
            &["role.permissions"],
        ),
        (update(holding(name, &[]), &["*"]), &["role.permissions"]),
        (update(holding(name, &[]), &["name"]), &["update_mask"]),
    ] {
        let text = format!("{request:?}");
        let refused = updated(&house, "admin", request).await.unwrap_err();
        assert_eq!(fields(&refused), expected, "{text}");
    }
    for (request, expected) in [
        (delete(""), &["name"][..]),
        (delete("workspaces/w/roleBindings/1"), &["name"]),
        (
            pb::DeleteRoleRequest {
                request_id: "1".to_owned(),
                reason: "\0".to_owned(),
                ..delete(name)
            },
            &["request_id", "reason"],
        ),
    ] {
        let refused = deleted(&house, "admin", request).await.unwrap_err();
        assert_eq!(fields(&refused), expected);
    }
}

async fn who_may_read_change_and_delete_roles(db: TestDatabase) {
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
        .bind("user:eve", "roles/WORKSPACE_EDITOR", "workspaces/w")
        .await;
    for parent in ["system", "workspaces/w", "workspaces/w/deployments/d"] {
        house
            .create_role(parent, "r", &["deployment.config.get"])
            .await;
    }
    let (here, below) = ("workspaces/w/roles/r", "workspaces/w/deployments/d/roles/r");
    use ErrorReason::{PermissionMissing, ResourceNotFound};
    for (who, name, expected) in [
        ("wanda", "roles/r", Err(PermissionMissing)),
        ("wanda", "workspaces/v/roles/r", Err(ResourceNotFound)),
        ("wanda", "workspaces/w/roles/absent", Err(ResourceNotFound)),
        ("dora", here, Err(ResourceNotFound)),
        ("eve", here, Err(PermissionMissing)),
        ("stranger", here, Err(ResourceNotFound)),
        ("dora", below, Ok(())),
        ("wanda", below, Err(ResourceNotFound)),
        ("wanda", here, Ok(())),
        ("admin", "roles/r", Ok(())),
    ] {
        // The last one has deleted it, and is told that it is gone.
        let read = got(&house, who, name).await;
        assert_eq!(outcome(read), expected, "{who} reads {name}");
        let role = pb::Role {
            description: format!("by {who}"),
            ..holding(name, &[])
        };
        let changed = updated(&house, who, update(role, &[])).await;
        assert_eq!(outcome(changed), expected, "{who} changes {name}");
        let deleted = deleted(&house, who, delete(name)).await;
        assert_eq!(outcome(deleted), expected, "{who} deletes {name}");
    }
}

async fn built_in_roles_are_for_everybody_to_read_and_for_nobody_to_change(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "roles/DEPLOYMENT_VIEWER";
    let role = got(&house, "stranger", name).await.unwrap();
    assert_eq!(role.name, name);
    assert!(
        role.permissions
            .contains(&"deployment.config.get".to_owned())
    );
    let empty = pb::Role {
        name: role.name,
        permissions: role.permissions,
        ..Default::default()
    };
    assert_eq!(got(&house, "stranger", name).await.unwrap(), empty);

    for (who, expected) in [
        ("admin", ErrorReason::RoleBuiltIn),
        ("stranger", ErrorReason::PermissionMissing),
    ] {
        let changed = updated(&house, who, update(holding(name, &[]), &[])).await;
        assert_eq!(outcome(changed), Err(expected));
        let deleted = deleted(&house, who, delete(name)).await;
        assert_eq!(outcome(deleted), Err(expected));
    }
}

async fn what_a_role_gains_its_changer_must_hold(db: TestDatabase) {
    let house = House::new(&db).await;
    let workspace = "workspaces/w";
    house
        .create_role(
            "system",
            "manager",
            &["workspace.iam.update", "deployment.dags.push"],
        )
        .await;
    house.bind("user:mia", "roles/manager", workspace).await;
    let name = "workspaces/w/roles/r";
    house
        .create_role(
            workspace,
            "r",
            &["deployment.logs.get", "deployment.images.push"],
        )
        .await;

    let more = [
        "deployment.images.push",
        "deployment.config.get",
        "deployment.dags.push",
    ];
    let refused = updated(&house, "mia", update(holding(name, &more), &[])).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::GrantExceedsOwnPermissions);
    assert_eq!(metadata(&refused, "permissions"), "deployment.config.get");
    assert_eq!(metadata(&refused, "resource"), workspace);
    // What it held stays, though she does not hold it; and what it loses nobody has to hold.
    let own = ["deployment.images.push", "deployment.dags.push"];
    updated(&house, "mia", update(holding(name, &own), &[]))
        .await
        .unwrap();
    // What is lost is lost.
    let back = ["deployment.logs.get", "deployment.dags.push"];
    let refused = updated(&house, "mia", update(holding(name, &back), &[])).await;
    assert_eq!(
        outcome(refused),
        Err(ErrorReason::GrantExceedsOwnPermissions)
    );
}

async fn what_a_role_gains_must_have_a_meaning_wherever_it_is_bound(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "roles/r";
    house
        .create_role("system", "r", &["deployment.dags.push"])
        .await;
    let mut short = binding("user:bob", name, "workspaces/w/deployments/d");
    short.role_binding.as_mut().unwrap().expire_time = Some(chassis::convert::timestamp(
        house.now() + TimeDelta::minutes(1),
    ));
    let short = house.as_user("admin", short);
    let short = house.service.create_role_binding(short).await.unwrap();
    let short = short.into_inner().role_binding.unwrap();
    house.bind("user:bob", name, "workspaces/w").await;
    let gain = async |permission: &str| {
        let permissions = ["deployment.dags.push", permission];
        updated(&house, "admin", update(holding(name, &permissions), &[])).await
    };

    let refused = gain("workspace.config.get").await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RoleTooWide);
    assert_eq!(metadata(&refused, "role"), name);
    assert_eq!(metadata(&refused, "role_binding"), short.name);
    assert_eq!(metadata(&refused, "permissions"), "workspace.config.get");
    gain("deployment.logs.get").await.unwrap();
    // A binding that has expired does not count.
    house.pass(TimeDelta::minutes(1));
    gain("workspace.config.get").await.unwrap();
    assert_eq!(
        outcome(gain("system.users.get").await),
        Err(ErrorReason::RoleTooWide)
    );
}

async fn an_update_reaches_those_who_have_the_role(db: TestDatabase) {
    let house = House::new(&db).await;
    let name = "workspaces/w/roles/r";
    house
        .create_role("workspaces/w", "r", &["deployment.dags.push"])
        .await;
    house.bind("user:bob", name, "workspaces/w").await;
    let may = async |permission: &str| {
        let question = pb::CheckPermissionRequest {
            consistency: fully_consistent(),
            ..check(permission, "workspaces/w/deployments/d")
        };
        let question = house.as_user("bob", question);
        let answer = house.service.check_permission(question).await.unwrap();
        answer.into_inner().decision.unwrap().allowed
    };
    assert!(may("deployment.dags.push").await);
    updated(
        &house,
        "admin",
        update(holding(name, &["deployment.logs.get"]), &[]),
    )
    .await
    .unwrap();
    assert!(!may("deployment.dags.push").await);
    assert!(may("deployment.logs.get").await);
    let bound = deleted(&house, "admin", delete(name)).await.unwrap_err();
    assert_eq!(reason(&bound), ErrorReason::RoleBound);
    assert_eq!(metadata(&bound, "role_bindings"), "1");
    assert_eq!(metadata(&bound, "role"), name);
    let force = pb::DeleteRoleRequest {
        force: true,
        ..delete(name)
    };
    deleted(&house, "admin", force).await.unwrap();
    assert!(!may("deployment.logs.get").await);
    // Another role of that name is not his.
    house
        .create_role("workspaces/w", "r", &["deployment.logs.get"])
        .await;
    assert!(!may("deployment.logs.get").await);
}

async fn of_eight_who_read_a_role_one_changes_it(db: TestDatabase) {
    let house = Arc::new(House::new(&db).await);
    let replica = Arc::new(house.replica(&db).await);
    let read = house
        .create_role("system", "r", &["deployment.dags.push"])
        .await;
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let house = Arc::clone(if racer % 2 == 0 { &house } else { &replica });
        let role = pb::Role {
            display_name: format!("By {racer}"),
            etag: read.etag.clone(),
            ..holding("roles/r", &[])
        };
        racers.spawn(async move { outcome(updated(&house, "admin", update(role, &[])).await) });
    }
    let mut outcomes = racers.join_all().await;
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes[0], Ok(()));
    assert_eq!(outcomes[1..], vec![Err(ErrorReason::EtagMismatch); 7]);
}

async fn roles_that_can_be_bound_are_listed_with_those_of_above(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind(
            "user:dora",
            "roles/DEPLOYMENT_ADMIN",
            "workspaces/w/deployments/d",
        )
        .await;
    for (parent, id, permission) in [
        ("system", "all", "deployment.logs.get"),
        ("system", "wide", "workspace.config.get"),
        ("workspaces/w", "b", "deployment.logs.get"),
        ("workspaces/w", "a", "workspace.config.get"),
        ("workspaces/v", "v", "deployment.logs.get"),
        ("workspaces/w/deployments/d", "d", "deployment.logs.get"),
    ] {
        house.create_role(parent, id, &[permission]).await;
    }
    let page = async |who: &str, parent: &str, include_inherited, page_size, page_token: &str| {
        let request = pb::ListRolesRequest {
            parent: parent.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            include_inherited,
        };
        let answer = house
            .service
            .list_roles(house.as_user(who, request))
            .await?;
        let answer = answer.into_inner();
        let names = answer.roles.into_iter().map(|role| role.name);
        Ok::<_, Status>((names.collect::<Vec<_>>(), answer.next_page_token))
    };
    let deployment = "workspaces/w/deployments/d";
    let bindable = [
        "roles/DEPLOYMENT_ADMIN",
        "roles/DEPLOYMENT_AGENT",
        "roles/DEPLOYMENT_EDITOR",
        "roles/DEPLOYMENT_VIEWER",
        "roles/all",
        "workspaces/w/deployments/d/roles/d",
        "workspaces/w/roles/b",
    ];
    let (all, end) = page("dora", deployment, true, 0, "").await.unwrap();
    assert_eq!(
        (all, end.as_str()),
        (bindable.map(str::to_owned).to_vec(), "")
    );
    for size in 1..=4 {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let (roles, next) = page("dora", deployment, true, size, &token).await.unwrap();
            assert!(roles.len() <= size as usize);
            found.extend(roles);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found, bindable, "in pages of {size}");
    }
    let own = page("admin", "workspaces/w", false, 0, "").await.unwrap().0;
    assert_eq!(own, ["workspaces/w/roles/a", "workspaces/w/roles/b"]);
    let own = page("admin", "system", false, 0, "").await.unwrap().0;
    assert_eq!(own, ["roles/all", "roles/wide"]);
    let all = page("admin", "system", true, 0, "").await.unwrap().0;
    assert_eq!(all.len(), 12);

    let (_, token) = page("admin", "workspaces/w", false, 1, "").await.unwrap();
    for (parent, inherited, size, token, expected) in [
        ("workspaces/w", true, 1, token.as_str(), &["page_token"][..]),
        ("workspaces/v", false, 1, token.as_str(), &["page_token"]),
        (
            "workspaces/w",
            false,
            -1,
            "junk",
            &["page_size", "page_token"],
        ),
        ("w", false, 1, "", &["parent"]),
    ] {
        let wrong = page("admin", parent, inherited, size, token).await;
        assert_eq!(fields(&wrong.unwrap_err()), expected);
    }
    for (who, parent, expected) in [
        ("dora", "workspaces/w", ErrorReason::ResourceNotFound),
        ("dora", "system", ErrorReason::PermissionMissing),
        ("stranger", deployment, ErrorReason::ResourceNotFound),
    ] {
        let refused = page(who, parent, true, 0, "").await;
        assert_eq!(outcome(refused), Err(expected), "{who} {parent}");
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    an_update_changes_what_the_mask_names,
    an_update_needs_the_role_as_it_was_read,
    all_that_is_wrong_with_an_update_is_told_at_once,
    who_may_read_change_and_delete_roles,
    built_in_roles_are_for_everybody_to_read_and_for_nobody_to_change,
    what_a_role_gains_its_changer_must_hold,
    what_a_role_gains_must_have_a_meaning_wherever_it_is_bound,
    an_update_reaches_those_who_have_the_role,
    of_eight_who_read_a_role_one_changes_it,
    roles_that_can_be_bound_are_listed_with_those_of_above,
);
