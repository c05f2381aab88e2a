//! Calling another service: with this service's own token, a deadline, a bounded retry, and the
//! trace context of the call that it is for.

use std::time::Duration;

use model::names::ServiceName;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::backoff;
use crate::identity::ServiceTokens;
use crate::problem::Problem;
use crate::telemetry;

/// How long one call to another service may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// After so much silence the callee is pinged, and after as much again the connection is given up: one
/// that has gone without a word would take all calls until then.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection to another service that identifies this one. Cheap to clone; connects when it is
/// first used, and again whenever it must.
pub type ServiceChannel = InterceptedService<Channel, Outbound>;

/// Opens a connection to the service `callee`.
pub fn connect(endpoint: Endpoint, callee: ServiceName, tokens: ServiceTokens) -> ServiceChannel {
    let channel = endpoint
        .timeout(CALL_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy();
    InterceptedService::new(channel, Outbound { callee, tokens })
}

/// Puts identity and trace context into every call.
#[derive(Clone)]
pub struct Outbound {
    callee: ServiceName,
    tokens: ServiceTokens,
}

impl Interceptor for Outbound {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.tokens.token(self.callee).map_err(Problem::internal)?;
        let mut value =
            MetadataValue::try_from(format!("Bearer {token}")).map_err(Problem::internal)?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        telemetry::inject(request.metadata_mut());
        Ok(request)
    }
}

/// Makes a call that is safe to repeat, and repeats it a few times while the other service cannot
/// be reached.
///
/// The call is a closure that returns a future, and not an async closure: that would not be `Send`
/// where it borrows ([rust-lang/rust#110338](https://github.com/rust-lang/rust/issues/110338)).
pub async fn retry<T, F>(call: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if status.code() != Code::Unavailable || attempt == ATTEMPTS => {
                return Err(status);
            }
            Err(_) => {
                tokio::time::sleep(backoff::pause(attempt, FIRST_PAUSE, LONGEST_PAUSE)).await;
                attempt += 1;
            }
        }
    }
}
