//! Serving gRPC: a listener that the caller owns, the layers that every call goes through, health,
//! reflection, and a drain at the end.

mod library_errors;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::names::ServiceName;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::ServerTlsConfig;
use tower::util::MapResponseLayer;

use crate::identity::{IdentityLayer, KeyringFollower};
use crate::telemetry;

/// The longest that a call may take, the upload of a large bundle over a slow line included. What can
/// stall has a shorter limit of its own.
const CALL_LIMIT: Duration = Duration::from_secs(60 * 60);
const CALLS_PER_CONNECTION: usize = 256;
const STREAMS_PER_CONNECTION: u32 = 512;
/// Tokens are at most 8 KiB; a trace context and what proxies add take little.
const LARGEST_HEADERS: u32 = 32 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What a service serves, and to whom.
pub struct Server {
    /// The service.
    pub name: ServiceName,
    /// Its full name in protobuf, such as `reprise.registry.v1.DeployRegistryService`.
    pub proto_name: &'static str,
    /// The handlers.
    pub routes: Routes,
    /// Who is let in, and what changes that while the service runs.
    pub keys: KeyringFollower,
    /// The paths that need no identity, beside health and reflection.
    pub public_methods: &'static [&'static str],
    /// TLS, or plain text.
    pub tls: Option<ServerTlsConfig>,
    /// How long running calls may take to finish after the signal to stop.
    pub drain: Duration,
}

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}; is something else there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The server broke.
    #[error("the server failed")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors that reflection shows are broken.
    #[error("reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener has no address.
    #[error("the listener is broken")]
    Listener(#[source] std::io::Error),
}

/// Opens a port.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })
}

impl Server {
    /// Serves until `stop` resolves, then finishes the running calls.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let Self {
            name,
            proto_name,
            routes,
            keys,
            public_methods,
            tls,
            drain,
        } = self;
        let verifier = Arc::clone(keys.verifier());
        // Ends with this call, whichever way that ends.
        let mut following = JoinSet::new();
        following.spawn(keys.run());
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(proto_name, tonic_health::ServingStatus::Serving)
            .await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // The details of errors: clients look their types up to show them.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(proto_name)
                .with_service_name("grpc.health.v1.Health")
        };
        let routes = routes
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);

        let service = name.as_str();
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        tracing::info!(service, %address, tls = tls.is_some(), "serving");
        let mut server = tonic::transport::Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls)?;
        }
        let (stopped, mut stopping) = tokio::sync::watch::channel(());
        let serving = server
            .trace_fn(move |request| telemetry::call_span(service, request))
            .timeout(CALL_LIMIT)
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(LARGEST_HEADERS)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .tcp_nodelay(true)
            .layer(MapResponseLayer::new(library_errors::explained))
            .layer(IdentityLayer::new(verifier, public_methods))
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                stop.await;
                health
                    .set_service_status(proto_name, tonic_health::ServingStatus::NotServing)
                    .await;
                drop(stopped);
            });
        let drained = async {
            // Resolves, with an error, when the sender is dropped.
            let _ = stopping.changed().await;
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = drained => {
                tracing::warn!(service, "calls were still running after the drain; they are cut off");
                Ok(())
            }
        }
    }
}
