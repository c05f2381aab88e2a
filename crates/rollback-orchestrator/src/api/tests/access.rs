use super::*;

#[tokio::test]
async fn what_a_caller_may_not_see_is_not_found() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    let cases = [
        (PermissionSet::EMPTY, not_found),
        // To see settings is not to see the Deployment.
        (
            PermissionSet::of(&[Permission::DeploymentVariablesGet]),
            not_found,
        ),
        (
            PermissionSet::of(&[Permission::DeploymentConfigGet]),
            missing,
        ),
        (
            PermissionSet::of(&[Permission::WorkspaceDeploymentsGet]),
            missing,
        ),
        (PUSHES, missing),
    ];
    let name = format!("{DEPLOYMENT}/rollbacks/{}", uuid::Uuid::from_u128(1));
    for (held, expected) in cases {
        service.authorization.state().held = held;
        // Wrong fields change nothing: permission comes first.
        let plan = PlanRollbackRequest {
            scope: 99,
            ..plan_request()
        };
        assert_eq!(reason(service.plan(plan).await), expected, "{held:?}");
        let create = CreateRollbackRequest {
            scope: 99,
            ..create_request()
        };
        assert_eq!(reason(service.create(create).await), expected, "{held:?}");
        let expected = if held == PUSHES { not_found } else { expected };
        assert_eq!(reason(service.get(&name).await), expected, "{held:?}");
    }
    service.authorization.state().held = SEEN_BY_ALL;
    assert_eq!(reason(service.get(&name).await), not_found);
    let elsewhere = PlanRollbackRequest {
        parent: "workspaces/data/deployments/other".to_owned(),
        target: Some(plan_rollback_request::Target::TargetDeploy(
            "workspaces/data/deployments/other/deploys/1".to_owned(),
        )),
        ..plan_request()
    };
    assert_eq!(reason(service.plan(elsewhere).await), not_found);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_an_identity() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let unauthenticated = (Code::Unauthenticated, ErrorReason::Unauthenticated);
    let mut client = service.client.clone();
    assert_eq!(
        reason(client.plan_rollback(plan_request()).await),
        unauthenticated
    );
    assert_eq!(
        reason(client.create_rollback(create_request()).await),
        unauthenticated
    );
    let request = GetRollbackRequest {
        name: String::new(),
    };
    assert_eq!(reason(client.get_rollback(request).await), unauthenticated);
    assert_eq!(service.authorization.state().checks, 0);
    service.stop().await;
}

#[tokio::test]
async fn a_missing_permission_is_told_with_the_scopes_that_are_open() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    service.authorization.state().held = SEEN_BY_ALL.union(dags);
    // Also where something else is wrong with the rollback.
    service.registry.state().preview.blockers = vec![blocker(BlockerCode::TargetExpired)];
    let status = service.create(create_request()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let metadata = metadata(&status);
    assert_eq!(metadata["permissions"], "deployment.images.push");
    assert_eq!(metadata["open_scopes"], "DAGS");
    assert_eq!(metadata["resource"], DEPLOYMENT);
    assert!(service.nothing_was_sent());
    service.stop().await;
}

#[tokio::test]
async fn whoever_may_roll_back_a_part_only_is_told_that_a_hold_needs_more() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    service.authorization.state().held = SEEN_BY_ALL.union(dags);
    let with_hold = CreateRollbackRequest {
        scope: RollbackScope::Dags.into(),
        hold: true,
        ..create_request()
    };
    let status = service.create(with_hold.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let metadata = metadata(&status);
    assert_eq!(metadata["permissions"], "deployment.images.push");
    assert_eq!(metadata["open_scopes"], "");
    assert_eq!(metadata["open_scopes_without_hold"], "DAGS");
    assert!(service.nothing_was_sent());

    let plan = PlanRollbackRequest {
        scope: RollbackScope::Dags.into(),
        hold: true,
        ..plan_request()
    };
    let permissions = service.plan(plan).await.unwrap().permissions.unwrap();
    assert_eq!(permissions.missing, ["deployment.images.push"]);
    assert!(permissions.open_scopes.is_empty());

    let without = CreateRollbackRequest {
        hold: false,
        ..with_hold
    };
    service.create(without).await.unwrap();
    service.stop().await;
}
