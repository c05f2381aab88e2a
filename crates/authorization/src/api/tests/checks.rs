use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::permission_result::Result as Answer;

use super::*;

const DEPLOYMENT: &str = "workspaces/w/deployments/d";
const PUSH: &str = "deployment.dags.push";

async fn a_check_says_what_granted_the_permission(db: TestDatabase) {
    let house = House::new(&db).await;
    let bound = house
        .bind("group:data", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let token = house.user_token("bob", &["data", "ops"]);
    let request = house.request(&token, check(PUSH, DEPLOYMENT));
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer,
        pb::CheckPermissionResponse {
            decision: Some(pb::Decision {
                allowed: true,
                granted_by: Some(pb::Grant {
                    principal: "group:data".to_owned(),
                    role: "roles/DEPLOYMENT_EDITOR".to_owned(),
                    role_binding: bound.name,
                    resource: "workspaces/w".to_owned(),
                    expire_time: None,
                }),
                explanation: "roles/DEPLOYMENT_EDITOR is bound to group:data on workspaces/w"
                    .to_owned(),
                missing: None,
            }),
            principal: "user:bob".to_owned(),
            policy_revision: 2,
        }
    );

    let request = house.as_user("bob", check(PUSH, DEPLOYMENT));
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    let decision = answer.decision.unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.granted_by, None);
    assert!(
        decision.explanation.contains("user:bob"),
        "{}",
        decision.explanation
    );
}

async fn only_services_check_others_and_only_by_their_tokens(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let about = |subject_token: &str| pb::CheckPermissionRequest {
        subject_token: subject_token.to_owned(),
        ..check(PUSH, DEPLOYMENT)
    };
    let bob = house.user_token("bob", &[]);

    for service in [
        ServiceName::RollbackOrchestrator,
        ServiceName::DeployRegistry,
    ] {
        let request = house.request(&house.service_token(service), about(&bob));
        let answer = house
            .service
            .check_permission(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.principal, "user:bob");
        assert!(answer.decision.unwrap().allowed);
    }
    // Not even the administrator, and not even about itself by this way.
    let request = house.as_user("admin", about(&bob));
    let denied = house.service.check_permission(request).await.unwrap_err();
    assert_eq!(reason(&denied), ErrorReason::PermissionMissing);
    assert_eq!(metadata(&denied, "permissions"), "system.permissions.check");
    assert_eq!(metadata(&denied, "principal"), "user:admin");

    let orchestrator = house.service_token(ServiceName::RollbackOrchestrator);
    for subject_token in ["junk", &bob[..bob.len() - 3], &orchestrator] {
        let refused = house
            .service
            .check_permission(house.as_orchestrator(about(subject_token)));
        assert_eq!(
            reason(&refused.await.unwrap_err()),
            ErrorReason::Unauthenticated
        );
    }
    let long = house.as_orchestrator(about(&"x".repeat(9_000)));
    let refused = house.service.check_permission(long).await.unwrap_err();
    assert_eq!(fields(&refused), ["subject_token"]);
}

async fn a_service_has_what_it_has_by_configuration(db: TestDatabase) {
    let house = House::new(&db).await;
    let request = house.as_orchestrator(check("system.permits.issue", "system"));
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    let decision = answer.decision.unwrap();
    assert!(decision.allowed);
    let principal = "service:rollback-orchestrator".to_owned();
    let granted_by = pb::Grant {
        principal,
        ..Default::default()
    };
    assert_eq!(decision.granted_by, Some(granted_by));
    assert!(decision.explanation.contains("configuration"));

    let request = house.as_orchestrator(check(PUSH, DEPLOYMENT));
    let answer = house
        .service
        .check_permission(request)
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.decision.unwrap().allowed);
}

async fn all_that_is_wrong_with_a_question_is_told_at_once(db: TestDatabase) {
    let house = House::new(&db).await;
    let nonsense = pb::CheckPermissionRequest {
        permission: "deployment.dags.pull".to_owned(),
        resource: "workspaces/W\0".to_owned(),
        subject_token: String::new(),
        consistency: Some(pb::Consistency {
            requirement: Some(Requirement::AtLeastAsFresh(-1)),
        }),
        ..Default::default()
    };
    let wrong = house
        .service
        .check_permission(house.as_user("bob", nonsense))
        .await
        .unwrap_err();
    assert_eq!(
        fields(&wrong),
        ["permission", "resource", "consistency.at_least_as_fresh"]
    );
    let empty = pb::CheckPermissionRequest::default();
    let wrong = house
        .service
        .check_permission(house.as_user("bob", empty))
        .await
        .unwrap_err();
    assert_eq!(fields(&wrong), ["permission", "resource"]);
}

async fn a_batch_answers_in_order_and_an_unreadable_question_is_no_yes(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let question = |permission: &str, resource: &str| pb::PermissionQuestion {
        permission: permission.to_owned(),
        resource: resource.to_owned(),
    };
    let questions = vec![
        question(PUSH, DEPLOYMENT),
        question(PUSH, "workspaces/v"),
        question("deployment.dags.pull", "workspaces"),
        question("deployment.config.get", "workspaces/w"),
    ];
    let batch = pb::BatchCheckPermissionsRequest {
        questions,
        ..Default::default()
    };
    let request = house.as_user("bob", batch);
    let answer = house
        .service
        .batch_check_permissions(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.principal.as_str(), answer.policy_revision),
        ("user:bob", 2)
    );
    let results = answer
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Answer::Decision(decision) => Ok(decision.allowed),
            Answer::Error(error) => Err(error),
        });
    let results = results.collect::<Vec<_>>();
    assert_eq!(results[0], Ok(true));
    assert_eq!(results[1], Ok(false));
    let error = results[2].as_ref().unwrap_err();
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    assert!(error.message.contains("permission") && error.message.contains("resource"));
    assert!(
        error
            .details
            .iter()
            .any(|detail| detail.type_url.ends_with("ErrorInfo"))
    );
    assert_eq!(results[3], Ok(true));
}

