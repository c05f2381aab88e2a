//! Tokens that are forged, stale or odd, in front of all three services: each is refused in the same
//! words, whatever is wrong with it, and none of them gets into a log.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chassis::identity::{AUTHORIZATION_ISSUER, LOCAL_ISSUER, SigningKey, service_issuer};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use model::names::ServiceName;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::authorization::v1::{CheckPermissionRequest, IssuePermitRequest, WhoAmIRequest};
use proto::common::v1::RollbackScope;
use proto::registry::v1::GetDeploymentRequest;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Orders, Person, Refusal, Setup, Stack, refused};

const ACCOUNT: &str = "workspaces/acme/serviceAccounts/ci";
const UNKNOWN_KEYS: usize = 500;

on_both_databases!(
    what_is_wrong_with_a_token_is_told_to_nobody,
    a_forged_token_is_nobodys_word_for_a_permit_or_a_check,
    a_storm_of_unknown_keys_keeps_nobody_else_out,
);

async fn what_is_wrong_with_a_token_is_told_to_nobody(setup: Setup) {
    let stack = setup.start().await;
    let forger = Forger::new(&stack);
    let expected = call_each_service(&stack.somebody("let-me-in")).await;
    let bad = forger.bad_tokens();
    for (what, token) in &bad {
        let refusals = call_each_service(&stack.somebody(token)).await;
        for (refusal, expected) in refusals.into_iter().zip(&expected) {
            let refusal = refusal.when(what).unauthenticated();
            assert_eq!(refusal.message, expected.message, "{what}");
        }
    }
    nothing_of_them_is_logged(&stack, &bad);

    // What they were made from is a token.
    let genuine = stack.somebody(&forger.token(&forger.claims()));
    for refusal in call_each_service(&genuine).await {
        assert_ne!(refusal.code, tonic::Code::Unauthenticated, "{refusal}");
    }
}

async fn a_forged_token_is_nobodys_word_for_a_permit_or_a_check(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let stack = &orders.stack;
    let forger = Forger::new(stack);
    let orchestrator = stack.service(
        ServiceName::RollbackOrchestrator,
        ServiceName::Authorization,
    );
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::Dags).await;
    let mut permit = orders.permit_request(&orders.dana, &write).await;
    let mut words = None;
    let bad = forger.bad_tokens();
    for (what, token) in bad.iter().filter(|(_, token)| token.len() <= 8 * 1024) {
        permit.authority = Some(Authority::SubjectToken(token.clone()));
        let check = CheckPermissionRequest {
            permission: "deployment.dags.push".to_owned(),
            resource: DEPLOYMENT.to_owned(),
            subject_token: token.clone(),
            ..CheckPermissionRequest::default()
        };
        let mut authorization = orchestrator.authorization();
        for refusal in [
            refused(authorization.issue_permit(permit.clone()).await),
            refused(authorization.check_permission(check).await),
        ] {
            let refusal = refusal.when(what).unauthenticated();
            let words = words.get_or_insert(refusal.message.clone());
            assert_eq!(refusal.message, *words, "{what}");
        }
    }
    nothing_of_them_is_logged(stack, &bad);
}

async fn a_storm_of_unknown_keys_keeps_nobody_else_out(setup: Setup) {
    let stack = setup.start().await;
    let admin = stack.person("admin");
    let mut storm = JoinSet::new();
    for _ in 0..UNKNOWN_KEYS {
        let forger = Forger {
            key: SigningKey::generate(),
            ..Forger::new(&stack)
        };
        let mallory = stack.somebody(&forger.token(&forger.claims()));
        storm.spawn(
            async move { refused(mallory.authorization().who_am_i(WhoAmIRequest {}).await) },
        );
        let me = done(admin.authorization().who_am_i(WhoAmIRequest {}).await);
        assert_eq!(me.principal, admin.principal);
    }
    for refusal in storm.join_all().await {
        refusal.unauthenticated();
    }
}

/// Makes tokens, as an attacker does who knows all that is public, and has one good key.
struct Forger {
    /// The key of the issuer of people.
    key: SigningKey,
    /// The key of a service.
    service: SigningKey,
    now: i64,
}

