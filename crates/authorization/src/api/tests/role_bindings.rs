use proto::authorization::v1::{
    CreateRoleBindingRequest, DeleteRoleBindingRequest, ListRoleBindingsRequest,
};

use tokio::task::JoinSet;

use super::*;

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

async fn create(
    house: &House,
    who: &str,
    request: CreateRoleBindingRequest,
) -> Result<pb::RoleBinding, Status> {
    let request = house.as_user(who, request);
    let answer = house.service.create_role_binding(request).await?;
    Ok(answer.into_inner().role_binding.unwrap())
}

/// Binds DEPLOYMENT_EDITOR until some time after the clock's.
fn until(house: &House, principal: &str, after: TimeDelta) -> CreateRoleBindingRequest {
    let mut request = binding(principal, "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    let expire_time = chassis::convert::timestamp(house.now() + after);
    request.role_binding.as_mut().unwrap().expire_time = Some(expire_time);
    request
}

async fn a_binding_gives_its_role_until_it_expires(db: TestDatabase) {
    let house = House::new(&db).await;
    let may_push = async || {
        let question = pb::CheckPermissionRequest {
            consistency: fully_consistent(),
            ..check("deployment.dags.push", "workspaces/w/deployments/d")
        };
        let question = house.as_user("bob", question);
        let answer = house.service.check_permission(question).await.unwrap();
        answer.into_inner().decision.unwrap().allowed
    };
    let request = until(&house, "user:bob", TimeDelta::microseconds(90_000_001));
    let first = create(&house, "admin", request.clone()).await.unwrap();
    assert_eq!(
        first.expire_time,
        request.role_binding.as_ref().unwrap().expire_time
    );
    assert!(may_push().await);

    // The same until the same time is there; until another time it is not the same.
    assert_eq!(create(&house, "admin", request).await.unwrap(), first);
    for other in [
        until(&house, "user:bob", TimeDelta::seconds(91)),
        binding("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w"),
    ] {
        let refused = create(&house, "admin", other).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::ResourceAlreadyExists);
        let info = refused.get_details_resource_info().unwrap();
        assert_eq!(info.resource_name, first.name);
    }

    house.pass(TimeDelta::microseconds(90_000_000));
    assert!(may_push().await);
    house.pass(TimeDelta::microseconds(1));
    assert!(!may_push().await);
    assert_eq!(got(&house, "admin", &first.name).await.unwrap(), first);
    let request = binding("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    let second = create(&house, "admin", request).await.unwrap();
    assert_ne!(second.name, first.name);
    assert_eq!(second.expire_time, None);
    assert!(may_push().await);
    let gone = got(&house, "admin", &first.name).await.unwrap_err();
    assert_eq!(reason(&gone), ErrorReason::ResourceNotFound);
}

async fn a_binding_that_has_expired_is_still_the_answer_to_a_repetition(db: TestDatabase) {
    let house = House::new(&db).await;
    let mut asked = until(&house, "user:bob", TimeDelta::hours(1));
    asked.request_id = house.environment.new_uuid().to_string();
    let create = async |asked: &CreateRoleBindingRequest| {
        let request = house.as_user("admin", asked.clone());
        let answered = house.service.create_role_binding(request).await;
        answered.map(tonic::Response::into_inner)
    };
    let first = create(&asked).await.unwrap();
    house.pass(TimeDelta::hours(2));
    let again = create(&asked).await.unwrap();
    assert_eq!(again, first);

    // Without the id it is something new, as is another request with the id.
    let mut new = asked.clone();
    new.request_id = String::new();
    let refused = create(&new).await.unwrap_err();
    assert_eq!(fields(&refused), ["role_binding.expire_time"]);
    asked.reason = "another".to_owned();
    let refused = create(&asked).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::RequestIdReused);

    // Nor does it help who may not ask.
    let request = house.as_user("nobody", asked);
    let refused = house.service.create_role_binding(request).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::ResourceNotFound);
}

