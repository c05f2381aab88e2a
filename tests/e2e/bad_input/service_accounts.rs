use prost_types::Timestamp;
use proto::authorization::v1::{
    CreateServiceAccountTokenRequest, ListServiceAccountTokensRequest,
    RevokeServiceAccountTokenRequest, ServiceAccountToken,
};
use proto::registry::v1::{CreateDeployRequest, Deploy};

use super::{Wrong, each_is_told, huge, no_name_is_taken};
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    create_service_account_token_tells_all_that_is_wrong,
    list_service_account_tokens_tells_all_that_is_wrong,
    revoke_service_account_token_tells_all_that_is_wrong,
);

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

async fn list_service_account_tokens_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    let admin = &orders.admin;
    let send = async |request| {
        admin
            .authorization()
            .list_service_account_tokens(request)
            .await
    };
    let good = ListServiceAccountTokensRequest {
        parent: format!("{DEPLOYMENT}/serviceAccounts/-"),
        ..Default::default()
    };
    let wrongs: &[Wrong<ListServiceAccountTokensRequest>] = &[
        (
            "the Deployment",
            |r| r.parent = DEPLOYMENT.to_owned(),
            &["parent"],
        ),
        (
            "the system",
            |r| r.parent = "system/serviceAccounts/-".to_owned(),
            &["parent"],
        ),
        (
            "nothing's accounts",
            |r| r.parent = "/serviceAccounts/-".to_owned(),
            &["parent"],
        ),
        (
            "any Deployment",
            |r| r.parent = "workspaces/acme/deployments/-/serviceAccounts/-".to_owned(),
            &["parent"],
        ),
        ("a negative size", |r| r.page_size = -1, &["page_size"]),
        (
            "a page of nobody",
            |r| r.page_token = huge(),
            &["page_token"],
        ),
        (
            "everything",
            |r| {
                r.page_size = i32::MIN;
                r.page_token = "!".to_owned();
            },
            &["page_size", "page_token"],
        ),
    ];
    each_is_told(good.clone(), wrongs, send).await;
    no_name_is_taken("parent", async |parent| {
        let request = ListServiceAccountTokensRequest {
            parent,
            ..Default::default()
        };
        send(request).await
    })
    .await;
    assert!(done(send(good).await).service_account_tokens.is_empty());
}

async fn revoke_service_account_token_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::new(setup).await;
    let admin = &orders.admin;
    let send = async |request| {
        admin
            .authorization()
            .revoke_service_account_token(request)
            .await
    };
    const UUID: &str = "11111111-1111-4111-8111-11111111abcd";
    let good = RevokeServiceAccountTokenRequest {
        name: format!("{DEPLOYMENT}/serviceAccounts/ci/tokens/{UUID}"),
        ..Default::default()
    };
    let wrongs: &[Wrong<RevokeServiceAccountTokenRequest>] = &[
        (
            "another spelling",
            |r| r.name = r.name.to_uppercase(),
            &["name"],
        ),
        (
            "another spelling of the id",
            |r| r.name = r.name.replace("abcd", "ABCD"),
            &["name"],
        ),
        (
            "no token",
            |r| r.name = r.name.replace("/tokens/", "/keys/"),
            &["name"],
        ),
        (
            "every token",
            |r| r.name = r.name.replace(UUID, "-"),
            &["name"],
        ),
        ("a long reason", |r| r.reason = huge(), &["reason"]),
    ];
    each_is_told(good.clone(), wrongs, send).await;
    no_name_is_taken("name", async |name| {
        let request = RevokeServiceAccountTokenRequest {
            name,
            ..Default::default()
        };
        send(request).await
    })
    .await;
    refused(send(good).await).not_found();
}
