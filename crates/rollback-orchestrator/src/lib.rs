//! The rollback-orchestrator: plans rollbacks, and carries out those that were accepted.
//!
//! | module | what it is |
//! | --- | --- |
//! | `service` | putting it together, running it, stopping it |
//! | `config` | its settings |
//! | `api` | one file for each RPC |
//! | `planning` | reading what a plan is made from |
//! | `domain` | the rules, and what they are about |
//! | `execution` | carrying accepted rollbacks out, and taking up what others have left |
//! | `feed` | telling watchers that something happened |
//! | `clients` | the authorization service and the deploy-registry |
//! | `store` | the rollbacks that were accepted, and what was decided and done about them |
//!
//! Invariants:
//!
//! - Nothing is stored before the authorization service has given a permit for exactly this rollback.
//! - At most one rollback of a Deployment lies between its acceptance and its write.
//! - An accepted rollback ends, whatever crashes, and whether or not its caller still waits.
//! - Once the registry may have been asked to write, a rollback fails only after the registry has said
//!   that there is no deploy and never will be: never FAILED with a deploy.
//! - Every effect is announced in the store before it is brought about, and every write to a rollback
//!   names the fence of whoever carries it out.

mod api;
mod clients;
mod config;
mod domain;
mod execution;
mod feed;
mod planning;
mod service;
mod store;
#[cfg(test)]
mod testing;

pub use config::{Args, RollbackArgs};
pub use service::{StartError, serve};
