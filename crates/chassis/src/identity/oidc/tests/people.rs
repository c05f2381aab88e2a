//! Who a token of an identity provider makes of whoever brings it.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Key, OidcTokenError, Provider, RSA_2048, settings};
use crate::identity::tests::{World, with};
use crate::identity::trust;

#[tokio::test]
async fn a_person_and_the_groups_stand_under_the_prefixes() {
    let key = Key::es256("k");
    let provider = Provider::with_settings(&[&key], |settings| {
        settings.subject_claim = "preferred_username".to_owned();
        settings.groups_claim = Some("https://example.com/teams".to_owned());
        settings.group_prefix = Some("okta-team:".to_owned());
    })
    .await;
    let claims = with(provider.claims(), "preferred_username", json!("al"));
    let claims = with(claims, "https://example.com/teams", json!(["data", "ops"]));
    let claims = with(claims, "jti", json!("t-1"));
    let caller = provider.identify(&key.token(&claims)).await.unwrap();
    assert_eq!(caller.principal().to_string(), "user:okta:al");
    let groups: Vec<_> = caller.groups().iter().map(ToString::to_string).collect();
    assert_eq!(groups, ["group:okta-team:data", "group:okta-team:ops"]);
    assert_eq!(caller.issuer(), provider.settings.issuer);
    assert_eq!(caller.token_id(), Some("t-1"));
    assert!(caller.service_permissions().is_empty());
    let lifetime = caller.expire_time() - provider.clock.now();
    assert_eq!(lifetime, TimeDelta::hours(1));
}

#[tokio::test]
async fn whatever_a_provider_claims_it_names_people_of_its_own() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    for subject in [
        "service:rollback-orchestrator",
        "service-account:workspaces/w/serviceAccounts/ci",
        "workspaces/w/serviceAccounts/ci",
        "user:admin",
        "group:admins",
        "google:alice",
        "okta:alice",
        "admin",
    ] {
        let claims = with(provider.claims(), "sub", json!(subject));
        let claims = with(claims, "groups", json!([subject]));
        // Claims of ours mean nothing here.
        let claims = with(claims, "principal", json!("service:authorization"));
        let caller = provider.identify(&key.token(&claims)).await.unwrap();
        assert_eq!(
            caller.principal().to_string(),
            format!("user:okta:{subject}")
        );
        let groups: Vec<_> = caller.groups().iter().map(ToString::to_string).collect();
        assert_eq!(groups, [format!("group:okta:{subject}")]);
        assert!(caller.service_permissions().is_empty());
    }
}

#[tokio::test]
async fn two_providers_with_the_same_subject_are_two_people() {
    let (key_a, key_b) = (Key::es256("k"), Key::es256("k"));
    let a = Provider::with(&[&key_a]).await;
    let b = Provider::with_settings(&[&key_b], |settings| {
        settings.subject_prefix = "google:".to_owned();
    })
    .await;
    let both = World::new()
        .trust()
        .with_oidc(a.settings.clone())
        .unwrap()
        .with_oidc(b.settings.clone())
        .unwrap();
    // The one that is known stays known; of the other the keys are never fetched here.
    a.identify(&key_a.token(&a.claims())).await.unwrap();
    assert!(a.verifier.trust(both));
    let alice = a.identify(&key_a.token(&a.claims())).await.unwrap();
    assert_eq!(alice.principal().to_string(), "user:okta:alice");

    let other = b.identify(&key_b.token(&b.claims())).await.unwrap();
    assert_eq!(other.principal().to_string(), "user:google:alice");
    // Neither signs for the other.
    assert!(
        a.refusal(&key_b.token(&a.claims()))
            .await
            .to_string()
            .contains("signature")
    );
    assert!(
        b.refusal(&key_a.token(&b.claims()))
            .await
            .to_string()
            .contains("signature")
    );
}

