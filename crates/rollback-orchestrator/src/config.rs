//! The settings of the rollback-orchestrator.

use chassis::config::{CatalogArgs, DatabaseArgs, KeyArgs, ListenArgs};
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

    /// Which Runtime versions there are.
    #[command(flatten)]
    pub catalog: CatalogArgs,

    /// How rollbacks are carried out.
    #[command(flatten)]
    pub rollbacks: RollbackArgs,
}

/// How rollbacks are carried out
#[derive(Clone, Debug, ClapArgs)]
pub struct RollbackArgs {
    /// How long an accepted rollback may take to be written before it fails, in seconds; the
    /// authorization service's grant does not last longer than 60
    #[arg(long, env = "REPRISE_WRITE_DEADLINE_SECONDS", value_name = "SECONDS",
          default_value = "60", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub write_deadline_seconds: u32,

    /// How long after its last sign of life a rollback is taken up by another replica, in seconds
    #[arg(long, env = "REPRISE_LEASE_SECONDS", value_name = "SECONDS",
          default_value = "15", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub lease_seconds: u32,

    /// How long the roll-out of a written deploy is followed before it is TIMED_OUT, in seconds, where
    /// somebody else ships the deploys
    #[arg(long, env = "REPRISE_ROLL_OUT_DEADLINE_SECONDS", value_name = "SECONDS",
          default_value = "3600", value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub roll_out_deadline_seconds: u32,
}

impl RollbackArgs {
    pub(crate) fn write_within(&self) -> TimeDelta {
        TimeDelta::seconds(self.write_deadline_seconds.into())
    }

    pub(crate) fn lease(&self) -> TimeDelta {
        TimeDelta::seconds(self.lease_seconds.into())
    }

    pub(crate) fn roll_out_within(&self) -> TimeDelta {
        TimeDelta::seconds(self.roll_out_deadline_seconds.into())
    }
}
