//! The command line: every setting is a flag, and most have an environment variable.

use std::io::IsTerminal;

use chassis::telemetry::LogFormat;
use clap::{Parser, Subcommand};

use crate::commands::{admin_token, init, policy, rotate_signing_key, trust_issuer, up};

/// Keeps the deploy history of Apache Airflow Deployments, and rolls one back to an earlier deploy.
///
/// `reprise demo` shows what it does. `reprise up` runs it on this machine. In production run
/// `reprise init` once, and then `reprise authorization`, `reprise registry` and `reprise
/// orchestrator`, each as often as you like, over PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "reprise", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to log, such as `info` or `info,deploy_registry=debug` [default: `info` for services]
    #[arg(
        long,
        global = true,
        env = "REPRISE_LOG",
        value_name = "FILTER",
        help_heading = "Logging, to standard error"
    )]
    pub log: Option<String>,

    /// How log lines look [default: text on a terminal, JSON elsewhere]
    #[arg(
        long,
        global = true,
        env = "REPRISE_LOG_FORMAT",
        value_name = "FORMAT",
        help_heading = "Logging, to standard error"
    )]
    pub log_format: Option<LogFormat>,

    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job from end to end, on real services in a temporary folder
    Demo,
    Up(up::Args),
    Init(init::Args),
    AdminToken(admin_token::Args),
    RotateSigningKey(rotate_signing_key::Args),
    TrustIssuer(trust_issuer::Args),
    Policy(policy::Args),
    /// Run the authorization service: who may do what
    Authorization(authorization::Args),
    /// Run the deploy-registry: Deployments and the history of their deploys
    Registry(deploy_registry::Args),
    /// Run the rollback-orchestrator: plans and rollbacks
    Orchestrator(rollback_orchestrator::Args),
}

impl Command {
    /// What is logged unless the operator says otherwise.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            // Its refusals are on purpose.
            Self::Demo => "error",
            Self::Init(_)
            | Self::AdminToken(_)
            | Self::RotateSigningKey(_)
            | Self::TrustIssuer(_)
            | Self::Policy(_) => "warn,rustls_platform_verifier=off",
            // PostgreSQL's notices are of schemas and tables that are there already. What the TLS
            // verifier refuses is told by whoever has called.
            Self::Up(_) | Self::Authorization(_) | Self::Registry(_) | Self::Orchestrator(_) => {
                "info,sqlx::postgres::notice=warn,rustls_platform_verifier=off"
            }
        }
    }
}

/// Text for people, JSON for whatever collects logs.
pub(crate) fn log_format_for_stderr() -> LogFormat {
    if std::io::stderr().is_terminal() {
        LogFormat::Text
    } else {
        LogFormat::Json
    }
}
