//! The settings that the services share: flags of the command line, each with an environment
//! variable.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use model::catalog::{Catalog, CatalogError};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig, Uri};

use crate::database::{DatabaseUrl, DatabaseUrlError};
use crate::identity::{OidcClient, OidcClientError};

/// Where a service listens, and how.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// Address and port to serve gRPC on [default: 127.0.0.1, and port 50051 for authorization, 50052
    /// for registry, 50053 for orchestrator]
    #[arg(long, env = "REPRISE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    #[command(flatten)]
    /// TLS.
    pub tls: TlsArgs,

    /// How long to finish running calls after SIGTERM, in seconds
    #[arg(
        long,
        env = "REPRISE_DRAIN_SECONDS",
        value_name = "SECONDS",
        default_value = "20"
    )]
    pub drain_seconds: u64,
}

impl ListenArgs {
    /// How long running calls may take to finish after the signal to stop.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Which database a service keeps its records in.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// Database: `sqlite:FILE`, or `postgres://USER:PASSWORD@HOST:PORT/NAME`
    #[arg(
        long,
        env = "REPRISE_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = HiddenUrl
    )]
    pub database_url: DatabaseUrl,

    /// The most connections to a PostgreSQL database
    #[arg(long, env = "REPRISE_DATABASE_CONNECTIONS", value_name = "N", default_value = "16",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub database_connections: u32,
}

/// Reads a database URL. An error does not repeat it, as errors of other flags do: there can be a
/// password in it, also if it is misspelt.
#[derive(Debug, Clone)]
struct HiddenUrl;

