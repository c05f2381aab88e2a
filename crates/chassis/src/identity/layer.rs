//! No call reaches a handler without an identity, except to the few methods that are public.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use thiserror::Error;
use tonic::Status;
use tower::{Layer, Service};

use super::caller::Caller;
use super::verifier::{Failure, TokenError, TokenVerifier};
use crate::problem::{Problem, chain};

/// Services that are public on every port: what asks whether it is alive, and what it can do.
const PUBLIC_SERVICES: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Denies every call that brings no identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IdentityLayer {
    verifier: Arc<TokenVerifier>,
    public_methods: &'static [&'static str],
}

impl IdentityLayer {
    /// Lets calls through whose token verifies. `public_methods` are paths that need none, such as
    /// `/reprise.authorization.v1.AuthorizationService/GetSigningKeys`; health and reflection are
    /// public anyway.
    #[must_use]
    pub fn new(verifier: Arc<TokenVerifier>, public_methods: &'static [&'static str]) -> Self {
        Self {
            verifier,
            public_methods,
        }
    }

    fn is_public(&self, path: &str) -> bool {
        self.public_methods.contains(&path)
            || PUBLIC_SERVICES
                .iter()
                .any(|service| path.starts_with(service))
    }

    /// Leaves the [`Caller`] in the request in place of the token.
    fn admit<B>(&self, request: &mut Request<B>) -> Admission {
        let judged = bearer(request.headers())
            .map_err(Admission::Refused)
            .and_then(|token| self.judge(token));
        // A handler has the token in the caller, if it needs it; in the headers it would get into
        // the first log that shows them.
        request.headers_mut().remove(AUTHORIZATION);
        match judged {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Admission::Granted
            }
            Err(_) if self.is_public(request.uri().path()) => Admission::Granted,
            Err(admission) => admission,
        }
    }

    fn judge(&self, token: &str) -> Result<Caller, Admission> {
        self.verifier
            .attempt(token)
            .map_err(|failure| match failure {
                Failure::Refused(error) => Admission::Refused(Refusal::Token(error)),
                Failure::KeysOutdated(..) => Admission::Later {
                    token: token.to_owned(),
                },
            })
    }
}

/// Whether a call goes on to its handler.
enum Admission {
    Granted,
    Refused(Refusal),
    /// It depends on keys that have to be fetched.
    Later {
        token: String,
    },
}

impl<S> Layer<S> for IdentityLayer {
    type Service = IdentityService<S>;

    fn layer(&self, inner: S) -> IdentityService<S> {
        IdentityService {
            layer: self.clone(),
            inner,
        }
    }
}

/// A service behind an [`IdentityLayer`].
#[derive(Clone, Debug)]
pub struct IdentityService<S> {
    layer: IdentityLayer,
    inner: S,
}

/// The answer to a call that waits, or was not let through. Only these take an allocation.
type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<Response<T>, E>> + Send>>;

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for IdentityService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Future: Send>
        + Clone
        + Send
        + 'static,
    ReqBody: Send + 'static,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Either<S::Future, Boxed<ResBody, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.layer.admit(&mut request) {
            Admission::Granted => Either::Left(self.inner.call(request)),
            Admission::Refused(refusal) => {
                let path = request.uri().path().to_owned();
                // Told to the log when it is polled: the span of the call, with the trace id, is
                // around that only.
                Either::Right(Box::pin(async move { Ok(refusal.answer(&path)) }))
            }
            Admission::Later { token } => {
                let verifier = Arc::clone(&self.layer.verifier);
                // It is this one that is ready; its clone is not, yet.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                Either::Right(Box::pin(async move {
                    match verifier.identify(&token).await {
                        Ok(caller) => {
                            request.extensions_mut().insert(caller);
                            inner.call(request).await
                        }
                        Err(error) => Ok(Refusal::Token(error).answer(request.uri().path())),
                    }
                }))
            }
        }
    }
}

/// Why a call was not let through.
#[derive(Debug, Error)]
enum Refusal {
    #[error("no authorization")]
    Missing,
    #[error("more than one authorization")]
    Several,
    #[error("the authorization is not `Bearer` and a token")]
    NotBearer,
    #[error("the token was refused")]
    Token(#[source] TokenError),
}

impl Refusal {
    fn answer<B: Default>(self, path: &str) -> Response<B> {
        let problem = match self {
            Self::Token(outage @ TokenError::NoProviderKeys { issuer: _ }) => {
                outage.into_problem(Problem::unauthenticated())
            }
            refusal @ (Self::Missing | Self::Several | Self::NotBearer | Self::Token(_)) => {
                refusal.log(path);
                Problem::unauthenticated()
            }
        };
        Status::from(problem).into_http()
    }

    fn log(&self, path: &str) {
        let path = shortened(path);
        match self {
            // Anybody who looks around causes this.
            Self::Missing => tracing::debug!(path, "call without authorization refused"),
            Self::Several | Self::NotBearer | Self::Token(_) => {
                tracing::info!(path, reason = shortened(&chain(self)), "call refused");
            }
        }
    }
}

/// What a stranger sends must not fill the log, nor look like a line of it.
fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(printable).take(300).collect()
}

/// The token of the only `authorization` header. With two, it would depend on the reader who calls.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Several);
    }
    let value = value.to_str().map_err(|_| Refusal::NotBearer)?;
    match value.split_once(' ') {
        // The scheme's case is free by RFC 9110.
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        Some(_) | None => Err(Refusal::NotBearer),
    }
}

/// Who calls.
///
/// # Errors
///
/// UNAUTHENTICATED if nobody is known to, which happens to public methods only.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Problem> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(Problem::unauthenticated)
}