impl Forger {
    fn new(stack: &Stack) -> Self {
        let orchestrator = ServiceName::RollbackOrchestrator;
        Self {
            key: stack.keyring.local_issuer().unwrap(),
            service: stack.keyring.service_key(orchestrator).unwrap(),
            now: stack.environment.now().timestamp(),
        }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": LOCAL_ISSUER, "sub": "admin", "aud": "reprise", "iat": self.now,
            "exp": self.now + 3_600, "jti": "1",
        })
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key.kid()})
    }

    /// A token that says this, signed as it should be.
    fn token(&self, claims: &Value) -> String {
        signed(&self.header(), claims, &self.key)
    }

    fn bad_tokens(&self) -> Vec<(String, String)> {
        let mut tokens = self.with_bad_claims();
        tokens.extend(self.with_bad_headers());
        tokens.extend(self.with_bad_signatures());
        tokens.extend(self.with_bad_forms());
        tokens
    }

    fn with_bad_claims(&self) -> Vec<(String, String)> {
        let Self { now, .. } = *self;
        let orchestrator = service_issuer(ServiceName::RollbackOrchestrator);
        let changes = [
            (
                "an issuer that nobody trusts",
                json!({"iss": "https://evil.example.com"}),
            ),
            ("no issuer", json!({"iss": null})),
            (
                "the issuer of service accounts",
                json!({"iss": AUTHORIZATION_ISSUER, "sub": ACCOUNT}),
            ),
            (
                "the issuer of a service",
                json!({
                    "iss": orchestrator, "sub": "service:rollback-orchestrator", "aud": "authorization",
                    "exp": now + 60,
                }),
            ),
            (
                "another audience",
                json!({"aud": "https://other.example.com"}),
            ),
            ("other audiences", json!({"aud": ["a", "b"]})),
            ("a service for audience", json!({"aud": "authorization"})),
            ("no audience", json!({"aud": null})),
            ("expired", json!({"iat": now - 7_200, "exp": now - 1})),
            ("expired for ever", json!({"exp": -1})),
            ("no end", json!({"exp": null})),
            ("an end that is no number", json!({"exp": "never"})),
            ("an end beyond all time", json!({"exp": 1e300})),
            ("not yet valid", json!({"nbf": now + 600})),
            ("of the future", json!({"iat": now + 600})),
            ("nobody", json!({"sub": null})),
            ("an empty name", json!({"sub": ""})),
            ("a name with spaces", json!({"sub": "admin admin"})),
            ("a name of two lines", json!({"sub": "admin\nINFO forged"})),
            ("a name that is no text", json!({"sub": ["admin"]})),
            ("groups that are no names", json!({"groups": ["a b"]})),
        ];
        let token = |(what, change): (&str, Value)| {
            (what.to_owned(), self.token(&changed(self.claims(), change)))
        };
        changes.into_iter().map(token).collect()
    }

    fn with_bad_headers(&self) -> Vec<(String, String)> {
        let mallory = SigningKey::generate();
        let jwk = serde_json::to_value(mallory.public()).unwrap();
        let changes = [
            ("no algorithm", json!({"alg": null}), &self.key),
            ("another type", json!({"typ": "at+jwt"}), &self.key),
            (
                "the type of a permit",
                json!({"typ": "reprise-permit+jwt"}),
                &self.key,
            ),
            ("no type", json!({"typ": null}), &self.key),
            ("no key", json!({"kid": null}), &self.key),
            ("an unknown key", json!({"kid": mallory.kid()}), &mallory),
            (
                "a key with a path",
                json!({"kid": "../../etc/passwd"}),
                &mallory,
            ),
            (
                "a key of another issuer",
                json!({"kid": self.service.kid()}),
                &self.service,
            ),
            ("another's key under the right id", json!({}), &self.service),
            (
                "a key that it brings along",
                json!({"kid": mallory.kid(), "jwk": jwk}),
                &mallory,
            ),
            (
                "a key to be fetched",
                json!({"jku": "https://evil.example.com/jwks"}),
                &mallory,
            ),
            (
                "critical extensions",
                json!({"crit": ["exp"], "exp": self.now}),
                &self.key,
            ),
        ];
        let token = |(what, change, key): (&str, Value, &SigningKey)| {
            let header = changed(self.header(), change);
            (what.to_owned(), signed(&header, &self.claims(), key))
        };
        changes.into_iter().map(token).collect()
    }

    fn with_bad_signatures(&self) -> Vec<(String, String)> {
        let genuine = self.token(&self.claims());
        let (_, signature) = genuine.rsplit_once('.').unwrap();
        let mut tokens = Vec::new();
        for none in ["none", "None", "NONE", "nOnE"] {
            let header = changed(self.header(), json!({"alg": none}));
            let message = message(&header, &self.claims());
            tokens.push((format!("alg {none}"), format!("{message}.")));
            tokens.push((
                format!("alg {none}, signed"),
                format!("{message}.{signature}"),
            ));
        }
        let x = self.key.public().x();
        let jwk = serde_json::to_vec(self.key.public()).unwrap();
        let raw = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
        for (what, secret) in [("text", x.as_bytes()), ("bytes", &raw), ("JWK", &jwk)] {
            for alg in ["HS256", "EdDSA"] {
                let header = changed(self.header(), json!({"alg": alg}));
                let message = message(&header, &self.claims());
                let secret = EncodingKey::from_secret(secret);
                let hmac = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
                let what = format!("{alg}, HMAC with the {what} of the public key");
                tokens.push((what, format!("{message}.{hmac}")));
            }
        }
        let claims = changed(self.claims(), json!({"sub": "root"}));
        let message = message(&self.header(), &claims);
        tokens.push((
            "another's signature".to_owned(),
            format!("{message}.{signature}"),
        ));
        tokens
    }

    fn with_bad_forms(&self) -> Vec<(String, String)> {
        let genuine = self.token(&self.claims());
        let (message, signature) = genuine.rsplit_once('.').unwrap();
        let (_, claims) = message.split_once('.').unwrap();
        let cut = |length: usize| genuine[..length].to_owned();
        [
            ("no form", "let me in".to_owned()),
            ("only dots", "..".to_owned()),
            ("four parts", format!("{genuine}.{signature}")),
            ("no header", format!(".{claims}.{signature}")),
            ("padding", format!("{message}.{signature}==")),
            ("truncated by a character", cut(genuine.len() - 1)),
            ("truncated by half of it", cut(genuine.len() / 2)),
            ("truncated to nothing but the message", message.to_owned()),
            (
                "8 KiB and more",
                format!("{genuine}{}", "A".repeat(8 * 1024)),
            ),
        ]
        .map(|(what, token)| (what.to_owned(), token))
        .into()
    }
}

