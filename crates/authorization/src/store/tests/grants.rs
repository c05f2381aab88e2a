use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use chrono::TimeDelta;
use model::deploys::Scope;
use model::names::{DeployNumber, RollbackName};
use model::permissions::{Permission, PermissionSet};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::empty;
use crate::domain::rollback_grant::{Bound, Grantee, RollbackGrant};
use crate::store::{Error, StoredGrant};

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
        hold: false,
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

async fn a_grant_keeps_whether_there_is_a_hold_and_one_of_before_has_none(db: TestDatabase) {
    let store = empty(&db).await;
    for hold in [false, true] {
        let wanted = Bound {
            hold,
            ..bound(u128::from(hold), 3)
        };
        store
            .keep_grant(&grantee("user:ann"), &wanted)
            .await
            .unwrap();
        let found = store.grant(wanted.rollback.id()).await.unwrap().unwrap();
        assert_eq!(found.grant.bound, wanted);
    }

    // As it was written before there were holds.
    let old = serde_json::json!({
        "version": 1,
        "rollback": bound(1, 3).rollback.to_string(),
        "deployment_uid": Uuid::from_u128(77),
        "target_deploy": 3,
        "expected_latest_deploy": 9,
        "scope": "DAGS",
        "permissions": ["deployment.dags.push"],
        "revision_digest": "ab".repeat(32),
        "plan_digest": "cd".repeat(32),
    });
    let id = bound(1, 3).rollback.id();
    let changed: Result<u64, Error> = transaction!(db.database, |tx| {
        let sql = "UPDATE grants SET bound = $1 WHERE rollback_id = $2";
        Ok(tx.execute(sql, args![old.to_string(), id.get()]).await?)
    });
    assert_eq!(changed.unwrap(), 1);
    let found = store.grant(id).await.unwrap().unwrap();
    assert_eq!(found.grant.bound, bound(1, 3));
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
    a_grant_is_kept_as_it_was_first_given,
    a_grant_keeps_whether_there_is_a_hold_and_one_of_before_has_none,
    racing_callers_get_one_grant,
    a_grant_ends_by_the_databases_clock_and_is_forgotten_a_week_later,
);
