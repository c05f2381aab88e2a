//! The key that signs permits and tokens of service accounts changes while the services run.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use prost_types::Timestamp;
use proto::authorization::v1::{
    CreateServiceAccountTokenRequest, GetSigningKeysRequest, ServiceAccountToken,
};
use proto::common::v1::RollbackScope;
use serde_json::Value;
use tonic::Code;

use crate::harness::orders::{WORKSPACE, rollback_to};
use crate::harness::process::reprise;
use crate::harness::refusal::done;
use crate::harness::{Orders, Person, Setup, Stack, until};
use crate::service_tokens::call_each_service;

#[tokio::test]
async fn a_new_signing_key_takes_over_and_an_old_one_is_taken_out_without_a_restart() {
    let orders = Orders::with_history(Setup::sqlite()).await;
    let stack = &orders.stack;
    let [old_kid] = signing_keys(&orders.admin).await.try_into().unwrap();
    let by_old_key = account(&orders, "old").await;
    assert_eq!(kid(&by_old_key), old_kid);

    let rotated = reprise()
        .args(["rotate-signing-key", "--starts-in", "15", "--keys"])
        .arg(stack.keyring.folder())
        .output()
        .unwrap();
    let told = String::from_utf8(rotated.stdout).unwrap();
    assert!(
        rotated.status.success() && told.contains("trust.json"),
        "{told}"
    );

    let new_kid = until("the new key to sign", async || {
        let keys = signing_keys(&orders.admin).await;
        let (first, others) = keys.split_first().unwrap();
        (*first != old_kid).then(|| {
            assert_eq!(others, std::slice::from_ref(&old_kid));
            first.clone()
        })
    })
    .await;
    assert!(told.contains(&new_kid), "{told}");
    let by_new_key = account(&orders, "new").await;
    assert_eq!(kid(&by_new_key), new_kid);
    until("all services to trust the new key", async || {
        all_know(&by_new_key).await.then_some(())
    })
    .await;
    assert!(all_know(&by_old_key).await, "it stays trusted");
    // By a permit of the new key.
    let rollback = rollback_to(3, RollbackScope::All);
    orders.dana.roll_back(rollback).await;

    take_out(stack, &old_kid);
    until("the old key to be trusted no more", async || {
        let refusals = call_each_service(&by_old_key).await;
        let refused = refusals.iter().all(|r| r.code == Code::Unauthenticated);
        refused.then_some(())
    })
    .await;
    assert!(all_know(&by_new_key).await);
}

async fn all_know(person: &Person) -> bool {
    let refusals = call_each_service(person).await;
    refusals.iter().all(|r| r.code != Code::Unauthenticated)
}

/// The ids of the keys that are published, in their order.
async fn signing_keys(person: &Person) -> Vec<String> {
    let request = GetSigningKeysRequest {};
    let keys = done(person.authorization().get_signing_keys(request).await).keys;
    keys.into_iter().map(|key| key.kid).collect()
}

/// A new service account, with its first token.
async fn account(orders: &Orders, id: &str) -> Person {
    let expire_time = orders.stack.environment.now() + TimeDelta::days(1);
    let request = CreateServiceAccountTokenRequest {
        parent: format!("{WORKSPACE}/serviceAccounts/{id}"),
        service_account_token: Some(ServiceAccountToken {
            expire_time: Some(Timestamp {
                seconds: expire_time.timestamp(),
                nanos: 0,
            }),
            ..ServiceAccountToken::default()
        }),
        ..CreateServiceAccountTokenRequest::default()
    };
    let mut authorization = orders.admin.authorization();
    let created = authorization.create_service_account_token(request).await;
    orders.stack.somebody(&done(created).token)
}

/// The key that a token says it was signed with.
fn kid(person: &Person) -> String {
    let header = person.token.split('.').next().unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Takes a key out of the trust file, as an operator with an editor does.
fn take_out(stack: &Stack, kid: &str) {
    let path = stack.keyring.folder().join("trust.json");
    let mut trust: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let without = |keys: &mut Value| {
        if let Some(keys) = keys.as_array_mut() {
            keys.retain(|key| key["kid"] != kid);
        }
    };
    without(&mut trust["permit_keys"]);
    for issuer in trust["issuers"].as_array_mut().unwrap() {
        without(&mut issuer["keys"]);
    }
    std::fs::write(&path, trust.to_string()).unwrap();
}
