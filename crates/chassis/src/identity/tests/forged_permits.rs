use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{World, header, message, signed, with};
use crate::identity::jws::{self, JwsError};
use crate::identity::{PermitError, SigningKey};

const TYPE: &str = "reprise-permit+jwt";

fn claims(world: &World) -> Value {
    serde_json::to_value(world.permit()).unwrap()
}

/// Which check a permit fails.
fn refused(world: &World, permit: &str) -> PermitError {
    world.permits().verify(permit).unwrap_err()
}

#[test]
fn a_permit_without_a_signature_is_refused() {
    let world = World::new();
    let good = header(TYPE, &world.authorization);
    for algorithm in ["none", "None", "NONE", "", "HS256", "RS256", "ES256"] {
        let header = with(good.clone(), "alg", json!(algorithm));
        let error = refused(&world, &format!("{}.", message(&header, &claims(&world))));
        let expected = matches!(error, PermitError::Jws(JwsError::Algorithm));
        assert!(expected, "{algorithm}: {error}");
    }
    let error = refused(&world, &format!("{}.", message(&good, &claims(&world))));
    let expected = matches!(error, PermitError::Jws(JwsError::Signature));
    assert!(expected, "{error}");
}

#[test]
fn a_public_key_is_no_secret_to_sign_a_permit_with() {
    let world = World::new();
    let x = world.authorization.public().x();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
    for secret in [x.as_bytes(), &raw] {
        for (algorithm, name) in [
            (Algorithm::HS256, "HS256"),
            (Algorithm::HS384, "HS384"),
            (Algorithm::HS512, "HS512"),
        ] {
            let key = EncodingKey::from_secret(secret);
            let honest = header(TYPE, &world.authorization);
            for header in [with(honest.clone(), "alg", json!(name)), honest] {
                let message = message(&header, &claims(&world));
                let signature =
                    jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
                let error = refused(&world, &format!("{message}.{signature}"));
                let expected = matches!(
                    error,
                    PermitError::Jws(JwsError::Algorithm | JwsError::Signature)
                );
                assert!(expected, "{header}: {error}");
            }
        }
    }
}

#[test]
fn a_permit_whose_header_is_not_understood_is_refused() {
    let world = World::new();
    let good = header(TYPE, &world.authorization);
    let mallory = SigningKey::generate();
    let own = serde_json::to_value(mallory.public()).unwrap();
    for header in [
        with(good.clone(), "typ", json!("JWT")),
        with(good.clone(), "typ", json!("at+jwt")),
        with(good.clone(), "typ", json!(null)),
        with(good.clone(), "kid", json!(null)),
        with(good.clone(), "kid", json!(7)),
        with(good.clone(), "kid", json!("unheard-of")),
        with(good.clone(), "kid", json!(mallory.kid())),
        with(good.clone(), "crit", json!(["exp"])),
        json!([]),
    ] {
        let permit = signed(&header, &claims(&world), &world.authorization);
        let error = refused(&world, &permit);
        let expected = matches!(error, PermitError::Jws(_) | PermitError::UnknownKey { .. });
        assert!(expected, "{header}: {error}");
    }
    // A key that comes with the permit, under its own id and under that of the real one.
    for kid in [mallory.kid(), world.authorization.kid()] {
        let header = with(good.clone(), "jwk", own.clone());
        let header = with(header, "kid", json!(kid));
        let error = refused(&world, &signed(&header, &claims(&world), &mallory));
        let expected = matches!(
            error,
            PermitError::Jws(JwsError::Signature) | PermitError::UnknownKey { .. }
        );
        assert!(expected, "{header}: {error}");
    }
}

#[test]
fn a_permit_that_was_cut_or_changed_anywhere_is_refused() {
    let world = World::new();
    let good = header(TYPE, &world.authorization);
    let permit = signed(&good, &claims(&world), &world.authorization);
    assert!(world.permits().verify(&permit).is_ok());
    for end in 0..permit.len() {
        refused(&world, &permit[..end]);
    }
    for place in 0..permit.len() - 1 {
        let mut changed = permit.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        refused(&world, &String::from_utf8(changed).unwrap());
    }
    for longer in [
        format!("{permit}A"),
        format!("{permit}."),
        format!(" {permit}"),
        format!("{permit}\n"),
    ] {
        refused(&world, &longer);
    }
}

#[test]
fn a_permit_of_a_megabyte_is_not_looked_at() {
    let world = World::new();
    let good = header(TYPE, &world.authorization);
    let permit = signed(&good, &claims(&world), &world.authorization);
    for long in [
        "A".repeat(1 << 20),
        format!("{permit}{}", "A".repeat(1 << 20)),
        ".".repeat(1 << 20),
        "A".repeat(jws::MAX_LENGTH + 1),
    ] {
        let error = refused(&world, &long);
        let expected = matches!(error, PermitError::Jws(JwsError::TooLong));
        assert!(expected, "{error}");
    }
}
