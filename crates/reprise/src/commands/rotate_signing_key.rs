//! `reprise rotate-signing-key`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use chassis::environment::Environment;
use chassis::identity::Keyring;
use chrono::{SubsecRound as _, TimeDelta};

/// Make a new key to sign permits and tokens of service accounts with
///
/// The new key is trusted at once and signs later, when every service has seen its public half in the
/// trust file. Running services read their files every ten seconds; where they have files of their
/// own, copying these is up to you. Keys that sign no more stay in the trust file, as evidence, and so
/// that tokens they signed stay valid.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the keys: that of `reprise init`, or the data folder of `reprise up`
    #[arg(long, env = "REPRISE_KEYS", value_name = "FOLDER")]
    pub keys: PathBuf,

    /// In how many seconds the new key begins to sign: at least 15, at most 30 days
    #[arg(long, value_name = "SECONDS", default_value = "900",
          value_parser = clap::value_parser!(u32).range(15..=2_592_000))]
    pub starts_in: u32,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { keys, starts_in } = args;
    let start_time = Environment::system()
        .now()
        .trunc_subsecs(0)
        .checked_add_signed(TimeDelta::seconds((*starts_in).into()))
        .context("the clock is out of all range")?;
    let key = Keyring::open(keys)?.add_signing_key(start_time)?;
    let start_time = start_time.format("%Y-%m-%dT%H:%M:%SZ");
    let (kid, folder) = (key.kid(), keys.display());
    println!(
        "{folder} has a new signing key
  id     {kid}
  signs  from {start_time} on, {starts_in} seconds from now

Do this before {start_time}, where services do not read {folder} itself:
  1. copy trust.json to the keys of every service
  2. copy keys/signing to the keys of every replica of the authorization service
Running services notice within ten seconds; none needs a restart."
    );
    Ok(())
}
