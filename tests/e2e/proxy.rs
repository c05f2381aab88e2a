//! A proxy between two services that holds a call before it is forwarded, or its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use proto::registry::v1::CreateRollbackDeployRequest;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Server};
use tower::ServiceExt;

use crate::harness::within;

/// Where a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The callee has heard nothing yet.
    Call,
    /// The same, and it goes on when the caller is not there any more: it arrives late.
    #[cfg(feature = "test-postgres")]
    LateCall,
    /// The callee has answered; the caller has heard nothing yet.
    Answer,
}

/// Forwards every call as it is, with its metadata. Stops when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    trap: Arc<Mutex<Option<Trap>>>,
    serving: JoinHandle<()>,
}

struct Trap {
    point: Point,
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
    /// Dropped when the call is over.
    #[cfg(feature = "test-postgres")]
    over: oneshot::Sender<()>,
}

/// A call that will be held, or is. It goes on when this is dropped.
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    _release: oneshot::Sender<()>,
    #[cfg(feature = "test-postgres")]
    over: oneshot::Receiver<()>,
}

impl Proxy {
    /// Starts a proxy in front of the service at `callee`.
    pub(crate) async fn start(callee: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let callee = Endpoint::from_shared(format!("http://{callee}"))
            .unwrap()
            .connect_lazy();
        let trap = Arc::new(Mutex::new(None));
        let traps = Arc::clone(&trap);
        let forward = tower::service_fn(move |request| {
            let (callee, traps) = (callee.clone(), Arc::clone(&traps));
            async move { Ok::<_, Infallible>(forward(callee, &traps, request).await) }
        });
        let serving = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder()
                .serve_with_incoming(forward, incoming)
                .await
                .unwrap();
        });
        Self {
            address,
            trap,
            serving,
        }
    }

    /// Holds the next call that writes a rollback deploy; those after it pass.
    pub(crate) fn hold_write(&self, point: Point) -> Held {
        let (reach, reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        #[cfg(feature = "test-postgres")]
        let (ended, over) = oneshot::channel();
        let trap = Trap {
            point,
            reached: reach,
            released,
            #[cfg(feature = "test-postgres")]
            over: ended,
        };
        *self.trap.lock().unwrap() = Some(trap);
        Held {
            reached,
            _release: release,
            #[cfg(feature = "test-postgres")]
            over,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Held {
    /// Waits until the call is held.
    pub(crate) async fn reached(&mut self) {
        within("the call to reach the proxy", &mut self.reached)
            .await
            .unwrap();
    }

    /// Lets the call go on, and waits until it is over.
    #[cfg(feature = "test-postgres")]
    pub(crate) async fn let_go(self) {
        let Self { _release, over, .. } = self;
        drop(_release);
        let _ = within("the call to be over", over).await;
    }
}

async fn forward(
    callee: Channel,
    traps: &Mutex<Option<Trap>>,
    request: Request<Body>,
) -> Response<Body> {
    let (request, writes) = look_into(request).await;
    let trap = traps.lock().unwrap().take_if(|_| writes);
    let answer = async || {
        callee
            .oneshot(request)
            .await
            .unwrap_or_else(|error| Status::unavailable(error.to_string()).into_http())
    };
    let Some(trap) = trap else {
        return answer().await;
    };
    let hold = async || {
        trap.reached.send(()).unwrap();
        // An error says that the case let go.
        let _ = trap.released.await;
    };
    match trap.point {
        Point::Call => {
            hold().await;
            answer().await
        }
        #[cfg(feature = "test-postgres")]
        Point::LateCall => {
            let late = async move {
                hold().await;
                let response = answer().await;
                drop(trap.over);
                response
            };
            // It goes on also if nobody waits for it.
            tokio::spawn(late).await.unwrap()
        }
        Point::Answer => {
            let response = answer().await;
            hold().await;
            response
        }
    }
}

/// Whether a call writes a rollback deploy. With `validate_only` it is a part of planning.
async fn look_into(request: Request<Body>) -> (Request<Body>, bool) {
    if !request.uri().path().ends_with("/CreateRollbackDeploy") {
        return (request, false);
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    // A flag of one byte and a length of four stand before the message.
    let message = CreateRollbackDeployRequest::decode(&body[5..]).unwrap();
    let request = Request::from_parts(head, Body::new(Full::new(body)));
    (request, !message.validate_only)
}
