use chassis::identity::{AUTHORIZATION_ISSUER, PermitVerifier, VerifiedPermit};
use chassis::{args, transaction};
use model::deploys::Scope;
use model::names::Principal;
use model::permissions::{Permission, PermissionSet};
use proto::authorization::v1::IssuePermitRequest;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::common::v1::RollbackScope;
use uuid::Uuid;

use super::*;

const DEPLOYMENT: &str = "workspaces/w/deployments/d";
const ROLLBACK: &str = "workspaces/w/deployments/d/rollbacks/11111111-1111-4111-8111-111111111111";
const ACCOUNT: &str = "workspaces/w/serviceAccounts/ci";
const UID: &str = "22222222-2222-4222-8222-222222222222";

fn ask(subject_token: String) -> IssuePermitRequest {
    IssuePermitRequest {
        rollback: ROLLBACK.to_owned(),
        authority: Some(Authority::SubjectToken(subject_token)),
        deployment_uid: UID.to_owned(),
        target_deploy: format!("{DEPLOYMENT}/deploys/3"),
        expected_latest_deploy: format!("{DEPLOYMENT}/deploys/5"),
        scope: RollbackScope::All.into(),
        permissions: vec![
            "deployment.images.push".to_owned(),
            "deployment.dags.push".to_owned(),
        ],
        revision_digest: "ab".repeat(32),
        plan_digest: "cd".repeat(32),
        hold: false,
    }
}

fn ask_again() -> IssuePermitRequest {
    IssuePermitRequest {
        rollback: ROLLBACK.to_owned(),
        authority: Some(Authority::Grant(true)),
        ..Default::default()
    }
}

impl House {
    async fn permit(&self, request: IssuePermitRequest) -> Result<pb::IssuePermitResponse, Status> {
        Ok(self
            .service
            .issue_permit(self.as_orchestrator(request))
            .await?
            .into_inner())
    }

    fn read(&self, permit: &str) -> VerifiedPermit {
        let keys = self.keyring.trust().unwrap().permit_keys().clone();
        let verifier = PermitVerifier::new(keys, AUTHORIZATION_ISSUER, self.environment.clone());
        verifier.verify(permit).unwrap()
    }

    async fn end_grant(&self, db: &TestDatabase) {
        let moved: Result<u64, chassis::database::Error> = transaction!(db.database, |tx| {
            tx.execute("UPDATE grants SET expire_time = $1", args![0_i64])
                .await
        });
        assert_eq!(moved.unwrap(), 1);
    }
}

