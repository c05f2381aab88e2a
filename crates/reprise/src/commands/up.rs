//! `reprise up`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chassis::environment::Environment;
use chassis::identity::write_private_file;

use crate::stack::{Addresses, Listeners, Stack};
use crate::{stop, tokens};

/// Run the three services in this process, over SQLite, until SIGTERM or ctrl-c
///
/// The first start makes the data folder, with keys and databases in it. Every start writes an
/// administrator's token of 24 hours into it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for databases, bundles and keys [default: reprise in the user's data folder,
    /// $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, env = "REPRISE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// Address of the authorization service
    #[arg(long, env = "REPRISE_AUTHORIZATION_LISTEN", value_name = "ADDRESS:PORT",
          default_value_t = Addresses::DEFAULT.authorization)]
    pub authorization_listen: SocketAddr,

    /// Address of the deploy-registry
    #[arg(long, env = "REPRISE_REGISTRY_LISTEN", value_name = "ADDRESS:PORT",
          default_value_t = Addresses::DEFAULT.registry)]
    pub registry_listen: SocketAddr,

    /// Address of the rollback-orchestrator
    #[arg(long, env = "REPRISE_ORCHESTRATOR_LISTEN", value_name = "ADDRESS:PORT",
          default_value_t = Addresses::DEFAULT.orchestrator)]
    pub orchestrator_listen: SocketAddr,

    /// Policy file to apply at start; give it several times for several files, which are applied in
    /// that order
    #[arg(long, env = "REPRISE_POLICY_FILE", value_name = "FILE")]
    pub policy_file: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let Args {
        data_dir,
        authorization_listen,
        registry_listen,
        orchestrator_listen,
        policy_file,
    } = args;
    let data_dir = data_dir.map_or_else(default_data_dir, Ok)?;
    let data_dir = std::path::absolute(&data_dir)?;
    let listeners = Listeners::open(Addresses {
        authorization: authorization_listen,
        registry: registry_listen,
        orchestrator: orchestrator_listen,
    })
    .await?;
    let mut stack = Stack::start(
        &data_dir,
        &policy_file,
        listeners,
        Environment::system(),
        stop::signalled()?,
    )?;
    match begin(&mut stack, &data_dir).await {
        Ok(welcome) => {
            println!("{welcome}");
            stack.join().await
        }
        Err(error) => {
            stack.stop().await;
            Err(error)
        }
    }
}

/// Waits for the services, and writes the administrator's token.
async fn begin(stack: &mut Stack, data_dir: &Path) -> Result<String> {
    stack.ready().await?;
    let token = tokens::for_person(stack.keyring(), "admin", stack.environment())?;
    let token_file = data_dir.join("admin.token");
    write_private_file(&token_file, token.as_bytes())?;
    Ok(welcome(data_dir, &token_file, &stack.addresses()))
}

fn default_data_dir() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Ok(base
        .context("no home folder; say where with --data-dir")?
        .join("reprise"))
}

fn welcome(data_dir: &Path, token_file: &Path, addresses: &Addresses) -> String {
    let Addresses {
        authorization,
        registry,
        orchestrator,
    } = addresses;
    let data_dir = data_dir.display();
    let bearer = format!(
        "\"authorization: Bearer $(cat '{}')\"",
        token_file.display()
    );
    let method = "reprise.registry.v1.DeployRegistryService/ListDeployments";
    let body = r#"'{"parent": "workspaces/default"}'"#;
    format!(
        "Reprise runs, with its data in {data_dir}

  authorization          {authorization}
  deploy-registry        {registry}
  rollback-orchestrator  {orchestrator}

Try it as user:admin, whose token of 24 hours is in the data folder (`reprise admin-token --keys
'{data_dir}' --as user:somebody` makes others):

  grpcurl -plaintext -H {bearer} -d {body} {registry} {method}

  buf curl --protocol grpc --http2-prior-knowledge -H {bearer} -d {body} http://{registry}/{method}

ctrl-c stops it."
    )
}