async fn a_batch_has_one_to_a_thousand_questions(db: TestDatabase) {
    let house = House::new(&db).await;
    for (number, right) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        let question = pb::PermissionQuestion {
            permission: PUSH.to_owned(),
            resource: DEPLOYMENT.to_owned(),
        };
        let questions = vec![question; number];
        let batch = pb::BatchCheckPermissionsRequest {
            questions,
            ..Default::default()
        };
        let answer = house
            .service
            .batch_check_permissions(house.as_user("bob", batch))
            .await;
        match answer {
            Ok(answer) => assert_eq!((answer.into_inner().results.len(), right), (number, true)),
            Err(status) => assert_eq!(
                (fields(&status), right),
                (vec!["questions".to_owned()], false)
            ),
        }
    }
}

async fn a_check_is_as_fresh_as_it_asks_for(db: TestDatabase) {
    let house = House::new(&db).await;
    let other = house.replica(&db).await;
    let bound = house
        .bind("user:bob", "roles/DEPLOYMENT_EDITOR", "workspaces/w")
        .await;
    let allowed = async |requirement| {
        let consistency = Some(pb::Consistency { requirement });
        let question = pb::CheckPermissionRequest {
            consistency,
            ..check(PUSH, DEPLOYMENT)
        };
        let answer = other
            .service
            .check_permission(other.as_user("bob", question))
            .await;
        answer.unwrap().into_inner().decision.unwrap().allowed
    };
    assert!(!allowed(None).await);
    assert!(!allowed(Some(Requirement::MinimizeLatency(true))).await);
    assert!(allowed(Some(Requirement::AtLeastAsFresh(2))).await);
    let revision = house.unbind(&bound.name).await;
    assert_eq!(revision, 3);
    assert!(allowed(Some(Requirement::AtLeastAsFresh(2))).await);
    assert!(!allowed(Some(Requirement::FullyConsistent(true))).await);
    assert!(!allowed(None).await);
}

async fn without_a_database_the_answer_is_unavailable(db: TestDatabase) {
    let house = House::new(&db).await;
    db.database.close().await;
    let question = pb::CheckPermissionRequest {
        consistency: fully_consistent(),
        ..check(PUSH, DEPLOYMENT)
    };
    let request = house.as_user("admin", question);
    let down = house.service.check_permission(request).await.unwrap_err();
    assert_eq!(reason(&down), ErrorReason::DependencyUnavailable);
    let request = house.as_user(
        "admin",
        binding("user:bob", "roles/SYSTEM_VIEWER", "system"),
    );
    let down = house
        .service
        .create_role_binding(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&down), ErrorReason::DependencyUnavailable);
    assert!(down.get_details_retry_info().is_some());
}

async fn everybody_is_told_who_they_are(db: TestDatabase) {
    let house = House::new(&db).await;
    let token = house.user_token("bob", &["data"]);
    let request = house.request(&token, pb::WhoAmIRequest {});
    let pb::WhoAmIResponse {
        principal,
        groups,
        issuer,
        token_id,
        expire_time,
    } = house.service.who_am_i(request).await.unwrap().into_inner();
    assert_eq!(principal, "user:bob");
    assert_eq!(groups, ["group:data"]);
    assert_eq!(issuer, LOCAL_ISSUER);
    assert!(!token_id.is_empty());
    let day = (house.now() + TimeDelta::hours(24)).timestamp();
    assert_eq!(expire_time.unwrap().seconds, day);

    let nobody = house
        .service
        .who_am_i(Request::new(pb::WhoAmIRequest {}))
        .await
        .unwrap_err();
    assert_eq!(reason(&nobody), ErrorReason::Unauthenticated);
}

async fn the_public_keys_are_told_to_anybody_the_signing_one_first(db: TestDatabase) {
    let house = House::new(&db).await;
    let later = house
        .keyring
        .add_signing_key(house.now() + TimeDelta::hours(1))
        .unwrap();
    let replica = house.replica(&db).await;
    let keys = async || {
        let request = Request::new(pb::GetSigningKeysRequest {});
        replica
            .service
            .get_signing_keys(request)
            .await
            .unwrap()
            .into_inner()
            .keys
    };
    let now = keys().await;
    assert_eq!(now.len(), 2);
    assert_eq!(now[1].kid, later.kid());
    for key in &now {
        let pb::JsonWebKey {
            kid: _,
            kty,
            crv,
            alg,
            r#use,
            x: _,
        } = key;
        assert_eq!(
            (kty.as_str(), crv.as_str(), alg.as_str(), r#use.as_str()),
            ("OKP", "Ed25519", "EdDSA", "sig")
        );
    }
    house.pass(TimeDelta::hours(2));
    assert_eq!(keys().await[0].kid, later.kid());
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_check_says_what_granted_the_permission,
    only_services_check_others_and_only_by_their_tokens,
    a_service_has_what_it_has_by_configuration,
    all_that_is_wrong_with_a_question_is_told_at_once,
    a_batch_answers_in_order_and_an_unreadable_question_is_no_yes,
    a_batch_has_one_to_a_thousand_questions,
    a_check_is_as_fresh_as_it_asks_for,
    without_a_database_the_answer_is_unavailable,
    everybody_is_told_who_they_are,
    the_public_keys_are_told_to_anybody_the_signing_one_first,
);
