use chassis::transaction;
use proto::common::v1::{BlockerCode, RollbackScope};
use proto::registry::v1::find_deploy_request::By;

use super::rollbacks::ORCHESTRATOR;
use super::*;

const SCOPES: [RollbackScope; 3] = [
    RollbackScope::All,
    RollbackScope::Image,
    RollbackScope::Dags,
];

fn previews(page_size: i32, page_token: &str) -> pb::PreviewRollbackDeploysRequest {
    pb::PreviewRollbackDeploysRequest {
        parent: ETL.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        allow_marked_bad: false,
    }
}

impl Harness {
    async fn previews(
        &self,
        who: &str,
        request: pb::PreviewRollbackDeploysRequest,
    ) -> Result<pb::PreviewRollbackDeploysResponse, Status> {
        let request = self.call(who, request);
        let response = self.registry.preview_rollback_deploys(request).await?;
        Ok(response.into_inner())
    }

    async fn find(&self, who: &str, by: Option<By>) -> Result<pb::FindDeployResponse, Status> {
        let parent = ETL.to_owned();
        let request = self.call(who, pb::FindDeployRequest { parent, by });
        Ok(self.registry.find_deploy(request).await?.into_inner())
    }

    /// The records lose all bundles.
    async fn forget_bundles(&self) {
        let forgotten: Result<u64, chassis::database::Error> =
            transaction!(self.database.database, |tx| tx
                .execute("DELETE FROM dag_bundles", Vec::new())
                .await);
        forgotten.unwrap();
    }

    /// Each preview of a page says what CreateRollbackDeploy would do.
    async fn assert_agreed(&self) {
        let page = self.previews(ORCHESTRATOR, previews(0, "")).await.unwrap();
        assert_eq!(page.next_page_token, "");
        for preview in page.previews {
            let target = preview.deploy.unwrap();
            for (scope, found) in SCOPES.into_iter().zip(preview.scopes) {
                let single = self.preview(target.number, scope).await;
                assert_eq!(found.scope(), scope);
                let revision = single.deploy.and_then(|deploy| deploy.revision);
                assert_eq!(found.revision, revision, "{} {scope:?}", target.name);
                assert_eq!(found.revision_digest, single.revision_digest);
                assert_eq!(found.blockers, single.blockers, "{} {scope:?}", target.name);
            }
        }
    }
}

fn codes(blockers: &[proto::common::v1::Blocker]) -> Vec<BlockerCode> {
    blockers.iter().map(|blocker| blocker.code()).collect()
}

#[tokio::test]
async fn previews_say_what_each_rollback_would_do() {
    let mut harness = Harness::with_history().await;
    harness.assert_agreed().await;
    harness
        .mark("alice", pb::Verdict::Bad.into(), "bad")
        .await
        .unwrap();
    harness.assert_agreed().await;
    let first = harness
        .previews(ORCHESTRATOR, previews(1, ""))
        .await
        .unwrap();
    let deployment = first.deployment.unwrap();
    assert_eq!(
        deployment,
        harness.get_deployment("alice", ETL).await.unwrap()
    );
    assert_eq!(first.previews.len(), 1);
    let shown = first.previews[0].deploy.clone().unwrap();
    assert_eq!((shown.number, shown.settings.len()), (4, 0));

    // The bytes are gone, and the records do not know.
    for file in harness.files() {
        std::fs::remove_file(harness.folder.path().join("bundles").join(file)).unwrap();
    }
    let single = harness.preview(3, RollbackScope::All).await;
    assert_eq!(codes(&single.blockers), [BlockerCode::ArtifactMissing]);
    let page = harness
        .previews(ORCHESTRATOR, previews(0, ""))
        .await
        .unwrap();
    assert_eq!(codes(&page.previews[1].scopes[0].blockers), []);
    // The records know.
    harness.forget_bundles().await;
    harness.assert_agreed().await;
    let page = harness
        .previews(ORCHESTRATOR, previews(0, ""))
        .await
        .unwrap();
    let gone = codes(&page.previews[1].scopes[0].blockers);
    assert_eq!(gone, [BlockerCode::ArtifactMissing]);

    harness.registry.rollbacks_enabled = false;
    harness.advance(TimeDelta::days(91));
    harness.assert_agreed().await;
}

