//! When the keys of a provider are fetched, and what if they cannot be.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    Answer, DISCOVERY, FETCH_WITHIN, HttpServer, JWKS, Key, OidcClient, OidcTokenError, Provider,
    settings,
};
use crate::identity::tests::{World, with};
use crate::identity::trust::OidcIssuer;
use crate::identity::{FetchError, OidcClientError, TokenError};

#[tokio::test]
async fn a_new_key_of_the_provider_is_fetched_when_it_is_first_seen() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let provider = Provider::with(&[&old]).await;
    let token = old.token(&provider.claims());
    provider.identify(&token).await.unwrap();
    assert_eq!(provider.server.requests(JWKS), 1);

    provider.server.publish(&[&old, &new]);
    let token = new.token(&provider.claims());
    provider.identify(&token).await.unwrap();
    assert_eq!(provider.server.requests(JWKS), 2);
}

#[tokio::test]
async fn a_key_that_the_provider_has_removed_signs_no_more_but_for_the_cache() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let provider = Provider::with(&[&old]).await;
    let cached = old.token(&provider.claims());
    provider.identify(&cached).await.unwrap();

    provider.server.publish(&[&new]);
    provider
        .identify(&new.token(&provider.claims()))
        .await
        .unwrap();
    let another = with(provider.claims(), "jti", json!("another"));
    let error = provider.refusal(&old.token(&another)).await;
    assert!(
        matches!(error, OidcTokenError::UnknownKey { .. }),
        "{error}"
    );
    provider.clock.advance(TimeDelta::seconds(60));
    assert!(provider.identify(&cached).await.is_err());
}

#[tokio::test]
async fn a_storm_of_unknown_keys_is_one_fetch_and_costs_others_nothing() {
    let known = Key::es256("known");
    let provider = Provider::with(&[&known]).await;
    let good = known.token(&provider.claims());
    provider.identify(&good).await.unwrap();

    let storm = async |name: &str| {
        let tokens = (0..200).map(|index| {
            let header = json!({"alg": "ES256", "kid": format!("{name}-{index}")});
            known.sign(&header, &provider.claims())
        });
        let tokens: Vec<_> = tokens.collect();
        let refusals = join_all(tokens.iter().map(|token| provider.refusal(token))).await;
        for refusal in refusals {
            assert!(matches!(refusal, OidcTokenError::UnknownKey { .. }));
        }
    };
    for round in 0..3 {
        storm("first").await;
        storm("second").await;
        assert_eq!(provider.server.requests(JWKS), 2 + round);
        assert!(provider.verifier.verify(&good).is_ok());
        provider.rest();
    }

    // Also while the provider hangs: nobody else waits for it.
    provider.server.answer(JWKS, Answer::Hang);
    let header = json!({"alg": "ES256", "kid": "unknown"});
    let unknown = known.sign(&header, &provider.claims());
    let waiting = provider.identify(&unknown);
    let fresh = known.token(&provider.claims());
    tokio::select! {
        biased;
        outcome = waiting => panic!("did not wait: {outcome:?}"),
        outcome = provider.identify(&fresh) => { outcome.unwrap(); }
    }
}

#[tokio::test]
async fn calls_wait_for_the_first_fetch_and_not_for_ever() {
    let server = HttpServer::start().await;
    server.answer(DISCOVERY, Answer::Hang);
    let provider = Provider::at(server, |_| {});
    let key = Key::es256("k");
    let token = key.token(&provider.claims());
    let started = tokio::time::Instant::now();
    let error = provider.identify(&token).await.unwrap_err();
    assert!(
        matches!(error, TokenError::NoProviderKeys { .. }),
        "{error}"
    );
    assert!(started.elapsed() < 2 * FETCH_WITHIN, "waits once");
}

#[tokio::test]
async fn a_provider_that_comes_up_late_is_asked_again() {
    let server = HttpServer::start().await;
    let provider = Provider::at(server, |_| {});
    let key = Key::es256("k");
    let token = key.token(&provider.claims());
    let error = provider.identify(&token).await.unwrap_err();
    assert!(
        matches!(error, TokenError::NoProviderKeys { .. }),
        "{error}"
    );
    provider.server.publish(&[&key]);
    let accepted = async {
        while provider.identify(&token).await.is_err() {
            provider.rest();
        }
    };
    tokio::time::timeout(10 * FETCH_WITHIN, accepted)
        .await
        .unwrap();
}

#[tokio::test]
async fn keys_count_for_a_day_without_the_provider() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    provider
        .identify(&key.token(&provider.claims()))
        .await
        .unwrap();
    provider.server.answer(JWKS, Answer::Empty("500 Oh".into()));

    provider
        .clock
        .advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    let token = key.token(&provider.claims());
    provider.identify(&token).await.unwrap();

    provider.clock.advance(TimeDelta::minutes(1));
    let error = provider.identify(&key.token(&provider.claims())).await;
    assert!(matches!(error, Err(TokenError::NoProviderKeys { .. })));
}

