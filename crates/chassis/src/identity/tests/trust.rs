use model::ServiceName;
use serde_json::{Value, json};

use super::{World, with};
use crate::identity::{
    IssuerKind, KeyError, KeySet, PublicKey, SigningKey, TrustError, TrustFile, TrustedIssuer,
};

fn jwk(key: &SigningKey) -> Value {
    serde_json::to_value(key.public()).unwrap()
}

fn file(issuers: Value, permit_keys: Value) -> Vec<u8> {
    json!({"version": 1, "issuers": issuers, "permit_keys": permit_keys})
        .to_string()
        .into_bytes()
}

fn users(issuer: &str, key: &SigningKey) -> Value {
    json!({"issuer": issuer, "kind": "users", "keys": [jwk(key)]})
}

#[test]
fn a_trust_file_reads_back_as_it_was_written() {
    let trust = World::new().trust();
    assert_eq!(TrustFile::parse(&trust.to_json().unwrap()).unwrap(), trust);
}

#[test]
fn an_issuer_is_listed_once() {
    let issuers = json!([
        users("https://id.example.com", &SigningKey::generate()),
        users("https://id.example.com", &SigningKey::generate()),
    ]);
    let error = TrustFile::parse(&file(issuers, json!([]))).unwrap_err();
    assert!(
        matches!(error, TrustError::DuplicateIssuer { .. }),
        "{error}"
    );
}

#[test]
fn a_key_serves_one_issuer() {
    let key = SigningKey::generate();
    let issuers = json!([users("a", &key), users("b", &key)]);
    let error = TrustFile::parse(&file(issuers, json!([]))).unwrap_err();
    assert!(matches!(error, TrustError::SharedKey { .. }), "{error}");

    let twice = json!([{"issuer": "a", "kind": "users", "keys": [jwk(&key), jwk(&key)]}]);
    assert!(matches!(
        TrustFile::parse(&file(twice, json!([]))),
        Err(TrustError::Json(_))
    ));
}

#[test]
fn only_the_keys_of_service_accounts_may_also_sign_permits() {
    let key = SigningKey::generate();
    let keys = KeySet::new([key.public().clone()]).unwrap();
    let trust = |kind| TrustFile::new([TrustedIssuer::new("a", kind, keys.clone())], keys.clone());
    assert!(trust(IssuerKind::ServiceAccounts).is_ok());
    for kind in [
        IssuerKind::Users,
        IssuerKind::Service(ServiceName::RollbackOrchestrator),
    ] {
        assert!(
            matches!(trust(kind), Err(TrustError::SharedKey { .. })),
            "{kind}"
        );
    }
}

#[test]
fn what_is_not_understood_refuses_the_file() {
    let key = SigningKey::generate();
    let good = users("a", &key);
    assert!(TrustFile::parse(&file(json!([good.clone()]), json!([]))).is_ok());

    let bad_issuers = [
        with(good.clone(), "kind", json!("admins")),
        with(good.clone(), "audience", json!("x")),
        with(good.clone(), "keys", json!([])),
        with(good.clone(), "issuer", json!("")),
        with(good.clone(), "service", json!("deploy-registry")),
        with(good.clone(), "kind", json!("service")),
        with(
            with(good.clone(), "kind", json!("service")),
            "service",
            json!("postgres"),
        ),
    ];
    for issuer in bad_issuers {
        assert!(
            TrustFile::parse(&file(json!([issuer.clone()]), json!([]))).is_err(),
            "{issuer}"
        );
    }

    let whole = json!({"version": 1, "issuers": [], "permit_keys": []});
    for (member, value) in [
        ("version", json!(2)),
        ("allow_all", json!(true)),
        ("permit_keys", Value::Null),
    ] {
        let json = with(whole.clone(), member, value).to_string();
        assert!(TrustFile::parse(json.as_bytes()).is_err(), "{member}");
    }
}

#[test]
fn a_jwk_is_a_public_ed25519_key_under_its_thumbprint() {
    let good = jwk(&SigningKey::generate());
    assert!(serde_json::from_value::<PublicKey>(good.clone()).is_ok());
    let other = SigningKey::generate();
    let bad = [
        ("kty", json!("oct")),
        ("crv", json!("X25519")),
        ("alg", json!("HS256")),
        ("use", json!("enc")),
        ("kid", json!("main")),
        ("kid", json!(other.kid())),
        ("x", json!("AAAA")),
        ("x", json!(format!("{}=", other.public().x()))),
        // A private key.
        ("d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")),
    ];
    for (member, value) in bad {
        let jwk = with(good.clone(), member, value);
        assert!(
            serde_json::from_value::<PublicKey>(jwk.clone()).is_err(),
            "{jwk}"
        );
    }
}

#[test]
fn a_weak_key_under_which_anybody_can_sign_is_refused() {
    let identity_point = format!("AQ{}", "A".repeat(41));
    let zero = "A".repeat(43);
    for x in [identity_point, zero] {
        assert!(
            matches!(PublicKey::from_x(&x), Err(KeyError::PublicKey)),
            "{x}"
        );
    }
}

#[test]
fn the_id_of_a_key_is_that_of_rfc_8037() {
    let key = PublicKey::from_x("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
