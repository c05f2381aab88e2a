use std::convert::Infallible;
use std::sync::Arc;

use chrono::TimeDelta;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use model::ServiceName;
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::World;
use crate::identity::{Caller, IdentityLayer, caller};
use crate::problem::{ERROR_DOMAIN, reason_of};
use proto::common::v1::ErrorReason;

const PRIVATE: &str = "/reprise.registry.v1.DeployRegistryService/GetDeploy";
const PUBLIC: &str = "/reprise.authorization.v1.AuthorizationService/GetSigningKeys";

/// Who the handler saw: nobody, or a principal.
type Seen = Option<String>;

/// Calls a handler behind the layer. The error is the status of a call that never reached it.
async fn call(world: &World, path: &str, headers: &[&str]) -> Result<Seen, Status> {
    let layer = IdentityLayer::new(Arc::new(world.verifier()), &[PUBLIC]);
    let service = layer.layer(service_fn(async |request: Request<()>| {
        assert!(
            !request.headers().contains_key(AUTHORIZATION),
            "the token reached the handler"
        );
        let seen = request
            .extensions()
            .get::<Caller>()
            .map(|caller| caller.principal().to_string());
        Ok::<_, Infallible>(Response::new(Some(seen)))
    }));
    let mut request = Request::builder().uri(format!("http://registry{path}"));
    for header in headers {
        request = request.header(AUTHORIZATION, *header);
    }
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) => {
            assert_eq!(*response.body(), None, "the handler was called");
            assert_eq!(response.headers()["content-type"], "application/grpc");
            Err(status)
        }
        None => Ok(response.into_body().unwrap()),
    }
}

#[tokio::test]
async fn a_call_with_a_token_reaches_the_handler_with_its_caller() {
    let world = World::new();
    let token = world.user_token(TimeDelta::hours(1));
    for scheme in ["Bearer", "bearer"] {
        let seen = call(&world, PRIVATE, &[&format!("{scheme} {token}")])
            .await
            .unwrap();
        assert_eq!(seen.as_deref(), Some("user:alice@example.com"));
    }
}

#[tokio::test]
async fn a_call_without_exactly_one_good_token_is_refused_the_same_way() {
    let world = World::new();
    let token = world.user_token(TimeDelta::hours(1));
    let good = format!("Bearer {token}");
    let others = world
        .service_tokens()
        .token(ServiceName::Authorization)
        .unwrap();
    let refused: [&[&str]; 9] = [
        &[],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &[&token],
        &[&format!("Basic {token}")],
        &[&format!("Bearer  {token}")],
        &[&good, &good],
        &[&format!("Bearer {others}")],
    ];
    for headers in refused {
        let status = call(&world, PRIVATE, headers).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{headers:?}");
        assert_eq!(reason_of(&status), Some(ErrorReason::Unauthenticated));
        assert_eq!(
            status.message(),
            crate::problem::Problem::unauthenticated().message()
        );
    }
    assert_eq!(ERROR_DOMAIN, "reprise.dev");
}

#[tokio::test]
async fn what_is_public_is_served_with_and_without_a_token() {
    let world = World::new();
    let good = format!("Bearer {}", world.user_token(TimeDelta::hours(1)));
    for path in [
        PUBLIC,
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(call(&world, path, &[]).await.unwrap(), None, "{path}");
        assert_eq!(
            call(&world, path, &["Bearer x"]).await.unwrap(),
            None,
            "{path}"
        );
        assert_eq!(
            call(&world, path, &[&good, &good]).await.unwrap(),
            None,
            "{path}"
        );
        let seen = call(&world, path, &[&good]).await.unwrap();
        assert_eq!(seen.as_deref(), Some("user:alice@example.com"), "{path}");
    }
}

#[tokio::test]
async fn what_only_looks_public_is_refused() {
    let world = World::new();
    for path in [
        "/",
        "/anything",
        "/grpc.health.v1.HealthX/Check",
        "//grpc.health.v1.Health/Check",
        "/GRPC.health.v1.Health/Check",
        "/grpc.health.v1.Health",
        "/reprise.authorization.v1.AuthorizationService/GetSigningKeys/",
        "/reprise.authorization.v1.AuthorizationService/GetSigningKeysX",
        "/x/reprise.authorization.v1.AuthorizationService/GetSigningKeys",
        "/x?/grpc.health.v1.Health/Check",
    ] {
        assert!(call(&world, path, &[]).await.is_err(), "{path}");
    }
}

#[test]
fn a_request_that_brings_nobody_has_no_caller() {
    let problem = caller(&tonic::Request::new(())).unwrap_err();
    assert_eq!(problem.code(), Code::Unauthenticated);
}
