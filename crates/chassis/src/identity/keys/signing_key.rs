use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rand::Rng as _;

use super::{KeyError, PublicKey};
use crate::identity::files;

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

    pub(in crate::identity) fn sign(&self, message: &[u8]) -> [u8; 64] {
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
