use super::*;

const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
const DAGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentDagsPush]);

async fn list(
    harness: &Harness,
    who: &str,
    page_size: i32,
    page_token: &str,
) -> Result<pb::ListDeploysResponse, Status> {
    let request = pb::ListDeploysRequest {
        parent: ETL.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        filter: String::new(),
    };
    let response = harness
        .registry
        .list_deploys(harness.call(who, request))
        .await?;
    Ok(response.into_inner())
}

#[tokio::test]
async fn a_deploy_needs_the_permission_for_what_it_ships() {
    let harness = Harness::with_deployment().await;
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    harness.deploy("alice", image('a')).await.unwrap();
    harness.grant("builder", ETL, IMAGES);
    harness.grant("author", ETL, DAGS);
    let both = pb::Revision {
        dag_bundle: dags(&bundle).dag_bundle,
        ..image('b')
    };
    for (who, revision, missing) in [
        ("builder", image('b'), None),
        ("author", dags(&bundle), None),
        ("builder", dags(&bundle), Some("deployment.dags.push")),
        ("author", image('b'), Some("deployment.images.push")),
        ("author", both.clone(), Some("deployment.images.push")),
        ("alice", both, None),
    ] {
        let result = harness.deploy(who, revision).await;
        match missing {
            None => assert_eq!(result.unwrap().created_by, format!("user:{who}")),
            Some(missing) => {
                let code = Code::PermissionDenied;
                let status = assert_refused(result, code, ErrorReason::PermissionMissing);
                assert_eq!(metadata(&status, "permissions"), missing);
            }
        }
    }
    let result = harness.deploy("nobody", image('b')).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    // Whoever may see nothing learns nothing by shipping nothing.
    let result = harness.deploy("nobody", pb::Revision::default()).await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
    let result = harness.deploy("author", pb::Revision::default()).await;
    assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
}

#[tokio::test]
async fn a_deploy_that_the_deployment_cannot_take_says_what_is_needed() {
    let harness = Harness::with_deployment().await;
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    let first = harness.deploy("alice", dags(&bundle)).await;
    let status = assert_refused(
        first,
        Code::FailedPrecondition,
        ErrorReason::DeployNotAllowed,
    );
    assert!(
        status.message().contains("ships an image"),
        "{}",
        status.message()
    );

    harness.deploy("alice", image('a')).await.unwrap();
    let sha256 = "0".repeat(64);
    let unknown = pb::DagBundle {
        sha256: sha256.clone(),
        ..Default::default()
    };
    let missing = harness.deploy("alice", dags(&unknown)).await;
    let status = assert_refused(
        missing,
        Code::FailedPrecondition,
        ErrorReason::DagBundleMissing,
    );
    assert_eq!(
        metadata(&status, "dag_bundle"),
        format!("{ETL}/dagBundles/{sha256}")
    );
}

