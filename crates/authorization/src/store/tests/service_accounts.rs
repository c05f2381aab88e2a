use chassis::testing::TestDatabase;
use chassis::{args, transaction};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{FIRST, empty, token};
use crate::domain::tokens::{TokenId, TokenRecord};
use crate::store::{Error, Freshness};

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
        revoked: false,
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

async fn a_revoked_token_is_part_of_the_policy_until_it_has_expired(db: TestDatabase) {
    let store = empty(&db).await;
    let revoked = token(9);
    for made in [&revoked, &token(10)] {
        store
            .create_service_account_token(FIRST, made, None)
            .await
            .unwrap();
    }
    let written: Result<u64, Error> = transaction!(db.database, |tx| {
        let sql = "UPDATE service_account_tokens SET revoke_time = 1 WHERE id = $1";
        Ok(tx.execute(sql, args![revoked.id.0]).await?)
    });
    assert_eq!(written.unwrap(), 1);

    let record = store.freshness(Some(revoked.id)).await.unwrap().token;
    assert!(record.unwrap().revoked);
    let before = revoked.expire_time - TimeDelta::microseconds(1);
    assert_eq!(store.policy(before).await.unwrap().revoked, [revoked.id]);
    let rows = store.policy(revoked.expire_time).await.unwrap();
    assert_eq!(rows.revoked, []);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_token_is_known_by_its_id,
    a_revoked_token_is_part_of_the_policy_until_it_has_expired,
);
