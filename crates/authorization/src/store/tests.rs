use chassis::requests::Request;
use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::deploys::Scope;
use model::names::{
    DeployNumber, Principal, RequestId, ResourceName, RoleBindingId, RoleBindingName, RollbackName,
};
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::CreateRoleRequest;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::domain::index::{Index, PolicyRows};
use crate::domain::policy::{Role, RoleBinding};
use crate::domain::rollback_grant::{Bound, Grantee, RollbackGrant};
use crate::domain::tokens::{ServiceAccountToken, TokenId, TokenRecord};

const FIRST: PolicyRevision = PolicyRevision(1);

/// A time with microseconds.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap()
}

async fn empty(db: &TestDatabase) -> Store {
    let store = Store::new(db.database.clone());
    let first = RoleBindingId::new(Uuid::from_u128(1));
    assert!(
        store
            .bootstrap(&"admin".parse().unwrap(), first, now())
            .await
            .unwrap()
    );
    store
}

fn role(name: &str) -> Role {
    Role {
        name: name.parse().unwrap(),
        display_name: "Pusher of DAGs".to_owned(),
        description: "line one\nline two".to_owned(),
        permissions: PermissionSet::of(&[
            Permission::DeploymentDagsPush,
            Permission::DeploymentConfigGet,
        ]),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
    }
}

fn binding(id: u128, principal: &str, role: &str, resource: &str) -> RoleBinding {
    RoleBinding {
        name: RoleBindingName::new(
            resource.parse().unwrap(),
            RoleBindingId::new(Uuid::from_u128(id)),
        ),
        principal: principal.parse().unwrap(),
        role: role.parse().unwrap(),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
    }
}

fn token(id: u128) -> ServiceAccountToken {
    ServiceAccountToken {
        id: TokenId(Uuid::from_u128(id)),
        account: "workspaces/w/serviceAccounts/ci".parse().unwrap(),
        description: "for CI".to_owned(),
        expire_time: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        created_by: "user:admin".parse().unwrap(),
        create_time: now(),
    }
}

/// A request whose body is told by `body`.
fn request(method: &'static str, id: u128, body: &str) -> Request {
    let message = CreateRoleRequest {
        role_id: body.to_owned(),
        ..CreateRoleRequest::default()
    };
    let principal = "user:admin".parse::<Principal>().unwrap();
    let id = Uuid::from_u128(id)
        .to_string()
        .parse::<RequestId>()
        .unwrap();
    Request::new(&principal, method, &"system", id, &message)
}

async fn revision(store: &Store) -> PolicyRevision {
    store.freshness(None).await.unwrap().revision
}

