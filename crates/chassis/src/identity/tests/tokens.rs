use chrono::TimeDelta;
use model::{Principal, ServiceName};
use serde_json::{Value, json};

use super::{ACCOUNT, World, id, token, with};
use crate::identity::jws::{self, JwsError};
use crate::identity::{
    AUTHORIZATION_ISSUER, LOCAL_ISSUER, MintError, TokenError, mint_service_account_token,
    mint_user_token,
};

#[test]
fn a_person_is_known_with_groups() {
    let world = World::new();
    let minted = world.user_token(TimeDelta::hours(24));

    let caller = world.verify(&minted).unwrap();

    assert_eq!(caller.principal().to_string(), "user:alice@example.com");
    let groups: Vec<_> = caller.groups().iter().map(Principal::to_string).collect();
    assert_eq!(groups, ["group:data-eng", "group:on-call"]);
    assert_eq!(caller.issuer(), LOCAL_ISSUER);
    assert_eq!(
        caller.expire_time(),
        world.clock.now() + TimeDelta::hours(24)
    );
    assert_eq!(caller.token(), minted);
}

#[test]
fn a_service_account_is_known_by_its_name_and_token_id() {
    let world = World::new();
    let token_id = world.env.new_uuid();
    let token = mint_service_account_token(
        &world.authorization,
        AUTHORIZATION_ISSUER,
        &ACCOUNT.parse().unwrap(),
        token_id,
        world.clock.now() + TimeDelta::days(365),
        &world.env,
    );

    let caller = world.verify(&token.unwrap()).unwrap();

    assert_eq!(
        caller.principal().to_string(),
        format!("service-account:{ACCOUNT}")
    );
    assert_eq!(caller.token_id(), Some(token_id.to_string().as_str()));
    assert!(caller.groups().is_empty());
}

#[test]
fn a_service_is_known_by_its_name() {
    let world = World::new();
    let token = world
        .service_tokens()
        .token(ServiceName::DeployRegistry)
        .unwrap();
    let caller = world.verify(&token).unwrap();
    assert_eq!(
        *caller.principal(),
        Principal::Service(ServiceName::RollbackOrchestrator)
    );
}

#[test]
fn an_audience_may_be_a_list_for_people() {
    let world = World::new();
    let claims = with(world.user_claims(), "aud", json!(["grafana", "reprise"]));
    assert!(world.verify(&token(&claims, &world.people)).is_ok());
}

#[test]
fn a_token_for_something_else_is_refused() {
    let world = World::new();
    for audience in [
        json!("grafana"),
        json!("deploy-registry"),
        json!([]),
        json!(""),
    ] {
        let claims = with(world.user_claims(), "aud", audience);
        let error = world.verify(&token(&claims, &world.people)).unwrap_err();
        assert!(matches!(error, TokenError::Audience { .. }), "{error}");
    }
}

#[test]
fn a_service_token_for_another_service_is_refused() {
    let world = World::new();
    let both = json!(["deploy-registry", "authorization"]);
    for audience in [json!("authorization"), json!("reprise"), both] {
        let claims = with(world.service_claims(), "aud", audience);
        let error = world
            .verify(&token(&claims, &world.orchestrator))
            .unwrap_err();
        assert!(matches!(error, TokenError::Audience { .. }), "{error}");
    }
}

#[test]
fn a_token_must_say_who_issued_it_for_whom_and_until_when() {
    let world = World::new();
    for member in ["iss", "aud", "exp", "sub"] {
        let claims = with(world.user_claims(), member, Value::Null);
        let error = world.verify(&token(&claims, &world.people)).unwrap_err();
        assert!(
            matches!(error, TokenError::Jws(JwsError::Claims(_))),
            "{member}: {error}"
        );
    }
}

#[test]
fn a_time_that_is_no_whole_number_in_range_is_refused() {
    let world = World::new();
    for time in [
        json!("tomorrow"),
        json!(1.9e9),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([1]),
    ] {
        for member in ["exp", "nbf", "iat"] {
            let claims = with(world.user_claims(), member, time.clone());
            let error = world.verify(&token(&claims, &world.people)).unwrap_err();
            assert!(
                matches!(error, TokenError::Jws(JwsError::Claims(_))),
                "{member}: {error}"
            );
        }
    }
}

#[test]
fn an_expired_token_is_refused_from_the_very_second() {
    let world = World::new();
    let minted = world.user_token(TimeDelta::seconds(10));
    world
        .clock
        .advance(TimeDelta::seconds(10) - TimeDelta::microseconds(1));
    assert!(world.verify(&minted).is_ok());
    world.clock.advance(TimeDelta::microseconds(1));
    let error = world.verify(&minted).unwrap_err();
    assert!(matches!(error, TokenError::Expired { .. }), "{error}");
}

