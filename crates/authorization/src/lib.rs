//! The service that says who may do what, and signs the permits without which no rollback is
//! written.
//!
//! | module | what it is |
//! | --- | --- |
//! | `api` | the RPCs, one file each |
//! | `domain` | the rules: what a binding gives, who may grant what |
//! | `decision_log` | what was refused and which permits were issued, for whoever watches |
//! | `policy` | the whole policy in memory, and how fresh it is |
//! | `policy_files` | policy files that are applied at start |
//! | `store` | what is kept, on SQLite and on PostgreSQL |
//! | `token_uses` | when the tokens of service accounts were last seen |
//! | [`serve`] | starting and stopping |
//! | [`Args`] | the settings |
//!
//! Invariants:
//! - What cannot be asked, read or evaluated is no, or UNAVAILABLE; never yes.
//! - Once a change of the policy is answered, no replica issues a permit or answers a fully
//!   consistent check by the policy before it.
//! - Nobody can grant what they do not hold, and no binding gives what only services have.
//! - A token is shown to whoever asked for it, once; no token is stored or logged.

mod api;
#[cfg(feature = "benchmark")]
#[doc(hidden)]
pub mod benchmark;
mod config;
mod decision_log;
mod domain;
mod policy;
mod policy_files;
mod service;
mod store;
mod token_uses;

pub use config::Args;
pub use policy_files::PolicyFileError;
pub use service::{StartError, serve};