async fn a_binding_expires_in_the_future_and_within_ten_years(db: TestDatabase) {
    let house = House::new(&db).await;
    let years = TimeDelta::days(3652);
    for (after, fine) in [
        (TimeDelta::zero(), false),
        (TimeDelta::seconds(-1), false),
        (TimeDelta::microseconds(1), true),
        (years, true),
        (years + TimeDelta::days(2), false),
    ] {
        let principal = format!("user:u{}", after.num_seconds());
        let made = create(&house, "admin", until(&house, &principal, after)).await;
        match made {
            Ok(_) => assert!(fine, "{after}"),
            Err(status) => {
                assert!(!fine, "{after}");
                assert_eq!(fields(&status), ["role_binding.expire_time"]);
            }
        }
    }
    let mut nonsense = until(&house, "user:bob", TimeDelta::seconds(1));
    nonsense.reason = "x".repeat(501);
    let time = &mut nonsense.role_binding.as_mut().unwrap().expire_time;
    time.as_mut().unwrap().nanos = -1;
    let refused = create(&house, "admin", nonsense).await.unwrap_err();
    assert_eq!(fields(&refused), ["role_binding.expire_time", "reason"]);
}

async fn got(house: &House, who: &str, name: &str) -> Result<pb::RoleBinding, Status> {
    let name = name.to_owned();
    let request = house.as_user(who, pb::GetRoleBindingRequest { name });
    let answer = house.service.get_role_binding(request).await?;
    Ok(answer.into_inner().role_binding.unwrap())
}

async fn who_may_read_a_binding(db: TestDatabase) {
    let house = House::new(&db).await;
    let here = house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    let eve = house
        .bind("user:eve", "roles/WORKSPACE_EDITOR", "workspaces/w")
        .await;
    let id = here.name.rsplit_once('/').unwrap().1;
    let elsewhere = format!("workspaces/v/roleBindings/{id}");
    let absent = format!("workspaces/w/roleBindings/{}", house.environment.new_uuid());
    use ErrorReason::{InvalidFields, PermissionMissing, ResourceNotFound};
    for (who, name, expected) in [
        ("wanda", here.name.as_str(), Ok(())),
        ("admin", &here.name, Ok(())),
        // Her own, but she does not administer the workspace.
        ("eve", &eve.name, Err(PermissionMissing)),
        ("stranger", &here.name, Err(ResourceNotFound)),
        ("wanda", &absent, Err(ResourceNotFound)),
        ("wanda", &elsewhere, Err(ResourceNotFound)),
        ("admin", &elsewhere, Err(ResourceNotFound)),
        ("admin", "workspaces/w/roleBindings/1", Err(InvalidFields)),
        ("admin", "", Err(InvalidFields)),
    ] {
        let found = got(&house, who, name).await;
        let found = found.map(drop).map_err(|status| reason(&status));
        assert_eq!(found, expected, "{who} reads {name}");
    }
    assert_eq!(got(&house, "wanda", &here.name).await.unwrap(), here);
}

