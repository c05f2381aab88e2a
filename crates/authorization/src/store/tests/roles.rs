use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use model::permissions::{Permission, PermissionSet};
use tokio::task::JoinSet;

use super::{FIRST, author, binding, empty, now, request, revision, role};
use crate::domain::policy::{PolicyRevision, Role, RoleBinding};
use crate::domain::policy_change::Change;
use crate::store::{Changed, Error};

/// The role as somebody changes it an hour later.
fn changed(before: &Role) -> Role {
    Role {
        display_name: "Pusher of images".to_owned(),
        description: String::new(),
        permissions: PermissionSet::of(&[
            Permission::DeploymentImagesPush,
            Permission::DeploymentConfigGet,
        ]),
        updated_by: "service-account:workspaces/w/serviceAccounts/ci"
            .parse()
            .unwrap(),
        update_time: now() + TimeDelta::hours(1),
        managed_by: Some("platform".parse().unwrap()),
        ..before.clone()
    }
}

async fn a_role_is_changed_and_keeps_who_made_it(db: TestDatabase) {
    let store = empty(&db).await;
    let before = role("workspaces/w/roles/r");
    store
        .create_role(FIRST, &before, &author(), None)
        .await
        .unwrap();
    assert_eq!(
        store.role(&before.name).await.unwrap(),
        Some(before.clone())
    );

    let after = changed(&before);
    let made = store
        .update_role(PolicyRevision(2), &before, &after, &author(), None)
        .await;
    let expected = Changed {
        value: after.clone(),
        revision: PolicyRevision(3),
        made: true,
    };
    assert_eq!(made.unwrap(), expected);
    assert_eq!(store.role(&before.name).await.unwrap(), Some(after.clone()));
    let newest = store
        .policy_changes(&before.name.parent(), false, None, 1)
        .await;
    assert_eq!(
        newest.unwrap().remove(0).change,
        Change::RoleUpdated {
            role: after.name.clone(),
            added: PermissionSet::of(&[Permission::DeploymentImagesPush]),
            removed: PermissionSet::of(&[Permission::DeploymentDagsPush]),
        }
    );

    // What changes nothing does not move the policy, but must not have been decided at another.
    let same = store
        .update_role(PolicyRevision(3), &after, &after, &author(), None)
        .await;
    let same = same.unwrap();
    assert_eq!((same.revision, same.made), (PolicyRevision(3), false));
    let late = store
        .update_role(PolicyRevision(2), &after, &after, &author(), None)
        .await;
    assert!(matches!(late, Err(Error::PolicyMoved)));
    let late = store
        .update_role(PolicyRevision(2), &after, &before, &author(), None)
        .await;
    assert!(matches!(late, Err(Error::PolicyMoved)));
    let absent = role("workspaces/w/roles/absent");
    let gone = store
        .update_role(
            PolicyRevision(3),
            &absent,
            &changed(&absent),
            &author(),
            None,
        )
        .await;
    assert!(matches!(gone, Err(Error::NoSuchRole(name)) if name == absent.name));
    assert_eq!(revision(&store).await, PolicyRevision(3));
}

