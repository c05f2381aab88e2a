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
    house.pass(TimeDelta::days(2));
    let expired = house
        .service
        .create_service_account_token(house.as_user("admin", asked.clone()));
    assert_eq!(expired.await.unwrap().into_inner(), again);
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

impl House {
    /// As the administrator. Returns the token and what is known of it.
    async fn mint(&self, account: &str) -> (String, pb::ServiceAccountToken) {
        let asked = CreateServiceAccountTokenRequest {
            parent: account.to_owned(),
            ..ask(self.now() + TimeDelta::days(1))
        };
        let request = self.as_user("admin", asked);
        let made = self.service.create_service_account_token(request).await;
        let made = made.unwrap().into_inner();
        (made.token, made.service_account_token.unwrap())
    }

    async fn revoke(
        &self,
        who: &str,
        name: &str,
    ) -> Result<pb::RevokeServiceAccountTokenResponse, Status> {
        let message = pb::RevokeServiceAccountTokenRequest {
            name: name.to_owned(),
            reason: "it got out".to_owned(),
        };
        let request = self.as_user(who, message);
        let revoked = self.service.revoke_service_account_token(request).await?;
        Ok(revoked.into_inner())
    }

    async fn list(
        &self,
        who: &str,
        message: pb::ListServiceAccountTokensRequest,
    ) -> Result<pb::ListServiceAccountTokensResponse, Status> {
        let request = self.as_user(who, message);
        let listed = self.service.list_service_account_tokens(request).await?;
        Ok(listed.into_inner())
    }
}

fn tokens_of(parent: &str) -> pb::ListServiceAccountTokensRequest {
    pb::ListServiceAccountTokensRequest {
        parent: parent.to_owned(),
        ..Default::default()
    }
}

