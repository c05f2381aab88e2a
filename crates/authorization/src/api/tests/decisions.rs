//! What the calls leave in the log of decisions.

use chassis::convert::timestamp;
use proto::authorization::v1::issue_permit_request::Authority;
use proto::common::v1::RollbackScope;

use super::*;
use crate::decision_log::tests::Paper;

const DEPLOYMENT: &str = "workspaces/w/deployments/d";
const ROLLBACK: &str = "workspaces/w/deployments/d/rollbacks/11111111-1111-4111-8111-111111111111";

fn permit(subject_token: &str) -> pb::IssuePermitRequest {
    pb::IssuePermitRequest {
        rollback: ROLLBACK.to_owned(),
        authority: Some(Authority::SubjectToken(subject_token.to_owned())),
        deployment_uid: "22222222-2222-4222-8222-222222222222".to_owned(),
        target_deploy: format!("{DEPLOYMENT}/deploys/3"),
        expected_latest_deploy: format!("{DEPLOYMENT}/deploys/5"),
        scope: RollbackScope::Image.into(),
        permissions: vec!["deployment.images.push".to_owned()],
        revision_digest: "ab".repeat(32),
        plan_digest: "cd".repeat(32),
        hold: false,
    }
}

fn batch(questions: usize) -> pb::BatchCheckPermissionsRequest {
    let question = pb::PermissionQuestion {
        permission: "deployment.dags.push".to_owned(),
        resource: DEPLOYMENT.to_owned(),
    };
    pb::BatchCheckPermissionsRequest {
        questions: vec![question; questions],
        ..Default::default()
    }
}

/// What the log says of each decision: which, about whom, what was missing, who asked.
async fn told(paper: &Paper, decisions: usize) -> Vec<[String; 4]> {
    let lines = paper.has(decisions).await;
    let fields = ["decision", "principal", "permissions", "caller"];
    lines
        .iter()
        .map(|line| fields.map(|field| line[field].as_str().unwrap_or_default().to_owned()))
        .collect()
}

async fn every_denial_and_every_permit_is_told(db: TestDatabase) {
    let (paper, _guard) = Paper::new();
    let house = House::new(&db).await;
    let vic = house.user_token("vic", &[]);
    let service = &house.service;
    let push = || check("deployment.dags.push", DEPLOYMENT);

    service
        .check_permission(house.as_user("vic", push()))
        .await
        .unwrap();
    let asked = pb::CheckPermissionRequest {
        subject_token: vic.clone(),
        ..push()
    };
    service
        .check_permission(house.as_orchestrator(asked.clone()))
        .await
        .unwrap();
    service
        .check_permission(house.as_user("eve", asked))
        .await
        .unwrap_err();
    service
        .batch_check_permissions(house.as_user("vic", batch(2)))
        .await
        .unwrap();
    // A list is filtered.
    service
        .batch_check_permissions(house.as_user("vic", batch(17)))
        .await
        .unwrap();
    let grant = binding("user:vic", "roles/DEPLOYMENT_VIEWER", "workspaces/w");
    service
        .create_role_binding(house.as_user("vic", grant.clone()))
        .await
        .unwrap_err();
    house
        .create_role("workspaces/w", "granter", &["workspace.iam.update"])
        .await;
    house
        .bind("user:gus", "workspaces/w/roles/granter", "workspaces/w")
        .await;
    service
        .create_role_binding(house.as_user("gus", grant))
        .await
        .unwrap_err();
    service
        .issue_permit(house.as_orchestrator(permit(&vic)))
        .await
        .unwrap_err();
    service
        .issue_permit(house.as_orchestrator(permit("junk")))
        .await
        .unwrap_err();
    house
        .bind("user:vic", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    service
        .issue_permit(house.as_orchestrator(permit(&vic)))
        .await
        .unwrap();
    // Nobody asks to be told of what is allowed.
    service
        .check_permission(house.as_user("vic", push()))
        .await
        .unwrap();
    service
        .issue_permit(house.as_user("vic", permit(&vic)))
        .await
        .unwrap_err();

    let viewer = "deployment.config.get, deployment.deployRevisions.get";
    let found = told(&paper, 11).await;
    let (dags, images) = ("deployment.dags.push", "deployment.images.push");
    let orchestrator = "service:rollback-orchestrator";
    let expected = [
        ["denied", "user:vic", dags, "user:vic"],
        ["denied", "user:vic", dags, orchestrator],
        ["denied", "user:eve", "system.permissions.check", "user:eve"],
        ["denied", "user:vic", dags, "user:vic"],
        ["denied", "user:vic", dags, "user:vic"],
        ["denied", "user:vic", "workspace.iam.update", "user:vic"],
        ["denied", "user:gus", viewer, "user:gus"],
        ["permit_refused", "user:vic", images, orchestrator],
        ["permit_refused", orchestrator, images, orchestrator],
        ["permit_issued", "user:vic", images, orchestrator],
        ["denied", "user:vic", "system.permits.issue", "user:vic"],
    ];
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let [decision, principal, permissions, caller] = expected;
        assert_eq!(
            (&found[0], &found[1], &found[3]),
            (
                &decision.to_owned(),
                &principal.to_owned(),
                &caller.to_owned()
            ),
            "{number}"
        );
        assert!(
            permissions.split(", ").all(|name| found[2].contains(name)),
            "{number}: {found:?}"
        );
    }
}

async fn no_secret_gets_into_any_log(db: TestDatabase) {
    let (paper, _guard) = Paper::new();
    let house = House::new(&db).await;
    let service = &house.service;
    let vic = house.user_token("vic", &[]);
    let mint = pb::CreateServiceAccountTokenRequest {
        parent: "workspaces/w/serviceAccounts/ci".to_owned(),
        service_account_token: Some(pb::ServiceAccountToken {
            expire_time: Some(timestamp(house.now() + TimeDelta::days(1))),
            ..Default::default()
        }),
        request_id: String::new(),
    };
    let minted = service
        .create_service_account_token(house.as_user("admin", mint))
        .await
        .unwrap();
    let account = minted.into_inner().token;
    for token in [&vic, &account] {
        let everywhere = pb::CheckPermissionRequest {
            subject_token: token.clone(),
            consistency: fully_consistent(),
            ..check("deployment.dags.push", DEPLOYMENT)
        };
        let mut misplaced = check(token, token);
        misplaced.consistency = fully_consistent();
        for message in [everywhere, misplaced] {
            let _ = service
                .check_permission(house.request(token, message.clone()))
                .await;
            let _ = service
                .check_permission(house.as_orchestrator(message))
                .await;
        }
        let cut = token.trim_end_matches(|c| c != '.');
        for token in [token.as_str(), cut] {
            let _ = service
                .issue_permit(house.as_orchestrator(permit(token)))
                .await;
        }
    }
    house
        .bind("user:vic", "roles/DEPLOYMENT_EDITOR", DEPLOYMENT)
        .await;
    let issued = service.issue_permit(house.as_orchestrator(permit(&vic)));
    let issued = issued.await.unwrap().into_inner().permit;
    paper.has(9).await;

    let text = paper.text();
    for secret in [vic, account, issued] {
        // Its claims, and its signature.
        for part in secret.split('.').skip(1) {
            assert!(!text.contains(part), "{part} is in the log");
        }
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    every_denial_and_every_permit_is_told,
    no_secret_gets_into_any_log,
);
