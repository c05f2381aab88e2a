//! Ed25519 keys: the private half in a PEM file, the public half as a JWK (RFC 8037).

mod key_set;
mod public_key;
mod signing_key;

use std::path::PathBuf;
use std::sync::Arc;

use ed25519_dalek::pkcs8;
use thiserror::Error;

use super::files::FileError;

pub use key_set::KeySet;
pub use public_key::PublicKey;
pub use signing_key::SigningKey;

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
        "{} holds no Ed25519 private key in PKCS#8 PEM form: put the key back, or move the file away and run `reprise init`, which makes another",
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