async fn an_empty_database_gets_its_administrator_once(db: TestDatabase) {
    let store = empty(&db).await;
    let root = binding(2, "user:root", "roles/SYSTEM_ADMIN", "system");
    let changed = store.create_role_binding(FIRST, &root, None).await.unwrap();
    let first = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let changed = store
        .delete_role_binding(changed.revision, &first, None, now())
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
    let left = store
        .role_bindings(&ResourceName::System, None, 10)
        .await
        .unwrap();
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
    let bindings = store
        .role_bindings(&ResourceName::System, None, 10)
        .await
        .unwrap();
    assert_eq!(bindings.len(), 1);
    assert_eq!(revision(&store).await, FIRST);
}

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
                match store.create_role_binding(decided_at, &wanted, None).await {
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
                match store.create_role_binding(decided_at, &wanted, None).await {
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
    let changed = store.create_role(FIRST, &role, None).await.unwrap();
    assert_eq!(
        changed,
        Changed {
            value: role.clone(),
            revision: PolicyRevision(2),
            made: true
        }
    );
    let taken = store.create_role(changed.revision, &role, None).await;
    assert!(matches!(taken, Err(Error::RoleExists(name)) if name == role.name));

    let bound = binding(7, "group:data", "workspaces/w/roles/pusher", "workspaces/w");
    let changed = store
        .create_role_binding(PolicyRevision(2), &bound, None)
        .await
        .unwrap();
    assert_eq!(changed.revision, PolicyRevision(3));
    let same = binding(8, "group:data", "workspaces/w/roles/pusher", "workspaces/w");
    let found = store
        .create_role_binding(PolicyRevision(3), &same, None)
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
        .delete_role_binding(PolicyRevision(3), &same.name, None, now())
        .await;
    assert!(matches!(gone, Err(Error::NoSuchBinding(name)) if name == same.name));
    assert_eq!(revision(&store).await, PolicyRevision(3));
    let deleted = store
        .delete_role_binding(PolicyRevision(3), &bound.name, None, now())
        .await
        .unwrap();
    assert_eq!(deleted.revision, PolicyRevision(4));
    assert_eq!(revision(&store).await, PolicyRevision(4));
}

async fn what_was_decided_at_an_older_policy_is_not_written(db: TestDatabase) {
    let store = empty(&db).await;
    let bound = binding(7, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    store
        .create_role_binding(FIRST, &bound, None)
        .await
        .unwrap();

    let role = store.create_role(FIRST, &role("roles/r"), None).await;
    assert!(matches!(role, Err(Error::PolicyMoved)));
    let other = binding(8, "user:bob", "roles/DEPLOYMENT_ADMIN", "workspaces/w");
    let created = store.create_role_binding(FIRST, &other, None).await;
    assert!(matches!(created, Err(Error::PolicyMoved)));
    let existing = store.create_role_binding(FIRST, &bound, None).await;
    assert!(matches!(existing, Err(Error::PolicyMoved)));
    let deleted = store
        .delete_role_binding(FIRST, &bound.name, None, now())
        .await;
    assert!(matches!(deleted, Err(Error::PolicyMoved)));
    let token = store
        .create_service_account_token(FIRST, &token(9), None)
        .await;
    assert!(matches!(token, Err(Error::PolicyMoved)));

    let PolicyRows {
        revision,
        roles,
        bindings,
    } = store.policy().await.unwrap();
    assert_eq!(
        (revision, roles.len(), bindings.len()),
        (PolicyRevision(2), 0, 2)
    );
}

async fn a_repeated_request_gets_its_first_answer(db: TestDatabase) {
    let store = empty(&db).await;
    let made = role("roles/r");
    let create = request("CreateRole", 1, "r");
    let first = store
        .create_role(FIRST, &made, Some(&create))
        .await
        .unwrap();
    // The repetition carries another time, and was decided at any policy.
    let later = Role {
        create_time: now() + TimeDelta::hours(1),
        ..made.clone()
    };
    let again = store
        .create_role(FIRST, &later, Some(&create))
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
        .create_role_binding(PolicyRevision(2), &bound, Some(&bind))
        .await
        .unwrap();
    let later = binding(8, "user:bob", "roles/r", "workspaces/w");
    let again = store
        .create_role_binding(FIRST, &later, Some(&bind))
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
        .delete_role_binding(PolicyRevision(3), &bound.name, Some(&delete), now())
        .await
        .unwrap();
    let again = store
        .delete_role_binding(FIRST, &bound.name, Some(&delete), now())
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
        .create_role_binding(PolicyRevision(4), &bound, Some(&bind))
        .await;
    assert!(matches!(again, Err(Error::NoSuchBinding(name)) if name == bound.name));
}

async fn a_request_id_cannot_be_used_for_something_else(db: TestDatabase) {
    let store = empty(&db).await;
    store
        .create_role(
            FIRST,
            &role("roles/r"),
            Some(&request("CreateRole", 1, "r")),
        )
        .await
        .unwrap();
    let other = request("CreateRole", 1, "s");
    let reused = store
        .create_role(PolicyRevision(2), &role("roles/s"), Some(&other))
        .await;
    assert!(matches!(reused, Err(Error::Reused(_))));
    assert_eq!(revision(&store).await, PolicyRevision(2));
}

async fn a_failed_request_can_be_repeated_with_its_id(db: TestDatabase) {
    let store = empty(&db).await;
    let bound = binding(7, "user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w");
    let delete = request("DeleteRoleBinding", 1, "d");
    let failed = store
        .delete_role_binding(FIRST, &bound.name, Some(&delete), now())
        .await;
    assert!(matches!(failed, Err(Error::NoSuchBinding(_))));
    store
        .create_role_binding(FIRST, &bound, None)
        .await
        .unwrap();
    let deleted = store
        .delete_role_binding(PolicyRevision(2), &bound.name, Some(&delete), now())
        .await
        .unwrap();
    assert!(deleted.made);
}

async fn the_last_administrator_stays(db: TestDatabase) {
    let store = empty(&db).await;
    let admin = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let last = store.delete_role_binding(FIRST, &admin, None, now()).await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    assert_eq!(revision(&store).await, FIRST);

    // Neither another role on the system nor a name with another resource helps.
    let viewer = binding(2, "user:bob", "roles/SYSTEM_VIEWER", "system");
    store
        .create_role_binding(FIRST, &viewer, None)
        .await
        .unwrap();
    let last = store
        .delete_role_binding(PolicyRevision(2), &admin, None, now())
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    let elsewhere = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "workspaces/w").name;
    let wrong = store
        .delete_role_binding(PolicyRevision(2), &elsewhere, None, now())
        .await;
    assert!(matches!(wrong, Err(Error::NoSuchBinding(_))));

    let group = binding(3, "group:admins", "roles/SYSTEM_ADMIN", "system");
    store
        .create_role_binding(PolicyRevision(2), &group, None)
        .await
        .unwrap();
    store
        .delete_role_binding(PolicyRevision(3), &admin, None, now())
        .await
        .unwrap();
    let last = store
        .delete_role_binding(PolicyRevision(4), &group.name, None, now())
        .await;
    assert!(matches!(last, Err(Error::LastAdministrator(_))));
    store
        .delete_role_binding(PolicyRevision(4), &viewer.name, None, now())
        .await
        .unwrap();
}

async fn of_two_who_delete_each_other_one_stays(db: TestDatabase) {
    let store = empty(&db).await;
    let root = binding(2, "user:root", "roles/SYSTEM_ADMIN", "system");
    store.create_role_binding(FIRST, &root, None).await.unwrap();
    let admin = binding(1, "user:admin", "roles/SYSTEM_ADMIN", "system").name;
    let mut racers = JoinSet::new();
    for name in [admin, root.name] {
        let store = store.clone();
        racers.spawn(async move {
            loop {
                let decided_at = revision(&store).await;
                match store
                    .delete_role_binding(decided_at, &name, None, now())
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
            .create_role_binding(*at, &wanted, None)
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
        .create_role(FIRST, &made, Some(&create))
        .await
        .unwrap();
    assert_eq!(
        store
            .create_role(FIRST, &made, Some(&create))
            .await
            .unwrap()
            .value,
        made
    );

    let on = "workspaces/w/deployments/d";
    let account = "service-account:workspaces/w/serviceAccounts/ci";
    let bound = binding(7, account, "workspaces/w/deployments/d/roles/r", on);
    store
        .create_role_binding(PolicyRevision(2), &bound, None)
        .await
        .unwrap();
    let found = store
        .role_bindings(&on.parse().unwrap(), None, 2)
        .await
        .unwrap();
    assert_eq!(found, std::slice::from_ref(&bound));

    let PolicyRows {
        revision,
        roles,
        bindings,
    } = store.policy().await.unwrap();
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
    let (index, flaws) = Index::build(store.policy().await.unwrap());
    assert!(flaws.is_empty(), "{flaws:?}");
    assert_eq!(index.revision(), PolicyRevision(3));
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
        Ok(())
    });
    written.unwrap();
    let (index, flaws) = Index::build(store.policy().await.unwrap());
    assert_eq!(flaws.len(), 2, "{flaws:?}");
    assert_eq!(index.holdings(&"user:admin".parse().unwrap()).count(), 1);
}

async fn a_token_is_known_by_its_id(db: TestDatabase) {
    let store = empty(&db).await;
    let made = token(9);
    store
        .create_service_account_token(FIRST, &made, None)
        .await
        .unwrap();
    // A second token of the account that exists by now.
    store
        .create_service_account_token(FIRST, &token(10), None)
        .await
        .unwrap();

    let record = TokenRecord {
        account: made.account,
        expire_time: made.expire_time,
    };
    let known = store.freshness(Some(made.id)).await.unwrap();
    assert_eq!(
        known,
        Freshness {
            revision: FIRST,
            token: Some(record)
        }
    );
    let unknown = store
        .freshness(Some(TokenId(Uuid::from_u128(11))))
        .await
        .unwrap();
    assert_eq!(
        unknown,
        Freshness {
            revision: FIRST,
            token: None
        }
    );
}

fn grantee(person: &str) -> Grantee {
    Grantee {
        person: person.parse().unwrap(),
        groups: vec!["group:data".parse().unwrap(), "group:ops".parse().unwrap()],
        token_id: Some("some id".to_owned()),
    }
}

fn bound(rollback: u128, target: i64) -> Bound {
    let rollback = Uuid::from_u128(rollback);
    Bound {
        rollback: format!("workspaces/w/deployments/d/rollbacks/{rollback}")
            .parse::<RollbackName>()
            .unwrap(),
        deployment_uid: Uuid::from_u128(77),
        target_deploy: DeployNumber::new(target).unwrap(),
        expected_latest_deploy: DeployNumber::new(9).unwrap(),
        scope: Scope::Dags,
        permissions: PermissionSet::of(&[Permission::DeploymentDagsPush]),
        revision_digest: "ab".repeat(32),
        plan_digest: "cd".repeat(32),
    }
}

async fn a_grant_is_kept_as_it_was_first_given(db: TestDatabase) {
    let store = empty(&db).await;
    let wanted = bound(1, 3);
    assert_eq!(store.grant(wanted.rollback.id()).await.unwrap(), None);
    let StoredGrant { grant, expired } = store
        .keep_grant(&grantee("user:ann"), &wanted)
        .await
        .unwrap();
    assert!(!expired);
    assert!(grant.is_for(&grantee("user:ann"), &wanted));
    let now = db
        .database
        .read()
        .await
        .unwrap()
        .database_time()
        .await
        .unwrap();
    let left = grant.expire_time - now;
    assert!(
        left > TimeDelta::seconds(50) && left <= TimeDelta::seconds(60),
        "{left}"
    );

    let other = store
        .keep_grant(&grantee("user:bob"), &bound(1, 4))
        .await
        .unwrap();
    assert_eq!(
        other,
        StoredGrant {
            grant: grant.clone(),
            expired: false
        }
    );
    assert!(!other.grant.is_for(&grantee("user:bob"), &wanted));
    assert!(!other.grant.is_for(&grantee("user:ann"), &bound(1, 4)));
    let found = store.grant(wanted.rollback.id()).await.unwrap();
    assert_eq!(
        found,
        Some(StoredGrant {
            grant,
            expired: false
        })
    );
}

async fn racing_callers_get_one_grant(db: TestDatabase) {
    let store = empty(&db).await;
    let mut racers = JoinSet::new();
    for racer in 0..16 {
        let store = store.clone();
        racers.spawn(async move {
            let person = grantee(&format!("user:{racer}"));
            store.keep_grant(&person, &bound(1, 3)).await.unwrap().grant
        });
    }
    let grants = racers.join_all().await;
    let first = grants.first().unwrap();
    assert!(grants.iter().all(|grant| grant == first));
}

async fn a_grant_ends_by_the_databases_clock_and_is_forgotten_a_week_later(db: TestDatabase) {
    let store = empty(&db).await;
    let wanted = bound(1, 3);
    let id = wanted.rollback.id();
    let StoredGrant { grant, expired: _ } = store
        .keep_grant(&grantee("user:ann"), &wanted)
        .await
        .unwrap();
    store
        .keep_grant(&grantee("user:ann"), &bound(2, 3))
        .await
        .unwrap();
    let now = db
        .database
        .read()
        .await
        .unwrap()
        .database_time()
        .await
        .unwrap();

    for (age, kept) in [
        (TimeDelta::seconds(1), true),
        (TimeDelta::days(6), true),
        (TimeDelta::days(8), false),
    ] {
        let expire_time = now - age;
        let moved: Result<u64, Error> = transaction!(db.database, |tx| {
            let sql = "UPDATE grants SET expire_time = $1 WHERE rollback_id = $2";
            Ok(tx.execute(sql, args![expire_time, id.get()]).await?)
        });
        assert_eq!(moved.unwrap(), 1);
        let grant = RollbackGrant {
            expire_time,
            ..grant.clone()
        };
        let found = store.grant(id).await.unwrap();
        assert_eq!(
            found,
            Some(StoredGrant {
                grant,
                expired: true
            })
        );
        assert_eq!(store.forget_old_grants().await.unwrap(), u64::from(!kept));
        assert_eq!(store.grant(id).await.unwrap().is_some(), kept);
    }
    assert!(
        store
            .grant(bound(2, 3).rollback.id())
            .await
            .unwrap()
            .is_some()
    );
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    an_empty_database_gets_its_administrator_once,
    replicas_that_start_together_make_one_administrator,
    racing_creators_make_one_binding_and_move_the_policy_once,
    racing_changes_each_move_the_policy_by_one,
    only_what_changes_the_policy_moves_it,
    what_was_decided_at_an_older_policy_is_not_written,
    a_repeated_request_gets_its_first_answer,
    a_request_id_cannot_be_used_for_something_else,
    a_failed_request_can_be_repeated_with_its_id,
    the_last_administrator_stays,
    of_two_who_delete_each_other_one_stays,
    bindings_are_listed_by_name_while_others_arrive,
    a_binding_and_a_role_come_back_as_they_were,
    rows_that_cannot_be_read_do_not_hide_the_others,
    a_token_is_known_by_its_id,
    a_grant_is_kept_as_it_was_first_given,
    racing_callers_get_one_grant,
    a_grant_ends_by_the_databases_clock_and_is_forgotten_a_week_later,
);