/// The members of `change` in place of those of `value`; null takes one away.
fn changed(mut value: Value, change: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    for (member, new) in change.as_object().unwrap() {
        if new.is_null() {
            members.remove(member);
        } else {
            members.insert(member.clone(), new.clone());
        }
    }
    value
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let message = message(header, claims);
    let key = EncodingKey::from_ed_der(&der(key));
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

/// What is inside of the key's PEM.
fn der(key: &SigningKey) -> Vec<u8> {
    let pem = key.to_pem().unwrap();
    let body = pem.lines().filter(|line| !line.starts_with("-----"));
    BASE64_STANDARD.decode(body.collect::<String>()).unwrap()
}

/// Calls that nobody can make with success on an empty installation.
async fn call_each_service(person: &Person) -> [Refusal; 3] {
    let get = GetDeploymentRequest {
        name: DEPLOYMENT.to_owned(),
    };
    let rollback = rollback_to(1, RollbackScope::All);
    let permit = IssuePermitRequest::default();
    [
        refused(person.authorization().issue_permit(permit).await),
        refused(person.registry().get_deployment(get).await),
        refused(person.orchestrator().create_rollback(rollback).await),
    ]
}

/// Neither a token nor a part of it that says something.
fn nothing_of_them_is_logged(stack: &Stack, tokens: &[(String, String)]) {
    for process in [&stack.authorization, &stack.registry, &stack.orchestrator] {
        let log = process.log();
        assert!(!log.is_empty());
        for line in log {
            let line = line.to_string();
            for (what, token) in tokens {
                let parts = token.split('.').filter(|part| part.len() > 20);
                for part in parts {
                    assert!(!line.contains(part), "{what}: {line}");
                }
            }
        }
    }
}