#[tokio::test]
async fn previews_come_page_by_page_to_the_orchestrator_only() {
    let harness = Harness::with_history().await;
    let mut numbers = Vec::new();
    let mut token = String::new();
    loop {
        let request = previews(3, &token);
        let page = harness.previews(ORCHESTRATOR, request).await.unwrap();
        for preview in page.previews {
            numbers.push(preview.deploy.unwrap().number);
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        harness.deploy("alice", image('c')).await.unwrap();
        let other = pb::PreviewRollbackDeploysRequest {
            allow_marked_bad: true,
            ..previews(3, &token)
        };
        let refused = harness.previews(ORCHESTRATOR, other).await;
        assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
    assert_eq!(numbers, [4, 3, 2, 1]);

    let refused = harness.previews(ORCHESTRATOR, previews(-1, "x")).await;
    let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
    assert!(status.message().contains("page_size: ") && status.message().contains("page_token: "));
    let refused = harness.previews("alice", previews(0, "")).await;
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    for who in ["nobody", "authorization"] {
        let refused = harness.previews(who, previews(0, "")).await;
        assert_refused(refused, Code::NotFound, ErrorReason::ResourceNotFound);
    }
    let nowhere = pb::PreviewRollbackDeploysRequest {
        parent: format!("{WORKSPACE}/deployments/nowhere"),
        ..previews(0, "")
    };
    let refused = harness.previews(ORCHESTRATOR, nowhere).await;
    assert_refused(refused, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn a_deploy_is_found_by_what_is_meant() {
    let harness = Harness::with_history().await;
    let previous = |scope: RollbackScope| Some(By::PreviousIn(scope.into()));
    let found = harness
        .find("alice", previous(RollbackScope::All))
        .await
        .unwrap();
    let name = |number: i64| format!("{ETL}/deploys/{number}");
    let deploy = found.deploy.unwrap();
    assert_eq!((deploy.name, deploy.settings.len()), (name(3), 1));
    assert_eq!(
        (found.latest_deploy, found.current_deploy),
        (name(4), name(4))
    );
    let found = harness
        .find(ORCHESTRATOR, previous(RollbackScope::Image))
        .await
        .unwrap();
    assert_eq!(found.deploy.unwrap().name, name(2));

    let at = |seconds: i64| {
        let time = harness.now() + TimeDelta::seconds(seconds);
        Some(By::AsOf(chassis::convert::timestamp(time)))
    };
    let found = harness.find("alice", at(0)).await.unwrap();
    assert_eq!(found.deploy.unwrap().name, name(4));
    let refused = harness.find("alice", at(-1)).await;
    let status = assert_refused(
        refused,
        Code::FailedPrecondition,
        ErrorReason::TargetNotFound,
    );
    assert_eq!(metadata(&status, "deployment"), ETL);
}

#[tokio::test]
async fn where_nothing_is_meant_nothing_is_found() {
    let harness = Harness::with_deployment().await;
    let previous = async || {
        let by = By::PreviousIn(RollbackScope::All.into());
        harness.find("alice", Some(by)).await
    };
    let reason = ErrorReason::TargetNotFound;
    assert_refused(previous().await, Code::FailedPrecondition, reason);
    for digit in ['a', 'b'] {
        harness.deploy("alice", image(digit)).await.unwrap();
    }
    assert_eq!(previous().await.unwrap().deploy.unwrap().number, 1);
    harness
        .mark("alice", pb::Verdict::Bad.into(), "bad")
        .await
        .unwrap();
    assert_refused(previous().await, Code::FailedPrecondition, reason);
}

#[tokio::test]
async fn who_may_see_a_history_may_find_its_deploys() {
    let harness = Harness::with_history().await;
    let by = || Some(By::PreviousIn(RollbackScope::All.into()));
    let sees = PermissionSet::of(&[Permission::DeploymentDeployRevisionsGet]);
    harness.grant("viewer", ETL, sees);
    let found = harness.find("viewer", by()).await.unwrap();
    assert_eq!(found.deploy.unwrap().settings, Default::default());
    harness.grant(
        "knows",
        ETL,
        PermissionSet::of(&[Permission::DeploymentConfigGet]),
    );
    let refused = harness.find("knows", by()).await;
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let refused = harness.find("nobody", None).await;
    assert_refused(refused, Code::NotFound, ErrorReason::ResourceNotFound);

    for (by, field) in [
        (None, "by: "),
        (Some(By::PreviousIn(0)), "previous_in: "),
        (Some(By::PreviousIn(4)), "previous_in: "),
        (
            Some(By::AsOf(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            })),
            "as_of: ",
        ),
        (
            Some(By::AsOf(prost_types::Timestamp {
                seconds: 0,
                nanos: -1,
            })),
            "as_of: ",
        ),
    ] {
        let refused = harness.find("viewer", by).await;
        let status = assert_refused(refused, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().starts_with(field), "{status:?}");
    }
}
