use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::KeyError;

/// A public Ed25519 key. In JSON it is a JWK. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey {
    kid: Arc<str>,
    x: Arc<str>,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads the member `x` of a JWK: 32 bytes in base64url without padding.
    ///
    /// # Errors
    ///
    /// If it is no Ed25519 public key, or a weak one, under which anybody can sign.
    pub fn from_x(x: &str) -> Result<Self, KeyError> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(x)
            .map_err(|_| KeyError::PublicKey)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::PublicKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::PublicKey)?;
        if key.is_weak() {
            Err(KeyError::PublicKey)
        } else {
            Ok(Self::of(&key))
        }
    }

    /// The key's id: its RFC 7638 thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The member `x` of the key's JWK: 32 bytes in base64url without padding.
    #[must_use]
    pub fn x(&self) -> &str {
        &self.x
    }

    /// Whether the key has signed the message. Strict: of all the ways to write a signature down that
    /// some implementations accept, one counts.
    pub(in crate::identity) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }

    pub(super) fn of(key: &VerifyingKey) -> Self {
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
        let kid = thumbprint(&x);
        Self {
            kid: kid.into(),
            x: x.into(),
            key: *key,
        }
    }
}

/// RFC 7638: the required members in lexical order, without white space.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.x == other.x
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// A private key has more members (`d`), so that one cannot get into a trust file by mistake.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    alg: String,
    r#use: String,
    kid: String,
    x: String,
}

const KTY: &str = "OKP";
const CRV: &str = "Ed25519";
const ALG: &str = "EdDSA";
const USE: &str = "sig";

impl TryFrom<Jwk> for PublicKey {
    type Error = KeyError;

    fn try_from(jwk: Jwk) -> Result<Self, KeyError> {
        let Jwk {
            kty,
            crv,
            alg,
            r#use,
            kid,
            x,
        } = jwk;
        let members = [
            ("kty", kty, KTY),
            ("crv", crv, CRV),
            ("alg", alg, ALG),
            ("use", r#use, USE),
        ];
        for (member, value, expected) in members {
            if value != expected {
                return Err(KeyError::JwkMember { member, expected });
            }
        }
        let key = Self::from_x(&x)?;
        if *key.kid != kid {
            return Err(KeyError::KeyId { expected: key.kid });
        }
        Ok(key)
    }
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        let PublicKey { kid, x, key: _ } = key;
        Self {
            kty: KTY.to_owned(),
            crv: CRV.to_owned(),
            alg: ALG.to_owned(),
            r#use: USE.to_owned(),
            kid: String::from(&*kid),
            x: String::from(&*x),
        }
    }
}