async fn a_revoked_token_is_refused_by_every_replica_and_every_way(db: TestDatabase) {
    let house = House::new(&db).await;
    let other = house.replica(&db).await;
    let account = format!("service-account:{ACCOUNT}");
    house
        .bind(&account, "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    let (token, known) = house.mint(ACCOUNT).await;
    let (stays, _) = house.mint(ACCOUNT).await;
    let question = |consistency| pb::CheckPermissionRequest {
        consistency,
        ..check("deployment.dags.push", "workspaces/w/deployments/d")
    };
    let at_least = |revision| {
        let requirement = pb::consistency::Requirement::AtLeastAsFresh(revision);
        Some(pb::Consistency {
            requirement: Some(requirement),
        })
    };
    for house in [&house, &other] {
        let request = house.request(&token, question(fully_consistent()));
        house.service.check_permission(request).await.unwrap();
    }

    let revoked = house.revoke("admin", &known.name).await.unwrap();
    let shown = revoked.service_account_token.clone().unwrap();
    assert_eq!(
        (shown.revoked_by.as_str(), shown.revoke_reason.as_str()),
        ("user:admin", "it got out")
    );
    assert_eq!(shown.revoke_time, Some(timestamp(house.now())));
    assert_eq!(shown.name, known.name);
    let newest = at_least(revoked.policy_revision);
    for (replica, consistency) in [
        (&house, None),
        (&house, newest),
        (&house, fully_consistent()),
        (&other, newest),
        (&other, fully_consistent()),
        // By now the other one has read it, too.
        (&other, None),
    ] {
        let request = replica.request(&token, question(consistency));
        let refused = replica.service.check_permission(request).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
        let asked = pb::CheckPermissionRequest {
            subject_token: token.clone(),
            ..question(consistency)
        };
        let request = replica.as_orchestrator(asked);
        let refused = replica.service.check_permission(request).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
        let request = replica.request(&stays, question(consistency));
        replica.service.check_permission(request).await.unwrap();
    }
    let bind = binding("user:x", "roles/DEPLOYMENT_VIEWER", "workspaces/w");
    for replica in [&house, &other] {
        let request = replica.request(&token, bind.clone());
        let refused = replica.service.create_role_binding(request).await;
        assert_eq!(reason(&refused.unwrap_err()), ErrorReason::Unauthenticated);
    }

    // Again, by somebody else and later: nothing changes.
    house
        .bind("user:wanda", "roles/WORKSPACE_EDITOR", "workspaces/w")
        .await;
    house.pass(TimeDelta::hours(1));
    let again = house.revoke("wanda", &known.name).await.unwrap();
    assert_eq!(again.service_account_token, revoked.service_account_token);
    assert_eq!(again.policy_revision, revoked.policy_revision + 1);
    // Nor if it has expired since.
    house.pass(TimeDelta::days(2));
    let again = house.revoke("wanda", &known.name).await.unwrap();
    assert_eq!(again.service_account_token, revoked.service_account_token);
}

async fn what_is_known_of_tokens_is_listed_page_by_page(db: TestDatabase) {
    let house = House::new(&db).await;
    let deployments = "workspaces/w/deployments/d/serviceAccounts/ci";
    let second = "workspaces/w/serviceAccounts/cd";
    let mut made = Vec::new();
    for account in [ACCOUNT, second, deployments, ACCOUNT] {
        made.push(house.mint(account).await.1);
    }
    made.retain(|token| !token.name.starts_with(deployments));
    made.sort_by(|one, other| one.name.cmp(&other.name));

    let mut found = Vec::new();
    let mut asked = pb::ListServiceAccountTokensRequest {
        page_size: 2,
        ..tokens_of("workspaces/w/serviceAccounts/-")
    };
    loop {
        let page = house.list("admin", asked.clone()).await.unwrap();
        found.extend(page.service_account_tokens);
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    assert_eq!(found, made);
    let other_query = pb::ListServiceAccountTokensRequest {
        include_inactive: true,
        ..asked
    };
    let refused = house.list("admin", other_query).await.unwrap_err();
    assert_eq!(fields(&refused), ["page_token"]);

    let names = async |parent: &str, include_inactive| {
        let asked = pb::ListServiceAccountTokensRequest {
            include_inactive,
            ..tokens_of(parent)
        };
        let listed = house.list("admin", asked).await.unwrap();
        listed.service_account_tokens.len()
    };
    let revoked = made.iter().find(|token| token.name.starts_with(ACCOUNT));
    house.revoke("admin", &revoked.unwrap().name).await.unwrap();
    assert_eq!(names(ACCOUNT, false).await, 1);
    assert_eq!(names(ACCOUNT, true).await, 2);
    assert_eq!(
        names("workspaces/w/deployments/d/serviceAccounts/-", false).await,
        1
    );
    house.pass(TimeDelta::days(2));
    assert_eq!(names("workspaces/w/serviceAccounts/-", false).await, 0);
    assert_eq!(names("workspaces/w/serviceAccounts/-", true).await, 3);
}

async fn tokens_are_seen_and_ended_by_those_who_may(db: TestDatabase) {
    let house = House::new(&db).await;
    let (_, token) = house.mint(ACCOUNT).await;
    house
        .bind("user:vic", "roles/WORKSPACE_VIEWER", "workspaces/w")
        .await;
    house
        .bind(
            "user:dan",
            "roles/DEPLOYMENT_ADMIN",
            "workspaces/w/deployments/d",
        )
        .await;
    let denied = house.revoke("vic", &token.name).await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
    assert_eq!(
        metadata(&denied, "permissions"),
        "workspace.serviceAccounts.delete"
    );
    house.list("vic", tokens_of(ACCOUNT)).await.unwrap();
    for stranger in ["nobody", "dan"] {
        let hidden = house.revoke(stranger, &token.name).await.unwrap_err();
        assert_eq!(reason(&hidden), ErrorReason::ResourceNotFound);
        let hidden = house.list(stranger, tokens_of(ACCOUNT)).await.unwrap_err();
        assert_eq!(reason(&hidden), ErrorReason::ResourceNotFound);
    }
    let below = "workspaces/w/deployments/d/serviceAccounts/-";
    house.list("dan", tokens_of(below)).await.unwrap();
    let denied = house.list("vic", tokens_of(below)).await.unwrap_err();
    assert_eq!(
        metadata(&denied, "permissions"),
        "deployment.serviceAccounts.get"
    );

    let id = house.environment.new_uuid();
    let unknown = format!("{ACCOUNT}/tokens/{id}");
    let none = house.revoke("admin", &unknown).await.unwrap_err();
    assert_eq!(reason(&none), ErrorReason::ResourceNotFound);
}

async fn an_account_can_have_a_hundred_tokens(db: TestDatabase) {
    let house = House::new(&db).await;
    let (_, first) = house.mint(ACCOUNT).await;
    for _ in 1..100 {
        house.mint(ACCOUNT).await;
    }
    let one_more = ask(house.now() + TimeDelta::days(1));
    let request = house.as_user("admin", one_more);
    let refused = house.service.create_service_account_token(request).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::LimitExceeded);
    assert_eq!(metadata(&refused, "limit"), "100");
    house.revoke("admin", &first.name).await.unwrap();
    house.mint(ACCOUNT).await;
}

async fn the_last_use_of_a_token_is_shown(db: TestDatabase) {
    let house = House::new(&db).await;
    let (token, _) = house.mint(ACCOUNT).await;
    let (unused, _) = house.mint(ACCOUNT).await;
    house.pass(TimeDelta::hours(1));
    let used = house.now();
    let asked = pb::CheckPermissionRequest {
        subject_token: token.clone(),
        ..check("deployment.dags.push", "workspaces/w/deployments/d")
    };
    let request = house.as_orchestrator(asked);
    house.service.check_permission(request).await.unwrap();
    let uses = &house.service.token_uses;
    uses.saw(&house.caller(&house.user_token("vic", &[])), used);
    uses.write(&house.service.store).await;
    let id = house.caller(&token).token_id().unwrap().to_owned();
    let other = house.caller(&unused).token_id().unwrap().to_owned();

    let listed = house.list("admin", tokens_of(ACCOUNT)).await.unwrap();
    for known in listed.service_account_tokens {
        let expected = known.name.ends_with(&id).then(|| timestamp(used));
        assert_eq!(known.last_use_time, expected, "{known:?}");
        assert!(expected.is_some() || known.name.ends_with(&other));
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_token_of_a_service_account_works_until_it_expires,
    a_token_that_is_not_known_passes_no_fully_consistent_check,
    a_token_is_shown_once,
    all_that_is_wrong_with_a_token_is_told_at_once,
    minting_needs_the_right_and_all_that_the_account_holds,
    a_revoked_token_is_refused_by_every_replica_and_every_way,
    what_is_known_of_tokens_is_listed_page_by_page,
    tokens_are_seen_and_ended_by_those_who_may,
    an_account_can_have_a_hundred_tokens,
    the_last_use_of_a_token_is_shown,
);