#[tokio::test]
async fn a_deploy_that_landed_in_between_is_told_by_name() {
    let harness = Harness::with_deployment().await;
    harness.deploy("alice", image('a')).await.unwrap();
    let send = async |expected: &str| {
        let request = pb::CreateDeployRequest {
            parent: ETL.to_owned(),
            deploy: Some(pb::Deploy {
                revision: Some(image('b')),
                ..Default::default()
            }),
            expected_latest_deploy: expected.to_owned(),
            ..Default::default()
        };
        harness
            .registry
            .create_deploy(harness.call("alice", request))
            .await
    };
    let status = assert_refused(
        send(&format!("{ETL}/deploys/0")).await,
        Code::Aborted,
        ErrorReason::LatestDeployChanged,
    );
    assert_eq!(
        metadata(&status, "expected_latest_deploy"),
        format!("{ETL}/deploys/0")
    );
    assert_eq!(
        metadata(&status, "latest_deploy"),
        format!("{ETL}/deploys/1")
    );
    for wrong in [
        "1",
        "workspaces/data/deployments/other/deploys/1",
        "workspaces",
    ] {
        let result = send(wrong).await;
        assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
    assert!(send(&format!("{ETL}/deploys/1")).await.is_ok());
}

#[tokio::test]
async fn a_deploy_is_shown_with_its_expiry_and_settings_to_whom_they_are_for() {
    let harness = Harness::with_deployment().await;
    let revisions = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    harness.grant("viewer", ETL, revisions);
    harness.grant(
        "visitor",
        ETL,
        PermissionSet::of(&[Permission::DeploymentConfigGet]),
    );
    for digit in ['a', 'b', 'c'] {
        harness.deploy("alice", image(digit)).await.unwrap();
        harness.advance(TimeDelta::hours(1));
    }
    let get = async |who: &str, number: i64| {
        let request = pb::GetDeployRequest {
            name: format!("{ETL}/deploys/{number}"),
        };
        let response = harness
            .registry
            .get_deploy(harness.call(who, request))
            .await?;
        Ok::<_, Status>(response.into_inner().deploy.unwrap())
    };

    let first = get("alice", 1).await.unwrap();
    assert_eq!(first.settings, deployment().settings);
    let ceased = get("alice", 2).await.unwrap().create_time.unwrap();
    let expires = first.artifacts_expire_time.unwrap();
    assert_eq!(
        expires.seconds - ceased.seconds,
        TimeDelta::days(90).num_seconds()
    );
    for number in [2, 3] {
        assert_eq!(
            get("alice", number).await.unwrap().artifacts_expire_time,
            None
        );
    }
    assert!(get("viewer", 1).await.unwrap().settings.is_empty());
    let status = assert_refused(
        get("visitor", 1).await,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    assert_eq!(
        metadata(&status, "permissions"),
        "deployment.deployRevisions.get"
    );
    assert_refused(
        get("nobody", 1).await,
        Code::NotFound,
        ErrorReason::ResourceNotFound,
    );
    assert_refused(
        get("alice", 4).await,
        Code::NotFound,
        ErrorReason::ResourceNotFound,
    );
    assert_refused(
        get("alice", 0).await,
        Code::InvalidArgument,
        ErrorReason::InvalidFields,
    );
}

#[tokio::test]
async fn the_history_is_listed_newest_first_page_by_page() {
    let harness = Harness::with_deployment().await;
    for digit in ['a', 'b', 'c', 'd', 'e'] {
        harness.deploy("alice", image(digit)).await.unwrap();
    }
    let mut numbers = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&harness, "alice", 2, &token).await.unwrap();
        assert!(page.deploys.len() <= 2);
        numbers.extend(page.deploys.iter().map(|deploy| deploy.number));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        harness.deploy("alice", image('f')).await.unwrap();
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);

    let token = list(&harness, "alice", 1, "")
        .await
        .unwrap()
        .next_page_token;
    for (size, token) in [(-1, ""), (0, "junk"), (0, &format!("{token}A"))] {
        let result = list(&harness, "alice", size, token).await;
        assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
    let result = list(&harness, "nobody", 0, "").await;
    assert_refused(result, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn a_repeated_request_is_checked_again_and_returns_the_same_deploy() {
    let harness = Harness::with_deployment().await;
    let request = pb::CreateDeployRequest {
        parent: ETL.to_owned(),
        deploy: Some(pb::Deploy {
            revision: Some(image('a')),
            ..Default::default()
        }),
        request_id: "0d9a3b5e-2f0b-4c3e-9f4e-1f6f1a2b3c4d".to_owned(),
        ..Default::default()
    };
    let send = async |request: &pb::CreateDeployRequest| {
        let response = harness
            .registry
            .create_deploy(harness.call("alice", request.clone()))
            .await?;
        Ok::<_, Status>(response.into_inner().deploy.unwrap())
    };
    let first = send(&request).await.unwrap();
    let again = send(&request).await.unwrap();
    assert_eq!(first, again);
    let other = pb::CreateDeployRequest {
        validate_only: true,
        ..request
    };
    assert_refused(
        send(&other).await,
        Code::InvalidArgument,
        ErrorReason::RequestIdReused,
    );
}
