use proto::common::v1::RollbackScope;
use proto::registry::v1::CreateRollbackDeployRequest;

use super::{Wrong, each_is_told, huge};
use crate::harness::requests::deploy;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(create_rollback_deploy_tells_all_that_is_wrong);

async fn create_rollback_deploy_tells_all_that_is_wrong(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let good = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let wrongs: &[Wrong<CreateRollbackDeployRequest>] = &[
        ("no target", |r| r.target_deploy.clear(), &["target_deploy"]),
        (
            "deploy 0",
            |r| r.target_deploy = deploy(DEPLOYMENT, 0),
            &["target_deploy"],
        ),
        (
            "a target elsewhere",
            |r| r.target_deploy = "workspaces/acme/deployments/billing/deploys/1".into(),
            &["target_deploy"],
        ),
        ("no scope", |r| r.scope = 0, &["scope"]),
        ("an unknown scope", |r| r.scope = 99, &["scope"]),
        ("no rollback", |r| r.rollback.clear(), &["rollback"]),
        (
            "a rollback that is none",
            |r| r.rollback.push('x'),
            &["rollback"],
        ),
        (
            "a rollback elsewhere",
            |r| r.rollback = r.rollback.replace("orders", "billing"),
            &["rollback"],
        ),
        (
            "nothing expected",
            |r| r.expected_latest_deploy.clear(),
            &["expected_latest_deploy"],
        ),
        (
            "no reason",
            |r| r.description = "  ".into(),
            &["description"],
        ),
        (
            "a huge reason",
            |r| r.description = huge(),
            &["description"],
        ),
        (
            "everything",
            |r| {
                *r = CreateRollbackDeployRequest {
                    parent: r.parent.clone(),
                    ..CreateRollbackDeployRequest::default()
                }
            },
            &[
                "target_deploy",
                "scope",
                "rollback",
                "expected_latest_deploy",
                "description",
            ],
        ),
    ];
    let before = orders.history().await;
    let itself = orders.stack.orchestrator_itself();
    let send = async |request| itself.registry().create_rollback_deploy(request).await;
    each_is_told(good.clone(), wrongs, send).await;

    let huge_permit = CreateRollbackDeployRequest {
        permit: huge(),
        ..good.clone()
    };
    refused(send(huge_permit).await)
        .when("huge")
        .invalid_permit();
    let nowhere = CreateRollbackDeployRequest {
        target_deploy: deploy(DEPLOYMENT, 99),
        validate_only: true,
        ..good
    };
    refused(send(nowhere).await).not_found();
    assert_eq!(orders.history().await, before);
}