async fn a_role_that_is_bound_is_deleted_by_force_only(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("workspaces/w/roles/r");
    let other = role("workspaces/w/roles/s");
    store
        .create_role(FIRST, &made, &author(), None)
        .await
        .unwrap();
    store
        .create_role(PolicyRevision(2), &other, &author(), None)
        .await
        .unwrap();
    let mut at = PolicyRevision(3);
    let bind = |id: u128, role: &Role, resource: &str, hours: Option<i64>| RoleBinding {
        expire_time: hours.map(|hours| now() + TimeDelta::hours(hours)),
        ..binding(id, "user:bob", &role.name.to_string(), resource)
    };
    let bound = [
        bind(7, &made, "workspaces/w", None),
        bind(8, &made, "workspaces/w/deployments/d", Some(1)),
        bind(9, &made, "workspaces/w/deployments/e", Some(-1)),
        bind(10, &other, "workspaces/w", None),
    ];
    for bound in &bound {
        let added = store.create_role_binding(at, bound, &author(), None).await;
        at = added.unwrap().revision;
    }
    let refused = store
        .delete_role(at, &made.name, false, &author(), None)
        .await;
    assert!(
        matches!(&refused, Err(Error::RoleBound { role, bound: 2 }) if *role == made.name),
        "{refused:?}"
    );
    assert_eq!(revision(&store).await, at);
    assert!(store.role(&made.name).await.unwrap().is_some());

    let deleted = store
        .delete_role(at, &made.name, true, &author(), None)
        .await
        .unwrap();
    assert_eq!(
        (deleted.revision, deleted.made),
        (PolicyRevision(at.0 + 1), true)
    );
    assert_eq!(store.role(&made.name).await.unwrap(), None);
    let [one, two, three, kept] = bound;
    for gone in [&one, &two, &three] {
        assert_eq!(store.role_binding(&gone.name).await.unwrap(), None);
    }
    assert_eq!(store.role_binding(&kept.name).await.unwrap(), Some(kept));
    let changes = store
        .policy_changes(&"workspaces/w".parse().unwrap(), true, None, 4)
        .await;
    let changes = changes.unwrap().into_iter().map(|made| made.change);
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            Change::RoleDeleted {
                role: made.name.clone(),
                permissions: made.permissions,
            },
            Change::RoleBindingDeleted(three),
            Change::RoleBindingDeleted(two),
            Change::RoleBindingDeleted(one),
        ]
    );

    // The name is free again, and nothing that was bound comes back with it.
    let again = store
        .create_role(deleted.revision, &made, &author(), None)
        .await
        .unwrap();
    let deleted = store
        .delete_role(again.revision, &made.name, false, &author(), None)
        .await;
    let at = deleted.unwrap().revision;
    let gone = store
        .delete_role(at, &made.name, true, &author(), None)
        .await;
    assert!(matches!(gone, Err(Error::NoSuchRole(name)) if name == made.name));
    assert_eq!(revision(&store).await, at);
}

async fn bindings_that_have_expired_do_not_keep_a_role(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    store
        .create_role(FIRST, &made, &author(), None)
        .await
        .unwrap();
    let expired = RoleBinding {
        expire_time: Some(now()),
        ..binding(7, "user:bob", "roles/r", "workspaces/w")
    };
    let bound = store
        .create_role_binding(PolicyRevision(2), &expired, &author(), None)
        .await;
    bound.unwrap();
    let deleted = store
        .delete_role(PolicyRevision(3), &made.name, false, &author(), None)
        .await;
    deleted.unwrap();
    assert_eq!(store.role_binding(&expired.name).await.unwrap(), None);
}

async fn a_repeated_change_of_a_role_gets_its_first_answer(db: TestDatabase) {
    let store = empty(&db).await;
    let before = role("roles/r");
    store
        .create_role(FIRST, &before, &author(), None)
        .await
        .unwrap();
    let update = request("UpdateRole", 1, "u");
    assert_eq!(store.repeated_update(Some(&update)).await.unwrap(), None);
    let after = changed(&before);
    let first = store
        .update_role(PolicyRevision(2), &before, &after, &author(), Some(&update))
        .await;
    let first = first.unwrap();
    let again = Changed {
        made: false,
        ..first
    };
    assert_eq!(
        store.repeated_update(Some(&update)).await.unwrap(),
        Some(again.clone())
    );
    let written = store
        .update_role(FIRST, &before, &after, &author(), Some(&update))
        .await;
    assert_eq!(written.unwrap(), again);
    assert_eq!(store.repeated_update(None).await.unwrap(), None);

    let delete = request("DeleteRole", 1, "d");
    assert_eq!(store.repeated_delete(Some(&delete)).await.unwrap(), None);
    let deleted = store
        .delete_role(
            PolicyRevision(3),
            &before.name,
            false,
            &author(),
            Some(&delete),
        )
        .await;
    let deleted = Changed {
        made: false,
        ..deleted.unwrap()
    };
    assert_eq!(deleted.revision, PolicyRevision(4));
    assert_eq!(
        store.repeated_delete(Some(&delete)).await.unwrap(),
        Some(deleted.clone())
    );
    let again = store
        .delete_role(FIRST, &before.name, false, &author(), Some(&delete))
        .await;
    assert_eq!(again.unwrap(), deleted);

    // The role that was changed is gone since.
    let gone = store.repeated_update(Some(&update)).await;
    assert!(matches!(gone, Err(Error::NoSuchRole(name)) if name == before.name));
    let other = request("UpdateRole", 1, "other");
    let reused = store.repeated_update(Some(&other)).await;
    assert!(matches!(reused, Err(Error::Reused(_))));
}

