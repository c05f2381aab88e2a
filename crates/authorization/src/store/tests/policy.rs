use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use model::names::RoleBindingId;
use model::permissions::PermissionSet;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{FIRST, author, binding, empty, now, on, revision, role, token};
use crate::domain::index::{Index, PolicyRows};
use crate::domain::policy::PolicyRevision;
use crate::store::{Changed, Error, Store};

async fn an_empty_database_gets_its_administrator_once(db: TestDatabase) {
    let store = empty(&db).await;
    let root = binding(2, "user:root", "roles/SYSTEM_ADMIN", "system");
    let changed = store
        .create_role_binding(FIRST, &root, &author(), None)
        .await
        .unwrap();
    let first = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let changed = store
        .delete_role_binding(changed.revision, &first, &author(), None)
        .await
        .unwrap();
    assert_eq!(changed.revision, PolicyRevision(3));

    let again = RoleBindingId::new(Uuid::from_u128(3));
    assert!(
        !store
            .bootstrap(&"admin".parse().unwrap(), again, now())
            .await
            .unwrap()
    );
    let left = store.role_bindings(&on("system"), None, 10).await.unwrap();
    assert_eq!(left, [root]);
    assert_eq!(revision(&store).await, PolicyRevision(3));
}

async fn replicas_that_start_together_make_one_administrator(db: TestDatabase) {
    let store = Store::new(db.database.clone());
    let mut racers = JoinSet::new();
    for racer in 1..=8 {
        let store = store.clone();
        racers.spawn(async move {
            let id = RoleBindingId::new(Uuid::from_u128(racer));
            store
                .bootstrap(&"admin".parse().unwrap(), id, now())
                .await
                .unwrap()
        });
    }
    let made = racers
        .join_all()
        .await
        .into_iter()
        .filter(|made| *made)
        .count();
    assert_eq!(made, 1);
    let bindings = store.role_bindings(&on("system"), None, 10).await.unwrap();
    assert_eq!(bindings.len(), 1);
    assert_eq!(revision(&store).await, FIRST);
}

async fn racing_changes_each_move_the_policy_by_one(db: TestDatabase) {
    let store = empty(&db).await;
    let mut racers = JoinSet::new();
    for racer in 0..16_u128 {
        let store = store.clone();
        racers.spawn(async move {
            let principal = format!("user:{racer}");
            let wanted = binding(
                100 + racer,
                &principal,
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
                    changed => break changed.unwrap().revision.0,
                }
            }
        });
    }
    let mut revisions = racers.join_all().await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=17).collect::<Vec<_>>());
}

async fn only_what_changes_the_policy_moves_it(db: TestDatabase) {
    let store = empty(&db).await;
    let role = role("workspaces/w/roles/pusher");
    let changed = store
        .create_role(FIRST, &role, &author(), None)
        .await
        .unwrap();
    assert_eq!(
        changed,
        Changed {
            value: role.clone(),
            revision: PolicyRevision(2),
            made: true
        }
    );
    let taken = store
        .create_role(changed.revision, &role, &author(), None)
        .await;
    assert!(matches!(taken, Err(Error::RoleExists(name)) if name == role.name));

    let bound = binding(7, "group:data", "workspaces/w/roles/pusher", "workspaces/w");
    let changed = store
        .create_role_binding(PolicyRevision(2), &bound, &author(), None)
        .await
        .unwrap();
    assert_eq!(changed.revision, PolicyRevision(3));
    let same = binding(8, "group:data", "workspaces/w/roles/pusher", "workspaces/w");
    let found = store
        .create_role_binding(PolicyRevision(3), &same, &author(), None)
        .await
        .unwrap();
    assert_eq!(
        found,
        Changed {
            value: bound.clone(),
            revision: PolicyRevision(3),
            made: false
        }
    );

    let made = store
        .create_service_account_token(PolicyRevision(3), &token(9), None)
        .await
        .unwrap();
    assert_eq!(made.revision, PolicyRevision(3));

    let gone = store
        .delete_role_binding(PolicyRevision(3), &same.name, &author(), None)
        .await;
    assert!(matches!(gone, Err(Error::NoSuchBinding(name)) if name == same.name));
    assert_eq!(revision(&store).await, PolicyRevision(3));
    let deleted = store
        .delete_role_binding(PolicyRevision(3), &bound.name, &author(), None)
        .await
        .unwrap();
    assert_eq!(deleted.revision, PolicyRevision(4));
    assert_eq!(revision(&store).await, PolicyRevision(4));
}

