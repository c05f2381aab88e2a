use chassis::problem::Problem;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use model::names::{ResourceName, RoleBindingId, RoleBindingName};
use model::permissions::{Permission, PermissionSet};
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::domain::policy::RoleBinding;
use crate::domain::policy_change::Author;
use crate::domain::subject::Subject;
use crate::domain::tokens::{ServiceAccountToken, TokenId, TokenName};

const DEADLINE: Duration = Duration::from_secs(20);

async fn store(db: &TestDatabase) -> Store {
    let store = Store::new(db.database.clone());
    let binding = RoleBindingId::new(Uuid::from_u128(1));
    store
        .bootstrap(&"admin".parse().unwrap(), binding, DateTime::UNIX_EPOCH)
        .await
        .unwrap();
    store
}

/// Binds DEPLOYMENT_EDITOR on a workspace.
fn binding(id: u128, principal: &str) -> RoleBinding {
    RoleBinding {
        name: RoleBindingName::new(
            "workspaces/w".parse().unwrap(),
            RoleBindingId::new(Uuid::from_u128(id)),
        ),
        principal: principal.parse().unwrap(),
        role: "roles/DEPLOYMENT_EDITOR".parse().unwrap(),
        created_by: "user:admin".parse().unwrap(),
        create_time: DateTime::UNIX_EPOCH,
        expire_time: None,
        managed_by: None,
    }
}

fn author() -> Author {
    Author {
        principal: "user:admin".parse().unwrap(),
        time: DateTime::UNIX_EPOCH,
        reason: String::new(),
        managed_by: None,
    }
}

fn may_push(index: &Index, principal: &str) -> bool {
    let subject = Subject {
        principal: principal.parse().unwrap(),
        groups: Vec::new(),
        service_permissions: PermissionSet::EMPTY,
    };
    let deployment = "workspaces/w/deployments/d"
        .parse::<ResourceName>()
        .unwrap();
    index
        .held(&subject, &deployment, DateTime::UNIX_EPOCH)
        .contains(Permission::DeploymentDagsPush)
}

async fn a_revoke_on_one_replica_counts_on_the_other_at_once(db: TestDatabase) {
    let store = store(&db).await;
    let one = Policy::load(store.clone(), Environment::system())
        .await
        .unwrap();
    let other = Policy::load(store.clone(), Environment::system())
        .await
        .unwrap();

    for round in 0..5_u128 {
        let bound = binding(10 + round, "user:bob");
        let index = one.newest(&Credential::Unrecorded).await.unwrap();
        let changed = store
            .create_role_binding(index.revision(), &bound, &author(), None)
            .await
            .unwrap();
        one.reach(changed.revision).await.unwrap();
        assert!(may_push(
            &one.remembered(&Credential::Unrecorded).unwrap(),
            "user:bob"
        ));
        assert!(!may_push(
            &other.remembered(&Credential::Unrecorded).unwrap(),
            "user:bob"
        ));
        let index = other
            .at_least(changed.revision, &Credential::Unrecorded)
            .await
            .unwrap();
        assert!(may_push(&index, "user:bob"));

        let changed = store
            .delete_role_binding(changed.revision, &bound.name, &author(), None)
            .await
            .unwrap();
        one.reach(changed.revision).await.unwrap();
        assert!(!may_push(
            &one.remembered(&Credential::Unrecorded).unwrap(),
            "user:bob"
        ));
        let index = other.newest(&Credential::Unrecorded).await.unwrap();
        assert!(!may_push(&index, "user:bob"));
        assert_eq!(index.revision(), changed.revision);
    }
}

async fn a_replica_follows_the_others_by_itself(db: TestDatabase) {
    let store = store(&db).await;
    let policy = Arc::new(
        Policy::load(store.clone(), Environment::system())
            .await
            .unwrap(),
    );
    let (stopping, mut stopped) = watch::channel(());
    let follower = Arc::clone(&policy);
    let following = tokio::spawn(async move {
        let stop = async {
            let _ = stopped.changed().await;
        };
        follower.follow(stop).await;
    });

    let waiting = Arc::clone(&policy);
    let waiter = tokio::spawn(async move {
        waiting
            .at_least_within(PolicyRevision(2), DEADLINE)
            .await
            .map(|index| index.revision())
    });
    store
        .create_role_binding(PolicyRevision(1), &binding(2, "user:bob"), &author(), None)
        .await
        .unwrap();
    assert_eq!(waiter.await.unwrap().unwrap(), PolicyRevision(2));
    assert!(may_push(
        &policy.remembered(&Credential::Unrecorded).unwrap(),
        "user:bob"
    ));

    drop(stopping);
    tokio::time::timeout(DEADLINE, following)
        .await
        .unwrap()
        .unwrap();
}

