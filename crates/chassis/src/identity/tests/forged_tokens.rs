use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey};
use model::{Principal, ServiceName};
use serde_json::json;

use super::{ACCOUNT, World, header, message, signed, token, with};
use crate::identity::jws::{self, JwsError};
use crate::identity::{ServiceTokens, SigningKey, TokenError, TokenVerifier};

#[test]
fn a_token_without_a_signature_is_refused() {
    let world = World::new();
    for algorithm in ["none", "None", "NONE", ""] {
        let header = with(header("JWT", &world.people), "alg", json!(algorithm));
        let message = message(&header, &world.user_claims());
        let error = world.verify(&format!("{message}.")).unwrap_err();
        assert!(
            matches!(error, TokenError::Jws(JwsError::Algorithm)),
            "{error}"
        );
    }
    let message = message(&header("JWT", &world.people), &world.user_claims());
    let error = world.verify(&format!("{message}.")).unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Signature)),
        "{error}"
    );
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let world = World::new();
    let x = world.people.public().x();
    let secrets = [
        x.as_bytes().to_vec(),
        BASE64_URL_SAFE_NO_PAD.decode(x).unwrap(),
    ];
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let mut header = jsonwebtoken::Header::new(algorithm);
            header.kid = Some(world.people.kid().to_owned());
            let key = EncodingKey::from_secret(&secret);
            let forged = jsonwebtoken::encode(&header, &world.user_claims(), &key).unwrap();
            let error = world.verify(&forged).unwrap_err();
            assert!(
                matches!(error, TokenError::Jws(JwsError::Algorithm)),
                "{error}"
            );

            // The same with a header that says what is expected.
            let message = message(&super::header("JWT", &world.people), &world.user_claims());
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
            let error = world.verify(&format!("{message}.{signature}")).unwrap_err();
            assert!(
                matches!(error, TokenError::Jws(JwsError::Signature)),
                "{error}"
            );
        }
    }
}

#[test]
fn a_key_that_comes_with_the_token_is_not_used() {
    let world = World::new();
    let mallory = SigningKey::generate();
    let own = serde_json::to_value(mallory.public()).unwrap();
    // Under the id of the real key, and under its own.
    for kid in [world.people.kid(), mallory.kid()] {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid, "jwk": own.clone()});
        let error = world
            .verify(&signed(&header, &world.user_claims(), &mallory))
            .unwrap_err();
        assert!(
            matches!(
                error,
                TokenError::Jws(JwsError::Signature) | TokenError::UnknownKey { .. }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    let world = World::new();
    let good = header("JWT", &world.people);
    let critical = with(good.clone(), "crit", json!(["exp"]));
    let no_key = with(good.clone(), "kid", json!(null));
    let no_type = with(good.clone(), "typ", json!(null));
    let other_type = with(good.clone(), "typ", json!("at+jwt"));
    let number = with(good, "kid", json!(7));
    for header in [
        critical,
        no_key,
        no_type,
        other_type,
        number,
        json!([]),
        json!("EdDSA"),
    ] {
        let error = world
            .verify(&signed(&header, &world.user_claims(), &world.people))
            .unwrap_err();
        assert!(matches!(error, TokenError::Jws(_)), "{header}: {error}");
    }
}

#[test]
fn an_issuer_that_nobody_trusts_is_refused() {
    let world = World::new();
    let claims = with(
        world.user_claims(),
        "iss",
        json!("https://evil.example.com"),
    );
    let error = world.verify(&token(&claims, &world.people)).unwrap_err();
    assert!(matches!(error, TokenError::UnknownIssuer { .. }), "{error}");
}

#[test]
fn no_issuer_can_sign_for_another() {
    let world = World::new();
    let keys = [
        &world.people,
        &world.authorization,
        &world.orchestrator,
        &world.registry,
    ];
    let claims = [
        (world.user_claims(), 0),
        (world.account_claims(), 1),
        (world.service_claims(), 2),
    ];
    for (claims, owner) in claims {
        for (index, key) in keys.into_iter().enumerate() {
            let verified = world.verify(&token(&claims, key));
            if index == owner {
                assert!(verified.is_ok());
            } else {
                let error = verified.unwrap_err();
                assert!(matches!(error, TokenError::UnknownKey { .. }), "{error}");
            }
        }
    }
}

#[test]
fn naming_the_right_key_does_not_help_whoever_signs_with_another() {
    let world = World::new();
    let header = header("JWT", &world.orchestrator);
    let error = world
        .verify(&signed(&header, &world.service_claims(), &world.registry))
        .unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Signature)),
        "{error}"
    );
}

