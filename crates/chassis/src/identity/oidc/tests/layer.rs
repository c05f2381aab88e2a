//! Calls that have to wait for a provider's keys.

use std::convert::Infallible;
use std::sync::Arc;

use ::http::header::AUTHORIZATION;
use ::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{Answer, DISCOVERY, HttpServer, Key, Provider};
use crate::identity::{Caller, IdentityLayer};
use crate::problem::reason_of;
use proto::common::v1::ErrorReason;

const PUBLIC: &str = "/reprise.authorization.v1.AuthorizationService/GetSigningKeys";
const PRIVATE: &str = "/reprise.registry.v1.DeployRegistryService/GetDeploy";

/// Who the handler saw, or the status of a call that never reached it.
async fn call(provider: &Provider, path: &str, token: &str) -> Result<String, Status> {
    let layer = IdentityLayer::new(Arc::clone(&provider.verifier), &[PUBLIC]);
    let service = layer.layer(service_fn(async |request: Request<()>| {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let caller = request.extensions().get::<Caller>();
        let seen = caller.map_or("nobody".to_owned(), |caller| caller.principal().to_string());
        Ok::<_, Infallible>(Response::new(seen))
    }));
    let request = Request::builder()
        .uri(format!("http://registry{path}"))
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) => Err(status),
        None => Ok(response.into_body()),
    }
}

#[tokio::test]
async fn a_call_waits_for_a_key_and_goes_on_with_its_caller() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let provider = Provider::with(&[&old]).await;
    for key in [&old, &new] {
        provider.server.publish(&[key]);
        let token = key.token(&provider.claims());
        assert_eq!(
            call(&provider, PRIVATE, &token).await.unwrap(),
            "user:okta:alice"
        );
    }
    let mallory = Key::es256("new");
    let forged = mallory.token(&provider.claims());
    let status = call(&provider, PRIVATE, &forged).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(!status.message().contains("signature"), "{status}");
}

#[tokio::test]
async fn a_call_that_nobody_can_judge_is_unavailable_and_a_public_one_goes_on() {
    let server = HttpServer::start().await;
    server.answer(DISCOVERY, Answer::Empty("500 Oh".into()));
    let provider = Provider::at(server, |_| {});
    let token = Key::es256("k").token(&provider.claims());
    assert_eq!(call(&provider, PUBLIC, &token).await.unwrap(), "nobody");
    let status = call(&provider, PRIVATE, &token).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason_of(&status), Some(ErrorReason::DependencyUnavailable));
    assert!(status.message().contains("identity provider"), "{status}");
}
