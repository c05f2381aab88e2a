use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use model::names::Level;
use tokio::task::JoinSet;

use super::{FIRST, author, binding, empty, now, on, request, revision, role};
use crate::domain::index::{Index, PolicyRows};
use crate::domain::policy::{PolicyRevision, RoleBinding};
use crate::domain::policy_change::{Author, Change};
use crate::store::{Error, ListedBindings};

async fn racing_creators_make_one_binding_and_move_the_policy_once(db: TestDatabase) {
    let store = empty(&db).await;
    let mut racers = JoinSet::new();
    for racer in 0..16 {
        let store = store.clone();
        racers.spawn(async move {
            let wanted = binding(
                100 + racer,
                "user:bob",
                "roles/DEPLOYMENT_EDITOR",
                "workspaces/w",
            );
            loop {
                let decided_at = revision(&store).await;
                match store
                    .create_role_binding(decided_at, &wanted, &author(), None)
                    .await
                {
                    Err(Error::PolicyMoved) => {}
                    changed => break changed.unwrap(),
                }
            }
        });
    }
    let changed = racers.join_all().await;
    assert_eq!(changed.iter().filter(|changed| changed.made).count(), 1);
    let first = changed.first().unwrap();
    for other in &changed {
        assert_eq!(other.value, first.value);
        assert_eq!(other.revision, PolicyRevision(2));
    }
    assert_eq!(revision(&store).await, PolicyRevision(2));
}

async fn the_last_administrator_stays(db: TestDatabase) {
    let store = empty(&db).await;
    let admin = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let last = store
        .delete_role_binding(FIRST, &admin, &author(), None)
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    assert_eq!(revision(&store).await, FIRST);

    // Neither another role on the system nor a name with another resource helps.
    let viewer = binding(2, "user:bob", "roles/SYSTEM_VIEWER", "system");
    store
        .create_role_binding(FIRST, &viewer, &author(), None)
        .await
        .unwrap();
    let last = store
        .delete_role_binding(PolicyRevision(2), &admin, &author(), None)
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    let elsewhere = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "workspaces/w").name;
    let wrong = store
        .delete_role_binding(PolicyRevision(2), &elsewhere, &author(), None)
        .await;
    assert!(matches!(wrong, Err(Error::NoSuchBinding(_))));

    let group = binding(3, "group:admins", "roles/SYSTEM_ADMIN", "system");
    store
        .create_role_binding(PolicyRevision(2), &group, &author(), None)
        .await
        .unwrap();
    store
        .delete_role_binding(PolicyRevision(3), &admin, &author(), None)
        .await
        .unwrap();
    let last = store
        .delete_role_binding(PolicyRevision(4), &group.name, &author(), None)
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    store
        .delete_role_binding(PolicyRevision(4), &viewer.name, &author(), None)
        .await
        .unwrap();
}