#[test]
fn a_token_from_the_future_is_refused_beyond_what_clocks_differ() {
    let world = World::new();
    let now = world.clock.now().timestamp();
    for member in ["nbf", "iat"] {
        let claims = with(world.user_claims(), member, json!(now + 31));
        let error = world.verify(&token(&claims, &world.people)).unwrap_err();
        assert!(
            matches!(error, TokenError::NotYetValid { .. }),
            "{member}: {error}"
        );

        let claims = with(world.user_claims(), member, json!(now + 30));
        assert!(
            world.verify(&token(&claims, &world.people)).is_ok(),
            "{member}"
        );
    }
}

#[test]
fn a_service_token_that_lasts_is_refused() {
    let world = World::new();
    let now = world.clock.now().timestamp();
    let accepted = with(world.service_claims(), "exp", json!(now + 600));
    assert!(world.verify(&token(&accepted, &world.orchestrator)).is_ok());

    let too_long = with(world.service_claims(), "exp", json!(now + 601));
    let without_start = with(world.service_claims(), "iat", Value::Null);
    for claims in [too_long, without_start] {
        let error = world
            .verify(&token(&claims, &world.orchestrator))
            .unwrap_err();
        assert!(matches!(error, TokenError::ServiceLifetime), "{error}");
    }
}

#[test]
fn a_service_account_token_that_cannot_be_revoked_is_refused() {
    let world = World::new();
    assert!(
        world
            .verify(&token(&world.account_claims(), &world.authorization))
            .is_ok()
    );
    for id in [Value::Null, json!("")] {
        let claims = with(world.account_claims(), "jti", id);
        let error = world
            .verify(&token(&claims, &world.authorization))
            .unwrap_err();
        assert!(matches!(error, TokenError::TokenIdMissing), "{error}");
    }
}

#[test]
fn a_token_of_8_kib_is_taken_and_a_longer_one_is_not_made() {
    let world = World::new();
    let padded = |length| with(world.user_claims(), "padding", json!("x".repeat(length)));
    let longest = (5_000..8_000)
        .map(|length| token(&padded(length), &world.people))
        .take_while(|token| token.len() <= jws::MAX_LENGTH)
        .last()
        .unwrap();
    assert!(longest.len() >= jws::MAX_LENGTH - 1);
    assert!(world.verify(&longest).is_ok());

    let groups = vec![id(&"x".repeat(256)); 64];
    let minted = mint_user_token(
        &world.people,
        LOCAL_ISSUER,
        &id("alice"),
        &groups,
        TimeDelta::hours(1),
        &world.env,
    );
    assert!(matches!(minted, Err(MintError::TooLong)));
}

#[test]
fn a_token_that_would_never_be_valid_is_not_made() {
    let world = World::new();
    for lifetime in [TimeDelta::zero(), TimeDelta::seconds(-1), TimeDelta::MAX] {
        let minted = mint_user_token(
            &world.people,
            LOCAL_ISSUER,
            &id("alice"),
            &[],
            lifetime,
            &world.env,
        );
        assert!(matches!(minted, Err(MintError::Lifetime)), "{lifetime}");
    }
}

#[test]
fn a_verified_token_is_not_believed_past_its_end() {
    let world = World::new();
    let verifier = world.verifier();
    let minted = world.user_token(TimeDelta::seconds(20));
    assert!(verifier.verify(&minted).is_ok());
    world.clock.advance(TimeDelta::seconds(19));
    assert!(verifier.verify(&minted).is_ok());
    world.clock.advance(TimeDelta::seconds(1));
    assert!(matches!(
        verifier.verify(&minted),
        Err(TokenError::Expired { .. })
    ));
}

#[test]
fn a_verified_token_is_kept_for_a_minute() {
    let world = World::new();
    let verifier = world.verifier();
    let minted = world.user_token(TimeDelta::hours(1));
    let first = verifier.verify(&minted).unwrap();
    // The caller of a hit is the one that was kept, not an equal one.
    let kept = |caller: &crate::identity::Caller| std::ptr::eq(caller.token(), first.token());

    world.clock.advance(TimeDelta::seconds(59));
    assert!(kept(&verifier.verify(&minted).unwrap()));
    world.clock.advance(TimeDelta::seconds(1));
    assert!(!kept(&verifier.verify(&minted).unwrap()));
}

#[test]
fn a_clock_that_is_set_back_does_not_lengthen_what_is_kept() {
    let world = World::new();
    let verifier = world.verifier();
    let now = world.clock.now().timestamp();
    let claims = with(world.user_claims(), "nbf", json!(now));
    let minted = token(&claims, &world.people);
    assert!(verifier.verify(&minted).is_ok());
    world.clock.advance(TimeDelta::minutes(-10));
    assert!(matches!(
        verifier.verify(&minted),
        Err(TokenError::NotYetValid { .. })
    ));
}

#[test]
fn what_is_shown_of_a_caller_has_no_token() {
    let world = World::new();
    let minted = world.user_token(TimeDelta::hours(1));
    let shown = format!(
        "{:?} {:?}",
        world.verify(&minted).unwrap(),
        world.verifier()
    );
    assert!(shown.contains("user:alice@example.com"));
    for part in minted.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
}
