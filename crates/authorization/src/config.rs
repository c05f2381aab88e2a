//! The settings of the service.

use std::path::PathBuf;

use chassis::config::{DatabaseArgs, KeyArgs, ListenArgs};

use crate::decision_log::SampleRate;

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

    /// Which part of the allowed checks stands in the log beside all denials and permits, from 0.0
    /// (none) to 1.0 (all)
    #[arg(
        long,
        env = "REPRISE_DECISION_LOG_SAMPLE_RATE",
        value_name = "RATE",
        default_value = "0.0"
    )]
    pub decision_log_sample_rate: SampleRate,

    /// Policy file to apply at start, before the service answers; give it several times for several
    /// files, which are applied in that order
    #[arg(long, env = "REPRISE_POLICY_FILE", value_name = "FILE")]
    pub policy_file: Vec<PathBuf>,
}
