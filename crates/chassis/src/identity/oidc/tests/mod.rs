//! Tokens of an identity provider on a real port, signed by a library that is not ours.

mod fetching;
mod http;
mod keys;
mod layer;
mod people;
mod refused;
mod trust_file;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use model::ServiceName;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::OidcClient;
use super::client::FETCH_WITHIN;
use super::token::OidcTokenError;
use crate::identity::tests::{Clock, World};
use crate::identity::trust::{self, OidcSettings};
use crate::identity::{Caller, TokenError, TokenVerifier};
use http::{Answer, HttpServer};

const AUDIENCE: &str = "https://reprise.example.com";
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/keys";

/// Keys that nobody uses for anything else. To make one takes long.
const RSA_2048: &[u8] = include_bytes!("rsa-2048.der");
const RSA_1024: &[u8] = include_bytes!("rsa-1024.der");

/// A private key, and how a provider publishes it.
struct Key {
    algorithm: Algorithm,
    private: EncodingKey,
    jwk: Value,
}

impl Key {
    fn new(kid: &str, algorithm: Algorithm, private: EncodingKey) -> Self {
        let jwk = Jwk::from_encoding_key(&private, algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        Self {
            algorithm,
            private,
            jwk,
        }
    }

    fn es256(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let private = EncodingKey::from_ec_der(&key.serialize_der());
        Self::new(kid, Algorithm::ES256, private)
    }

    fn es384(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let private = EncodingKey::from_ec_der(&key.serialize_der());
        Self::new(kid, Algorithm::ES384, private)
    }

    fn ed25519(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        // The library wants version 1 of the form, without the public half.
        let der = key.serialize_der();
        let mut v1 = der.get(..48).unwrap().to_vec();
        v1[1] = 46;
        v1[4] = 0;
        let private = EncodingKey::from_ed_der(&v1);
        Self::new(kid, Algorithm::EdDSA, private)
    }

    fn rsa(kid: &str, algorithm: Algorithm, der: &[u8]) -> Self {
        Self::new(kid, algorithm, EncodingKey::from_rsa_der(der))
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "JWT", "kid": self.jwk["kid"]})
    }

    /// Signs anything under any header.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm);
        format!("{message}.{}", signature.unwrap())
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// An identity provider, and a service that trusts it.
struct Provider {
    clock: Clock,
    server: HttpServer,
    settings: OidcSettings,
    verifier: Arc<TokenVerifier>,
    /// Fetches the provider's keys.
    _fetching: JoinSet<()>,
}

impl Provider {
    /// With these keys and the default settings.
    async fn with(keys: &[&Key]) -> Self {
        Self::with_settings(keys, |_| {}).await
    }

    async fn with_settings(keys: &[&Key], change: impl FnOnce(&mut OidcSettings)) -> Self {
        let server = HttpServer::start().await;
        server.publish(keys);
        Self::at(server, change)
    }

    fn at(server: HttpServer, change: impl FnOnce(&mut OidcSettings)) -> Self {
        let mut settings = settings(&server.url(""));
        change(&mut settings);
        let world = World::new();
        let trust = world.trust().with_oidc(settings.clone()).unwrap();
        let verifier = Arc::new(TokenVerifier::new(
            trust,
            ServiceName::DeployRegistry,
            world.env.clone(),
        ));
        let mut fetching = JoinSet::new();
        for provider in verifier.providers() {
            fetching.spawn(provider.keep(OidcClient::default()));
        }
        Self {
            clock: world.clock,
            server,
            settings,
            verifier,
            _fetching: fetching,
        }
    }

    /// Claims of a token that is accepted.
    fn claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": self.settings.issuer, "aud": AUDIENCE, "sub": "alice", "iat": now,
            "exp": now + 3600, "email": "alice@example.com",
        })
    }

    async fn identify(&self, token: &str) -> Result<Caller, TokenError> {
        self.verifier.identify(token).await
    }

    /// The check that a token of the provider fails.
    async fn refusal(&self, token: &str) -> OidcTokenError {
        match self.identify(token).await {
            Err(TokenError::Oidc { issuer, source }) => {
                assert_eq!(issuer, self.settings.issuer);
                source
            }
            other => panic!("{other:?}"),
        }
    }

    /// Lets so much time go by that an unknown key is a reason to fetch.
    fn rest(&self) {
        self.clock.advance(TimeDelta::seconds(30));
    }
}

fn settings(issuer: &str) -> OidcSettings {
    OidcSettings {
        issuer: issuer.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: vec![trust::Algorithm::Es256],
        subject_claim: "sub".to_owned(),
        subject_prefix: "okta:".to_owned(),
        groups_claim: Some("groups".to_owned()),
        group_prefix: None,
        jwks_uri: None,
    }
}
