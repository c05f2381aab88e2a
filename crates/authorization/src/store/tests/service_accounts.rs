use chassis::testing::TestDatabase;
use uuid::Uuid;

use super::{FIRST, empty, token};
use crate::domain::tokens::{TokenId, TokenRecord};
use crate::store::Freshness;

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

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_token_is_known_by_its_id,
);
