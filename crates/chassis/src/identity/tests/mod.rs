//! Behaviour of the whole: what is accepted as whom, and every way that must not be.

#[cfg(unix)]
mod follow;
mod forged_permits;
mod forged_tokens;
#[cfg(unix)]
mod key_files;
#[cfg(unix)]
mod keyring;
mod layer;
mod permits;
mod service_tokens;
#[cfg(unix)]
mod signing_folder;
mod tokens;
mod trust;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use model::{PrincipalId, ServiceName};
use serde_json::{Value, json};

use super::{
    AUTHORIZATION_ISSUER, Caller, IssuerKind, KeySet, LOCAL_ISSUER, ServiceTokens, SigningKey,
    TokenError, TokenVerifier, TrustFile, TrustedIssuer, mint_service_account_token,
    mint_user_token, service_issuer,
};
use crate::environment::Environment;

const ACCOUNT: &str = "workspaces/w/serviceAccounts/ci";

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000_000)))
    }

    pub(super) fn env(&self) -> Environment {
        let clock = self.clone();
        Environment::with_clock(move || clock.now())
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(super) fn advance(&self, by: TimeDelta) {
        self.0
            .fetch_add(by.num_microseconds().unwrap(), Ordering::SeqCst);
    }
}

/// Every issuer with a key of its own.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) env: Environment,
    people: SigningKey,
    authorization: SigningKey,
    orchestrator: SigningKey,
    registry: SigningKey,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Clock::new();
        Self {
            env: clock.env(),
            clock,
            people: SigningKey::generate(),
            authorization: SigningKey::generate(),
            orchestrator: SigningKey::generate(),
            registry: SigningKey::generate(),
        }
    }

    pub(super) fn trust(&self) -> TrustFile {
        let keys = |key: &SigningKey| KeySet::new([key.public().clone()]).unwrap();
        let service = |service, key| {
            TrustedIssuer::new(
                service_issuer(service),
                IssuerKind::Service(service),
                keys(key),
            )
        };
        let issuers = [
            TrustedIssuer::new(LOCAL_ISSUER, IssuerKind::Users, keys(&self.people)),
            TrustedIssuer::new(
                AUTHORIZATION_ISSUER,
                IssuerKind::ServiceAccounts,
                keys(&self.authorization),
            ),
            service(ServiceName::RollbackOrchestrator, &self.orchestrator),
            service(ServiceName::DeployRegistry, &self.registry),
        ];
        TrustFile::new(issuers, keys(&self.authorization)).unwrap()
    }

    /// The verifier of the deploy-registry.
    fn verifier(&self) -> TokenVerifier {
        TokenVerifier::new(self.trust(), ServiceName::DeployRegistry, self.env.clone())
    }

    fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.verifier().verify(token)
    }

    pub(super) fn user_token(&self, lifetime: TimeDelta) -> String {
        let groups = [id("data-eng"), id("on-call")];
        let alice = id("alice@example.com");
        mint_user_token(
            &self.people,
            LOCAL_ISSUER,
            &alice,
            &groups,
            lifetime,
            &self.env,
        )
        .unwrap()
    }

    fn account_token(&self) -> String {
        mint_service_account_token(
            &self.authorization,
            AUTHORIZATION_ISSUER,
            &ACCOUNT.parse().unwrap(),
            self.env.new_uuid(),
            self.clock.now() + TimeDelta::days(30),
            &self.env,
        )
        .unwrap()
    }

    fn service_tokens(&self) -> ServiceTokens {
        ServiceTokens::new(
            ServiceName::RollbackOrchestrator,
            self.orchestrator.clone(),
            self.env.clone(),
        )
    }

    /// Claims of a person's token that verifies.
    pub(super) fn user_claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": LOCAL_ISSUER, "sub": "alice", "aud": "reprise", "iat": now, "exp": now + 3600,
        })
    }

    /// Claims of the orchestrator's token for the registry that verifies.
    fn service_claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": "reprise-service/rollback-orchestrator",
            "sub": "service:rollback-orchestrator",
            "aud": "deploy-registry",
            "iat": now,
            "exp": now + 300,
        })
    }

    /// Claims of a service account's token that verifies.
    fn account_claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": AUTHORIZATION_ISSUER, "sub": ACCOUNT, "aud": "reprise", "iat": now,
            "exp": now + 3600, "jti": "1",
        })
    }
}

fn id(text: &str) -> PrincipalId {
    text.parse().unwrap()
}

fn header(typ: &str, key: &SigningKey) -> Value {
    json!({"alg": "EdDSA", "typ": typ, "kid": key.kid()})
}

/// Signs anything, as an attacker with a key would.
fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let message = message(header, claims);
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// A token with these claims, signed as it should be.
fn token(claims: &Value, key: &SigningKey) -> String {
    signed(&header("JWT", key), claims, key)
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The value with one member changed; removed if the new value is null.
pub(super) fn with(mut value: Value, member: &str, new: Value) -> Value {
    let object = value.as_object_mut().unwrap();
    if new.is_null() {
        object.remove(member);
    } else {
        object.insert(member.to_owned(), new);
    }
    value
}
