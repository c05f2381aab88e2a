use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{FIRST, author, empty, now, revision, token};
use crate::domain::limits::Limit;
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::Author;
use crate::domain::tokens::{Revocation, ServiceAccountToken, TokenId, TokenName, TokenRecord};
use crate::store::{Accounts, Changed, Error, Freshness};

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
        account: made.name.account,
        expire_time: made.expire_time,
        revoked: false,
    };
    let known = store.freshness(Some(made.name.id)).await.unwrap();
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

async fn a_revoked_token_is_part_of_the_policy_until_it_has_expired(db: TestDatabase) {
    let store = empty(&db).await;
    let revoked = token(9);
    for made in [&revoked, &token(10)] {
        store
            .create_service_account_token(FIRST, made, None)
            .await
            .unwrap();
    }
    store
        .revoke_service_account_token(FIRST, &revoked.name, &author())
        .await
        .unwrap();

    let id = revoked.name.id;
    let record = store.freshness(Some(id)).await.unwrap().token;
    assert!(record.unwrap().revoked);
    let before = revoked.expire_time - TimeDelta::microseconds(1);
    assert_eq!(store.policy(before).await.unwrap().revoked, [id]);
    let rows = store.policy(revoked.expire_time).await.unwrap();
    assert_eq!(rows.revoked, []);
}

async fn a_token_is_revoked_once_and_stays_as_it_was_then(db: TestDatabase) {
    let store = empty(&db).await;
    let made = token(9);
    store
        .create_service_account_token(FIRST, &made, None)
        .await
        .unwrap();
    let author = author();
    let revoke = async |decided_at, name: &TokenName, author: &Author| {
        store
            .revoke_service_account_token(decided_at, name, author)
            .await
    };
    let moved = revoke(PolicyRevision(7), &made.name, &author).await;
    assert!(matches!(moved, Err(Error::PolicyMoved)), "{moved:?}");

    let revoked = ServiceAccountToken {
        revocation: Some(Revocation {
            time: author.time,
            by: author.principal.clone(),
            reason: author.reason.clone(),
        }),
        ..made.clone()
    };
    let second = PolicyRevision(2);
    let first = revoke(FIRST, &made.name, &author).await.unwrap();
    let changed = Changed {
        value: revoked.clone(),
        revision: second,
        made: true,
    };
    assert_eq!(first, changed);
    let later = Author {
        principal: "user:eve".parse().unwrap(),
        time: author.time + TimeDelta::days(1),
        reason: "something else".to_owned(),
        managed_by: None,
    };
    // Decided at whatever policy: it changes nothing.
    for decided_at in [FIRST, second] {
        let again = revoke(decided_at, &made.name, &later).await.unwrap();
        let unchanged = Changed {
            made: false,
            ..changed.clone()
        };
        assert_eq!(again, unchanged);
    }
    assert_eq!(revision(&store).await, second);
    let listed = store
        .service_account_tokens(&Accounts::One(made.name.account.clone()), None, None, 10)
        .await;
    assert_eq!(listed.unwrap(), [revoked]);

    let strangers = TokenName {
        account: "workspaces/v/serviceAccounts/ci".parse().unwrap(),
        id: made.name.id,
    };
    for unknown in [&strangers, &token(11).name] {
        let none = revoke(second, unknown, &author).await;
        assert!(matches!(none, Err(Error::NoSuchToken(name)) if name == *unknown));
    }
    assert_eq!(revision(&store).await, second);
}