async fn of_two_who_delete_each_other_one_stays(db: TestDatabase) {
    let store = empty(&db).await;
    let root = binding(2, "user:root", "roles/SYSTEM_ADMIN", "system");
    store
        .create_role_binding(FIRST, &root, &author(), None)
        .await
        .unwrap();
    let admin = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let mut racers = JoinSet::new();
    for name in [admin, root.name] {
        let store = store.clone();
        racers.spawn(async move {
            loop {
                let decided_at = revision(&store).await;
                match store
                    .delete_role_binding(decided_at, &name, &author(), None)
                    .await
                {
                    Err(Error::PolicyMoved) => {}
                    deleted => break deleted.is_ok(),
                }
            }
        });
    }
    let deleted = racers.join_all().await;
    assert_eq!(deleted.iter().filter(|deleted| **deleted).count(), 1);
    assert_eq!(
        store
            .role_bindings(&on("system"), None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn bindings_are_listed_by_resource_and_id_while_others_arrive(db: TestDatabase) {
    let store = empty(&db).await;
    let mut at = FIRST;
    let add = async |at: &mut PolicyRevision, id: u128, resource: &str| {
        let principal = if id.is_multiple_of(2) {
            "user:even"
        } else {
            "user:odd"
        };
        let role = format!("roles/r{id}");
        let wanted = binding(id, principal, &role, resource);
        let added = store
            .create_role_binding(*at, &wanted, &author(), None)
            .await;
        *at = added.unwrap().revision;
    };
    const LAST: u128 = u128::MAX - 1;
    for (id, resource) in [
        (50, "workspaces/w"),
        (LAST, "workspaces/w"),
        (20, "workspaces/w"),
        (31, "workspaces/w"),
        (12, "workspaces/w/deployments/e"),
        (60, "workspaces/w/deployments/d"),
        (11, "workspaces/w/deployments/d"),
        (13, "workspaces/v"),
        // Names that begin like the workspace's, before and behind what is below it.
        (14, "workspaces/w-2"),
        (15, "workspaces/w2/deployments/d"),
        (16, "system"),
    ] {
        add(&mut at, id, resource).await;
    }

    let page = async |listed: &ListedBindings, after: Option<(u128, &str)>, most: usize| {
        let after = after.map(|(id, resource)| binding(id, "user:x", "roles/r", resource).name);
        let page = store.role_bindings(listed, after.as_ref(), most).await;
        let ids = page
            .unwrap()
            .into_iter()
            .map(|it| it.name.id().get().as_u128());
        ids.collect::<Vec<_>>()
    };
    let itself = on("workspaces/w");
    assert_eq!(page(&itself, None, 2).await, [20, 31]);
    // One arrives before the position and one after it.
    add(&mut at, 10, "workspaces/w").await;
    add(&mut at, 35, "workspaces/w").await;
    assert_eq!(page(&itself, Some((31, "workspaces/w")), 2).await, [35, 50]);
    assert_eq!(page(&itself, Some((50, "workspaces/w")), 2).await, [LAST]);
    assert_eq!(page(&itself, Some((LAST, "workspaces/w")), 2).await, [0; 0]);

    let below = ListedBindings {
        descendants: true,
        ..itself.clone()
    };
    let all = [10, 20, 31, 35, 50, LAST, 11, 60, 12];
    assert_eq!(page(&below, None, 50).await, all);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let one = page(&below, after, 1).await;
        let Some(id) = one.first() else { break };
        found.push(*id);
        after = Some(match id {
            11 | 60 => (*id, "workspaces/w/deployments/d"),
            12 => (12, "workspaces/w/deployments/e"),
            _ => (*id, "workspaces/w"),
        });
    }
    assert_eq!(found, all);

    let of = |principal: &str, listed: &ListedBindings| ListedBindings {
        principal: Some(principal.parse().unwrap()),
        ..listed.clone()
    };
    assert_eq!(page(&of("user:odd", &below), None, 50).await, [31, 35, 11]);
    assert_eq!(page(&of("user:odd", &itself), None, 50).await, [31, 35]);
    assert_eq!(page(&of("user:eve", &below), None, 50).await, [0; 0]);
    let after = Some((31, "workspaces/w"));
    assert_eq!(page(&of("user:odd", &below), after, 1).await, [35]);

    let everywhere = ListedBindings {
        descendants: true,
        ..on("system")
    };
    assert_eq!(
        page(&everywhere, None, 50).await,
        [1, 16, 13, 10, 20, 31, 35, 50, LAST, 14, 11, 60, 12, 15]
    );
    let deployment = ListedBindings {
        descendants: true,
        ..on("workspaces/w/deployments/d")
    };
    assert_eq!(page(&deployment, None, 50).await, [11, 60]);
}

async fn an_expired_binding_makes_room_for_a_new_one(db: TestDatabase) {
    let store = empty(&db).await;
    let until = |id: u128, minutes: Option<i64>| RoleBinding {
        expire_time: minutes.map(|minutes| now() + TimeDelta::minutes(minutes)),
        ..binding(id, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
    };
    let at = |minutes: i64| Author {
        time: now() + TimeDelta::minutes(minutes),
        ..author()
    };
    let first = until(7, Some(10));
    let made = store.create_role_binding(FIRST, &first, &at(0), None).await;
    assert!(made.unwrap().made);
    let revision = PolicyRevision(2);

    // The same until the same time is there already; until another time it is not the same.
    let same = store
        .create_role_binding(revision, &until(8, Some(10)), &at(9), None)
        .await;
    let same = same.unwrap();
    assert_eq!(
        (same.value, same.revision, same.made),
        (first.clone(), revision, false)
    );
    for other in [None, Some(11)] {
        let other = store
            .create_role_binding(revision, &until(8, other), &at(9), None)
            .await;
        let refused = other;
        assert!(matches!(refused, Err(Error::BindingExists(name)) if name == first.name));
    }

    let second = until(8, None);
    let made = store
        .create_role_binding(revision, &second, &at(10), None)
        .await;
    let made = made.unwrap();
    assert_eq!((&made.value, made.made), (&second, true));
    assert_eq!(made.revision, PolicyRevision(3));
    assert_eq!(store.role_binding(&first.name).await.unwrap(), None);
    assert_eq!(
        store.role_binding(&second.name).await.unwrap(),
        Some(second.clone())
    );
    let changes = store
        .policy_changes(&"workspaces/w".parse().unwrap(), false, None, 2)
        .await;
    let changes = changes.unwrap().into_iter().map(|made| made.change);
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            Change::RoleBindingCreated(second),
            Change::RoleBindingDeleted(first)
        ]
    );
}

async fn administrators_until_some_time_do_not_count(db: TestDatabase) {
    let store = empty(&db).await;
    let admin = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let guest = RoleBinding {
        expire_time: Some(now() + TimeDelta::days(3650)),
        ..binding(2, "user:guest", "roles/SYSTEM_ADMIN", "system")
    };
    let made = store
        .create_role_binding(FIRST, &guest, &author(), None)
        .await;
    let revision = made.unwrap().revision;
    let last = store
        .delete_role_binding(revision, &admin, &author(), None)
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(name)) if name == admin));
    let gone = store
        .delete_role_binding(revision, &guest.name, &author(), None)
        .await;
    assert!(gone.unwrap().made);
}

