//! The signal to stop.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// A future that resolves at the first SIGTERM or ctrl-c after this call.
pub(crate) fn signalled() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for ctrl-c")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("ctrl-c: stopping"),
        }
    })
}