async fn of_many_who_revoke_a_token_one_moves_the_policy(db: TestDatabase) {
    let store = empty(&db).await;
    let made = token(9);
    store
        .create_service_account_token(FIRST, &made, None)
        .await
        .unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let (store, name) = (store.clone(), made.name.clone());
        let author = Author {
            principal: format!("user:u{racer}").parse().unwrap(),
            ..author()
        };
        racers.spawn(async move {
            loop {
                let decided_at = revision(&store).await;
                match store
                    .revoke_service_account_token(decided_at, &name, &author)
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
    for other in &changed {
        assert_eq!(other.value, changed[0].value);
        assert_eq!(other.revision, PolicyRevision(2));
    }
    assert_eq!(revision(&store).await, PolicyRevision(2));
}

async fn tokens_are_listed_by_account_and_id(db: TestDatabase) {
    let store = empty(&db).await;
    // Names that sort around the slash and the digits, and the neighbours of the workspace.
    let accounts = [
        "workspaces/w/serviceAccounts/a",
        "workspaces/w/serviceAccounts/a-b",
        "workspaces/w/serviceAccounts/a0",
        "workspaces/w/serviceAccounts/z",
        "workspaces/w/deployments/d/serviceAccounts/a",
        "workspaces/w0/serviceAccounts/a",
        "workspaces/v/serviceAccounts/a",
    ];
    let mut id = 0;
    for account in accounts {
        for _ in 0..3 {
            id += 1;
            let mut made = token(id);
            made.name.account = account.parse().unwrap();
            store
                .create_service_account_token(FIRST, &made, None)
                .await
                .unwrap();
        }
    }
    let of = |accounts: &[&str]| {
        let names = accounts.iter().map(|account| account.to_string());
        names
            .flat_map(|name| [name.clone(), name.clone(), name])
            .collect::<Vec<_>>()
    };
    let workspace = Accounts::Of("workspaces/w".parse().unwrap());
    let deployment = Accounts::Of("workspaces/w/deployments/d".parse().unwrap());
    let one = Accounts::One("workspaces/w/serviceAccounts/a".parse().unwrap());
    for (asked, expected) in [
        (workspace, of(&accounts[..4])),
        (deployment, of(&accounts[4..5])),
        (one.clone(), of(&accounts[..1])),
        (Accounts::Of("workspaces/x".parse().unwrap()), Vec::new()),
    ] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store
                .service_account_tokens(&asked, None, after.as_ref(), 2)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            found.extend(page);
        }
        let names = found.iter().map(|token| token.name.account.to_string());
        assert_eq!(names.collect::<Vec<_>>(), expected, "{asked:?}");
        assert!(found.is_sorted_by_key(|token| (token.name.account.clone(), token.name.id)));
    }
    // A position outside of what is asked for leads to nothing else.
    let elsewhere = TokenName {
        account: "workspaces/v/serviceAccounts/a".parse().unwrap(),
        id: TokenId(Uuid::nil()),
    };
    let page = store
        .service_account_tokens(&one, None, Some(&elsewhere), 10)
        .await
        .unwrap();
    assert_eq!(page.len(), 3);
}

async fn only_tokens_that_count_are_active(db: TestDatabase) {
    let store = empty(&db).await;
    let account = token(1).name.account;
    for id in 1..=3 {
        let mut made = token(id);
        made.expire_time = now() + TimeDelta::days(i64::try_from(id).unwrap());
        store
            .create_service_account_token(FIRST, &made, None)
            .await
            .unwrap();
    }
    store
        .revoke_service_account_token(FIRST, &token(2).name, &author())
        .await
        .unwrap();
    let listed = async |active_at| {
        let tokens = store
            .service_account_tokens(&Accounts::One(account.clone()), active_at, None, 10)
            .await
            .unwrap();
        tokens
            .iter()
            .map(|token| token.name.id.0.as_u128())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, [1, 2, 3]);
    assert_eq!(listed(Some(now())).await, [1, 3]);
    assert_eq!(listed(Some(now() + TimeDelta::days(1))).await, [3]);
    assert!(listed(Some(now() + TimeDelta::days(3))).await.is_empty());
}

async fn an_account_has_a_bounded_number_of_tokens_that_count(db: TestDatabase) {
    let store = empty(&db).await;
    let mut expired = token(1);
    expired.expire_time = now();
    let others = (2..=101).map(token);
    for made in std::iter::once(expired).chain(others) {
        store
            .create_service_account_token(FIRST, &made, None)
            .await
            .unwrap();
    }
    let full = store
        .create_service_account_token(FIRST, &token(102), None)
        .await;
    let limit = Limit::ActiveTokens(token(102).name.account);
    assert!(
        matches!(&full, Err(Error::LimitExceeded(reached)) if *reached == limit),
        "{full:?}"
    );
    let mut neighbour = token(103);
    neighbour.name.account = "workspaces/w/serviceAccounts/cd".parse().unwrap();
    store
        .create_service_account_token(FIRST, &neighbour, None)
        .await
        .unwrap();
    let revoked = store
        .revoke_service_account_token(FIRST, &token(2).name, &author())
        .await
        .unwrap();
    store
        .create_service_account_token(revoked.revision, &token(102), None)
        .await
        .unwrap();
}

async fn the_last_use_of_a_token_only_moves_forward(db: TestDatabase) {
    let store = empty(&db).await;
    let made = token(9);
    store
        .create_service_account_token(FIRST, &made, None)
        .await
        .unwrap();
    let unknown = TokenId(Uuid::from_u128(10));
    let at = |seconds| now() + TimeDelta::seconds(seconds);
    for (used, expected) in [(5, 5), (3, 5), (5, 5), (8, 8)] {
        store
            .remember_uses(&[(made.name.id, at(used)), (unknown, at(used))])
            .await
            .unwrap();
        let account = Accounts::One(made.name.account.clone());
        let listed = store.service_account_tokens(&account, None, None, 10).await;
        let expected = ServiceAccountToken {
            last_use_time: Some(at(expected)),
            ..made.clone()
        };
        assert_eq!(listed.unwrap(), [expected]);
    }
    assert_eq!(revision(&store).await, FIRST);
}

async fn tokens_are_forgotten_ninety_days_after_they_expired(db: TestDatabase) {
    let store = empty(&db).await;
    let made = token(9);
    store
        .create_service_account_token(FIRST, &made, None)
        .await
        .unwrap();
    let days = made.expire_time + TimeDelta::days(90);
    assert_eq!(store.forget_old_tokens(days).await.unwrap(), 0);
    let later = days + TimeDelta::microseconds(1);
    assert_eq!(store.forget_old_tokens(later).await.unwrap(), 1);
    assert_eq!(
        store.freshness(Some(made.name.id)).await.unwrap().token,
        None
    );
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_token_is_known_by_its_id,
    a_revoked_token_is_part_of_the_policy_until_it_has_expired,
    a_token_is_revoked_once_and_stays_as_it_was_then,
    of_many_who_revoke_a_token_one_moves_the_policy,
    tokens_are_listed_by_account_and_id,
    only_tokens_that_count_are_active,
    an_account_has_a_bounded_number_of_tokens_that_count,
    the_last_use_of_a_token_only_moves_forward,
    tokens_are_forgotten_ninety_days_after_they_expired,
);
