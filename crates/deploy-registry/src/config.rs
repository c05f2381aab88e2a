//! The settings of the registry: flags of the command line, each with an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use chassis::config::{CatalogArgs, DatabaseArgs, KeyArgs, ListenArgs};
use clap::ValueEnum;

use crate::bundle_store::BundleStoreUrl;

/// The settings of the registry.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    /// Where it listens.
    pub listen: ListenArgs,

    #[command(flatten)]
    /// Where its records are.
    pub database: DatabaseArgs,

    #[command(flatten)]
    /// Where its keys are.
    pub keys: KeyArgs,

    /// Address of the authorization service
    #[arg(
        long,
        env = "REPRISE_AUTHORIZATION_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub authorization_address: String,

    /// Where DAG bundles are kept: a folder, as a path or a file:// URL, or a bucket as
    /// s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, whose credentials are in the
    /// environment variables AWS_…, GOOGLE_… or AZURE_…; replicas share one
    #[arg(long, env = "REPRISE_BUNDLE_STORE", value_name = "FOLDER|URL")]
    pub bundle_store: BundleStoreUrl,

    /// The largest DAG bundle that is taken, in bytes
    #[arg(long, env = "REPRISE_MAX_BUNDLE_BYTES", value_name = "BYTES", default_value = "268435456",
          value_parser = clap::value_parser!(i64).range(1..))]
    pub max_bundle_bytes: i64,

    /// How many bytes the DAG bundles of one Deployment may have, all together
    #[arg(long, env = "REPRISE_BUNDLE_QUOTA_BYTES", value_name = "BYTES", default_value = "10737418240",
          value_parser = clap::value_parser!(i64).range(1..))]
    pub bundle_quota_bytes: i64,

    /// How long an upload may send nothing before it is given up, in seconds
    #[arg(long, env = "REPRISE_UPLOAD_STALL_SECONDS", value_name = "SECONDS", default_value = "30",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub upload_stall_seconds: u64,

    /// How long a deploy stays a possible target of a rollback after it ceased to be the current
    /// one, in days
    #[arg(long, env = "REPRISE_RETENTION_DAYS", value_name = "DAYS", default_value = "90",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub retention_days: u32,

    /// How often bundles are removed that no deploy needs any more, in seconds
    #[arg(long, env = "REPRISE_SWEEP_INTERVAL_SECONDS", value_name = "SECONDS", default_value = "3600",
          value_parser = clap::value_parser!(u64).range(60..=604_800))]
    pub sweep_interval_seconds: u64,

    /// Whether anybody can roll back at all; a Deployment has its own switch beside it
    #[arg(long, env = "REPRISE_ROLLBACKS", value_enum, default_value = "on")]
    pub rollbacks: Switch,

    /// Whether image registries are asked about the images of deploys and rollbacks. off: they are
    /// not, and whoever ships an image gives its digest and version. warn: a tag is resolved to its
    /// digest, and a deploy that its registry does not confirm is recorded as such. require: such a
    /// deploy is refused, and so is a rollback if the registry cannot be asked
    #[arg(
        long,
        env = "REPRISE_IMAGE_VERIFICATION",
        value_enum,
        default_value = "off"
    )]
    pub image_verification: ImageVerification,

    /// Docker configuration file with the credentials for image registries; it is read for each
    /// look-up. Credential helpers are not run
    #[arg(long, env = "REPRISE_DOCKER_CONFIG", value_name = "FILE")]
    pub docker_config: Option<PathBuf>,

    /// An image registry to ask in plain text; can be given several times, or as a list with commas
    #[arg(
        long,
        env = "REPRISE_INSECURE_IMAGE_REGISTRY",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub insecure_image_registry: Vec<String>,

    #[command(flatten)]
    /// Which Runtime versions there are.
    pub catalog: CatalogArgs,
}

impl Args {
    pub(crate) const fn upload_stall(&self) -> Duration {
        Duration::from_secs(self.upload_stall_seconds)
    }

    pub(crate) const fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.sweep_interval_seconds)
    }
}

/// Whether image registries are asked about images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageVerification {
    /// They are not.
    Off,
    /// They are, and what they do not confirm is recorded as such.
    Warn,
    /// They are, and what they do not confirm is refused.
    Require,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(more: &[&str]) -> Result<Args, clap::Error> {
        let least = [
            "registry",
            "--database-url",
            "sqlite:r.db",
            "--keys",
            "keys",
            "--bundle-store",
            "b",
        ];
        Command::try_parse_from(least.iter().chain(more)).map(|command| command.args)
    }

    #[test]
    fn what_is_not_given_has_a_sensible_default() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.max_bundle_bytes, 256 * 1024 * 1024);
        assert_eq!(args.upload_stall(), Duration::from_secs(30));
        assert_eq!(args.bundle_quota_bytes, 10 * 1024 * 1024 * 1024);
        assert_eq!(args.sweep_interval(), Duration::from_secs(3_600));
        assert_eq!(args.retention_days, 90);
        assert_eq!(args.rollbacks, Switch::On);
        assert_eq!(args.image_verification, ImageVerification::Off);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for more in [
            ["--max-bundle-bytes", "0"],
            ["--retention-days", "0"],
            ["--retention-days", "40000"],
            ["--upload-stall-seconds", "0"],
            ["--rollbacks", "maybe"],
            ["--image-verification", "perhaps"],
            ["--bundle-store", "ftp://bucket"],
            ["--bundle-quota-bytes", "0"],
            ["--sweep-interval-seconds", "59"],
        ] {
            assert!(parse(&more).is_err(), "{more:?}");
        }
    }
}