async fn a_binding_that_is_too_narrow_is_found(db: TestDatabase) {
    let store = empty(&db).await;
    let mut revision = FIRST;
    for (id, role, resource, minutes) in [
        (2, "roles/a", "system", None),
        (3, "roles/b", "workspaces/w", None),
        (4, "roles/c", "workspaces/w/deployments/d", Some(10)),
        (5, "roles/d", "workspaces/w/deployments/d", Some(0)),
    ] {
        let bound = RoleBinding {
            expire_time: minutes.map(|minutes| now() + TimeDelta::minutes(minutes)),
            ..binding(id, "user:bob", role, resource)
        };
        let made = store
            .create_role_binding(revision, &bound, &author(), None)
            .await;
        revision = made.unwrap().revision;
    }
    for (role, level, expected) in [
        ("roles/a", Level::System, None),
        ("roles/b", Level::System, Some(3)),
        ("roles/b", Level::Workspace, None),
        ("roles/c", Level::System, Some(4)),
        ("roles/c", Level::Workspace, Some(4)),
        ("roles/c", Level::Deployment, None),
        ("roles/d", Level::System, None),
        ("roles/d", Level::Workspace, None),
    ] {
        let found = store
            .binding_narrower_than(level, &role.parse().unwrap(), now())
            .await;
        let found = found.unwrap().map(|found| found.name.id().get().as_u128());
        assert_eq!(found, expected, "{role} below {level}");
    }
}

async fn a_binding_and_a_role_come_back_as_they_were(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("workspaces/w/deployments/d/roles/r");
    let create = request("CreateRole", 1, "r");
    store
        .create_role(FIRST, &made, &author(), Some(&create))
        .await
        .unwrap();
    assert_eq!(
        store
            .create_role(FIRST, &made, &author(), Some(&create))
            .await
            .unwrap()
            .value,
        made
    );

    let resource = "workspaces/w/deployments/d";
    let account = "service-account:workspaces/w/serviceAccounts/ci";
    let bound = binding(7, account, "workspaces/w/deployments/d/roles/r", resource);
    store
        .create_role_binding(PolicyRevision(2), &bound, &author(), None)
        .await
        .unwrap();
    let found = store.role_bindings(&on(resource), None, 2).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&bound));

    let PolicyRows {
        revision,
        built_in_role_changes: _,
        roles,
        bindings,
        revoked: _,
    } = store.policy(now()).await.unwrap();
    assert_eq!(revision, PolicyRevision(3));
    let names = roles
        .iter()
        .map(|role| (role.name.as_str(), role.permissions.clone().unwrap()));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [(
            "workspaces/w/deployments/d/roles/r",
            vec![
                "deployment.config.get".to_owned(),
                "deployment.dags.push".to_owned()
            ]
        )]
    );
    assert!(bindings.iter().any(|row| row.id == bound.name.id()
        && row.resource == resource
        && row.principal == account
        && row.role == "workspaces/w/deployments/d/roles/r"));
    let (index, flaws) = Index::build(store.policy(now()).await.unwrap());
    assert!(flaws.is_empty(), "{flaws:?}");
    assert_eq!(index.revision(), PolicyRevision(3));
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    racing_creators_make_one_binding_and_move_the_policy_once,
    the_last_administrator_stays,
    of_two_who_delete_each_other_one_stays,
    bindings_are_listed_by_resource_and_id_while_others_arrive,
    an_expired_binding_makes_room_for_a_new_one,
    administrators_until_some_time_do_not_count,
    a_binding_that_is_too_narrow_is_found,
    a_binding_and_a_role_come_back_as_they_were,
);