async fn a_policy_that_never_comes_is_an_outage(db: TestDatabase) {
    let policy = Policy::load(store(&db).await, Environment::system())
        .await
        .unwrap();
    let error = policy
        .at_least_within(PolicyRevision(9), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotReached { .. }), "{error}");
    assert_eq!(Problem::from(error).code(), Code::Unavailable);
}

async fn many_who_wait_for_one_policy_build_it_once(db: TestDatabase) {
    let store = store(&db).await;
    let policy = Arc::new(
        Policy::load(store.clone(), Environment::system())
            .await
            .unwrap(),
    );
    let mut replaced = policy.replaced.subscribe();
    store
        .create_role_binding(PolicyRevision(1), &binding(2, "user:bob"), &author(), None)
        .await
        .unwrap();

    let building = policy.building.lock().await;
    let callers = (0..16).map(|_| {
        let policy = Arc::clone(&policy);
        tokio::spawn(async move { policy.newest(&Credential::Unrecorded).await.unwrap() })
    });
    let callers = callers.collect::<Vec<_>>();
    drop(building);
    let mut indexes = Vec::new();
    for caller in callers {
        indexes.push(caller.await.unwrap());
    }
    assert!(indexes.iter().all(|index| Arc::ptr_eq(index, &indexes[0])));
    assert!(may_push(&indexes[0], "user:bob"));
    replaced.changed().await.unwrap();
    assert!(!replaced.has_changed().unwrap());
}

async fn a_database_that_went_back_takes_the_policy_back(db: TestDatabase) {
    let store = store(&db).await;
    let policy = Policy::load(store.clone(), Environment::system())
        .await
        .unwrap();
    let bound = binding(2, "user:bob");
    store
        .create_role_binding(PolicyRevision(1), &bound, &author(), None)
        .await
        .unwrap();
    let index = policy.newest(&Credential::Unrecorded).await.unwrap();
    assert!(may_push(&index, "user:bob"));

    // As a restored backup would have it.
    let restored: Result<(), store::Error> = chassis::transaction!(db.database, |tx| {
        tx.execute(
            "DELETE FROM role_bindings WHERE id = $1",
            chassis::args![bound.name.id().get()],
        )
        .await?;
        tx.execute("UPDATE policy SET revision = 1", chassis::args![])
            .await?;
        Ok(())
    });
    restored.unwrap();
    let index = policy.newest(&Credential::Unrecorded).await.unwrap();
    assert_eq!(index.revision(), PolicyRevision(1));
    assert!(!may_push(&index, "user:bob"));
}

async fn a_service_accounts_token_must_be_known(db: TestDatabase) {
    let store = store(&db).await;
    let policy = Policy::load(store.clone(), Environment::system())
        .await
        .unwrap();
    let expire_time = DateTime::from_timestamp(2_000, 0).unwrap();
    let token = token(expire_time);
    store
        .create_service_account_token(PolicyRevision(1), &token, None)
        .await
        .unwrap();
    let credential = |id, account: &str, at| Credential::Recorded {
        account: account.parse().unwrap(),
        id: TokenId(Uuid::from_u128(id)),
        at,
    };
    let ci = "workspaces/w/serviceAccounts/ci";
    let before = Some(expire_time - TimeDelta::seconds(1));
    assert!(policy.newest(&credential(5, ci, before)).await.is_ok());
    assert!(policy.newest(&credential(5, ci, None)).await.is_ok());
    for refused in [
        credential(6, ci, before),
        credential(5, "workspaces/w/serviceAccounts/cd", before),
        credential(5, ci, Some(expire_time)),
    ] {
        let error = policy.newest(&refused).await.unwrap_err();
        assert!(matches!(error, Error::TokenRefused), "{refused:?}: {error}");
        assert_eq!(Problem::from(error).code(), Code::Unauthenticated);
    }
}

