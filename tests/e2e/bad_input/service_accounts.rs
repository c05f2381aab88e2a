use prost_types::Timestamp;
use proto::authorization::v1::{CreateServiceAccountTokenRequest, ServiceAccountToken};
use proto::registry::v1::{CreateDeployRequest, Deploy};

use super::{Wrong, each_is_told, huge};
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(create_service_account_token_tells_all_that_is_wrong);

async fn create_service_account_token_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    fn of(request: &mut CreateServiceAccountTokenRequest) -> &mut ServiceAccountToken {
        request.service_account_token.as_mut().unwrap()
    }
    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }
    const TIME: &[&str] = &["service_account_token.expire_time"];
    let wrongs: &[Wrong<CreateServiceAccountTokenRequest>] = &[
        (
            "no token",
            |r| r.service_account_token = None,
            &["service_account_token"],
        ),
        ("no end", |r| of(r).expire_time = None, TIME),
        (
            "an end in the past",
            |r| of(r).expire_time = at(1_000_000_000, 0),
            TIME,
        ),
        (
            "an end far ahead",
            |r| of(r).expire_time = at(32_503_680_000, 0),
            TIME,
        ),
        (
            "an end at no time",
            |r| of(r).expire_time = at(i64::MAX, 0),
            TIME,
        ),
        (
            "an end before all time",
            |r| of(r).expire_time = at(i64::MIN, 0),
            TIME,
        ),
        (
            "negative nanoseconds",
            |r| of(r).expire_time = at(1_900_000_000, -1),
            TIME,
        ),
        (
            "too many nanoseconds",
            |r| of(r).expire_time = at(1_900_000_000, i32::MAX),
            TIME,
        ),
        (
            "everything",
            |r| {
                r.request_id = "!".into();
                of(r).description = huge();
                of(r).expire_time = at(0, 0);
            },
            &[
                "request_id",
                "service_account_token.description",
                "service_account_token.expire_time",
            ],
        ),
    ];
    let tomorrow = orders.stack.environment.now().timestamp() + 86_400;
    let good = CreateServiceAccountTokenRequest {
        parent: format!("{DEPLOYMENT}/serviceAccounts/ci"),
        service_account_token: Some(ServiceAccountToken {
            expire_time: at(tomorrow, 0),
            ..ServiceAccountToken::default()
        }),
        ..CreateServiceAccountTokenRequest::default()
    };
    let admin = &orders.admin;
    let send = async |request| {
        admin
            .authorization()
            .create_service_account_token(request)
            .await
    };
    each_is_told(good.clone(), wrongs, send).await;

    // The account holds nothing until a role is bound to it.
    let made = done(send(good).await);
    let ci = orders.stack.somebody(&made.token);
    let revision = image('a', "3.1-9");
    let ship = async || {
        let deploy = Deploy {
            revision: Some(revision.clone()),
            ..Default::default()
        };
        let request = CreateDeployRequest {
            parent: DEPLOYMENT.to_owned(),
            deploy: Some(deploy),
            ..Default::default()
        };
        ci.registry().create_deploy(request).await
    };
    refused(ship().await).not_found();
    let account = format!("service-account:{DEPLOYMENT}/serviceAccounts/ci");
    admin
        .bind(DEPLOYMENT, &account, "roles/DEPLOYMENT_EDITOR")
        .await;
    assert_eq!(done(ship().await).deploy.unwrap().created_by, account);
}
