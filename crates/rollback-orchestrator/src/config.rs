//! The settings of the rollback-orchestrator.

use std::path::PathBuf;

use chassis::config::{DatabaseArgs, KeyArgs, ListenArgs};
use chrono::TimeDelta;
use clap::Args as ClapArgs;

/// The settings of the rollback-orchestrator
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenArgs,

    /// Where it keeps the rollbacks.
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Who it is, and whom it trusts.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// Address of the authorization service
    #[arg(
        long,
        env = "REPRISE_AUTHORIZATION_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub authorization_address: String,

    /// Address of the deploy-registry
    #[arg(
        long,
        env = "REPRISE_REGISTRY_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:50052"
    )]
    pub registry_address: String,

    /// How rollbacks are carried out.
    #[command(flatten)]
    pub rollbacks: RollbackArgs,
}

/// How rollbacks are carried out
#[derive(Clone, Debug, ClapArgs)]
pub struct RollbackArgs {
    /// How long an accepted rollback may take to be written before it fails, in seconds
    #[arg(long, env = "REPRISE_WRITE_DEADLINE_SECONDS", value_name = "SECONDS",
          default_value_t = Self::DEFAULT.write_deadline_seconds,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub write_deadline_seconds: u32,

    /// How long after its last sign of life a rollback is taken up by another replica, in seconds
    #[arg(long, env = "REPRISE_LEASE_SECONDS", value_name = "SECONDS",
          default_value_t = Self::DEFAULT.lease_seconds,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub lease_seconds: u32,

    /// Catalog of Astro Runtime versions, in the vendor's JSON format [default: the built-in one]
    #[arg(long, env = "REPRISE_RUNTIME_CATALOG", value_name = "FILE")]
    pub runtime_catalog: Option<PathBuf>,
}

impl RollbackArgs {
    const DEFAULT: Self = Self {
        write_deadline_seconds: 60,
        lease_seconds: 15,
        runtime_catalog: None,
    };

    pub(crate) fn write_within(&self) -> TimeDelta {
        TimeDelta::seconds(self.write_deadline_seconds.into())
    }

    pub(crate) fn lease(&self) -> TimeDelta {
        TimeDelta::seconds(self.lease_seconds.into())
    }
}

impl Default for RollbackArgs {
    fn default() -> Self {
        Self::DEFAULT
    }
}
