//! A real server on a real port, over plain text and over TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::names::ServiceName;
use proto::common::v1::ErrorReason;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{ServeError, Server, listen};
use crate::config::TlsArgs;
use crate::environment::Environment;
use crate::identity::{Keyring, KeyringFollower, TokenVerifier};
use crate::problem::reason_of;

const NAME: &str = "reprise.registry.v1.DeployRegistryService";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
    _keys: TempDir,
}

async fn start(tls: &TlsArgs) -> Running {
    let keys = tempfile::tempdir().unwrap();
    let environment = Environment::system();
    let keyring = Keyring::init(keys.path(), &environment).unwrap();
    let trust = keyring.trust().unwrap();
    let verifier = TokenVerifier::new(trust, ServiceName::DeployRegistry, environment);
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server {
        name: ServiceName::DeployRegistry,
        proto_name: NAME,
        routes: Routes::default(),
        keys: KeyringFollower::new(keyring, Arc::new(verifier)),
        public_methods: &[],
        tls: tls.server(address).unwrap(),
        drain: Duration::from_secs(30),
    };
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(server.serve(listener, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        served,
        _keys: keys,
    }
}

async fn health(tls: &TlsArgs, url: &str) -> Result<HealthCheckResponse, Status> {
    let channel = tls.endpoint(url).unwrap().connect().await;
    let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = HealthCheckRequest {
        service: NAME.to_owned(),
    };
    Ok(HealthClient::new(channel)
        .check(request)
        .await?
        .into_inner())
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// Writes a certificate for localhost and its key.
    fn sign(&self, folder: &Path, name: &str) -> TlsArgs {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert_file = folder.join(format!("{name}.cert.pem"));
        let key_file = folder.join(format!("{name}.key.pem"));
        std::fs::write(
            &cert_file,
            params.signed_by(&key, &self.issuer).unwrap().pem(),
        )
        .unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        TlsArgs {
            tls_cert: Some(cert_file),
            tls_key: Some(key_file),
            ..TlsArgs::default()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_needs_no_identity_and_everything_else_does() {
    let plain = TlsArgs::default();
    let running = start(&plain).await;
    let url = format!("http://{}", running.address);
    assert!(health(&plain, &url).await.is_ok());

    let channel = plain.endpoint(&url).unwrap().connect().await.unwrap();
    let mut client =
        proto::registry::v1::deploy_registry_service_client::DeployRegistryServiceClient::new(
            channel,
        );
    let request = Request::new(proto::registry::v1::GetDeployRequest {
        name: "x".to_owned(),
    });
    assert_eq!(
        client.get_deploy(request).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_client_needs_the_right_authority() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let theirs = Authority::new(folder.path(), "theirs");
    let running = start(&ours.sign(folder.path(), "server")).await;
    let url = format!("https://localhost:{}", running.address.port());

    let trusting = |authority: &Authority| TlsArgs {
        tls_ca: Some(authority.file.clone()),
        ..TlsArgs::default()
    };
    assert!(health(&trusting(&ours), &url).await.is_ok());
    assert!(health(&trusting(&theirs), &url).await.is_err());
    let plain = format!("http://localhost:{}", running.address.port());
    assert!(health(&TlsArgs::default(), &plain).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_mutual_tls_a_client_needs_a_certificate_of_the_right_authority() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let theirs = Authority::new(folder.path(), "theirs");
    let server = TlsArgs {
        tls_client_ca: Some(ours.file.clone()),
        ..ours.sign(folder.path(), "server")
    };
    let running = start(&server).await;
    let url = format!("https://localhost:{}", running.address.port());

    let trusting = |tls: TlsArgs| TlsArgs {
        tls_ca: Some(ours.file.clone()),
        ..tls
    };
    let known = trusting(ours.sign(folder.path(), "known"));
    assert!(health(&known, &url).await.is_ok());
    assert!(health(&trusting(TlsArgs::default()), &url).await.is_err());
    let unknown = trusting(theirs.sign(folder.path(), "unknown"));
    assert!(health(&unknown, &url).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_when_it_is_told_to_and_not_before() {
    let plain = TlsArgs::default();
    let running = start(&plain).await;
    assert!(
        health(&plain, &format!("http://{}", running.address))
            .await
            .is_ok()
    );
    assert!(!running.served.is_finished());
    running.stop.send(()).unwrap();
    running.served.await.unwrap().unwrap();
}

/// A codec that sends bytes as they are.
#[derive(Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(
        &mut self,
        item: Vec<u8>,
        buffer: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_handler_sees_is_refused_with_a_reason_too() {
    let plain = TlsArgs::default();
    let running = start(&plain).await;
    let url = format!("http://{}", running.address);
    let channel = plain.endpoint(&url).unwrap().connect().await.unwrap();
    let refusal = async |method: &'static str, bytes: Vec<u8>| {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(method);
        client
            .unary(Request::new(bytes), path, Raw)
            .await
            .unwrap_err()
    };
    const CHECK: &str = "/grpc.health.v1.Health/Check";
    for (method, bytes, code, reason) in [
        (
            CHECK,
            vec![0xff; 9],
            Code::InvalidArgument,
            ErrorReason::InvalidFields,
        ),
        (
            CHECK,
            vec![0; 5 << 20],
            Code::ResourceExhausted,
            ErrorReason::LimitExceeded,
        ),
        (
            "/grpc.health.v1.Health/Nothing",
            vec![],
            Code::Unimplemented,
            ErrorReason::MethodUnknown,
        ),
    ] {
        let status = refusal(method, bytes).await;
        assert_eq!(
            (status.code(), reason_of(&status)),
            (code, Some(reason)),
            "{status}"
        );
    }
}
