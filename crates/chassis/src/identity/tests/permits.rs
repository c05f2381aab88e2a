use chrono::{SubsecRound as _, TimeDelta};
use model::{
    DeployNumber, DeploymentName, Permission, PermissionSet, Principal, RollbackId, Scope,
    ServiceName,
};
use serde_json::{Value, json};

use super::{World, header, signed, token, with};
use crate::identity::jws::JwsError;
use crate::identity::permit::{self, PERMIT_VERSION};
use crate::identity::{
    AUTHORIZATION_ISSUER, PermitClaims, PermitError, PermitVerifier, SigningKey, TokenError,
};

const TYPE: &str = "reprise-permit+jwt";

impl World {
    pub(super) fn permits(&self) -> PermitVerifier {
        PermitVerifier::new(
            self.trust().permit_keys().clone(),
            AUTHORIZATION_ISSUER,
            self.env.clone(),
        )
    }

    pub(super) fn permit(&self) -> PermitClaims {
        let now = self.clock.now().trunc_subsecs(0);
        PermitClaims {
            version: PERMIT_VERSION,
            issuer: AUTHORIZATION_ISSUER.to_owned(),
            audience: ServiceName::DeployRegistry,
            actor: Principal::Service(ServiceName::RollbackOrchestrator),
            person: Principal::user("alice@example.com").unwrap(),
            deployment: "workspaces/w/deployments/d"
                .parse::<DeploymentName>()
                .unwrap(),
            deployment_uid: self.env.new_uuid(),
            target_deploy: DeployNumber::new(7).unwrap(),
            expected_latest_deploy: DeployNumber::new(9).unwrap(),
            scope: Scope::All,
            permissions: PermissionSet::of(&[
                Permission::DeploymentImagesPush,
                Permission::DeploymentDagsPush,
            ]),
            hold: true,
            revision_digest: "v1:00".to_owned(),
            plan_digest: "v1:01".to_owned(),
            rollback: RollbackId::new(self.env.new_uuid()),
            policy_revision: 42,
            issue_time: now,
            expire_time: now + TimeDelta::seconds(15),
            id: self.env.new_uuid(),
        }
    }

    /// What a signer that checks nothing could sign.
    fn permit_with(&self, member: &str, value: Value) -> String {
        let claims = serde_json::to_value(self.permit()).unwrap();
        signed(
            &header(TYPE, &self.authorization),
            &with(claims, member, value),
            &self.authorization,
        )
    }
}

#[test]
fn a_permit_says_all_that_was_signed() {
    let world = World::new();
    let claims = world.permit();
    let jws = permit::sign(&world.authorization, &claims).unwrap();
    let verified = world.permits().verify(&jws).unwrap();
    assert_eq!(*verified.claims(), claims);
    assert_eq!(verified.jws(), jws);
}

#[test]
fn the_claims_are_readable_as_evidence() {
    let world = World::new();
    let json = serde_json::to_value(world.permit()).unwrap();
    assert_eq!(json["actor"], "service:rollback-orchestrator");
    assert_eq!(json["person"], "user:alice@example.com");
    assert_eq!(json["target_deploy"], 7);
    assert_eq!(json["scope"], "ALL");
    assert_eq!(json["hold"], true);
    assert_eq!(
        json["permissions"],
        json!(["deployment.images.push", "deployment.dags.push"])
    );
}

#[test]
fn a_permit_is_no_token() {
    let world = World::new();
    let jws = permit::sign(&world.authorization, &world.permit()).unwrap();
    let error = world.verify(&jws).unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Type { .. })),
        "{error}"
    );

    // Nor are the claims of a token, signed by the same key as a permit.
    let typed = signed(
        &header(TYPE, &world.authorization),
        &world.account_claims(),
        &world.authorization,
    );
    let error = world.verify(&typed).unwrap_err();
    assert!(
        matches!(error, TokenError::Jws(JwsError::Type { .. })),
        "{error}"
    );
}

#[test]
fn a_token_is_no_permit() {
    let world = World::new();
    let error = world.permits().verify(&world.account_token()).unwrap_err();
    assert!(
        matches!(error, PermitError::Jws(JwsError::Type { .. })),
        "{error}"
    );

    // Nor are the claims of a permit, signed by the same key as a token.
    let claims = serde_json::to_value(world.permit()).unwrap();
    let error = world
        .permits()
        .verify(&token(&claims, &world.authorization))
        .unwrap_err();
    assert!(
        matches!(error, PermitError::Jws(JwsError::Type { .. })),
        "{error}"
    );
}

#[test]
fn only_the_keys_of_permits_sign_permits() {
    let world = World::new();
    for key in [&world.orchestrator, &world.people, &SigningKey::generate()] {
        let jws = permit::sign(key, &world.permit()).unwrap();
        let error = world.permits().verify(&jws).unwrap_err();
        assert!(matches!(error, PermitError::UnknownKey { .. }), "{error}");

        let claims = serde_json::to_value(world.permit()).unwrap();
        let jws = signed(&header(TYPE, &world.authorization), &claims, key);
        let error = world.permits().verify(&jws).unwrap_err();
        assert!(
            matches!(error, PermitError::Jws(JwsError::Signature)),
            "{error}"
        );
    }
}

