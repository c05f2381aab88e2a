use super::*;
use crate::testing::Act;

impl Service {
    async fn list(&self, request: ListRollbacksRequest) -> Result<ListRollbacksResponse, Status> {
        let mut client = self.client.clone();
        let response = client.list_rollbacks(self.call(request)).await?;
        Ok(response.into_inner())
    }

    async fn filtered(&self, filter: &str) -> Vec<Rollback> {
        let request = ListRollbacksRequest {
            filter: filter.to_owned(),
            ..list_request()
        };
        self.list(request).await.unwrap().rollbacks
    }
}

fn list_request() -> ListRollbacksRequest {
    ListRollbacksRequest {
        parent: DEPLOYMENT.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn rollbacks_are_listed_newest_first_page_by_page() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, service.create(create_request()).await.unwrap().name);
    }
    let mut names = Vec::new();
    let mut request = ListRollbacksRequest {
        page_size: 2,
        ..list_request()
    };
    loop {
        let page = service.list(request.clone()).await.unwrap();
        names.extend(page.rollbacks.into_iter().map(|rollback| rollback.name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
        // What arrives meanwhile moves nothing.
        service.create(create_request()).await.unwrap();
    }
    assert_eq!(names, expected);
    service.stop().await;
}

#[tokio::test]
async fn rollbacks_are_found_by_what_they_are() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let good = service.create(create_request()).await.unwrap();
    let moved = crate::testing::refusal(Code::Aborted, ErrorReason::LatestDeployChanged);
    service.registry.state().writes.push_back(Act::Fail(moved));
    let failing = CreateRollbackRequest {
        description: "Once more".to_owned(),
        ..create_request()
    };
    service.create(failing).await.unwrap_err();
    assert_eq!(service.filtered("").await.len(), 2);
    for (filter, found) in [
        ("state = SUCCEEDED", true),
        ("state != FAILED", true),
        ("state = FAILED", false),
        ("scope = ALL AND state = SUCCEEDED", true),
        ("roll_out = DEPLOYED", true),
        ("roll_out = UNSPECIFIED", false),
        ("description : ORDERS", true),
        ("description = \"Once more\"", false),
        ("state = SUCCEEDED AND created_by : alice", true),
        ("state = FAILED AND needs_attention = false", false),
    ] {
        let names = service.filtered(filter).await;
        let names = names.iter().map(|rollback| &rollback.name);
        let names = names.collect::<Vec<_>>();
        assert_eq!(names.len(), 1, "{filter}");
        assert_eq!(*names[0] == good.name, found, "{filter}");
    }
    for none in [
        "scope = DAGS",
        "needs_attention = true",
        "create_time < 2020-01-01T00:00:00Z",
        "create_time > 2999-01-01T00:00:00Z",
    ] {
        assert_eq!(service.filtered(none).await, []);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_list_that_means_nothing_is_refused() {
    let service = Service::start("3.1-9", "3.1-9").await;
    for filter in [
        "target = 4",
        "state = failed",
        "state > FAILED",
        "scope : ALL",
        "roll_out = GONE",
        "needs_attention = yes",
        "create_time = 2020-01-01T00:00:00Z",
        "state",
    ] {
        let request = ListRollbacksRequest {
            filter: filter.to_owned(),
            page_size: -1,
            ..list_request()
        };
        let status = service.list(request).await.unwrap_err();
        assert_eq!(violations(&status), ["page_size", "filter"], "{filter}");
    }
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    service.authorization.state().held = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    assert_eq!(reason(service.list(list_request()).await), missing);
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    service.authorization.state().held = PermissionSet::EMPTY;
    assert_eq!(reason(service.list(list_request()).await), not_found);
    service.stop().await;
}