async fn a_list_can_reach_below_and_be_of_one_principal(db: TestDatabase) {
    let house = House::new(&db).await;
    let deployment = "workspaces/w/deployments/d";
    let viewer = "roles/DEPLOYMENT_VIEWER";
    house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house.bind("user:bob", viewer, "workspaces/w").await;
    house.bind("user:bob", viewer, deployment).await;
    house.bind("group:data", viewer, deployment).await;
    house.bind("user:bob", viewer, "workspaces/w-2").await;
    house.bind("user:bob", viewer, "system").await;
    let list = async |who: &str, parent: &str, descendants, principal: &str| {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListRoleBindingsRequest {
                parent: parent.to_owned(),
                page_size: 2,
                page_token,
                include_descendants: descendants,
                principal: principal.to_owned(),
            };
            let request = house.as_user(who, request);
            let answer = house
                .service
                .list_role_bindings(request)
                .await?
                .into_inner();
            found.extend(answer.role_bindings);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break Ok::<_, Status>(found);
            }
        }
    };
    for (parent, descendants, principal, expected) in [
        ("workspaces/w", false, "", 2),
        ("workspaces/w", true, "", 4),
        ("workspaces/w", true, "user:bob", 2),
        ("workspaces/w", false, "user:bob", 1),
        ("workspaces/w", true, "group:data", 1),
        ("workspaces/w", true, "user:nobody", 0),
        (deployment, true, "", 2),
    ] {
        let found = list("wanda", parent, descendants, principal).await.unwrap();
        assert_eq!(found.len(), expected, "{parent} {descendants} {principal}");
        for binding in &found {
            assert!(binding.name.starts_with(parent), "{binding:?}");
            assert!(principal.is_empty() || binding.principal == principal);
        }
        let order = |binding: &pb::RoleBinding| {
            let (resource, id) = binding.name.split_once("roleBindings/").unwrap();
            (resource.to_owned(), id.to_owned())
        };
        assert!(found.is_sorted_by_key(order), "{found:?}");
    }
    assert_eq!(
        list("admin", "system", true, "user:bob")
            .await
            .unwrap()
            .len(),
        4
    );
    let refused = list("wanda", "system", true, "user:wanda")
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::PermissionMissing);
    let wrong = list("wanda", "workspaces/w", true, "bob")
        .await
        .unwrap_err();
    assert_eq!(fields(&wrong), ["principal"]);

    // A page token is of one query.
    let first = ListRoleBindingsRequest {
        parent: "workspaces/w".to_owned(),
        page_size: 1,
        include_descendants: true,
        ..Default::default()
    };
    let page = house
        .service
        .list_role_bindings(house.as_user("wanda", first.clone()))
        .await;
    let page_token = page.unwrap().into_inner().next_page_token;
    let mut others = [first.clone(), first];
    others[0].include_descendants = false;
    others[1].principal = "user:bob".to_owned();
    for other in others {
        let other = ListRoleBindingsRequest {
            page_token: page_token.clone(),
            ..other
        };
        let wrong = house
            .service
            .list_role_bindings(house.as_user("wanda", other))
            .await;
        assert_eq!(fields(&wrong.unwrap_err()), ["page_token"]);
    }
}

async fn of_two_administrators_who_delete_each_other_one_stays(db: TestDatabase) {
    let house = Arc::new(House::new(&db).await);
    let replica = Arc::new(house.replica(&db).await);
    let root = house
        .bind("user:root", "roles/SYSTEM_ADMIN", "system")
        .await
        .name;
    let list = ListRoleBindingsRequest {
        parent: "system".to_owned(),
        ..Default::default()
    };
    let listed = house
        .service
        .list_role_bindings(house.as_user("admin", list.clone()))
        .await;
    let listed = listed.unwrap().into_inner().role_bindings;
    let admin = listed.into_iter().find(|binding| binding.name != root);
    let admin = admin.unwrap().name;
    let mut racers = JoinSet::new();
    for (house, who, name) in [(&house, "admin", root), (&replica, "root", admin)] {
        let house = Arc::clone(house);
        racers.spawn(async move {
            let delete = DeleteRoleBindingRequest {
                name,
                ..Default::default()
            };
            let deleted = house
                .service
                .delete_role_binding(house.as_user(who, delete))
                .await;
            deleted.map(drop).map_err(|status| reason(&status))
        });
    }
    let mut outcomes = racers.join_all().await;
    outcomes.sort_by_key(Result::is_err);
    // The other one is no administrator any more when it is decided.
    assert_eq!(outcomes, [Ok(()), Err(ErrorReason::PermissionMissing)]);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_binding_that_exists_is_returned_as_it_is,
    what_cannot_be_bound_is_told_by_field,
    a_list_has_pages_that_belong_to_it,
    the_last_administrator_cannot_be_deleted,
    a_binding_gives_its_role_until_it_expires,
    a_binding_that_has_expired_is_still_the_answer_to_a_repetition,
    a_binding_expires_in_the_future_and_within_ten_years,
    who_may_read_a_binding,
    a_list_can_reach_below_and_be_of_one_principal,
    of_two_administrators_who_delete_each_other_one_stays,
);
