//! `reprise admin-token`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use std::path::PathBuf;

use anyhow::{Result, ensure};
use chassis::environment::Environment;
use chassis::identity::Keyring;
use model::names::Principal;

use crate::tokens;

/// Print a token for an operator, made with the local keys
///
/// The token is good for 24 hours. Whoever can read the local issuer's key can be anybody: keep it
/// as you keep a root password. An empty database knows `user:admin` as its administrator; everybody
/// else holds nothing until a role is bound to them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the keys: that of `reprise init`, or the data folder of `reprise up`
    #[arg(long, env = "REPRISE_KEYS", value_name = "FOLDER")]
    pub keys: PathBuf,

    /// Whose token, such as user:alice@example.com
    #[arg(long = "as", value_name = "USER", default_value = "user:admin")]
    pub principal: Principal,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Principal::User(user) = &args.principal else {
        anyhow::bail!("--as takes a person, such as user:alice@example.com");
    };
    ensure!(
        args.keys.is_dir(),
        "{} is no folder; `reprise init` makes one",
        args.keys.display()
    );
    let keyring = Keyring::open(&args.keys)?;
    println!(
        "{}",
        tokens::for_person(&keyring, user.as_str(), &Environment::system())?
    );
    Ok(())
}
