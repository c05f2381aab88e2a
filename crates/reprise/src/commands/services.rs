//! `reprise authorization`, `reprise registry` and `reprise orchestrator`: one service a process.

use std::net::SocketAddr;

use anyhow::Result;
use chassis::environment::Environment;
use chassis::server;

use crate::stack::Addresses;
use crate::stop;

/// Runs the authorization service.
pub(crate) async fn authorization(args: authorization::Args) -> Result<()> {
    let listener = server::listen(address(
        args.listen.listen,
        Addresses::DEFAULT.authorization,
    ));
    let stop = stop::signalled()?;
    Ok(authorization::serve(args, listener.await?, Environment::system(), stop).await?)
}

/// Runs the deploy-registry.
pub(crate) async fn registry(args: deploy_registry::Args) -> Result<()> {
    let listener = server::listen(address(args.listen.listen, Addresses::DEFAULT.registry));
    let stop = stop::signalled()?;
    Ok(deploy_registry::serve(args, listener.await?, Environment::system(), stop).await?)
}

/// Runs the rollback-orchestrator.
pub(crate) async fn orchestrator(args: rollback_orchestrator::Args) -> Result<()> {
    let listener = server::listen(address(args.listen.listen, Addresses::DEFAULT.orchestrator));
    let stop = stop::signalled()?;
    Ok(rollback_orchestrator::serve(args, listener.await?, Environment::system(), stop).await?)
}

fn address(given: Option<SocketAddr>, default: SocketAddr) -> SocketAddr {
    given.unwrap_or(default)
}
