use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use model::names::ResourceName;
use model::permissions::{Permission, PermissionSet};
use model::roles::SystemRole;
use uuid::Uuid;

use super::{FIRST, author, binding, empty, now, role};
use crate::domain::policy::{PolicyRevision, RoleBinding};
use crate::domain::policy_change::{Author, Change, PolicyChange, Position};
use crate::domain::tokens::TokenId;
use crate::store::{Error, Store, policy_changes};

/// One change of each type, on several resources.
fn every_change() -> Vec<Change> {
    let added = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    let removed = PermissionSet::of(&[
        Permission::DeploymentImagesPush,
        Permission::DeploymentLogsGet,
    ]);
    let role = "workspaces/w/roles/r".parse().unwrap();
    let plain = binding(7, "user:bob", "roles/r", "workspaces/w/deployments/d");
    let full = RoleBinding {
        expire_time: Some(now()),
        managed_by: Some("platform".parse().unwrap()),
        ..binding(8, "group:data", "roles/DEPLOYMENT_EDITOR", "workspaces/w-2")
    };
    vec![
        Change::RoleCreated {
            role: "roles/r".parse().unwrap(),
            permissions: added,
        },
        Change::RoleUpdated {
            role,
            added,
            removed,
        },
        Change::RoleDeleted {
            role: "workspaces/w/deployments/d/roles/r".parse().unwrap(),
            permissions: removed,
        },
        Change::BuiltInRoleChanged {
            role: SystemRole::DeploymentEditor,
            added,
            removed,
        },
        Change::RoleBindingCreated(plain.clone()),
        Change::RoleBindingUpdated(full.clone()),
        Change::RoleBindingDeleted(full),
        Change::TokenRevoked {
            account: "workspaces/w/serviceAccounts/ci".parse().unwrap(),
            id: TokenId(Uuid::from_u128(9)),
        },
    ]
}

async fn record(db: &TestDatabase, revision: i64, author: &Author, changes: &[Change]) {
    let revision = PolicyRevision(revision);
    let recorded: Result<(), Error> = transaction!(db.database, |tx| {
        policy_changes::record(tx, revision, author, changes).await
    });
    recorded.unwrap();
}

async fn listed(store: &Store, resource: &str, descendants: bool) -> Vec<PolicyChange> {
    let resource = resource.parse::<ResourceName>().unwrap();
    let changes = store.policy_changes(&resource, descendants, None, 50).await;
    changes.unwrap()
}

async fn every_change_comes_back_as_it_was_made(db: TestDatabase) {
    let store = empty(&db).await;
    let author = Author {
        principal: "service:authorization".parse().unwrap(),
        time: now(),
        reason: "a file\nin git".to_owned(),
        managed_by: Some("platform".parse().unwrap()),
    };
    record(&db, 2, &author, &every_change()).await;
    let expected = (1..)
        .zip(every_change())
        .map(|(number, change)| PolicyChange {
            position: Position {
                revision: PolicyRevision(2),
                number,
            },
            author: author.clone(),
            change,
        });
    let mut expected = expected.collect::<Vec<_>>();
    expected.reverse();
    let mut found = listed(&store, "system", true).await;
    let first = found.pop().unwrap();
    assert_eq!(found, expected);

    // The administrator of an empty database has come by no call.
    assert_eq!(first.position.revision, FIRST);
    assert_eq!(
        first.author.principal,
        "service:authorization".parse().unwrap()
    );
    let admin = RoleBinding {
        created_by: "service:authorization".parse().unwrap(),
        ..binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system")
    };
    assert_eq!(first.change, Change::RoleBindingCreated(admin));
}

