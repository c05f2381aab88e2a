//! One file per command.

pub mod admin_token;
pub mod init;
pub mod services;
pub mod up;