fn token(expire_time: DateTime<Utc>) -> ServiceAccountToken {
    ServiceAccountToken {
        name: TokenName {
            account: "workspaces/w/serviceAccounts/ci".parse().unwrap(),
            id: TokenId(Uuid::from_u128(5)),
        },
        description: String::new(),
        expire_time,
        created_by: "user:admin".parse().unwrap(),
        create_time: DateTime::UNIX_EPOCH,
        last_use_time: None,
        revocation: None,
    }
}

async fn a_revoked_token_is_refused_however_fresh_the_answer(db: TestDatabase) {
    let store = store(&db).await;
    let (one, other) = (
        Policy::load(store.clone(), Environment::system())
            .await
            .unwrap(),
        Policy::load(store.clone(), Environment::system())
            .await
            .unwrap(),
    );
    let token = token(Environment::system().now() + TimeDelta::days(1));
    store
        .create_service_account_token(PolicyRevision(1), &token, None)
        .await
        .unwrap();
    let credential = Credential::Recorded {
        account: token.name.account.clone(),
        id: token.name.id,
        at: None,
    };
    let first = PolicyRevision(1);
    assert!(other.newest(&credential).await.is_ok());
    assert!(other.remembered(&credential).is_ok());
    assert!(other.at_least(first, &credential).await.is_ok());

    let revoked: Result<(), store::Error> = chassis::transaction!(db.database, |tx| {
        tx.execute(
            "UPDATE service_account_tokens SET revoke_time = 1 WHERE id = $1",
            chassis::args![token.name.id.0],
        )
        .await?;
        tx.execute("UPDATE policy SET revision = 2", chassis::args![])
            .await?;
        Ok(())
    });
    revoked.unwrap();
    let second = PolicyRevision(2);
    one.reach(second).await.unwrap();
    for refused in [
        one.remembered(&credential),
        one.at_least(first, &credential).await,
        other.newest(&credential).await,
        other.at_least(second, &credential).await,
        other.remembered(&credential),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::TokenRefused), "{error}");
        assert_eq!(Problem::from(error).code(), Code::Unauthenticated);
    }
    assert!(one.remembered(&Credential::Unrecorded).is_ok());
}

async fn without_its_database_nothing_but_memory_answers(db: TestDatabase) {
    let store = store(&db).await;
    let policy = Policy::load(store, Environment::system()).await.unwrap();
    db.database.close().await;
    assert!(policy.remembered(&Credential::Unrecorded).is_ok());
    let problem = Problem::from(policy.newest(&Credential::Unrecorded).await.unwrap_err());
    assert_eq!(problem.code(), Code::Unavailable);
    let problem = Problem::from(
        policy
            .at_least(PolicyRevision(2), &Credential::Unrecorded)
            .await
            .unwrap_err(),
    );
    assert_eq!(problem.code(), Code::Unavailable);
}

async fn memory_that_nobody_has_confirmed_for_five_seconds_is_no_answer(db: TestDatabase) {
    let policy = Policy::load(store(&db).await, Environment::system())
        .await
        .unwrap();
    let confirmed = |ago| {
        policy.known.write().unwrap().confirmed_at = Instant::now().checked_sub(ago).unwrap();
    };
    confirmed(MOST_BEHIND - Duration::from_secs(1));
    assert!(policy.remembered(&Credential::Unrecorded).is_ok());
    confirmed(MOST_BEHIND + Duration::from_secs(1));
    let problem = Problem::from(policy.remembered(&Credential::Unrecorded).unwrap_err());
    assert_eq!(problem.code(), Code::Unavailable);

    policy.newest(&Credential::Unrecorded).await.unwrap();
    assert!(policy.remembered(&Credential::Unrecorded).is_ok());
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_revoke_on_one_replica_counts_on_the_other_at_once,
    a_replica_follows_the_others_by_itself,
    a_policy_that_never_comes_is_an_outage,
    many_who_wait_for_one_policy_build_it_once,
    a_database_that_went_back_takes_the_policy_back,
    a_service_accounts_token_must_be_known,
    a_revoked_token_is_refused_however_fresh_the_answer,
    without_its_database_nothing_but_memory_answers,
    memory_that_nobody_has_confirmed_for_five_seconds_is_no_answer,
);
