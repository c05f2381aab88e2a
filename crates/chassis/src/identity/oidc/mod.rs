//! Tokens of identity providers (OpenID Connect).
//!
//! A provider signs with keys of its own, which it changes when it likes. They are fetched over
//! https, in the background, so that a provider that is down keeps nobody else waiting; a call waits
//! for them only where its token cannot be judged without.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`client`] | fetching a provider's keys |
//! | `keys` | which of them can be used, and for what |
//! | `provider` | a provider's keys as they are known now, and when they are fetched again |
//! | `token` | what must hold of a token, and who it makes of whoever brings it |
//!
//! Invariants:
//! - A provider makes users and groups under its own prefixes, and nothing else: there is no other
//!   constructor in `token`.
//! - The trust file says which algorithms count, and a key serves those of its own type only.
//! - However many tokens with unknown keys come, they cause one fetch in thirty seconds.

pub mod client;
mod keys;
pub(super) mod provider;
#[cfg(test)]
mod tests;
pub(super) mod token;

pub use client::{FetchError, OidcClient, OidcClientError};
pub use token::OidcTokenError;