#[test]
fn a_service_cannot_speak_for_another_service_nor_for_anybody_else() {
    let world = World::new();
    for sub in [
        "service:deploy-registry",
        "rollback-orchestrator",
        "user:alice",
        ACCOUNT,
        "",
    ] {
        let claims = with(world.service_claims(), "sub", json!(sub));
        let error = world
            .verify(&token(&claims, &world.orchestrator))
            .unwrap_err();
        assert!(
            matches!(error, TokenError::Subject { .. }),
            "{sub}: {error}"
        );
    }

    // With the key of one service and the name of another from the start.
    let impostor = ServiceTokens::new(
        ServiceName::RollbackOrchestrator,
        world.registry.clone(),
        world.env.clone(),
    );
    let error = world
        .verify(&impostor.token(ServiceName::DeployRegistry).unwrap())
        .unwrap_err();
    assert!(matches!(error, TokenError::UnknownKey { .. }), "{error}");
}

#[test]
fn an_issuer_of_people_makes_people_whatever_the_subject_says() {
    let world = World::new();
    for sub in [
        "service:rollback-orchestrator",
        "rollback-orchestrator",
        "service-account:workspaces/w/serviceAccounts/ci",
        ACCOUNT,
        "group:admins",
        "user:root",
    ] {
        let claims = with(world.user_claims(), "sub", json!(sub));
        let caller = world.verify(&token(&claims, &world.people)).unwrap();
        assert_eq!(*caller.principal(), Principal::user(sub).unwrap());
        assert_eq!(caller.principal().to_string(), format!("user:{sub}"));
    }
}

#[test]
fn a_group_is_a_group_whatever_it_says() {
    let world = World::new();
    let groups = json!(["service:rollback-orchestrator", "user:root"]);
    let claims = with(world.user_claims(), "groups", groups);
    let caller = world.verify(&token(&claims, &world.people)).unwrap();
    assert!(
        caller
            .groups()
            .iter()
            .all(|group| matches!(group, Principal::Group(_)))
    );
}

#[test]
fn only_people_are_in_groups() {
    let world = World::new();
    let groups = json!(["admins"]);
    let account = with(world.account_claims(), "groups", groups.clone());
    let account = world
        .verify(&token(&account, &world.authorization))
        .unwrap();
    let service = with(world.service_claims(), "groups", groups);
    let service = world.verify(&token(&service, &world.orchestrator)).unwrap();
    assert!(account.groups().is_empty() && service.groups().is_empty());
}

#[test]
fn a_subject_or_group_that_is_no_name_is_refused() {
    let world = World::new();
    for bad in ["", "two words", "line\nbreak", "nul\0", &"x".repeat(257)] {
        let claims = with(world.user_claims(), "sub", json!(bad));
        let error = world.verify(&token(&claims, &world.people)).unwrap_err();
        assert!(
            matches!(error, TokenError::Subject { .. }),
            "{bad:?}: {error}"
        );

        let claims = with(world.user_claims(), "groups", json!([bad]));
        let error = world.verify(&token(&claims, &world.people)).unwrap_err();
        assert!(matches!(error, TokenError::Group(_)), "{bad:?}: {error}");
    }
    for bad in [
        "ci",
        "serviceAccounts/ci",
        "workspaces/w/deployments/d",
        "user:alice",
    ] {
        let claims = with(world.account_claims(), "sub", json!(bad));
        let error = world
            .verify(&token(&claims, &world.authorization))
            .unwrap_err();
        assert!(
            matches!(error, TokenError::Subject { .. }),
            "{bad}: {error}"
        );
    }
}