#[tokio::test]
async fn a_fetch_that_fails_leaves_the_keys_as_they_are() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    provider
        .identify(&key.token(&provider.claims()))
        .await
        .unwrap();
    provider
        .server
        .answer(JWKS, Answer::Json(json!("nonsense")));
    let unknown = Key::es256("unknown");
    let error = provider.refusal(&unknown.token(&provider.claims())).await;
    assert!(
        matches!(error, OidcTokenError::UnknownKey { .. }),
        "{error}"
    );
    assert_eq!(provider.server.requests(JWKS), 2);
    let another = with(provider.claims(), "jti", json!("another"));
    provider.identify(&key.token(&another)).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_trusted_as_before_keeps_its_keys() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let token = key.token(&provider.claims());
    provider.identify(&token).await.unwrap();

    let world = World::new();
    let same = world.trust().with_oidc(provider.settings.clone()).unwrap();
    assert!(provider.verifier.trust(same));
    assert!(provider.verifier.verify(&token).is_ok());

    let changed = crate::identity::OidcSettings {
        audience: "another".to_owned(),
        ..provider.settings.clone()
    };
    let changed = world.trust().with_oidc(changed).unwrap();
    assert!(provider.verifier.trust(changed));
    assert!(provider.verifier.verify(&token).is_err());

    assert!(provider.verifier.trust(world.trust()));
    assert!(provider.verifier.providers().is_empty());
    assert!(provider.verifier.verify(&token).is_err());
}

async fn fetch(server: &HttpServer) -> Result<Vec<String>, FetchError> {
    let issuer = OidcIssuer::new(settings(&server.url(""))).unwrap();
    OidcClient::default().try_out(&issuer).await
}

#[tokio::test]
async fn a_document_that_does_not_fit_is_refused() {
    let server = HttpServer::start().await;
    let key = Key::es256("k");
    server.publish(&[&key]);
    assert_eq!(fetch(&server).await.unwrap(), ["k"]);

    let document = |issuer: &str, jwks_uri: &str| {
        Answer::Json(json!({"issuer": issuer, "jwks_uri": jwks_uri}))
    };
    let (issuer, jwks) = (server.url(""), server.url(JWKS));
    for other in ["https://id.example.com", &format!("{issuer}/"), ""] {
        server.answer(DISCOVERY, document(other, &jwks));
        let error = fetch(&server).await.unwrap_err();
        assert!(matches!(error, FetchError::Issuer { .. }), "{error}");
    }
    for address in ["http://id.example.com/keys", "file:///etc/passwd", "keys"] {
        server.answer(DISCOVERY, document(&issuer, address));
        let error = fetch(&server).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{error}");
    }
    for nonsense in [json!([]), Value::Null, json!({"issuer": issuer})] {
        server.answer(DISCOVERY, Answer::Json(nonsense));
        let error = fetch(&server).await.unwrap_err();
        assert!(matches!(error, FetchError::Json { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_leads_elsewhere_or_has_no_end_is_refused() {
    let server = HttpServer::start().await;
    let key = Key::es256("k");
    for page in [DISCOVERY, JWKS] {
        server.publish(&[&key]);
        server.answer("/elsewhere", Answer::Json(json!({"keys": [key.jwk]})));
        let redirect = format!("302 Found\r\nLocation: {}", server.url("/elsewhere"));
        server.answer(page, Answer::Empty(redirect));
        let error = fetch(&server).await.unwrap_err();
        assert!(matches!(error, FetchError::Status { .. }), "{error}");
        assert_eq!(server.requests("/elsewhere"), 0);

        let padding = "x".repeat(2 * 1024 * 1024);
        server.answer(page, Answer::Json(json!({"keys": [], "padding": padding})));
        let error = fetch(&server).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    }
    server.publish(&[&key]);
    server.answer(JWKS, Answer::Hang);
    let error = fetch(&server).await.unwrap_err();
    assert!(matches!(error, FetchError::TimedOut), "{error}");
}

#[test]
fn a_file_without_authorities_is_refused_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let load = || OidcClient::with_authorities(&path);
    let missing = load().unwrap_err();
    assert!(
        matches!(missing, OidcClientError::Unreadable { .. }),
        "{missing}"
    );
    for nothing in ["", "no certificate"] {
        std::fs::write(&path, nothing).unwrap();
        let error = load().unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&path, authority.cert.pem()).unwrap();
    assert!(load().is_ok());
}

#[tokio::test]
async fn the_address_of_the_keys_can_be_given() {
    let key = Key::es256("k");
    let server = HttpServer::start().await;
    server.publish(&[&key]);
    let jwks = server.url(JWKS);
    let provider = Arc::new(Provider::at(server, |settings| {
        settings.jwks_uri = Some(jwks);
    }));
    let token = key.token(&provider.claims());
    provider.identify(&token).await.unwrap();
    assert_eq!(provider.server.requests(DISCOVERY), 0);
}
