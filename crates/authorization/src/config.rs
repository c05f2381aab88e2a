//! The settings of the service.

use chassis::config::{DatabaseArgs, KeyArgs, ListenArgs};

/// The settings of the authorization service.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenArgs,

    /// Where it keeps roles, bindings and tokens.
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Its keys, and whom it trusts.
    #[command(flatten)]
    pub keys: KeyArgs,
}