impl TypedValueParser for HiddenUrl {
    type Value = DatabaseUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<DatabaseUrl, clap::Error> {
        let url = value.to_str().unwrap_or_default().parse();
        url.map_err(|error: DatabaseUrlError| {
            let message = format!("invalid value for '--database-url <URL>': {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Where the keys are that `reprise init` made.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Folder with the keys and the trust file that `reprise init` writes
    #[arg(long, env = "REPRISE_KEYS", value_name = "FOLDER")]
    pub keys: PathBuf,

    /// Authorities (PEM) to trust beside the machine's when fetching the keys of identity providers
    #[arg(long, env = "REPRISE_OIDC_CA", value_name = "FILE")]
    pub oidc_ca: Option<PathBuf>,
}

impl KeyArgs {
    /// What fetches the keys of identity providers.
    pub fn oidc_client(&self) -> Result<OidcClient, ConfigError> {
        match &self.oidc_ca {
            Some(path) => Ok(OidcClient::with_authorities(path)?),
            None => Ok(OidcClient::default()),
        }
    }
}

/// Which Astro Runtime versions there are, and what is in them.
#[derive(Debug, Clone, Default, Args)]
pub struct CatalogArgs {
    /// The Astro Runtime catalog to use in place of the built-in one: the vendor's JSON file
    #[arg(long, env = "REPRISE_RUNTIME_CATALOG", value_name = "FILE")]
    pub runtime_catalog: Option<PathBuf>,
}

impl CatalogArgs {
    /// The operator's catalog, or the built-in one.
    pub fn load(&self) -> Result<Catalog, ConfigError> {
        let Some(path) = &self.runtime_catalog else {
            return Ok(Catalog::built_in());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let catalog = Catalog::from_json(&text).map_err(|source| ConfigError::Catalog {
            path: path.clone(),
            source,
        })?;
        if !catalog.skipped().is_empty() {
            let skipped = catalog.skipped().join(", ");
            tracing::warn!(
                skipped,
                "versions of the catalog cannot be read and are left out"
            );
        }
        Ok(catalog)
    }
}

/// TLS of the service's own port and of its calls to others.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsArgs {
    /// Certificate chain (PEM) to serve TLS with; also shown to other services that ask for one
    #[arg(
        long,
        env = "REPRISE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(
        long,
        env = "REPRISE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// Authorities (PEM) to trust when calling other services over https, which needs them
    #[arg(long, env = "REPRISE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// Authorities (PEM) one of which must have signed every client's certificate (mutual TLS)
    #[arg(
        long,
        env = "REPRISE_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Allow plain text on addresses other than loopback, where tokens can be read on the way
    #[arg(long, env = "REPRISE_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A Runtime catalog that cannot be used.
    #[error("{} is no Astro Runtime catalog", path.display())]
    Catalog {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CatalogError,
    },
    /// Plain text would leave the machine.
    #[error(
        "{0} is not a loopback address: give --tls-cert and --tls-key (or an https:// address), or \
         ask for plain text with --insecure-plaintext"
    )]
    PlainText(String),
    /// The address of another service cannot be read.
    #[error("`{0}` is no address of a service: it looks like http://127.0.0.1:50051")]
    Address(String),
    /// TLS with a service whose certificate nobody vouches for.
    #[error("to call {0}, name the authorities to trust with --tls-ca")]
    NoAuthorities(String),
    /// The authorities for identity providers cannot be used.
    #[error(transparent)]
    OidcClient(#[from] OidcClientError),
    /// The TLS settings do not work.
    #[error("cannot set up TLS")]
    Tls(#[source] tonic::transport::Error),
}

impl TlsArgs {
    /// TLS for a port, or nothing for plain text, which is refused outside loopback.
    pub fn server(&self, listen: SocketAddr) -> Result<Option<ServerTlsConfig>, ConfigError> {
        let Some(identity) = self.identity()? else {
            if listen.ip().is_loopback() || self.insecure_plaintext {
                return Ok(None);
            }
            return Err(ConfigError::PlainText(listen.to_string()));
        };
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(authorities) = &self.tls_client_ca {
            tls = tls.client_ca_root(Certificate::from_pem(read(authorities)?));
        }
        Ok(Some(tls))
    }

    /// Where another service is, with TLS if its address begins with `https`.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, ConfigError> {
        let bad = || ConfigError::Address(address.to_owned());
        let uri = address.parse::<Uri>().map_err(|_| bad())?;
        let endpoint = Endpoint::from(uri.clone());
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) => {
                if is_loopback(host) || self.insecure_plaintext {
                    Ok(endpoint)
                } else {
                    Err(ConfigError::PlainText(address.to_owned()))
                }
            }
            (Some("https"), Some(_)) => {
                // Nobody is trusted by default, so that without it no call could succeed.
                let authorities = self
                    .tls_ca
                    .as_ref()
                    .ok_or_else(|| ConfigError::NoAuthorities(address.to_owned()))?;
                let authorities = Certificate::from_pem(read(authorities)?);
                let mut tls = ClientTlsConfig::new().ca_certificate(authorities);
                if let Some(identity) = self.identity()? {
                    tls = tls.identity(identity);
                }
                endpoint.tls_config(tls).map_err(ConfigError::Tls)
            }
            _ => Err(bad()),
        }
    }

    fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(Some(Identity::from_pem(read(cert)?, read(key)?))),
            _ => Ok(None),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.clone(),
        source,
    })
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn plain_text_stays_on_loopback_unless_asked_for_by_name() {
        let tls = TlsArgs::default();
        assert!(
            tls.server("127.0.0.1:1".parse().unwrap())
                .unwrap()
                .is_none()
        );
        assert!(tls.server("[::1]:1".parse().unwrap()).unwrap().is_none());
        assert!(tls.server("0.0.0.0:1".parse().unwrap()).is_err());
        assert!(tls.endpoint("http://127.0.0.1:50051").is_ok());
        assert!(tls.endpoint("http://[::1]:50051").is_ok());
        assert!(tls.endpoint("http://authorization:50051").is_err());
        assert!(matches!(
            tls.endpoint("https://authorization:50051"),
            Err(ConfigError::NoAuthorities(_))
        ));

        let insecure = TlsArgs {
            insecure_plaintext: true,
            ..TlsArgs::default()
        };
        assert!(
            insecure
                .server("0.0.0.0:1".parse().unwrap())
                .unwrap()
                .is_none()
        );
        assert!(insecure.endpoint("http://authorization:50051").is_ok());
    }

    #[test]
    fn a_database_url_that_cannot_be_read_is_not_repeated() {
        let read = |url: &str| {
            let command = DatabaseArgs::augment_args(clap::Command::new("service"))
                .mut_args(|arg| arg.env(None::<&'static str>));
            let matches = command.try_get_matches_from(["service", "--database-url", url])?;
            DatabaseArgs::from_arg_matches(&matches)
        };
        assert!(read("postgres://reprise:hunter2@db/reprise").is_ok());
        assert!(read("sqlite:reprise.db").is_ok());
        for misspelt in ["postgre://reprise:hunter2@db/reprise", "reprise:hunter2@db"] {
            let error = read(misspelt).unwrap_err();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("hunter2"), "{text}");
            }
            assert!(error.to_string().contains("--database-url"), "{error}");
            assert!(error.to_string().contains("sqlite:path"), "{error}");
        }
    }

    #[test]
    fn a_catalog_that_is_missing_or_is_none_is_told_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        let args = CatalogArgs {
            runtime_catalog: Some(path.clone()),
        };
        assert!(matches!(args.load(), Err(ConfigError::Unreadable { .. })));
        std::fs::write(&path, "{}").unwrap();
        let error = args.load().unwrap_err();
        assert!(error.to_string().contains("catalog.json"), "{error}");
        assert!(CatalogArgs::default().load().is_ok());
    }

    #[test]
    fn an_address_without_scheme_or_host_is_refused() {
        for address in [
            "",
            "127.0.0.1:50051",
            "ftp://x",
            "http://",
            "not an address",
        ] {
            assert!(TlsArgs::default().endpoint(address).is_err(), "{address}");
        }
    }
}
