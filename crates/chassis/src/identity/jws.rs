//! JWS in compact form (RFC 7515), signed with EdDSA. Tokens and permits are both made here. Those of
//! identity providers, which sign in other ways, are only taken apart here.
//!
//! A text becomes an [`Unverified`], whose claims can only be looked at to find the key, and that
//! becomes the claims once a key of the right issuer has verified it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::keys::{PublicKey, SigningKey};

/// The longest text that is looked at. A header of a call has to hold it.
pub(super) const MAX_LENGTH: usize = 8 * 1024;

const ALG: &str = "EdDSA";

/// What is wrong with a signed text, whatever it claims.
#[derive(Debug, Error)]
pub enum JwsError {
    /// Longer than is looked at.
    #[error("longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not three parts of base64url.
    #[error("not a compact JWS")]
    Form,
    /// The header is no JSON object with the members that are needed.
    #[error("malformed header")]
    Header(#[source] serde_json::Error),
    /// Signed, or not at all, by an algorithm that no key here has.
    #[error("the algorithm is not {ALG}")]
    Algorithm,
    /// A header that asks for something that is not understood.
    #[error("the header has critical extensions")]
    Critical,
    /// Made for something else.
    #[error("the type is not `{expected}`")]
    Type {
        /// The type that was expected.
        expected: &'static str,
    },
    /// The header names no key.
    #[error("the header names no key")]
    KeyIdMissing,
    /// The claims are no JSON object with the members that are needed.
    #[error("malformed claims")]
    Claims(#[source] serde_json::Error),
    /// Not signed by the key, or changed since.
    #[error("the signature does not verify")]
    Signature,
}

/// Members that could bring a key along (`jwk`, `jku`, `x5c`) are not even read.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    pub(super) crit: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct NewHeader<'a> {
    alg: &'static str,
    typ: &'a str,
    kid: &'a str,
}

/// Signs claims as something of a type.
pub(super) fn sign(
    key: &SigningKey,
    typ: &str,
    claims: &impl Serialize,
) -> Result<String, serde_json::Error> {
    let header = serde_json::to_vec(&NewHeader {
        alg: ALG,
        typ,
        kid: key.kid(),
    })?;
    let claims = serde_json::to_vec(claims)?;
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(header);
    text.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}

/// A text of the right form, that anybody could have made.
pub(super) struct Parts<'a> {
    /// What is signed.
    pub(super) message: &'a str,
    /// In base64url.
    pub(super) signature: &'a str,
    header: &'a str,
    claims: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > MAX_LENGTH {
            return Err(JwsError::TooLong);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(JwsError::Form)?;
        let (header, claims) = message.split_once('.').ok_or(JwsError::Form)?;
        Ok(Self {
            message,
            signature,
            header,
            claims,
        })
    }

    pub(super) fn header(&self) -> Result<Header, JwsError> {
        serde_json::from_slice(&decode(self.header)?).map_err(JwsError::Header)
    }

    pub(super) fn claims<C: DeserializeOwned>(&self) -> Result<C, JwsError> {
        serde_json::from_slice(&decode(self.claims)?).map_err(JwsError::Claims)
    }
}

/// A text of the right form and type, that anybody could have made.
pub(super) struct Unverified<'a, C> {
    message: &'a str,
    signature: &'a str,
    kid: String,
    claims: C,
}

impl<'a, C: DeserializeOwned> Unverified<'a, C> {
    pub(super) fn parse(text: &'a str, typ: &'static str) -> Result<Self, JwsError> {
        let parts = Parts::split(text)?;
        let Header {
            alg,
            typ: actual,
            kid,
            crit,
        } = parts.header()?;
        if alg != ALG {
            return Err(JwsError::Algorithm);
        }
        if crit.is_some() {
            return Err(JwsError::Critical);
        }
        if actual.as_deref() != Some(typ) {
            return Err(JwsError::Type { expected: typ });
        }
        let kid = kid.ok_or(JwsError::KeyIdMissing)?;
        Ok(Self {
            message: parts.message,
            signature: parts.signature,
            kid,
            claims: parts.claims()?,
        })
    }
}

impl<C> Unverified<'_, C> {
    /// The id of the key that is said to have signed.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims, to find the key that must have signed them. Believe nothing else of them.
    pub(super) fn claims_to_find_the_key(&self) -> &C {
        &self.claims
    }

    /// The claims, if the key has signed them.
    pub(super) fn verify(self, key: &PublicKey) -> Result<C, JwsError> {
        // A signature that is no base64 verifies as little as a wrong one.
        let signature = decode(self.signature).map_err(|_| JwsError::Signature)?;
        if key.has_signed(self.message.as_bytes(), &signature) {
            Ok(self.claims)
        } else {
            Err(JwsError::Signature)
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JwsError::Form)
}
