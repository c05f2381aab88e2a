use model::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::{ETL, Harness, WORKSPACE, assert_refused, image};

impl Harness {
    async fn list(&self, who: &str, filter: &str, order_by: &str) -> Result<Vec<String>, Status> {
        let request = pb::ListDeploymentsRequest {
            parent: WORKSPACE.to_owned(),
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
            ..Default::default()
        };
        let request = self.call(who, request);
        let list = self.registry.list_deployments(request).await?.into_inner();
        let names = list
            .deployments
            .into_iter()
            .map(|deployment| deployment.name);
        Ok(names.collect())
    }

    async fn list_deploys(
        &self,
        filter: &str,
        page_token: &str,
    ) -> Result<pb::ListDeploysResponse, Status> {
        let request = pb::ListDeploysRequest {
            parent: ETL.to_owned(),
            page_size: 1,
            page_token: page_token.to_owned(),
            filter: filter.to_owned(),
        };
        let request = self.call("alice", request);
        Ok(self.registry.list_deploys(request).await?.into_inner())
    }
}

#[tokio::test]
async fn deploys_are_filtered_and_a_token_belongs_to_its_filter() {
    let harness = Harness::with_deployment().await;
    for digit in ['a', 'b', 'c'] {
        harness.deploy("alice", image(digit)).await.unwrap();
    }
    let filter = "type = IMAGE_ONLY AND created_by : alice";
    let mut numbers = Vec::new();
    let mut token = String::new();
    loop {
        let page = harness.list_deploys(filter, &token).await.unwrap();
        numbers.extend(page.deploys.iter().map(|deploy| deploy.number));
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
        let other = harness.list_deploys("type = IMAGE_ONLY", &token).await;
        assert_refused(other, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
    assert_eq!(numbers, [3, 2, 1]);
    let none = harness.list_deploys("state = FAILED", "").await.unwrap();
    assert_eq!((none.deploys.len(), none.next_page_token.as_str()), (0, ""));

    for wrong in [
        "state =",
        "state = deployed",
        "secret = 1",
        &"x".repeat(1_001),
    ] {
        let refused = harness.list_deploys(wrong, "").await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().starts_with("filter: "), "{status:?}");
    }
}

#[tokio::test]
async fn a_filter_finds_nothing_that_is_not_shown() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("other").await;
    let names = PermissionSet::of(&[Permission::WorkspaceDeploymentsGet]);
    harness.grant("lister", WORKSPACE, names);
    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    harness.grant("viewer", ETL, config);

    let listed = async |who, filter| harness.list(who, filter, "").await.unwrap().len();
    assert_eq!(listed("alice", "rollback_enabled = true").await, 2);
    assert_eq!(listed("viewer", "rollback_enabled = true").await, 1);
    assert_eq!(listed("lister", "rollback_enabled = true").await, 0);
    assert_eq!(listed("lister", "rollback_enabled != true").await, 0);
    assert_eq!(listed("lister", "display_name = ETL").await, 2);
    assert_eq!(listed("nobody", "display_name = ETL").await, 0);
}

#[tokio::test]
async fn deployments_are_listed_in_the_order_that_is_asked_for() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("other").await;
    let other = format!("{WORKSPACE}/deployments/other");
    let down = harness.list("alice", "", "name desc").await.unwrap();
    assert_eq!(down, [other.as_str(), ETL]);
    let up = harness.list("alice", "", " create_time ").await.unwrap();
    assert_eq!(up, [ETL, other.as_str()]);
    for wrong in [
        "settings",
        "name asc",
        "name, create_time",
        "name desc desc",
        "desc",
    ] {
        let refused = harness.list("alice", "a", wrong).await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().contains("order_by: "), "{status:?}");
        assert!(status.message().contains("filter: "), "{status:?}");
    }
}
