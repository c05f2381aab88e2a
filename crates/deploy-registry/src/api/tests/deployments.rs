use super::*;

fn create(deployment_id: &str, deployment: pb::Deployment) -> pb::CreateDeploymentRequest {
    pb::CreateDeploymentRequest {
        parent: WORKSPACE.to_owned(),
        deployment_id: deployment_id.to_owned(),
        deployment: Some(deployment),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_deployment_is_shown_as_it_was_created() {
    let harness = Harness::with_deployment().await;
    let shown = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(shown.name, ETL);
    assert_eq!(shown.settings, deployment().settings);
    assert_eq!(shown.created_by, "user:alice");
    assert_eq!(
        (shown.latest_deploy.as_str(), shown.current_deploy.as_str()),
        ("", "")
    );

    harness.deploy("alice", image('a')).await.unwrap();
    let after = harness.get_deployment("alice", ETL).await.unwrap();
    assert_eq!(after.latest_deploy, format!("{ETL}/deploys/1"));
    assert_eq!(after.current_deploy, after.latest_deploy);
    assert_eq!(after.current_revision.unwrap().airflow_version, "3.1.5");
    assert_ne!(after.etag, shown.etag);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_deployment_is_told_at_once() {
    let harness = Harness::with_deployment().await;
    let wrong = pb::Deployment {
        display_name: "x".repeat(101),
        description: "a\0b".to_owned(),
        labels: [("UPPER".to_owned(), String::new())].into(),
        dag_deploy_mode: 99,
        settings: [(String::new(), String::new())].into(),
        ..Default::default()
    };
    let request = pb::CreateDeploymentRequest {
        request_id: "not a uuid".to_owned(),
        ..create("Not-An-Id", wrong)
    };
    let result = harness
        .registry
        .create_deployment(harness.call("alice", request))
        .await;
    let status = assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
    for field in [
        "deployment_id",
        "request_id",
        "deployment.display_name",
        "deployment.description",
        "deployment.labels",
        "deployment.dag_deploy_mode",
        "deployment.settings",
    ] {
        assert!(
            status.message().contains(field),
            "{field}: {}",
            status.message()
        );
    }
}

#[tokio::test]
async fn a_taken_name_is_refused_but_to_the_same_request() {
    let harness = Harness::with_deployment().await;
    let request = pb::CreateDeploymentRequest {
        request_id: "0d9a3b5e-2f0b-4c3e-9f4e-1f6f1a2b3c4d".to_owned(),
        ..create("other", deployment())
    };
    let send = async |request: pb::CreateDeploymentRequest| {
        harness
            .registry
            .create_deployment(harness.call("alice", request))
            .await
    };
    let first = send(request.clone()).await.unwrap().into_inner().deployment;
    let again = send(request.clone()).await.unwrap().into_inner().deployment;
    assert_eq!(first, again);

    let other = pb::CreateDeploymentRequest {
        validate_only: true,
        ..request
    };
    let reused = send(other).await;
    assert_refused(reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    let taken = send(create("other", deployment())).await;
    assert_refused(
        taken,
        Code::AlreadyExists,
        ErrorReason::ResourceAlreadyExists,
    );
}

#[tokio::test]
async fn to_create_needs_the_permission_on_the_workspace() {
    let harness = Harness::with_deployment().await;
    let seen = PermissionSet::of(&[Permission::WorkspaceConfigGet]);
    harness.grant("viewer", WORKSPACE, seen);
    let send = async |who: &str| {
        let request = harness.call(who, create("other", deployment()));
        harness.registry.create_deployment(request).await
    };
    let status = assert_refused(
        send("viewer").await,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    assert_eq!(
        metadata(&status, "permissions"),
        "workspace.deployments.create"
    );
    assert_refused(
        send("nobody").await,
        Code::NotFound,
        ErrorReason::ResourceNotFound,
    );
}

#[tokio::test]
async fn what_is_shown_follows_what_the_caller_holds() {
    let harness = Harness::with_deployment().await;
    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    let names = PermissionSet::of(&[Permission::WorkspaceDeploymentsGet]);
    let settings = PermissionSet::of(&[Permission::DeploymentVariablesGet]);
    harness.grant("viewer", ETL, config);
    harness.grant("operator", ETL, config.union(settings));
    harness.grant("lister", WORKSPACE, names);
    harness.grant("odd", ETL, settings);

    let viewer = harness.get_deployment("viewer", ETL).await.unwrap();
    assert_eq!(viewer.display_name, "ETL");
    assert!(viewer.settings.is_empty() && viewer.rollback_enabled);
    let operator = harness.get_deployment("operator", ETL).await.unwrap();
    assert_eq!(operator.settings.len(), 1);
    let lister = harness.get_deployment("lister", ETL).await.unwrap();
    let expected = pb::Deployment {
        name: ETL.to_owned(),
        uid: viewer.uid,
        display_name: "ETL".to_owned(),
        ..Default::default()
    };
    assert_eq!(lister, expected);
    for who in ["odd", "nobody"] {
        let hidden = harness.get_deployment(who, ETL).await;
        let hidden = assert_refused(hidden, Code::NotFound, ErrorReason::ResourceNotFound);
        // What is not there looks the same.
        let missing = harness
            .get_deployment(who, &format!("{WORKSPACE}/deployments/x"))
            .await;
        let missing = assert_refused(missing, Code::NotFound, ErrorReason::ResourceNotFound);
        assert_eq!(hidden.message().replace("/etl", "/x"), missing.message());
    }
}

#[tokio::test]
async fn a_list_shows_what_the_caller_may_see_in_one_question_a_page() {
    let harness = Harness::with_deployment().await;
    for id in ["a", "b", "c", "d"] {
        harness.create_deployment(id).await;
    }
    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    for id in ["b", "d"] {
        harness.grant("viewer", &format!("{WORKSPACE}/deployments/{id}"), config);
    }
    let list = async |who: &str, page_size, page_token: String| {
        let parent = WORKSPACE.to_owned();
        let request = pb::ListDeploymentsRequest {
            parent,
            page_size,
            page_token,
            ..Default::default()
        };
        let response = harness
            .registry
            .list_deployments(harness.call(who, request))
            .await
            .unwrap();
        let pb::ListDeploymentsResponse {
            deployments,
            next_page_token,
        } = response.into_inner();
        let ids = deployments
            .iter()
            .map(|deployment| deployment.name.rsplit('/').next().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), next_page_token)
    };

    let calls = harness.authorization.calls();
    assert_eq!(
        list("alice", 0, String::new()).await.0,
        ["a", "b", "c", "d", "etl"]
    );
    assert_eq!(harness.authorization.calls(), calls + 1);

    let (first, token) = list("viewer", 1, String::new()).await;
    assert_eq!(first, ["b"]);
    let mut seen = first;
    let mut next = token;
    while !next.is_empty() {
        let (page, token) = list("viewer", 1, next).await;
        seen.extend(page);
        next = token;
    }
    assert_eq!(seen, ["b", "d"]);
    assert_eq!(
        list("viewer", 2, String::new()).await,
        (vec!["b".to_owned(), "d".to_owned()], String::new()),
        "what follows cannot be seen"
    );
    assert_eq!(list("nobody", 0, String::new()).await.0, [""; 0]);
}

#[tokio::test]
async fn a_page_token_does_not_tell_that_there_is_what_cannot_be_seen() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("secret").await;
    harness.create_deployment("zoo").await;
    for (parent, page_size) in [(WORKSPACE, 1), (WORKSPACE, 2), ("workspaces/none", 1)] {
        let request = pb::ListDeploymentsRequest {
            parent: parent.to_owned(),
            page_size,
            ..Default::default()
        };
        let response = harness
            .registry
            .list_deployments(harness.call("nobody", request))
            .await;
        let nothing = pb::ListDeploymentsResponse::default();
        assert_eq!(response.unwrap().into_inner(), nothing, "{parent}");
    }
}

#[tokio::test]
async fn a_list_with_a_bad_page_is_refused() {
    let harness = Harness::with_deployment().await;
    for (page_size, page_token) in [(-1, ""), (0, "junk")] {
        let request = pb::ListDeploymentsRequest {
            parent: WORKSPACE.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            ..Default::default()
        };
        let result = harness
            .registry
            .list_deployments(harness.call("alice", request))
            .await;
        assert_refused(result, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
}

#[tokio::test]
async fn without_authorization_there_is_no_answer() {
    let harness = Harness::with_deployment().await;
    harness.authorization.stop();
    let result = harness.get_deployment("alice", ETL).await;
    assert_refused(
        result,
        Code::Unavailable,
        ErrorReason::DependencyUnavailable,
    );
    let result = harness.deploy("alice", image('a')).await;
    assert_refused(
        result,
        Code::Unavailable,
        ErrorReason::DependencyUnavailable,
    );
}
