use std::collections::BTreeMap;
use std::{fmt, slice};

use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use chrono::TimeDelta;
use model::names::{ResourceName, RoleBindingId, RoleName};
use uuid::Uuid;

use super::{FIRST, author, binding, empty, now, revision, role, token};
use crate::domain::limits::Limit;
use crate::domain::policy::{PolicyRevision, RoleBinding};
use crate::domain::policy_file::{
    BindingKey, Current, FileBinding, FileRole, Place, Plan, PolicyFile, plan,
};
use crate::store::{Error, Store};

/// What brings these roles and bindings, where none of them is.
fn plan_of(roles: &[RoleName], bindings: &[RoleBinding], id: u128) -> Plan {
    let template = role("roles/r");
    let roles = roles.iter().map(|name| {
        let contents = FileRole {
            display_name: template.display_name.clone(),
            description: template.description.clone(),
            permissions: template.permissions,
        };
        (name.clone(), contents)
    });
    let bindings = bindings.iter().enumerate().map(|(number, binding)| {
        let place = Place { line: 1, column: 1 };
        let contents = FileBinding {
            expire_time: binding.expire_time,
            number,
            place,
        };
        (BindingKey::from(binding), contents)
    });
    let file = PolicyFile {
        name: "platform".parse().unwrap(),
        built_in_roles: BTreeMap::new(),
        roles: roles.collect(),
        bindings: bindings.collect(),
    };
    let mut ids = (id..).map(|id| RoleBindingId::new(Uuid::from_u128(id)));
    plan(&file, &Current::default(), &author(), || {
        ids.next().unwrap()
    })
}

/// A binding of `roles/r` for somebody of this number.
fn bound(number: usize, resource: &str) -> RoleBinding {
    let id = 1_000_000 + u128::try_from(number).unwrap();
    binding(id, &format!("user:u{number}"), "roles/r", resource)
}

fn assert_limit<T: fmt::Debug>(outcome: Result<T, Error>, limit: &Limit) {
    assert!(
        matches!(&outcome, Err(Error::LimitExceeded(reached)) if reached == limit),
        "{outcome:?}"
    );
}

async fn apply(store: &Store, plan: Plan) -> Result<PolicyRevision, Error> {
    let decided_at = revision(store).await;
    let applied = store.apply(decided_at, plan, &author()).await;
    applied.map(|changed| changed.revision)
}

async fn a_resource_has_a_bounded_number_of_roles(db: TestDatabase) {
    let (store, author) = (empty(&db).await, author());
    let name = |number| {
        format!("workspaces/w/roles/r{number}")
            .parse::<RoleName>()
            .unwrap()
    };
    let limit = Limit::Roles("workspaces/w".parse().unwrap());
    let too_many = (0..=1_000).map(name).collect::<Vec<_>>();
    assert_limit(apply(&store, plan_of(&too_many, &[], 2)).await, &limit);
    assert_eq!(revision(&store).await, FIRST);

    let (last, all) = too_many.split_last().unwrap();
    let at = apply(&store, plan_of(all, &[], 2)).await.unwrap();
    let one_more = role(&last.to_string());
    let full = store.create_role(at, &one_more, &author, None).await;
    assert_limit(full, &limit);
    assert_eq!(store.role(last).await.unwrap(), None);

    // Neither what is above nor what is below counts.
    let mut at = at;
    for elsewhere in [
        "roles/r",
        "workspaces/w-2/roles/r",
        "workspaces/w/deployments/d/roles/r",
    ] {
        let made = role(elsewhere);
        let made = store.create_role(at, &made, &author, None);
        at = made.await.unwrap().revision;
    }
    let deleted = store.delete_role(at, &all[7], false, &author, None);
    let at = deleted.await.unwrap().revision;
    store
        .create_role(at, &one_more, &author, None)
        .await
        .unwrap();
}

async fn bindings_are_bounded_on_a_resource_and_when_they_go_with_their_role(db: TestDatabase) {
    let (store, author) = (empty(&db).await, author());
    store
        .create_role(FIRST, &role("roles/r"), &author, None)
        .await
        .unwrap();
    let resource = "workspaces/w".parse::<ResourceName>().unwrap();
    let limit = Limit::RoleBindings(resource.clone());
    let mut all = (0..10_000)
        .map(|number| bound(number, "workspaces/w"))
        .collect::<Vec<_>>();
    let soon = now() + TimeDelta::hours(1);
    all[0].expire_time = Some(soon);
    apply(&store, plan_of(&[], &all, 2)).await.unwrap();

    let full = revision(&store).await;
    let one_more = bound(10_000, "workspaces/w");
    let refused = store
        .create_role_binding(full, &one_more, &author, None)
        .await;
    assert_limit(refused, &limit);
    let more = plan_of(&[], slice::from_ref(&one_more), 1_000_000);
    assert_limit(apply(&store, more).await, &limit);
    assert_eq!(revision(&store).await, full);

    // What is on another resource does not count, nor does what has expired.
    let below = bound(1, "workspaces/w/deployments/d");
    let made = store.create_role_binding(full, &below, &author, None);
    let at = made.await.unwrap().revision;
    let mut later = author.clone();
    later.time = soon;
    let made = store.create_role_binding(at, &one_more, &later, None);
    let at = made.await.unwrap().revision;

    // 10,002 bindings, of which one has expired.
    let name = "roles/r".parse::<RoleName>().unwrap();
    let many = Limit::DeletedWithRole(name.clone());
    for fewer in [&below, &one_more] {
        let at = revision(&store).await;
        let refused = store.delete_role(at, &name, true, &later, None).await;
        assert_limit(refused, &many);
        assert_eq!(revision(&store).await, at);
        store
            .delete_role_binding(at, &fewer.name, &later, None)
            .await
            .unwrap();
    }
    let deleted = store.delete_role(PolicyRevision(at.0 + 2), &name, true, &later, None);
    deleted.await.unwrap();
}

async fn an_account_has_a_bounded_number_of_tokens_that_have_not_expired(db: TestDatabase) {
    let store = empty(&db).await;
    let create = async |id| {
        let made = token(id);
        let made = store.create_service_account_token(FIRST, &made, None);
        made.await.map(drop)
    };
    for hundred in 0..10 {
        for id in 1..=100 {
            create(hundred * 100 + id).await.unwrap();
        }
        let revoked: Result<u64, Error> = transaction!(db.database, |transaction| {
            let sql = "UPDATE service_account_tokens
                       SET revoke_time = $1, revoked_by = 'user:admin', revoke_reason = ''
                       WHERE revoke_time IS NULL";
            Ok(transaction.execute(sql, args![now()]).await?)
        });
        assert_eq!(revoked.unwrap(), 100);
    }
    let account = token(1).name.account;
    assert_limit(create(1_001).await, &Limit::Tokens(account));

    let mut neighbour = token(1_002);
    neighbour.name.account = "workspaces/w/serviceAccounts/cd".parse().unwrap();
    let made = store.create_service_account_token(FIRST, &neighbour, None);
    made.await.unwrap();
    let mut later = token(1_001);
    later.create_time = token(1).expire_time;
    later.expire_time = later.create_time + TimeDelta::days(1);
    let made = store.create_service_account_token(FIRST, &later, None);
    made.await.unwrap();
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_resource_has_a_bounded_number_of_roles,
    bindings_are_bounded_on_a_resource_and_when_they_go_with_their_role,
    an_account_has_a_bounded_number_of_tokens_that_have_not_expired,
);
