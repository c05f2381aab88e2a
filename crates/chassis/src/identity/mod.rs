//! Who calls: the one form of identity is a JWT in `authorization: Bearer …`.
//!
//! People, service accounts and services all come with one. A service verifies it against the
//! issuers of its trust file, and a handler sees the outcome as a [`Caller`]. The statement that one
//! person may do one rollback, a *permit*, is signed by the same keys and is no token: each side
//! refuses what was made for the other.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`keys`] | Ed25519 keys, their files and their public halves as JWKs |
//! | [`signing_folder`] | the keys of permits and service accounts, that change over time |
//! | [`trust`] | which issuer may speak for whom |
//! | [`token`] | what a token says, and making one for a person or a service account |
//! | [`service_tokens`] | the tokens by which a service calls another |
//! | [`verifier`] | from a token to a [`Caller`], or to the check that failed |
//! | [`oidc`] | the same for tokens of identity providers |
//! | [`layer`] | no call reaches a handler without one |
//! | [`permit`] | permits, made and verified |
//! | [`keyring`] | the folder that holds all of this, and making it |
//! | [`follow`] | changes of its files while the service runs |
//!
//! Invariants:
//! - An algorithm comes with the key that verifies, never with the token; an identity provider's is
//!   also one of those that the trust file lists.
//! - An issuer speaks for one kind of principal only. Nothing in a token can change which.
//! - A token counts before its `exp` and at no time after, cached or not.
//! - Private keys and tokens are in no `Debug` output and in no error.
//! - There is no way to switch any of this off.

pub mod caller;
mod current;
mod files;
pub mod follow;
mod jws;
pub mod keyring;
pub mod keys;
pub mod layer;
pub mod oidc;
pub mod permit;
pub mod service_tokens;
pub mod signing_folder;
#[cfg(test)]
mod tests;
mod text;
pub mod token;
pub mod trust;
mod verified;
pub mod verifier;

pub use caller::Caller;
pub use files::{FileError, write as write_private_file};
pub use follow::KeyringFollower;
pub use jws::JwsError;
pub use keyring::{Keyring, KeyringError};
pub use keys::{KeyError, KeySet, PublicKey, SigningKey};
pub use layer::{IdentityLayer, IdentityService, caller};
pub use oidc::{FetchError, OidcClient, OidcClientError, OidcTokenError};
pub use permit::{PermitClaims, PermitError, PermitVerifier, VerifiedPermit};
pub use service_tokens::ServiceTokens;
pub use signing_folder::{SigningFolder, SigningFolderError};
pub use token::{MintError, mint_service_account_token, mint_user_token};
pub use trust::{
    AUTHORIZATION_ISSUER, Algorithm, IssuerKind, LOCAL_ISSUER, OidcError, OidcIssuer, OidcSettings,
    SubjectError, TrustError, TrustFile, TrustedIssuer, service_issuer,
};
pub use verifier::{TokenError, TokenVerifier};