#[test]
fn a_permit_ends_on_its_second() {
    let world = World::new();
    let jws = permit::sign(&world.authorization, &world.permit()).unwrap();
    world
        .clock
        .advance(TimeDelta::seconds(15) - TimeDelta::microseconds(1));
    assert!(world.permits().verify(&jws).is_ok());
    world.clock.advance(TimeDelta::microseconds(1));
    let error = world.permits().verify(&jws).unwrap_err();
    assert!(matches!(error, PermitError::Expired { .. }), "{error}");
}

#[test]
fn a_permit_that_lasts_longer_is_neither_made_nor_taken() {
    let world = World::new();
    let now = world.clock.now().timestamp();
    for exp in [now + 16, now, now - 1, now + 86_400] {
        let error = world
            .permits()
            .verify(&world.permit_with("exp", json!(exp)))
            .unwrap_err();
        assert!(matches!(error, PermitError::Lifetime), "{error}");

        let expire_time = chrono::DateTime::from_timestamp(exp, 0).unwrap();
        let claims = PermitClaims {
            expire_time,
            ..world.permit()
        };
        let error = permit::sign(&world.authorization, &claims).unwrap_err();
        assert!(matches!(error, PermitError::Lifetime), "{error}");
    }
}

#[test]
fn a_permit_from_the_future_is_refused_beyond_what_clocks_differ() {
    let world = World::new();
    let jws = permit::sign(&world.authorization, &world.permit()).unwrap();
    world.clock.advance(TimeDelta::seconds(-2));
    assert!(world.permits().verify(&jws).is_ok());
    world.clock.advance(TimeDelta::microseconds(-1));
    let error = world.permits().verify(&jws).unwrap_err();
    assert!(
        matches!(error, PermitError::IssuedInFuture { .. }),
        "{error}"
    );
}

#[test]
fn a_permit_for_another_purpose_is_refused() {
    let world = World::new();
    let refused = |member, value: &str| {
        world
            .permits()
            .verify(&world.permit_with(member, json!(value)))
            .unwrap_err()
    };
    assert!(matches!(
        refused("iss", "reprise-local"),
        PermitError::Issuer { .. }
    ));
    assert!(matches!(
        refused("aud", "authorization"),
        PermitError::Audience
    ));
    assert!(matches!(
        refused("actor", "service:deploy-registry"),
        PermitError::Actor
    ));
    assert!(matches!(
        refused("actor", "user:rollback-orchestrator"),
        PermitError::Actor
    ));
    assert!(matches!(
        refused("person", "group:admins"),
        PermitError::Person
    ));
    assert!(matches!(
        refused("person", "service:rollback-orchestrator"),
        PermitError::Person
    ));
}

#[test]
fn a_target_that_is_no_earlier_deploy_is_refused() {
    let world = World::new();
    for target in [0, 10] {
        let permit = world.permit_with("target_deploy", json!(target));
        let error = world.permits().verify(&permit).unwrap_err();
        assert!(matches!(error, PermitError::Target), "{target}: {error}");
    }
}

#[test]
fn a_claim_that_is_missing_wrong_or_not_understood_refuses_the_permit() {
    let world = World::new();
    let claims = serde_json::to_value(world.permit()).unwrap();
    for member in claims.as_object().unwrap().keys() {
        for value in [Value::Null, json!(["x"])] {
            let error = world
                .permits()
                .verify(&world.permit_with(member, value))
                .unwrap_err();
            assert!(
                matches!(error, PermitError::Jws(JwsError::Claims(_))),
                "{member}: {error}"
            );
        }
    }
    let wrong = [
        ("only_on_sundays", json!(true)),
        ("scope", json!("EVERYTHING")),
        ("permissions", json!(["deployment.everything"])),
        ("target_deploy", json!(-1)),
        ("deployment", json!("deployments/d")),
        ("hold", json!("yes")),
    ];
    for (member, value) in wrong {
        let error = world
            .permits()
            .verify(&world.permit_with(member, value))
            .unwrap_err();
        assert!(
            matches!(error, PermitError::Jws(JwsError::Claims(_))),
            "{member}: {error}"
        );
    }
}

#[test]
fn a_permit_of_another_version_is_refused() {
    let world = World::new();
    for version in [0, PERMIT_VERSION - 1, PERMIT_VERSION + 1] {
        let error = world
            .permits()
            .verify(&world.permit_with("ver", json!(version)))
            .unwrap_err();
        assert!(
            matches!(error, PermitError::Version { found } if found == version),
            "{error}"
        );
    }
    // As it was before there were holds: it could not say that there is none.
    let mut claims = serde_json::to_value(world.permit()).unwrap();
    let old = claims.as_object_mut().unwrap();
    old.insert("ver".to_owned(), json!(1));
    old.remove("hold");
    let permit = signed(
        &header(TYPE, &world.authorization),
        &claims,
        &world.authorization,
    );
    let error = world.permits().verify(&permit).unwrap_err();
    assert!(
        matches!(error, PermitError::Jws(JwsError::Claims(_))),
        "{error}"
    );
}

#[test]
fn a_permit_that_is_too_long_is_neither_made_nor_taken() {
    let world = World::new();
    let plan_digest = "x".repeat(8 * 1024);
    let claims = PermitClaims {
        plan_digest: plan_digest.clone(),
        ..world.permit()
    };
    assert!(matches!(
        permit::sign(&world.authorization, &claims),
        Err(PermitError::TooLong)
    ));
    let error = world
        .permits()
        .verify(&world.permit_with("plan_digest", json!(plan_digest)));
    assert!(matches!(error, Err(PermitError::Jws(JwsError::TooLong))));
}