async fn roles_of_several_resources_are_listed_by_name(db: TestDatabase) {
    let store = empty(&db).await;
    let all = [
        "roles/a",
        "roles/b-2",
        "roles/b2",
        "workspaces/w/deployments/d/roles/a",
        "workspaces/w/roles/a",
        "workspaces/w/roles/z",
    ];
    let others = [
        "workspaces/w-2/roles/a",
        "workspaces/w/deployments/e/roles/a",
    ];
    let mut at = FIRST;
    for name in all.iter().chain(&others) {
        let made = store.create_role(at, &role(name), &author(), None).await;
        at = made.unwrap().revision;
    }
    let list = async |resources: &[&str], after: Option<&str>, most: usize| {
        let resources = resources.iter().map(|text| text.parse().unwrap());
        let after = after.map(|text| text.parse().unwrap());
        let roles = store.roles(resources, after.as_ref(), most).await.unwrap();
        let names = roles.into_iter().map(|role| role.name.to_string());
        names.collect::<Vec<_>>()
    };
    let three = ["workspaces/w/deployments/d", "workspaces/w", "system"];
    assert_eq!(list(&three, None, 50).await, all);
    assert_eq!(list(&three, None, 4).await, all[..4]);
    assert_eq!(list(&three, Some("roles/b-2"), 3).await, all[2..5]);
    assert_eq!(
        list(&three, Some("roles/DEPLOYMENT_ADMIN"), 1).await,
        all[..1]
    );
    assert_eq!(list(&three, Some(all[5]), 3).await, [""; 0]);
    assert_eq!(list(&["workspaces/w"], None, 50).await, all[4..]);
    assert_eq!(list(&["workspaces/x"], None, 50).await, [""; 0]);
}

async fn of_eight_who_change_a_role_each_sees_the_others(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    store
        .create_role(FIRST, &made, &author(), None)
        .await
        .unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let (store, name) = (store.clone(), made.name.clone());
        racers.spawn(async move {
            loop {
                let decided_at = revision(&store).await;
                let before = store.role(&name).await.unwrap().unwrap();
                let mut after = before.clone();
                after.description.push_str(&format!("/{racer}"));
                match store
                    .update_role(decided_at, &before, &after, &author(), None)
                    .await
                {
                    Err(Error::PolicyMoved) => {}
                    changed => break changed.unwrap().revision.0,
                }
            }
        });
    }
    let mut revisions = racers.join_all().await;
    revisions.sort_unstable();
    assert_eq!(revisions, (3..=10).collect::<Vec<_>>());
    let role = store.role(&made.name).await.unwrap().unwrap();
    for racer in 0..8 {
        assert!(
            role.description.contains(&format!("/{racer}")),
            "{}",
            role.description
        );
    }
    let changes = store
        .policy_changes(&made.name.parent(), false, None, 50)
        .await;
    assert_eq!(changes.unwrap().len(), 10);
}

async fn of_eight_who_bind_or_delete_a_role_none_is_left_with_half(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    store
        .create_role(FIRST, &made, &author(), None)
        .await
        .unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..8_u128 {
        let (store, made) = (store.clone(), made.clone());
        racers.spawn(async move {
            loop {
                let at = revision(&store).await;
                let changed = if racer == 0 {
                    let deleted = store
                        .delete_role(at, &made.name, true, &author(), None)
                        .await;
                    deleted.map(|_| ())
                } else if store.role(&made.name).await.unwrap().is_some() {
                    let bound = binding(racer + 10, &format!("user:{racer}"), "roles/r", "system");
                    let bound = store.create_role_binding(at, &bound, &author(), None).await;
                    bound.map(|_| ())
                } else {
                    break;
                };
                match changed {
                    Err(Error::PolicyMoved) => {}
                    changed => break changed.unwrap(),
                }
            }
        });
    }
    racers.join_all().await;
    // Whoever has bound it before the deletion has lost it, and afterwards nobody could bind it.
    let left = store
        .role_bindings(&super::on("system"), None, 50)
        .await
        .unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_role_is_changed_and_keeps_who_made_it,
    a_role_that_is_bound_is_deleted_by_force_only,
    bindings_that_have_expired_do_not_keep_a_role,
    a_repeated_change_of_a_role_gets_its_first_answer,
    roles_of_several_resources_are_listed_by_name,
    of_eight_who_change_a_role_each_sees_the_others,
    of_eight_who_bind_or_delete_a_role_none_is_left_with_half,
);
