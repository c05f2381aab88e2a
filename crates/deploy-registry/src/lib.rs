//! The service that keeps Deployments, the history of their deploys and their DAG bundles, and that
//! writes the deploy of a rollback.
//!
//! ```text
//! service       from settings to a running service
//! config        the settings
//! api           one file per RPC; the only place that knows protobuf
//! domain        what a Deployment, a deploy and a revision are, and every rule about them; pure
//! store         the records, on SQLite and PostgreSQL
//! feed          tells watchers what changes
//! bundle_store  the bytes of bundles, in an object store
//! images        what image registries say of images
//! sweep         removes the bundles that nothing needs
//! ```
//!
//! Invariants:
//! - Deploys are numbered from 1 without gaps. A number is taken in the transaction that writes its
//!   deploy, under the lock of the Deployment's row, and comes back if that fails.
//! - A deploy stores its whole revision, and no revision is ever changed.
//! - No rollback deploy exists without a permit for its person, Deployment, target, scope and
//!   revision; the registry composes the revision and derives the permissions itself.
//! - A rollback id has at most one deploy. Once it is closed it has none, for ever.
//! - A bundle belongs to one Deployment, and is there as a whole or not at all.
//! - No bundle goes that a deploy needs which can be rolled back to, runs, or is the latest.

mod api;
#[cfg(any(test, feature = "benchmark"))]
#[doc(hidden)]
pub mod benchmark;
mod bundle_store;
mod config;
mod domain;
mod feed;
mod images;
mod service;
mod store;
mod sweep;

pub use bundle_store::{BundleStoreUrl, BundleStoreUrlError};
pub use config::{Args, ImageVerification, Switch};
pub use images::OpenError as ImagesError;
pub use service::{StartError, serve};
