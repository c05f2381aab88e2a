//! What a trust file may say of identity providers.

use serde_json::{Value, json};

use super::settings;
use crate::identity::tests::{World, with};
use crate::identity::trust::{Algorithm, OidcSettings};
use crate::identity::{OidcError, TrustError, TrustFile};

fn file(oidc: &[Value]) -> Result<TrustFile, TrustError> {
    let ours = World::new().trust().to_json().unwrap();
    let mut json: Value = serde_json::from_slice(&ours).unwrap();
    json["issuers"]
        .as_array_mut()
        .unwrap()
        .extend_from_slice(oidc);
    TrustFile::parse(json.to_string().as_bytes())
}

fn okta() -> Value {
    json!({
        "kind": "oidc", "issuer": "https://acme.okta.com", "audience": "reprise",
        "subject_prefix": "okta:",
    })
}

#[test]
fn an_identity_provider_reads_back_as_it_was_written() {
    let trust = file(&[okta()]).unwrap();
    assert_eq!(TrustFile::parse(&trust.to_json().unwrap()).unwrap(), trust);
    let issuer = trust.oidc_issuers().next().unwrap();
    let expected = OidcSettings {
        issuer: "https://acme.okta.com".to_owned(),
        audience: "reprise".to_owned(),
        algorithms: vec![Algorithm::Rs256],
        subject_claim: "sub".to_owned(),
        subject_prefix: "okta:".to_owned(),
        groups_claim: None,
        group_prefix: None,
        jwks_uri: None,
    };
    assert_eq!(*issuer.settings(), expected);
    assert_eq!(issuer.group_prefix(), "okta:");
    let whole = with(okta(), "algorithms", json!(["PS512", "EdDSA"]));
    let whole = with(whole, "subject_claim", json!("email"));
    let whole = with(whole, "groups_claim", json!("groups"));
    let whole = with(whole, "group_prefix", json!("okta-group:"));
    let whole = with(whole, "jwks_uri", json!("https://acme.okta.com/keys?v=1"));
    let trust = file(&[whole]).unwrap();
    assert_eq!(TrustFile::parse(&trust.to_json().unwrap()).unwrap(), trust);
}

#[test]
fn a_setting_that_would_let_too_much_in_is_refused() {
    for (member, value) in [
        ("audience", Value::Null),
        ("audience", json!("")),
        ("subject_prefix", Value::Null),
        ("subject_prefix", json!("")),
        ("subject_prefix", json!("okta")),
        ("subject_prefix", json!("ad")),
        ("subject_prefix", json!("two words:")),
        ("subject_prefix", json!(format!("{}:", "x".repeat(64)))),
        ("group_prefix", json!("")),
        ("group_prefix", json!("eng")),
        ("subject_claim", json!("")),
        ("groups_claim", json!("")),
        ("algorithms", json!([])),
        ("algorithms", json!(["none"])),
        ("algorithms", json!(["HS256"])),
        ("algorithms", json!(["RS256", "HS512"])),
        ("algorithms", json!(["rs256"])),
        ("algorithms", json!(["ES512"])),
        ("issuer", json!("http://acme.okta.com")),
        ("issuer", json!("acme.okta.com")),
        ("issuer", json!("https://user@acme.okta.com")),
        ("issuer", json!("https://acme.okta.com?x=1")),
        ("issuer", json!("https://acme.okta.com#x")),
        ("issuer", json!("http://127.0.0.1.example.com")),
        ("issuer", json!("")),
        ("jwks_uri", json!("http://acme.okta.com/keys")),
        ("jwks_uri", json!("ftp://acme.okta.com/keys")),
        ("keys", json!([])),
        ("service", json!("authorization")),
        ("unknown", json!(true)),
    ] {
        assert!(
            file(&[with(okta(), member, value.clone())]).is_err(),
            "{member}: {value}"
        );
    }
    for loopback in [
        "http://127.0.0.1:8080",
        "http://[::1]",
        "http://localhost/x/",
    ] {
        file(&[with(okta(), "issuer", json!(loopback))]).unwrap();
    }
}

#[test]
fn the_error_names_the_issuer_and_what_to_do() {
    let error = file(&[with(okta(), "subject_prefix", json!("okta"))]).unwrap_err();
    let shown = crate::problem::chain(&error);
    assert!(
        shown.contains("https://acme.okta.com") && shown.contains("subject_prefix"),
        "{shown}"
    );
    assert!(matches!(
        error,
        TrustError::Oidc {
            issuer: _,
            source: OidcError::Prefix("subject_prefix")
        }
    ));
}

#[test]
fn no_two_providers_can_name_the_same_person_or_group() {
    let other = |member: &str, value: &str| {
        let other = with(okta(), "issuer", json!("https://id.example.com"));
        let other = with(other, "subject_prefix", json!("google:"));
        file(&[okta(), with(other, member, json!(value))])
    };
    assert!(other("subject_prefix", "google:").is_ok());
    for (member, prefix) in [
        ("subject_prefix", "okta:"),
        ("subject_prefix", "okta:x:"),
        ("group_prefix", "okta:"),
        ("group_prefix", "okta:eng-"),
    ] {
        assert!(
            matches!(other(member, prefix), Err(TrustError::Prefixes { .. })),
            "{member} {prefix}"
        );
    }
    assert!(matches!(
        other("issuer", "https://acme.okta.com"),
        Err(TrustError::DuplicateIssuer { .. })
    ));
    let ours = World::new().trust();
    let name = ours.issuers().next().unwrap().name().to_string();
    // The names of our own issuers are no URLs.
    assert!(ours.with_oidc(settings(&name)).is_err());
}