async fn changes_are_listed_where_they_were_made(db: TestDatabase) {
    let store = empty(&db).await;
    record(&db, 2, &author(), &every_change()).await;
    for (resource, descendants, numbers) in [
        ("system", false, &[4, 1, 1][..]),
        ("system", true, &[8, 7, 6, 5, 4, 3, 2, 1, 1]),
        ("workspaces/w", false, &[8, 2]),
        ("workspaces/w", true, &[8, 5, 3, 2]),
        ("workspaces/w-2", true, &[7, 6]),
        ("workspaces/w/deployments/d", false, &[5, 3]),
        ("workspaces/w/deployments/d", true, &[5, 3]),
        ("workspaces/w/deployments/e", true, &[]),
        ("workspaces/x", true, &[]),
    ] {
        let found = listed(&store, resource, descendants).await;
        let found = found.iter().map(|change| change.position.number);
        assert_eq!(
            found.collect::<Vec<_>>(),
            numbers,
            "{resource} {descendants}"
        );
    }
}

async fn pages_of_changes_stay_while_others_are_made(db: TestDatabase) {
    let store = empty(&db).await;
    record(&db, 2, &author(), &every_change()).await;
    let system = ResourceName::System;
    for descendants in [false, true] {
        let all = store
            .policy_changes(&system, descendants, None, 50)
            .await
            .unwrap();
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = store
                .policy_changes(&system, descendants, before, 2)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.position);
            found.extend(page);
            if found.len() == 2 {
                let revision = if descendants { 4 } else { 3 };
                record(&db, revision, &author(), &every_change()).await;
            }
        }
        assert_eq!(found, all);
    }
}

async fn what_moves_the_policy_is_recorded_with_it_or_not_at_all(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    store
        .create_role(FIRST, &made, &author(), None)
        .await
        .unwrap();
    let taken = store
        .create_role(PolicyRevision(2), &made, &author(), None)
        .await;
    assert!(matches!(taken, Err(Error::RoleExists(_))));
    let bound = binding(7, "user:bob", "roles/r", "system");
    let changed = store
        .create_role_binding(PolicyRevision(2), &bound, &author(), None)
        .await;
    let at = changed.unwrap().revision;
    // Nothing changes, nothing is recorded.
    store
        .create_role_binding(at, &bound, &author(), None)
        .await
        .unwrap();
    store
        .update_role(at, &made, &made, &author(), None)
        .await
        .unwrap();
    let deleted = store
        .delete_role_binding(at, &bound.name, &author(), None)
        .await;
    deleted.unwrap();
    let changes = listed(&store, "system", true).await;
    let recorded = changes.iter().map(|change| {
        let Position { revision, number } = change.position;
        (revision.0, number)
    });
    assert_eq!(
        recorded.collect::<Vec<_>>(),
        [(4, 1), (3, 1), (2, 1), (1, 1)]
    );
    assert_eq!(changes[0].author, author());
}

async fn a_change_that_cannot_be_read_is_an_error(db: TestDatabase) {
    let store = empty(&db).await;
    for (number, kind, name, details) in [
        (1, "robot_made", "roles/r", r#"{"version":1}"#),
        (
            2,
            "role_created",
            "roles/r",
            r#"{"version":2,"added":[],"removed":[]}"#,
        ),
        (3, "token_revoked", "roles/r", r#"{"version":1}"#),
        (
            4,
            "built_in_role_changed",
            "roles/r",
            r#"{"version":1,"added":[],"removed":[]}"#,
        ),
    ] {
        let written: Result<(), Error> = transaction!(db.database, |tx| {
            tx.execute(
                "INSERT INTO policy_changes
                     (revision, number, type, resource, name, changed_by, change_time, reason,
                      details)
                 VALUES (2, $1, $2, 'workspaces/w', $3, 'user:admin', 0, '', $4)",
                args![number, kind, name, details],
            )
            .await?;
            Ok(())
        });
        written.unwrap();
        let before = Some(Position {
            revision: PolicyRevision(2),
            number: number + 1,
        });
        let found = store
            .policy_changes(&"workspaces/w".parse().unwrap(), false, before, 1)
            .await;
        assert!(matches!(found, Err(Error::Database(_))), "{kind}");
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    every_change_comes_back_as_it_was_made,
    changes_are_listed_where_they_were_made,
    pages_of_changes_stay_while_others_are_made,
    what_moves_the_policy_is_recorded_with_it_or_not_at_all,
    a_change_that_cannot_be_read_is_an_error,
);
