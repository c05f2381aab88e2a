//! Ed25519 keys: the private half in a PEM file, the public half as a JWK (RFC 8037).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{self, DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, VerifyingKey};
use jsonwebtoken::DecodingKey;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::files::{self, FileError};

/// Why a key cannot be used. Never says anything of the key itself.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read, or others can read it too.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text is no private Ed25519 key.
    #[error("not an Ed25519 private key in PKCS#8 PEM form (`-----BEGIN PRIVATE KEY-----`)")]
    Pem(#[source] pkcs8::Error),
    /// The file holds no private Ed25519 key.
    #[error(
        "{} holds no Ed25519 private key in PKCS#8 PEM form (`openssl genpkey -algorithm ed25519` makes one)",
        path.display()
    )]
    PemFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pkcs8::Error,
    },
    /// The bytes are no public Ed25519 key, or one for which signatures can be made up.
    #[error("`x` is no Ed25519 public key")]
    PublicKey,
    /// A JWK of another kind.
    #[error("member `{member}` of the key must be `{expected}`")]
    JwkMember {
        /// The member's name.
        member: &'static str,
        /// The only value that it can have.
        expected: &'static str,
    },
    /// The key's id is not its thumbprint.
    #[error("`kid` of the key must be its RFC 7638 thumbprint, `{expected}`")]
    KeyId {
        /// The thumbprint.
        expected: Arc<str>,
    },
    /// The same key twice.
    #[error("key `{kid}` is listed twice")]
    Duplicate {
        /// The key's id.
        kid: Arc<str>,
    },
}

/// A private Ed25519 key. Cheap to clone; the memory is wiped when the last clone is gone.
#[derive(Clone)]
pub struct SigningKey {
    private: Arc<ed25519_dalek::SigningKey>,
    public: PublicKey,
}

impl SigningKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new(ed25519_dalek::SecretKey::default());
        rand::rng().fill_bytes(secret.as_mut_slice());
        Self::new(ed25519_dalek::SigningKey::from_bytes(&secret))
    }

    /// Reads PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// If the text is anything else, or a key of another algorithm.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map(Self::new)
            .map_err(KeyError::Pem)
    }

    /// The key as PKCS#8 PEM, in memory that is wiped after use.
    ///
    /// # Errors
    ///
    /// If the encoder fails, which it has no reason to.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.private
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(KeyError::Pem)
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, holds something else, or can be read by others than its owner.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(files::read_secret(path)?);
        // What is no text is no PEM either.
        let pem = std::str::from_utf8(&bytes).unwrap_or_default();
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map(Self::new)
            .map_err(|source| KeyError::PemFile {
                path: path.to_owned(),
                source,
            })
    }

    /// The key's id: its RFC 7638 thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.private.sign(message).to_bytes()
    }

    fn new(private: ed25519_dalek::SigningKey) -> Self {
        let public = PublicKey::of(&private.verifying_key());
        Self {
            private: Arc::new(private),
            public,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// A public Ed25519 key. In JSON it is a JWK. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey {
    kid: Arc<str>,
    x: Arc<str>,
    decoding: DecodingKey,
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

    pub(super) fn decoding_key(&self) -> &DecodingKey {
        &self.decoding
    }

    fn of(key: &VerifyingKey) -> Self {
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
        let kid = thumbprint(&x);
        // Despite its name this takes the 32 bytes as they are.
        let decoding = DecodingKey::from_ed_der(key.as_bytes());
        Self {
            kid: kid.into(),
            x: x.into(),
            decoding,
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
        let PublicKey {
            kid,
            x,
            decoding: _,
        } = key;
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

/// Public keys by id, none twice. In JSON it is a list of JWKs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PublicKey>", into = "Vec<PublicKey>")]
pub struct KeySet(BTreeMap<Arc<str>, PublicKey>);

impl KeySet {
    /// The set of these keys.
    ///
    /// # Errors
    ///
    /// If one is there twice.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for key in keys {
            if let Some(known) = set.0.insert(key.kid.clone(), key) {
                return Err(KeyError::Duplicate { kid: known.kid });
            }
        }
        Ok(set)
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }

    /// Adds a key; one that is there stays.
    pub fn insert(&mut self, key: PublicKey) {
        self.0.insert(key.kid.clone(), key);
    }

    /// All keys, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.values()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<PublicKey>> for KeySet {
    type Error = KeyError;

    fn try_from(keys: Vec<PublicKey>) -> Result<Self, KeyError> {
        Self::new(keys)
    }
}

impl From<KeySet> for Vec<PublicKey> {
    fn from(keys: KeySet) -> Self {
        keys.0.into_values().collect()
    }
}