#[test]
fn the_same_claim_twice_is_refused() {
    let world = World::new();
    let now = world.clock.now().timestamp();
    let claims = format!(
        r#"{{"iss":"reprise-local","sub":"alice","sub":"root","aud":"reprise","exp":{}}}"#,
        now + 60
    );
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let message = format!(
        "{}.{}",
        part(&header("JWT", &world.people).to_string()),
        part(&claims)
    );
    let signature = BASE64_URL_SAFE_NO_PAD.encode(world.people.sign(message.as_bytes()));
    let error = world.verify(&format!("{message}.{signature}")).unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Claims(_))),
        "{error}"
    );
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    let world = World::new();
    let good = world.account_token();
    let verifier = world.verifier();
    for index in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier.verify(&changed).is_err(), "changed at {index}");
    }
    assert!(verifier.verify(&good).is_ok());
}

#[test]
fn a_truncated_or_padded_token_is_refused() {
    let world = World::new();
    let good = world.account_token();
    let verifier = world.verifier();
    assert!(verifier.verify(&good).is_ok());
    for length in 0..good.len() {
        assert!(verifier.verify(&good[..length]).is_err(), "cut at {length}");
    }
    for padded in [
        format!("{good}="),
        format!("{good}."),
        format!(" {good}"),
        format!("{good}\n"),
    ] {
        assert!(verifier.verify(&padded).is_err(), "{padded:?}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let verifier = World::new().verifier();
    for text in [
        "", ".", "..", "...", "a.b", "a.b.c", "e30.e30.", "\u{0}", "ü.ü.ü", "Bearer x",
    ] {
        assert!(verifier.verify(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_megabyte_is_refused_unread() {
    let world = World::new();
    let claims = with(world.user_claims(), "groups", json!(["x".repeat(1 << 20)]));
    for long in [
        token(&claims, &world.people),
        "a".repeat(1 << 20),
        ".".repeat(1 << 20),
    ] {
        let error = world.verify(&long).unwrap_err();
        assert!(
            matches!(error, TokenError::Jws(JwsError::TooLong)),
            "{error}"
        );
    }
    let error = world.verify(&".".repeat(jws::MAX_LENGTH + 1)).unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::TooLong)),
        "{error}"
    );
}

#[test]
fn claims_nested_without_end_are_refused() {
    let world = World::new();
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = part(&header("JWT", &world.people).to_string());
    let nested = part(&format!(r#"{{"iss":{}"#, "[".repeat(5_000)));
    let error = world
        .verify(&format!("{header}.{nested}.AAAA"))
        .unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Claims(_))),
        "{error}"
    );
}

#[test]
fn a_refused_token_is_not_remembered_as_good() {
    let world = World::new();
    let orchestrators = TokenVerifier::new(
        world.trust(),
        ServiceName::RollbackOrchestrator,
        world.env.clone(),
    );
    let minted = token(&world.service_claims(), &world.orchestrator);
    for _ in 0..2 {
        assert!(orchestrators.verify(&minted).is_err());
    }
}

#[test]
fn tokens_are_kept_up_to_a_bound() {
    let world = World::new();
    let verified = crate::identity::verified::VerifiedTokens::default();
    let caller = world
        .verify(&world.user_token(TimeDelta::hours(1)))
        .unwrap();
    let digests = (0..30_000_u32).map(|index| {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&index.to_be_bytes());
        digest
    });
    for digest in digests {
        verified.insert(digest, caller.clone(), world.clock.now());
        assert!(verified.get(&digest, world.clock.now()).is_some());
        assert!(verified.len() <= 10_000);
    }
}

#[test]
fn an_error_does_not_show_the_token() {
    let world = World::new();
    let mallory = SigningKey::generate();
    let expired = with(world.user_claims(), "exp", json!(1));
    let issuer = with(world.user_claims(), "iss", json!("x"));
    let no_claims = json!({"iss": 7});
    for (claims, key) in [
        (world.user_claims(), &mallory),
        (expired, &world.people),
        (issuer, &world.people),
        (no_claims, &world.people),
    ] {
        let token = token(&claims, key);
        let error = world.verify(&token).unwrap_err();
        let shown = format!("{error} {error:?} {}", crate::problem::chain(&error));
        for part in token.split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
