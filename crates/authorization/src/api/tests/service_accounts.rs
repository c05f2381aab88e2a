use chassis::convert::timestamp;
use chassis::identity::{AUTHORIZATION_ISSUER, mint_service_account_token};
use proto::authorization::v1::CreateServiceAccountTokenRequest;

use super::*;

const ACCOUNT: &str = "workspaces/w/serviceAccounts/ci";

fn ask(expire_time: DateTime<Utc>) -> CreateServiceAccountTokenRequest {
    CreateServiceAccountTokenRequest {
        parent: ACCOUNT.to_owned(),
        service_account_token: Some(pb::ServiceAccountToken {
            description: "for CI".to_owned(),
            expire_time: Some(timestamp(expire_time)),
            ..Default::default()
        }),
        request_id: String::new(),
    }
}

async fn a_token_of_a_service_account_works_until_it_expires(db: TestDatabase) {
    let house = House::new(&db).await;
    let expire_time = house.now() + TimeDelta::days(365);
    let request = house.as_user("admin", ask(expire_time));
    let made = house
        .service
        .create_service_account_token(request)
        .await
        .unwrap()
        .into_inner();
    let about = made.service_account_token.unwrap();
    assert!(
        about.name.starts_with(&format!("{ACCOUNT}/tokens/")),
        "{}",
        about.name
    );
    assert_eq!(about.created_by, "user:admin");
    assert_eq!(about.expire_time.unwrap().seconds, expire_time.timestamp());
    assert_eq!(about.expire_time.unwrap().nanos, 0);

    let principal = format!("service-account:{ACCOUNT}");
    let question = || {
        let deployment = "workspaces/w/deployments/d";
        let consistency = fully_consistent();
        pb::CheckPermissionRequest {
            consistency,
            ..check("deployment.dags.push", deployment)
        }
    };
    // It holds nothing by itself.
    let request = house.request(&made.token, question());
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.principal, principal);
    assert!(!answer.decision.unwrap().allowed);
    house
        .bind(&principal, "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let request = house.request(&made.token, question());
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.decision.unwrap().allowed);

    // Another service asks about it.
    let asked = pb::CheckPermissionRequest {
        subject_token: made.token.clone(),
        ..question()
    };
    let request = house.as_orchestrator(asked.clone());
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.decision.unwrap().allowed);
    house.pass(TimeDelta::days(366));
    let expired = house
        .service
        .check_permission(house.as_orchestrator(asked))
        .await
        .unwrap_err();
    assert_eq!(reason(&expired), ErrorReason::Unauthenticated);
}

