//! Which keys of a provider can be used.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Key, OidcTokenError, Provider, RSA_1024, RSA_2048};
use crate::identity::oidc::keys::ProviderKeys;
use crate::identity::tests::with;
use crate::identity::{JwsError, trust};

const ALL: [trust::Algorithm; 4] = [
    trust::Algorithm::Rs256,
    trust::Algorithm::Es256,
    trust::Algorithm::Es384,
    trust::Algorithm::EdDsa,
];

/// The ids of the keys of a set that can be used.
fn usable(keys: &[Value]) -> Vec<String> {
    let json = json!({"keys": keys}).to_string();
    let keys = ProviderKeys::parse(json.as_bytes(), &ALL).unwrap();
    keys.ids().map(str::to_owned).collect()
}

#[test]
fn a_key_that_cannot_be_used_does_not_keep_others_from_it() {
    let rsa = Key::rsa("rsa", Algorithm::RS256, RSA_2048).jwk;
    let ec = Key::es256("ec").jwk;
    let p384 = Key::es384("p384").jwk;
    let ed = Key::ed25519("ed").jwk;
    let good = [rsa.clone(), ec.clone(), p384, ed.clone()];
    assert_eq!(usable(&good), ["rsa", "ec", "p384", "ed"]);

    let secret = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    let bad = [
        Key::rsa("weak", Algorithm::RS256, RSA_1024).jwk,
        Key::new("secret", Algorithm::HS256, secret).jwk,
        with(rsa.clone(), "use", json!("enc")),
        with(rsa.clone(), "key_ops", json!(["encrypt"])),
        with(rsa.clone(), "alg", json!("HS256")),
        with(rsa.clone(), "alg", json!("ES256")),
        with(rsa.clone(), "alg", json!("RSA-OAEP")),
        with(rsa.clone(), "n", json!("AQAB")),
        with(rsa.clone(), "n", json!("not base64!")),
        with(rsa.clone(), "n", json!("A".repeat(400))),
        with(rsa.clone(), "n", Value::Null),
        with(rsa.clone(), "kty", json!("EC")),
        with(rsa.clone(), "kty", json!("oct")),
        // Longer than the library can verify with.
        with(rsa, "n", json!("_".repeat(1024))),
        with(ec.clone(), "crv", json!("secp256k1")),
        with(ec.clone(), "crv", json!("P-384")),
        with(ec.clone(), "x", json!("AAAA")),
        with(ec, "alg", json!("ES384")),
        with(ed.clone(), "crv", json!("X25519")),
        // A weak one, under which anybody can sign.
        with(ed.clone(), "x", json!("A".repeat(43))),
        json!({"kty": "AKP", "kid": "of a kind that is yet to come"}),
        json!("no key at all"),
        Value::Null,
    ];
    for bad in bad {
        assert_eq!(usable(&[bad.clone(), ed.clone()]), ["ed"], "{bad}");
    }
}

#[test]
fn a_set_that_is_none_is_an_error_and_a_long_one_is_cut() {
    for none in ["", "[]", "{}", r#"{"keys": 7}"#] {
        assert!(
            ProviderKeys::parse(none.as_bytes(), &ALL).is_err(),
            "{none}"
        );
    }
    let many: Vec<_> = (0..150).map(|_| Key::es256("k").jwk).collect();
    assert_eq!(usable(&many).len(), 100);
}

#[tokio::test]
async fn a_weak_or_symmetric_key_signs_nothing() {
    let weak = Key::rsa("weak", Algorithm::RS256, RSA_1024);
    let secret = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    let secret = Key::new("secret", Algorithm::HS256, secret);
    let good = Key::es256("good");
    let provider = Provider::with_settings(&[&weak, &secret, &good], |settings| {
        settings.algorithms = ALL.to_vec();
    })
    .await;
    provider
        .identify(&good.token(&provider.claims()))
        .await
        .unwrap();
    let error = provider.refusal(&weak.token(&provider.claims())).await;
    assert!(
        matches!(error, OidcTokenError::UnknownKey { .. }),
        "{error}"
    );
    let error = provider.refusal(&secret.token(&provider.claims())).await;
    assert!(matches!(error, OidcTokenError::Algorithm), "{error}");
}

#[tokio::test]
async fn a_token_need_not_name_the_only_key() {
    let (one, two) = (Key::es256("one"), Key::es256("two"));
    let nameless =
        |key: &Key, claims: &Value| key.sign(&with(key.header(), "kid", Value::Null), claims);
    let provider = Provider::with(&[&one]).await;
    let token = nameless(&one, &provider.claims());
    provider.identify(&token).await.unwrap();

    let provider = Provider::with(&[&one, &two]).await;
    let token = nameless(&one, &provider.claims());
    let error = provider.refusal(&token).await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::KeyIdMissing)),
        "{error}"
    );
}

#[tokio::test]
async fn two_keys_with_one_id_are_told_apart_by_what_they_have_signed() {
    let (one, two, mallory) = (Key::es256("k"), Key::es256("k"), Key::es256("k"));
    let provider = Provider::with(&[&one, &two]).await;
    for key in [&one, &two] {
        let token = key.token(&provider.claims());
        provider.identify(&token).await.unwrap();
    }
    let error = provider.refusal(&mallory.token(&provider.claims())).await;
    assert!(
        matches!(error, OidcTokenError::Jws(JwsError::Signature)),
        "{error}"
    );
}
