//! The one binary of Reprise: each service alone, all of them together, and the operator's commands.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`bearer`] | calling a service as somebody who has a token |
//! | [`cli`] | the command line |
//! | [`commands`] | one file per command |
//! | [`demo`] | `reprise demo`, the main job from end to end |
//! | [`stack`] | the three services in one process, which `up` and `demo` share |
//! | [`stop`] | the signal to stop |
//! | [`tokens`] | tokens that the holder of the keys can make |

mod bearer;
mod cli;
mod commands;
mod demo;
mod stack;
mod stop;
mod tokens;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reprise: {}", chassis::problem::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli {
        log,
        log_format,
        command,
    } = cli;
    // The one TLS provider of the process; installing it fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log = log.unwrap_or_else(|| command.default_log().to_owned());
    chassis::telemetry::init(&log, log_format.unwrap_or_else(cli::log_format_for_stderr))?;
    match command {
        Command::Demo => demo::run().await,
        Command::Up(args) => commands::up::run(args).await,
        Command::Init(args) => commands::init::run(&args),
        Command::AdminToken(args) => commands::admin_token::run(&args),
        Command::RotateSigningKey(args) => commands::rotate_signing_key::run(&args),
        Command::TrustIssuer(args) => commands::trust_issuer::run(args).await,
        Command::Policy(args) => commands::policy::run(args).await,
        Command::Authorization(args) => commands::services::authorization(args).await,
        Command::Registry(args) => commands::services::registry(args).await,
        Command::Orchestrator(args) => commands::services::orchestrator(args).await,
    }
}