async fn a_token_that_is_not_known_passes_no_fully_consistent_check(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind(
            &format!("service-account:{ACCOUNT}"),
            "roles/DEPLOYMENT_EDITOR",
            "workspaces/w",
        )
        .await;
    // Signed by the right key, as an operator with a copy of it could.
    let forged = mint_service_account_token(
        &house.service.signing.signer(),
        AUTHORIZATION_ISSUER,
        &ACCOUNT.parse().unwrap(),
        house.environment.new_uuid(),
        house.now() + TimeDelta::hours(1),
        &house.environment,
    )
    .unwrap();
    let question = pb::CheckPermissionRequest {
        consistency: fully_consistent(),
        ..check("deployment.dags.push", "workspaces/w/deployments/d")
    };
    let request = house.request(&forged, question);
    let refused = house.service.check_permission(request).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
    let request = house.request(
        &forged,
        binding("user:x", "roles/DEPLOYMENT_VIEWER", "workspaces/w"),
    );
    let refused = house
        .service
        .create_role_binding(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
}

async fn a_token_is_shown_once(db: TestDatabase) {
    let house = House::new(&db).await;
    let request_id = house.environment.new_uuid().to_string();
    let asked = CreateServiceAccountTokenRequest {
        request_id,
        ..ask(house.now() + TimeDelta::days(1))
    };
    let first = house
        .service
        .create_service_account_token(house.as_user("admin", asked.clone()));
    let first = first.await.unwrap().into_inner();
    assert!(!first.token.is_empty());
    let again = house
        .service
        .create_service_account_token(house.as_user("admin", asked.clone()));
    let again = again.await.unwrap().into_inner();
    assert_eq!(again.token, "");
    assert_eq!(again.service_account_token, first.service_account_token);
    let other = CreateServiceAccountTokenRequest {
        request_id: asked.request_id,
        ..ask(house.now() + TimeDelta::days(2))
    };
    let reused = house
        .service
        .create_service_account_token(house.as_user("admin", other))
        .await;
    assert_eq!(reason(&reused.unwrap_err()), ErrorReason::RequestIdReused);
}

async fn all_that_is_wrong_with_a_token_is_told_at_once(db: TestDatabase) {
    let house = House::new(&db).await;
    const EXPIRE_TIME: &str = "service_account_token.expire_time";
    let ask_at = |seconds| ask(house.now() + TimeDelta::seconds(seconds));
    let year = 365 * 24 * 60 * 60;
    let mut unset = ask_at(60);
    unset.service_account_token.as_mut().unwrap().expire_time = None;
    let mut nonsense = ask_at(60);
    if let Some(time) = &mut nonsense.service_account_token.as_mut().unwrap().expire_time {
        (time.seconds, time.nanos) = (i64::MAX, -1);
    }
    let mut many = ask_at(-1);
    many.service_account_token.as_mut().unwrap().description = "x".repeat(501);
    many.request_id = "x".to_owned();
    for (asked, expected) in [
        (ask_at(0), vec![EXPIRE_TIME]),
        (ask_at(-60), vec![EXPIRE_TIME]),
        (ask_at(year + 60), vec![EXPIRE_TIME]),
        (unset, vec![EXPIRE_TIME]),
        (nonsense, vec![EXPIRE_TIME]),
        (
            many,
            vec![
                "service_account_token.description",
                EXPIRE_TIME,
                "request_id",
            ],
        ),
        (
            CreateServiceAccountTokenRequest {
                service_account_token: None,
                ..ask_at(60)
            },
            vec!["service_account_token"],
        ),
        (
            CreateServiceAccountTokenRequest {
                parent: "serviceAccounts/ci".to_owned(),
                ..ask_at(60)
            },
            vec!["parent"],
        ),
    ] {
        let text = format!("{asked:?}");
        let request = house.as_user("admin", asked);
        let found = house
            .service
            .create_service_account_token(request)
            .await
            .unwrap_err();
        assert_eq!(fields(&found), expected, "{text}");
    }
}

async fn minting_needs_the_right_and_all_that_the_account_holds(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:wanda", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind("user:vic", "roles/WORKSPACE_VIEWER", "workspaces/w")
        .await;
    let mint = async |who: &str| {
        let request = house.as_user(who, ask(house.now() + TimeDelta::days(1)));
        house.service.create_service_account_token(request).await
    };
    let denied = mint("vic").await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
    assert_eq!(
        metadata(&denied, "permissions"),
        "workspace.serviceAccounts.create"
    );
    assert_eq!(
        reason(&mint("stranger").await.unwrap_err()),
        ErrorReason::ResourceNotFound
    );
    mint("wanda").await.unwrap();

    let account = format!("service-account:{ACCOUNT}");
    house
        .bind(&account, "roles/DEPLOYMENT_ADMIN", "workspaces/w")
        .await;
    mint("wanda").await.unwrap();
    house
        .bind(
            &account,
            "roles/DEPLOYMENT_VIEWER",
            "workspaces/v/deployments/d",
        )
        .await;
    let refused = mint("wanda").await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::GrantExceedsOwnPermissions);
    assert_eq!(metadata(&refused, "resource"), "workspaces/v/deployments/d");
    assert!(metadata(&refused, "permissions").contains("deployment.config.get"));
    mint("admin").await.unwrap();
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_token_of_a_service_account_works_until_it_expires,
    a_token_that_is_not_known_passes_no_fully_consistent_check,
    a_token_is_shown_once,
    all_that_is_wrong_with_a_token_is_told_at_once,
    minting_needs_the_right_and_all_that_the_account_holds,
);
