//! The keys of an identity provider that can be used, out of its JWK set (RFC 7517).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use crate::identity::keys::PublicKey;
use crate::identity::trust::Algorithm;

/// No provider has more; what comes after them is not looked at.
const MAX_KEYS: usize = 100;

/// RSA keys below are weak; longer ones are not implemented by the library that verifies.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The keys that a provider may sign with.
#[derive(Debug, Default)]
pub(in crate::identity) struct ProviderKeys(Vec<ProviderKey>);

/// A key, and the only algorithms that it verifies.
struct ProviderKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: Public,
}

enum Public {
    Ed25519(PublicKey),
    RsaOrEcdsa(DecodingKey),
}

/// A JWK. Private members are not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

impl ProviderKeys {
    /// Reads a JWK set. A key that cannot be used for any of the algorithms is left out: providers
    /// publish keys for encryption, and of kinds that are yet to come.
    pub(super) fn parse(json: &[u8], allowed: &[Algorithm]) -> Result<Self, serde_json::Error> {
        let JwkSet { keys } = serde_json::from_slice(json)?;
        let usable = keys.into_iter().take(MAX_KEYS).filter_map(|key| {
            let key = serde_json::from_value::<Jwk>(key).ok()?;
            ProviderKey::usable(key, allowed)
        });
        Ok(Self(usable.collect()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The ids of the keys, for people.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.kid.as_deref().unwrap_or("-"))
    }

    /// Whether there is a key that a token with this `kid`, or with none, may mean. Without `kid` it
    /// means the only one.
    pub(super) fn has(&self, kid: Option<&str>) -> bool {
        self.meant(kid).next().is_some()
    }

    /// Whether one of the keys that the token may mean has signed the message. Two keys can have the
    /// same id, as long as the provider knows which is which.
    pub(super) fn have_signed(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
    ) -> bool {
        self.meant(kid)
            .filter(|key| key.algorithms.contains(&algorithm))
            .any(|key| key.has_signed(algorithm, message, signature))
    }

    fn meant(&self, kid: Option<&str>) -> impl Iterator<Item = &ProviderKey> {
        let only = self.0.len() == 1;
        self.0.iter().filter(move |key| match kid {
            Some(kid) => key.kid.as_deref() == Some(kid),
            None => only,
        })
    }
}

impl ProviderKey {
    fn usable(jwk: Jwk, allowed: &[Algorithm]) -> Option<Self> {
        let Jwk {
            kty,
            kid,
            r#use,
            key_ops,
            alg,
            crv,
            n,
            e,
            x,
            y,
        } = jwk;
        let verifies = key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies || r#use.is_some_and(|r#use| r#use != "sig") {
            return None;
        }
        let (public, fitting): (_, &[Algorithm]) = match (kty.as_str(), crv.as_deref()) {
            ("RSA", None) => (rsa(&n?, &e?)?, &RSA),
            ("EC", Some("P-256")) => (ecdsa(&x?, &y?, 32)?, &[Algorithm::Es256]),
            ("EC", Some("P-384")) => (ecdsa(&x?, &y?, 48)?, &[Algorithm::Es384]),
            ("OKP", Some("Ed25519")) => (
                Public::Ed25519(PublicKey::from_x(&x?).ok()?),
                &[Algorithm::EdDsa],
            ),
            // Secrets (`oct`) above all: whoever verifies with one can also sign.
            _ => return None,
        };
        let named = match alg {
            Some(alg) => Some(Algorithm::named(&alg)?),
            None => None,
        };
        let algorithms: Vec<_> = fitting
            .iter()
            .copied()
            .filter(|fits| allowed.contains(fits) && named.is_none_or(|named| named == *fits))
            .collect();
        (!algorithms.is_empty()).then_some(Self {
            kid,
            algorithms,
            public,
        })
    }

    fn has_signed(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        let message = message.as_bytes();
        match &self.public {
            Public::Ed25519(key) => BASE64_URL_SAFE_NO_PAD
                .decode(signature)
                .is_ok_and(|signature| key.has_signed(message, &signature)),
            Public::RsaOrEcdsa(key) => library_name(algorithm).is_some_and(|algorithm| {
                jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
            }),
        }
    }
}

const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

fn rsa(n: &str, e: &str) -> Option<Public> {
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).ok()?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let leading = modulus.get(first)?.leading_zeros() as usize;
    let bits = (modulus.len() - first) * 8 - leading;
    if !RSA_BITS.contains(&bits) {
        return None;
    }
    let key = DecodingKey::from_rsa_components(n, e).ok()?;
    Some(Public::RsaOrEcdsa(key))
}

fn ecdsa(x: &str, y: &str, length: usize) -> Option<Public> {
    for coordinate in [x, y] {
        if BASE64_URL_SAFE_NO_PAD.decode(coordinate).ok()?.len() != length {
            return None;
        }
    }
    let key = DecodingKey::from_ec_components(x, y).ok()?;
    Some(Public::RsaOrEcdsa(key))
}

fn library_name(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    match algorithm {
        Algorithm::Rs256 => Some(jsonwebtoken::Algorithm::RS256),
        Algorithm::Rs384 => Some(jsonwebtoken::Algorithm::RS384),
        Algorithm::Rs512 => Some(jsonwebtoken::Algorithm::RS512),
        Algorithm::Ps256 => Some(jsonwebtoken::Algorithm::PS256),
        Algorithm::Ps384 => Some(jsonwebtoken::Algorithm::PS384),
        Algorithm::Ps512 => Some(jsonwebtoken::Algorithm::PS512),
        Algorithm::Es256 => Some(jsonwebtoken::Algorithm::ES256),
        Algorithm::Es384 => Some(jsonwebtoken::Algorithm::ES384),
        // Verified as our own tokens are.
        Algorithm::EdDsa => None,
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
