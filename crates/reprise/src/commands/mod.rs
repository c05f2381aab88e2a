//! One file per command.

pub(crate) mod admin_token;
pub(crate) mod init;
pub(crate) mod policy;
pub(crate) mod rotate_signing_key;
pub(crate) mod services;
pub(crate) mod trust_issuer;
pub(crate) mod up;