#[tokio::test]
async fn a_group_that_is_no_name_is_left_out() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let groups = async |claim: Value| {
        let claims = with(provider.claims(), "groups", claim);
        let caller = provider.identify(&key.token(&claims)).await.unwrap();
        let groups = caller.groups().iter().map(ToString::to_string);
        groups.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(groups(json!("data")).await, "group:okta:data");
    assert_eq!(
        groups(json!(["data", "two words", "", 7, null, ["x"], "ops"])).await,
        "group:okta:data group:okta:ops"
    );
    for nothing in [
        json!(7),
        json!({"data": true}),
        json!([]),
        json!(""),
        json!(true),
    ] {
        assert_eq!(groups(nothing).await, "");
    }
    let many: Vec<_> = (0..300).map(|index| format!("g{index}")).collect();
    assert_eq!(groups(json!(many)).await.split(' ').count(), 200);
}

#[tokio::test]
async fn groups_count_only_by_a_claim_that_is_named() {
    let key = Key::es256("k");
    let provider = Provider::with_settings(&[&key], |settings| settings.groups_claim = None).await;
    let claims = with(provider.claims(), "groups", json!(["admins"]));
    let caller = provider.identify(&key.token(&claims)).await.unwrap();
    assert!(caller.groups().is_empty());
}

#[tokio::test]
async fn an_address_that_is_not_verified_names_nobody() {
    let key = Key::es256("k");
    let provider = Provider::with_settings(&[&key], |settings| {
        settings.subject_claim = "email".to_owned();
    })
    .await;
    for verified in [json!(true), json!("true"), Value::Null] {
        let claims = with(provider.claims(), "email_verified", verified);
        let caller = provider.identify(&key.token(&claims)).await.unwrap();
        assert_eq!(
            caller.principal().to_string(),
            "user:okta:alice@example.com"
        );
    }
    for unverified in [json!(false), json!("false"), json!(0), json!("yes")] {
        let claims = with(provider.claims(), "email_verified", unverified);
        let error = provider.refusal(&key.token(&claims)).await;
        assert!(matches!(error, OidcTokenError::EmailUnverified), "{error}");
    }
    // It says nothing of other claims.
    let provider = Provider::with(&[&key]).await;
    let claims = with(provider.claims(), "email_verified", json!(false));
    assert!(provider.identify(&key.token(&claims)).await.is_ok());
}

#[tokio::test]
async fn every_algorithm_of_the_list_is_verified() {
    let keys = [
        Key::rsa("rs256", Algorithm::RS256, RSA_2048),
        Key::rsa("rs384", Algorithm::RS384, RSA_2048),
        Key::rsa("rs512", Algorithm::RS512, RSA_2048),
        Key::rsa("ps256", Algorithm::PS256, RSA_2048),
        Key::rsa("ps384", Algorithm::PS384, RSA_2048),
        Key::rsa("ps512", Algorithm::PS512, RSA_2048),
        Key::es256("es256"),
        Key::es384("es384"),
        Key::ed25519("eddsa"),
    ];
    let names = keys.iter().map(|key| key.header()["alg"].clone());
    let names = names.map(|name| trust::Algorithm::named(name.as_str().unwrap()).unwrap());
    let names: Vec<_> = names.collect();
    let published: Vec<_> = keys.iter().collect();
    let provider =
        Provider::with_settings(&published, |settings| settings.algorithms = names).await;
    for key in &keys {
        let caller = provider.identify(&key.token(&provider.claims())).await;
        assert_eq!(
            caller.unwrap().principal().to_string(),
            "user:okta:alice",
            "{:?}",
            key.algorithm
        );
    }
}

#[tokio::test]
async fn our_own_tokens_are_verified_as_before() {
    let world = World::new();
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let trust = world.trust().with_oidc(settings("https://id.example.com"));
    assert!(provider.verifier.trust(trust.unwrap()));
    let caller = provider
        .identify(&world.user_token(TimeDelta::hours(1)))
        .await
        .unwrap();
    assert_eq!(caller.principal().to_string(), "user:alice@example.com");
}
