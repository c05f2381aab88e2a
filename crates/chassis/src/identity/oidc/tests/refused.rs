//! Every way in which a token of an identity provider must not be accepted.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Key, OidcTokenError, Provider, RSA_2048};
use crate::identity::tests::{World, with};
use crate::identity::{JwsError, SubjectError, TokenError, trust};

#[tokio::test]
async fn a_token_without_signature_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    for alg in ["none", "None", "NONE", ""] {
        let token = key.sign(&with(key.header(), "alg", json!(alg)), &provider.claims());
        let (message, _) = token.rsplit_once('.').unwrap();
        for token in [&token, &format!("{message}.")] {
            let error = provider.refusal(token).await;
            assert!(matches!(error, OidcTokenError::Algorithm), "{alg}: {error}");
        }
    }
    let token = key.token(&provider.claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    let error = provider.refusal(&format!("{message}.")).await;
    assert!(matches!(error, OidcTokenError::Jws(JwsError::Signature)));
}

#[tokio::test]
async fn a_public_key_is_no_secret_to_sign_with() {
    let key = Key::rsa("k", Algorithm::RS256, RSA_2048);
    let provider = Provider::with_settings(&[&key], |settings| {
        settings.algorithms = trust::default_algorithms();
    })
    .await;
    provider
        .identify(&key.token(&provider.claims()))
        .await
        .unwrap();

    let n = key.jwk["n"].as_str().unwrap();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).unwrap();
    let jwk = key.jwk.to_string();
    for secret in [n.as_bytes(), &modulus, jwk.as_bytes(), b""] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let forged = Key {
                algorithm,
                private: EncodingKey::from_secret(secret),
                jwk: key.jwk.clone(),
            };
            let error = provider.refusal(&forged.token(&provider.claims())).await;
            assert!(matches!(error, OidcTokenError::Algorithm), "{error}");
        }
    }
}

#[tokio::test]
async fn an_algorithm_that_the_trust_file_does_not_list_is_refused() {
    let listed = Key::es256("a");
    let others = [
        Key::es384("b"),
        Key::ed25519("c"),
        Key::rsa("d", Algorithm::RS256, RSA_2048),
        Key::rsa("e", Algorithm::PS256, RSA_2048),
    ];
    let mut keys = vec![&listed];
    keys.extend(&others);
    let provider = Provider::with(&keys).await;
    for key in &others {
        let error = provider.refusal(&key.token(&provider.claims())).await;
        assert!(matches!(error, OidcTokenError::Algorithm), "{error}");
        // Nor does it help to name one that is.
        let header = with(key.header(), "alg", json!("ES256"));
        let error = provider
            .refusal(&key.sign(&header, &provider.claims()))
            .await;
        assert!(
            matches!(error, OidcTokenError::UnknownKey { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_key_signs_only_by_the_algorithm_of_its_type() {
    let (p256, p384) = (Key::es256("a"), Key::es384("b"));
    let provider = Provider::with_settings(&[&p256, &p384], |settings| {
        settings.algorithms = vec![trust::Algorithm::Es256, trust::Algorithm::Es384];
    })
    .await;
    for key in [&p256, &p384] {
        provider
            .identify(&key.token(&provider.claims()))
            .await
            .unwrap();
    }
    let header = with(p256.header(), "alg", json!("ES384"));
    let error = provider
        .refusal(&p256.sign(&header, &provider.claims()))
        .await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::Signature)),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_of_anybody_else_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let mallory = Key::es256("k");
    let error = provider.refusal(&mallory.token(&provider.claims())).await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::Signature)),
        "{error}"
    );
    // A key in the header is not even read.
    let header = with(mallory.header(), "jwk", mallory.jwk.clone());
    let error = provider
        .refusal(&mallory.sign(&header, &provider.claims()))
        .await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::Signature)),
        "{error}"
    );
}

#[tokio::test]
async fn an_issuer_that_is_not_this_one_to_the_letter_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let issuer = &provider.settings.issuer;
    for other in [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        format!(" {issuer}"),
        "https://id.example.com".to_owned(),
        String::new(),
    ] {
        let claims = with(provider.claims(), "iss", json!(other));
        let error = provider.identify(&key.token(&claims)).await.unwrap_err();
        // It is taken for a token of ours, which is of another algorithm.
        assert!(
            matches!(error, TokenError::Jws(JwsError::Algorithm)),
            "{other}: {error}"
        );
    }
    for name in ["reprise-local", "reprise-authorization"] {
        let claims = with(provider.claims(), "iss", json!(name));
        assert!(provider.identify(&key.token(&claims)).await.is_err());
    }
}