async fn what_was_decided_at_an_older_policy_is_not_written(db: TestDatabase) {
    let store = empty(&db).await;
    let bound = binding(7, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    store
        .create_role_binding(FIRST, &bound, &author(), None)
        .await
        .unwrap();

    let role = store
        .create_role(FIRST, &role("roles/r"), &author(), None)
        .await;
    assert!(matches!(role, Err(Error::PolicyMoved)));
    let other = binding(8, "user:bob", "roles/DEPLOYMENT_ADMIN", "workspaces/w");
    let created = store
        .create_role_binding(FIRST, &other, &author(), None)
        .await;
    assert!(matches!(created, Err(Error::PolicyMoved)));
    let existing = store
        .create_role_binding(FIRST, &bound, &author(), None)
        .await;
    assert!(matches!(existing, Err(Error::PolicyMoved)));
    let deleted = store
        .delete_role_binding(FIRST, &bound.name, &author(), None)
        .await;
    assert!(matches!(deleted, Err(Error::PolicyMoved)));
    let token = store
        .create_service_account_token(FIRST, &token(9), None)
        .await;
    assert!(matches!(token, Err(Error::PolicyMoved)));

    let PolicyRows {
        revision,
        built_in_role_changes: _,
        roles,
        bindings,
        revoked,
    } = store.policy(now()).await.unwrap();
    assert_eq!(
        (revision, roles.len(), bindings.len(), revoked.len()),
        (PolicyRevision(2), 0, 2, 0)
    );
}

async fn rows_that_cannot_be_read_do_not_hide_the_others(db: TestDatabase) {
    let store = empty(&db).await;
    let written: Result<(), Error> = transaction!(db.database, |tx| {
        tx.execute(
            "INSERT INTO roles (name, display_name, description, permissions, created_by, create_time)
             VALUES ('roles/later', '', '', '{\"version\":2}', 'user:admin', 0)",
            args![],
        )
        .await?;
        tx.execute(
            "INSERT INTO role_bindings (id, resource, principal, role, created_by, create_time)
             VALUES ($1, 'cluster', 'robot:x', 'roles/later', 'user:admin', 0)",
            args![Uuid::from_u128(5)],
        )
        .await?;
        for (role, permission, held) in [
            ("DEPLOYMENT_VIEWER", "deployment.dags.push", true),
            ("DEPLOYMENT_EDITOR", "deployment.images.push", false),
            ("DEPLOYMENT_EDITOR", "deployment.future.do", false),
        ] {
            tx.execute(
                "INSERT INTO built_in_role_changes (role, permission, held, managed_by)
                 VALUES ($1, $2, $3, 'file')",
                args![role, permission, held],
            )
            .await?;
        }
        Ok(())
    });
    written.unwrap();
    let (index, flaws) = Index::build(store.policy(now()).await.unwrap());
    assert_eq!(flaws.len(), 3, "{flaws:?}");
    let editor = index.role(&"roles/DEPLOYMENT_EDITOR".parse().unwrap());
    let (added, removed) = (editor.unwrap().added(), editor.unwrap().removed());
    assert_eq!(added, PermissionSet::EMPTY);
    assert_eq!(removed.to_string(), "deployment.images.push");
    let viewer = index.role(&"roles/DEPLOYMENT_VIEWER".parse().unwrap());
    assert_eq!(viewer.unwrap().added().to_string(), "deployment.dags.push");
    assert_eq!(
        index
            .holdings(&"user:admin".parse().unwrap(), now())
            .count(),
        1
    );
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    an_empty_database_gets_its_administrator_once,
    replicas_that_start_together_make_one_administrator,
    racing_changes_each_move_the_policy_by_one,
    only_what_changes_the_policy_moves_it,
    what_was_decided_at_an_older_policy_is_not_written,
    rows_that_cannot_be_read_do_not_hide_the_others,
);