async fn a_permit_says_exactly_what_was_asked_for(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("group:data", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let answer = house
        .permit(ask(house.user_token("bob", &["data"])))
        .await
        .unwrap();
    assert_eq!(
        (answer.principal.as_str(), answer.policy_revision),
        ("user:bob", 2)
    );

    let permit = house.read(&answer.permit);
    let claims = permit.claims();
    assert_eq!(claims.issuer, AUTHORIZATION_ISSUER);
    assert_eq!(claims.audience, ServiceName::DeployRegistry);
    assert_eq!(
        claims.actor,
        Principal::Service(ServiceName::RollbackOrchestrator)
    );
    assert_eq!(claims.person, Principal::user("bob").unwrap());
    assert_eq!(claims.deployment.to_string(), DEPLOYMENT);
    assert_eq!(claims.deployment_uid, UID.parse::<Uuid>().unwrap());
    assert_eq!(claims.target_deploy.get(), 3);
    assert_eq!(claims.expected_latest_deploy.get(), 5);
    assert_eq!(claims.scope, Scope::All);
    assert_eq!(
        claims.permissions,
        PermissionSet::of(&[
            Permission::DeploymentImagesPush,
            Permission::DeploymentDagsPush
        ])
    );
    assert!(!claims.hold);
    assert_eq!(claims.revision_digest, "ab".repeat(32));
    assert_eq!(claims.plan_digest, "cd".repeat(32));
    assert!(ROLLBACK.ends_with(&claims.rollback.to_string()));
    assert_eq!(claims.policy_revision, 2);
    assert!(claims.issue_time <= house.now());
    assert!(claims.expire_time - claims.issue_time <= TimeDelta::seconds(15));
    assert_eq!(
        answer.expire_time.unwrap().seconds,
        claims.expire_time.timestamp()
    );

    // Asking again is safe, and gives another permit of the same grant.
    let again = house
        .permit(ask(house.user_token("bob", &["data"])))
        .await
        .unwrap();
    assert_eq!(again.grant_expire_time, answer.grant_expire_time);
    assert_ne!(house.read(&again.permit).claims().id, claims.id);
}

async fn only_a_service_with_the_right_gets_permits(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let bob = house.user_token("bob", &[]);
    for token in [
        house.user_token("admin", &[]),
        bob.clone(),
        house.service_token(ServiceName::DeployRegistry),
    ] {
        for message in [ask(bob.clone()), ask_again(), IssuePermitRequest::default()] {
            let denied = house
                .service
                .issue_permit(house.request(&token, message))
                .await;
            let denied = denied.unwrap_err();
            assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
            assert_eq!(metadata(&denied, "permissions"), "system.permits.issue");
        }
    }
}

async fn a_person_without_a_permission_is_told_which(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .create_role("workspaces/w", "pusher", &["deployment.dags.push"])
        .await;
    house
        .bind("user:bob", "workspaces/w/roles/pusher", "workspaces/w")
        .await;
    let bob = house.user_token("bob", &[]);
    let denied = house.permit(ask(bob.clone())).await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
    assert_eq!(metadata(&denied, "principal"), "user:bob");
    assert_eq!(metadata(&denied, "permissions"), "deployment.images.push");
    assert_eq!(metadata(&denied, "resource"), DEPLOYMENT);
    // No grant is left behind.
    let none = house.permit(ask_again()).await.unwrap_err();
    assert_eq!(reason(&none), ErrorReason::ResourceNotFound);

    let dags = IssuePermitRequest {
        scope: RollbackScope::Dags.into(),
        permissions: vec!["deployment.dags.push".to_owned()],
        ..ask(bob)
    };
    let answer = house.permit(dags).await.unwrap();
    let permissions = house.read(&answer.permit).claims().permissions;
    assert_eq!(
        permissions,
        PermissionSet::of(&[Permission::DeploymentDagsPush])
    );
}

async fn a_token_that_cannot_be_accepted_gets_no_permit(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let expired = house.user_token("bob", &[]);
    house.pass(TimeDelta::hours(25));
    let orchestrator = house.service_token(ServiceName::RollbackOrchestrator);
    for token in ["junk", &expired, &orchestrator] {
        let refused = house.permit(ask(token.to_owned())).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
    }
}

async fn a_grant_gives_permits_without_the_persons_token(db: TestDatabase) {
    let house = House::new(&db).await;
    let bound = house
        .bind("group:data", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let first = house
        .permit(ask(house.user_token("bob", &["data"])))
        .await
        .unwrap();
    let first_claims = house.read(&first.permit).claims().clone();

    // The person's token has expired meanwhile, and another replica goes on.
    house.pass(TimeDelta::days(2));
    let other = house.replica(&db).await;
    let again = other.permit(ask_again()).await.unwrap();
    assert_eq!(again.grant_expire_time, first.grant_expire_time);
    assert_eq!(again.principal, "user:bob");
    let permit = house.read(&again.permit);
    let claims = chassis::identity::PermitClaims {
        id: permit.claims().id,
        issue_time: permit.claims().issue_time,
        expire_time: permit.claims().expire_time,
        ..first_claims
    };
    assert_eq!(*permit.claims(), claims);

    // A revoke that was answered ends it, on every replica.
    house.unbind(&bound.name).await;
    for replica in [&other, &house] {
        let denied = replica.permit(ask_again()).await.unwrap_err();
        assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
        assert_eq!(metadata(&denied, "principal"), "user:bob");
        let token = replica.user_token("bob", &["data"]);
        assert_eq!(
            reason(&replica.permit(ask(token)).await.unwrap_err()),
            ErrorReason::PermissionMissing
        );
    }
}

async fn a_grant_is_for_one_person_and_one_rollback(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .bind("user:eve", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    house
        .permit(ask(house.user_token("bob", &[])))
        .await
        .unwrap();
    let bob = || ask(house.user_token("bob", &[]));
    for other in [
        ask(house.user_token("eve", &[])),
        IssuePermitRequest {
            target_deploy: format!("{DEPLOYMENT}/deploys/2"),
            ..bob()
        },
        IssuePermitRequest {
            expected_latest_deploy: format!("{DEPLOYMENT}/deploys/6"),
            ..bob()
        },
        IssuePermitRequest {
            scope: RollbackScope::Image.into(),
            ..bob()
        },
        IssuePermitRequest {
            permissions: vec!["deployment.images.push".to_owned()],
            ..bob()
        },
        IssuePermitRequest {
            hold: true,
            ..bob()
        },
        IssuePermitRequest {
            revision_digest: "ef".repeat(32),
            ..bob()
        },
        IssuePermitRequest {
            plan_digest: "ef".repeat(32),
            ..bob()
        },
        IssuePermitRequest {
            deployment_uid: ROLLBACK[ROLLBACK.len() - 36..].to_owned(),
            ..bob()
        },
        IssuePermitRequest {
            rollback: ROLLBACK.replace("/d/", "/e/"),
            target_deploy: "workspaces/w/deployments/e/deploys/3".to_owned(),
            expected_latest_deploy: "workspaces/w/deployments/e/deploys/5".to_owned(),
            ..bob()
        },
    ] {
        let text = format!("{other:?}");
        let refused = house.permit(other).await.unwrap_err();
        assert_eq!(fields(&refused), ["rollback"], "{text}");
    }
    for rollback in [
        ROLLBACK.replace("/d/", "/e/"),
        ROLLBACK.replace("1111-4111", "2222-4111"),
    ] {
        let other = IssuePermitRequest {
            rollback,
            ..ask_again()
        };
        assert_eq!(
            reason(&house.permit(other).await.unwrap_err()),
            ErrorReason::ResourceNotFound
        );
    }
    house.permit(bob()).await.unwrap();
    house.permit(ask_again()).await.unwrap();
}

async fn a_hold_is_claimed_again_by_the_grant_and_cannot_be_left_out(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let with_hold = || IssuePermitRequest {
        hold: true,
        ..ask(house.user_token("bob", &[]))
    };
    let other = house.replica(&db).await;
    for answer in [
        house.permit(with_hold()).await,
        house.permit(with_hold()).await,
        other.permit(ask_again()).await,
    ] {
        assert!(house.read(&answer.unwrap().permit).claims().hold);
    }
    let without = house.permit(ask(house.user_token("bob", &[]))).await;
    assert_eq!(fields(&without.unwrap_err()), ["rollback"]);
}

async fn a_grant_that_is_over_gives_nothing(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    house
        .permit(ask(house.user_token("bob", &[])))
        .await
        .unwrap();
    house.end_grant(&db).await;
    for request in [ask_again(), ask(house.user_token("bob", &[]))] {
        let over = house.permit(request).await.unwrap_err();
        assert_eq!(reason(&over), ErrorReason::ResourceNotFound);
    }
}

/// A token of a service account that may roll back, and the token's name.
async fn minted(house: &House) -> (String, String) {
    let principal = format!("service-account:{ACCOUNT}");
    house
        .bind(&principal, "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let expire_time = chassis::convert::timestamp(house.now() + TimeDelta::hours(1));
    let mint = pb::CreateServiceAccountTokenRequest {
        parent: ACCOUNT.to_owned(),
        service_account_token: Some(pb::ServiceAccountToken {
            expire_time: Some(expire_time),
            ..Default::default()
        }),
        request_id: String::new(),
    };
    let request = house.as_user("admin", mint);
    let minted = house.service.create_service_account_token(request).await;
    let minted = minted.unwrap().into_inner();
    (minted.token, minted.service_account_token.unwrap().name)
}

async fn a_service_account_whose_token_is_taken_back_gets_no_more_permits(db: TestDatabase) {
    let house = House::new(&db).await;
    let other = house.replica(&db).await;
    let (token, name) = minted(&house).await;
    house.permit(ask(token.clone())).await.unwrap();

    let revoke = pb::RevokeServiceAccountTokenRequest {
        name,
        ..Default::default()
    };
    let request = other.as_user("admin", revoke);
    let revoked = other.service.revoke_service_account_token(request).await;
    revoked.unwrap();
    for replica in [&house, &other] {
        let refused = replica.permit(ask(token.clone())).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::Unauthenticated);
        let denied = replica.permit(ask_again()).await.unwrap_err();
        assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
        assert_eq!(
            metadata(&denied, "principal"),
            format!("service-account:{ACCOUNT}")
        );
    }
    // Another token of the account does not bring the grant back.
    let (another, _) = minted(&house).await;
    house.permit(ask(another)).await.unwrap();
    let denied = house.permit(ask_again()).await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
}

async fn a_token_that_expires_ends_no_grant_but_one_that_is_forgotten_does(db: TestDatabase) {
    let house = House::new(&db).await;
    let (token, _) = minted(&house).await;
    house.permit(ask(token.clone())).await.unwrap();
    house.pass(TimeDelta::hours(2));
    house.permit(ask_again()).await.unwrap();
    let refused = house.permit(ask(token)).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::Unauthenticated);

    let forgotten: Result<u64, chassis::database::Error> = transaction!(db.database, |tx| {
        tx.execute("DELETE FROM service_account_tokens", args![])
            .await
    });
    assert_eq!(forgotten.unwrap(), 1);
    let denied = house.permit(ask_again()).await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
}

async fn a_binding_that_has_expired_gives_no_permit(db: TestDatabase) {
    let house = House::new(&db).await;
    let mut bind = binding("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT);
    let expire_time = house.now() + TimeDelta::hours(1);
    bind.role_binding.as_mut().unwrap().expire_time =
        Some(chassis::convert::timestamp(expire_time));
    let request = house.as_user("admin", bind);
    house.service.create_role_binding(request).await.unwrap();
    let bob = house.user_token("bob", &[]);
    house.permit(ask(bob.clone())).await.unwrap();

    house.pass(TimeDelta::hours(1));
    for request in [ask(bob), ask_again()] {
        let denied = house.permit(request).await.unwrap_err();
        assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
    }
}

async fn all_that_is_wrong_with_a_request_is_told_at_once(db: TestDatabase) {
    let house = House::new(&db).await;
    let nonsense = IssuePermitRequest {
        rollback: format!("{DEPLOYMENT}/rollbacks/1"),
        authority: Some(Authority::SubjectToken("token".to_owned())),
        deployment_uid: "1".to_owned(),
        target_deploy: "3".to_owned(),
        expected_latest_deploy: format!("{DEPLOYMENT}/deploys/0"),
        scope: 99,
        permissions: vec!["deployment.config.get".to_owned()],
        revision_digest: String::new(),
        plan_digest: "ü".to_owned(),
        hold: false,
    };
    let wrong = house.permit(nonsense).await.unwrap_err();
    assert_eq!(
        fields(&wrong),
        [
            "rollback",
            "deployment_uid",
            "target_deploy",
            "expected_latest_deploy",
            "scope",
            "permissions",
            "revision_digest",
            "plan_digest",
        ]
    );
    let token = || "token".to_owned();
    for (request, expected) in [
        (IssuePermitRequest::default(), vec!["rollback", "authority"]),
        (
            IssuePermitRequest {
                authority: None,
                ..ask(token())
            },
            vec!["authority"],
        ),
        (ask(String::new()), vec!["subject_token"]),
        (
            IssuePermitRequest {
                authority: Some(Authority::Grant(false)),
                ..ask(token())
            },
            vec!["grant"],
        ),
        (
            IssuePermitRequest {
                authority: Some(Authority::Grant(true)),
                hold: true,
                ..ask(token())
            },
            vec![
                "deployment_uid",
                "target_deploy",
                "expected_latest_deploy",
                "scope",
                "permissions",
                "revision_digest",
                "plan_digest",
                "hold",
            ],
        ),
        (
            IssuePermitRequest {
                permissions: vec![],
                ..ask(token())
            },
            vec!["permissions"],
        ),
        (
            IssuePermitRequest {
                permissions: vec!["deployment.dags.push".to_owned(); 2],
                ..ask(token())
            },
            vec!["permissions"],
        ),
        (
            IssuePermitRequest {
                target_deploy: format!("{DEPLOYMENT}/deploys/6"),
                ..ask(token())
            },
            vec!["target_deploy"],
        ),
        (
            IssuePermitRequest {
                target_deploy: "workspaces/w/deployments/e/deploys/3".to_owned(),
                ..ask(token())
            },
            vec!["target_deploy"],
        ),
        (
            IssuePermitRequest {
                revision_digest: "x".repeat(257),
                plan_digest: "a b".to_owned(),
                ..ask(token())
            },
            vec!["revision_digest", "plan_digest"],
        ),
        (ask("x".repeat(9_000)), vec!["subject_token"]),
    ] {
        let text = format!("{request:?}");
        assert_eq!(
            fields(&house.permit(request).await.unwrap_err()),
            expected,
            "{text}"
        );
    }
}

async fn without_a_database_there_is_no_permit(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    db.database.close().await;
    for request in [ask(house.user_token("bob", &[])), ask_again()] {
        let down = house.permit(request).await.unwrap_err();
        assert_eq!(reason(&down), ErrorReason::DependencyUnavailable);
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_permit_says_exactly_what_was_asked_for,
    only_a_service_with_the_right_gets_permits,
    a_person_without_a_permission_is_told_which,
    a_token_that_cannot_be_accepted_gets_no_permit,
    a_grant_gives_permits_without_the_persons_token,
    a_grant_is_for_one_person_and_one_rollback,
    a_hold_is_claimed_again_by_the_grant_and_cannot_be_left_out,
    a_grant_that_is_over_gives_nothing,
    a_service_account_whose_token_is_taken_back_gets_no_more_permits,
    a_token_that_expires_ends_no_grant_but_one_that_is_forgotten_does,
    a_binding_that_has_expired_gives_no_permit,
    all_that_is_wrong_with_a_request_is_told_at_once,
    without_a_database_there_is_no_permit,
);