#[tokio::test]
async fn one_of_our_own_keys_cannot_speak_for_a_provider() {
    let key = Key::es256("k");
    let provider = Provider::with_settings(&[&key], |settings| {
        settings.algorithms = vec![trust::Algorithm::Es256, trust::Algorithm::EdDsa];
    })
    .await;
    let world = World::new();
    let claims = with(
        world.user_claims(),
        "iss",
        json!(provider.settings.issuer.clone()),
    );
    let ours = Key::ed25519("ours");
    let error = provider.refusal(&ours.token(&claims)).await;
    assert!(
        matches!(error, OidcTokenError::UnknownKey { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    for audience in [
        json!("reprise"),
        json!([]),
        json!(["reprise", "account"]),
        json!(""),
    ] {
        let claims = with(provider.claims(), "aud", audience);
        let error = provider.refusal(&key.token(&claims)).await;
        assert!(matches!(error, OidcTokenError::Audience { .. }), "{error}");
    }
    let among_others = json!(["account", super::AUDIENCE]);
    let claims = with(provider.claims(), "aud", among_others);
    provider.identify(&key.token(&claims)).await.unwrap();
}

#[tokio::test]
async fn a_token_counts_at_its_time_only() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let now = provider.clock.now().timestamp();
    let outcome = async |claim, time| {
        let claims = with(provider.claims(), claim, json!(time));
        provider.identify(&key.token(&claims)).await
    };
    for past in [now, now - 1, 0, -1] {
        assert!(matches!(
            outcome("exp", past).await,
            Err(TokenError::Expired { .. })
        ));
    }
    for claim in ["nbf", "iat"] {
        assert!(matches!(
            outcome(claim, now + 31).await,
            Err(TokenError::NotYetValid { .. })
        ));
        assert!(outcome(claim, now + 30).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_without_a_claim_that_is_needed_or_with_one_of_another_type_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    for (claim, value) in [
        ("exp", Value::Null),
        ("exp", json!("tomorrow")),
        ("exp", json!(u64::MAX)),
        ("aud", Value::Null),
        ("aud", json!(7)),
        ("nbf", json!("now")),
    ] {
        let claims = with(provider.claims(), claim, value);
        let error = provider.refusal(&key.token(&claims)).await;
        assert!(
            matches!(error, OidcTokenError::Jws(JwsError::Claims(_))),
            "{claim}: {error}"
        );
    }
    let claims = with(provider.claims(), "iss", Value::Null);
    assert!(provider.identify(&key.token(&claims)).await.is_err());
}

#[tokio::test]
async fn a_subject_that_names_nobody_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    for subject in [
        Value::Null,
        json!(""),
        json!(7),
        json!(["alice"]),
        json!({}),
    ] {
        let claims = with(provider.claims(), "sub", subject);
        let error = provider.refusal(&key.token(&claims)).await;
        assert!(
            matches!(error, OidcTokenError::SubjectMissing { .. }),
            "{error}"
        );
    }
    for subject in ["two words", " ", "line\nbreak", "nul\0", &"x".repeat(252)] {
        let claims = with(provider.claims(), "sub", json!(subject));
        let error = provider.refusal(&key.token(&claims)).await;
        assert!(
            matches!(error, OidcTokenError::Subject(SubjectError::Name(_))),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_header_that_asks_for_something_else_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let refusal = async |member, value| {
        let header = with(key.header(), member, value);
        provider
            .refusal(&key.sign(&header, &provider.claims()))
            .await
    };
    for critical in [json!(["b64"]), json!([]), json!("x")] {
        let error = refusal("crit", critical).await;
        assert!(
            matches!(error, OidcTokenError::Jws(JwsError::Critical)),
            "{error}"
        );
    }
    for typ in ["logout+jwt", "reprise-permit+jwt", "secevent+jwt", ""] {
        let error = refusal("typ", json!(typ)).await;
        assert!(matches!(error, OidcTokenError::Type), "{typ}: {error}");
    }
    let error = refusal("alg", json!(7)).await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::Header(_))),
        "{error}"
    );
    for typ in [Value::Null, json!("at+jwt"), json!("jwt"), json!("JWT")] {
        let header = with(key.header(), "typ", typ);
        let token = key.sign(&header, &provider.claims());
        provider.identify(&token).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_cut_off_changed_or_too_long_is_refused() {
    let key = Key::es256("k");
    let provider = Provider::with(&[&key]).await;
    let good = key.token(&provider.claims());
    provider.identify(&good).await.unwrap();
    for length in (0..good.len()).step_by(7) {
        assert!(
            provider.verifier.verify(&good[..length]).is_err(),
            "cut at {length}"
        );
    }
    for index in (0..good.len()).step_by(5) {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(
            provider.verifier.verify(&changed).is_err(),
            "changed at {index}"
        );
    }
    let claims = with(provider.claims(), "groups", json!(["x".repeat(1 << 20)]));
    let error = provider.identify(&key.token(&claims)).await.unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::TooLong)),
        "{error}"
    );
}
