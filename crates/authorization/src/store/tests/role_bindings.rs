use chassis::testing::TestDatabase;
use model::names::{ResourceName, RoleBindingId};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{FIRST, author, binding, empty, now, request, revision, role};
use crate::domain::index::{Index, PolicyRows};
use crate::domain::policy::PolicyRevision;
use crate::store::Error;

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
            .role_bindings(&ResourceName::System, None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn bindings_are_listed_by_name_while_others_arrive(db: TestDatabase) {
    let store = empty(&db).await;
    let workspace = "workspaces/w".parse::<ResourceName>().unwrap();
    let mut at = FIRST;
    let add = async |at: &mut PolicyRevision, id: u128, resource: &str| {
        let wanted = binding(
            id,
            &format!("user:{id}"),
            "roles/DEPLOYMENT_VIEWER",
            resource,
        );
        *at = store
            .create_role_binding(*at, &wanted, &author(), None)
            .await
            .unwrap()
            .revision;
    };
    for id in [50, 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff, 20, 40, 30] {
        add(&mut at, id, "workspaces/w").await;
    }
    add(&mut at, 25, "workspaces/w/deployments/d").await;
    add(&mut at, 26, "workspaces/v").await;

    let page = async |after: Option<RoleBindingId>| {
        let page = store.role_bindings(&workspace, after, 2).await.unwrap();
        page.iter()
            .map(|binding| binding.name.id().get().as_u128())
            .collect::<Vec<_>>()
    };
    let after = |id| Some(RoleBindingId::new(Uuid::from_u128(id)));
    assert_eq!(page(None).await, [20, 30]);
    // One arrives before the position and one after it.
    add(&mut at, 10, "workspaces/w").await;
    add(&mut at, 35, "workspaces/w").await;
    assert_eq!(page(after(30)).await, [35, 40]);
    assert_eq!(page(after(40)).await, [50, u128::MAX]);
    assert_eq!(page(after(u128::MAX)).await, [0; 0]);
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

    let on = "workspaces/w/deployments/d";
    let account = "service-account:workspaces/w/serviceAccounts/ci";
    let bound = binding(7, account, "workspaces/w/deployments/d/roles/r", on);
    store
        .create_role_binding(PolicyRevision(2), &bound, &author(), None)
        .await
        .unwrap();
    let found = store
        .role_bindings(&on.parse().unwrap(), None, 2)
        .await
        .unwrap();
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
        && row.resource == on
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
    bindings_are_listed_by_name_while_others_arrive,
    a_binding_and_a_role_come_back_as_they_were,
);
