use chassis::testing::TestDatabase;
use chrono::TimeDelta;

use super::{FIRST, author, binding, empty, now, request, revision, role, token};
use crate::domain::policy::{PolicyRevision, Role};
use crate::store::{Changed, Error};

async fn a_repeated_request_gets_its_first_answer(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    let create = request("CreateRole", 1, "r");
    let first = store
        .create_role(FIRST, &made, &author(), Some(&create))
        .await
        .unwrap();
    // The repetition carries another time, and was decided at any policy.
    let later = Role {
        create_time: now() + TimeDelta::hours(1),
        ..made.clone()
    };
    let again = store
        .create_role(FIRST, &later, &author(), Some(&create))
        .await
        .unwrap();
    assert_eq!(
        again,
        Changed {
            made: false,
            ..first
        }
    );

    let bound = binding(7, "user:bob", "roles/r", "workspaces/w");
    let bind = request("CreateRoleBinding", 1, "b");
    let first = store
        .create_role_binding(PolicyRevision(2), &bound, &author(), Some(&bind))
        .await
        .unwrap();
    let later = binding(8, "user:bob", "roles/r", "workspaces/w");
    let again = store
        .create_role_binding(FIRST, &later, &author(), Some(&bind))
        .await
        .unwrap();
    assert_eq!(
        again,
        Changed {
            made: false,
            ..first
        }
    );

    let mint = request("CreateServiceAccountToken", 1, "t");
    let first = store
        .create_service_account_token(PolicyRevision(3), &token(9), Some(&mint))
        .await
        .unwrap();
    let again = store
        .create_service_account_token(FIRST, &token(10), Some(&mint))
        .await
        .unwrap();
    assert_eq!(
        again,
        Changed {
            made: false,
            ..first
        }
    );

    let delete = request("DeleteRoleBinding", 1, "d");
    let first = store
        .delete_role_binding(PolicyRevision(3), &bound.name, &author(), Some(&delete))
        .await
        .unwrap();
    let again = store
        .delete_role_binding(FIRST, &bound.name, &author(), Some(&delete))
        .await
        .unwrap();
    assert_eq!(
        again,
        Changed {
            made: false,
            ..first
        }
    );

    // What was created by a request and is deleted since does not come back by repeating it.
    let again = store
        .create_role_binding(PolicyRevision(4), &bound, &author(), Some(&bind))
        .await;
    assert!(matches!(again, Err(Error::NoSuchBinding(name)) if name == bound.name));
}

async fn a_request_id_cannot_be_used_for_something_else(db: TestDatabase) {
    let store = empty(&db).await;
    store
        .create_role(
            FIRST,
            &role("roles/r"),
            &author(),
            Some(&request("CreateRole", 1, "r")),
        )
        .await
        .unwrap();
    let other = request("CreateRole", 1, "s");
    let reused = store
        .create_role(PolicyRevision(2), &role("roles/s"), &author(), Some(&other))
        .await;
    assert!(matches!(reused, Err(Error::Reused(_))));
    assert_eq!(revision(&store).await, PolicyRevision(2));
}

async fn a_failed_request_can_be_repeated_with_its_id(db: TestDatabase) {
    let store = empty(&db).await;
    let bound = binding(7, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    let delete = request("DeleteRoleBinding", 1, "d");
    let failed = store
        .delete_role_binding(FIRST, &bound.name, &author(), Some(&delete))
        .await;
    assert!(matches!(failed, Err(Error::NoSuchBinding(_))));
    store
        .create_role_binding(FIRST, &bound, &author(), None)
        .await
        .unwrap();
    let deleted = store
        .delete_role_binding(PolicyRevision(2), &bound.name, &author(), Some(&delete))
        .await
        .unwrap();
    assert!(deleted.made);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_repeated_request_gets_its_first_answer,
    a_request_id_cannot_be_used_for_something_else,
    a_failed_request_can_be_repeated_with_its_id,
);
