use super::*;

#[tokio::test]
async fn all_that_is_wrong_with_a_request_is_told_at_once() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let target = |name: &str| {
        Some(create_rollback_request::Target::TargetDeploy(
            name.to_owned(),
        ))
    };
    let wrong = CreateRollbackRequest {
        parent: DEPLOYMENT.to_owned(),
        target: target("workspaces/data/deployments/other/deploys/1"),
        scope: 0,
        description: "x".repeat(501),
        request_id: "not a uuid".to_owned(),
        plan_digest: "not a digest".to_owned(),
        acknowledged_warnings: vec![WarningCode::MetadataLoss.into(), 0, 99],
        validate_only: false,
        hold: false,
        allow_marked_bad: false,
    };
    let status = service.create(wrong.clone()).await.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::InvalidFields));
    assert_eq!(
        violations(&status),
        [
            "target_deploy",
            "scope",
            "description",
            "request_id",
            "plan_digest",
            "acknowledged_warnings[1]",
            "acknowledged_warnings[2]",
        ]
    );
    let no_parent = CreateRollbackRequest {
        parent: "workspaces/data".to_owned(),
        ..wrong
    };
    let status = service.create(no_parent).await.unwrap_err();
    assert_eq!(violations(&status)[0], "parent");
    assert!(violations(&status).contains(&"scope".to_owned()));

    let nothing = service
        .create(CreateRollbackRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        violations(&nothing),
        ["parent", "target_deploy", "scope", "description"]
    );

    let bad: &[(&str, CreateRollbackRequest)] = &[
        (
            "description",
            CreateRollbackRequest {
                description: " \n".to_owned(),
                ..create_request()
            },
        ),
        (
            "description",
            CreateRollbackRequest {
                description: "a\0b".to_owned(),
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: None,
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: target(&deploy_name(0)),
                ..create_request()
            },
        ),
        (
            "target_deploy",
            CreateRollbackRequest {
                target: target(&deploy_name(-1)),
                ..create_request()
            },
        ),
        (
            "scope",
            CreateRollbackRequest {
                scope: i32::MIN,
                ..create_request()
            },
        ),
        (
            "request_id",
            CreateRollbackRequest {
                request_id: uuid::Uuid::nil().to_string(),
                ..create_request()
            },
        ),
        (
            "acknowledged_warnings",
            CreateRollbackRequest {
                acknowledged_warnings: vec![1; 51],
                ..create_request()
            },
        ),
    ];
    for (field, request) in bad {
        let status = service.create(request.clone()).await.unwrap_err();
        assert_eq!(violations(&status), [*field]);
    }
    let status = service
        .get("workspaces/data/rollbacks/7")
        .await
        .unwrap_err();
    assert_eq!(violations(&status), ["name"]);
    assert!(service.nothing_was_sent());
    service.stop().await;
}
