//! One file per command.

pub(crate) mod admin_token;
pub(crate) mod init;
pub(crate) mod services;
pub(crate) mod up;
