//! `reprise init`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use std::path::PathBuf;

use anyhow::Result;
use chassis::environment::Environment;
use chassis::identity::Keyring;

/// Make the keys and the trust file that separate services need
///
/// Writes an Ed25519 key for each service, one for the local issuer of operators' tokens, one that
/// signs permits and tokens of service accounts, and the trust file that names their public halves.
/// What is there already stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write them to
    #[arg(long, env = "REPRISE_KEYS", value_name = "FOLDER")]
    pub keys: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    Keyring::init(&args.keys, &Environment::system())?;
    println!("{} has the keys and the trust file", args.keys.display());
    Ok(())
}
