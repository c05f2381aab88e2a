//! Deploys and rollbacks where image registries are asked, with a real one.

use proto::common::v1::{BlockerCode, RollbackScope};

use super::rollbacks::ORCHESTRATOR;
use super::*;
use crate::images;
use crate::images::tests::real::RealRegistry;

const LABELS: &str = r#"{"io.astronomer.docker.runtime.version": "3.1-9"}"#;
const OTHER_LABELS: &str = r#"{"io.astronomer.docker.runtime.version": "3.1-10"}"#;

type Verifier = fn(images::Images) -> ImageVerifier;

impl Harness {
    /// Asks the registry from now on.
    async fn ask(&mut self, registry: &RealRegistry, verifier: Verifier) {
        let patience = Duration::from_secs(30);
        let environment = self.environment.clone();
        let images = images::tests::open(&registry.host, None, patience, environment);
        self.registry.images = verifier(images.await.unwrap());
    }
}

fn named(registry: &RealRegistry, tag: &str, digest: &str, runtime: &str) -> pb::Revision {
    pb::Revision {
        image: Some(pb::Image {
            repository: format!("{}/data/etl", registry.host),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        }),
        runtime_version: runtime.to_owned(),
        ..Default::default()
    }
}

fn verification(deploy: &pb::Deploy) -> (pb::ImageVerification, &str) {
    (
        deploy.image_verification(),
        &deploy.image_verification_reason,
    )
}

#[tokio::test]
async fn a_tag_is_recorded_by_its_digest_and_with_the_versions_of_its_labels() {
    let registry = RealRegistry::start();
    for verifier in [ImageVerifier::Warn, ImageVerifier::Require] as [Verifier; 2] {
        let mut harness = Harness::with_deployment().await;
        harness.ask(&registry, verifier).await;
        let digest = registry.push("latest", LABELS).await;
        let tagged = || named(&registry, "latest", "", "");
        let deploy = harness.deploy("alice", tagged()).await.unwrap();
        assert_eq!(verification(&deploy), (pb::ImageVerification::Verified, ""));
        let revision = deploy.revision.unwrap();
        assert_eq!(revision.image.unwrap().digest, digest.to_string());
        assert_eq!(revision.runtime_version, "3.1-9");
        assert_eq!(revision.airflow_version, "3.1.5");

        // The tag moves; what was recorded stays.
        let moved = registry.push("latest", OTHER_LABELS).await;
        let second = harness.deploy("alice", tagged()).await.unwrap();
        assert_eq!(
            second.revision.unwrap().image.unwrap().digest,
            moved.to_string()
        );
    }
}

#[tokio::test]
async fn a_retry_gives_what_was_recorded_though_the_tag_moved_and_the_registry_is_gone() {
    let registry = RealRegistry::start();
    let mut harness = Harness::with_deployment().await;
    harness.ask(&registry, ImageVerifier::Require).await;
    registry.push("latest", LABELS).await;
    let request = pb::CreateDeployRequest {
        parent: ETL.to_owned(),
        deploy: Some(pb::Deploy {
            revision: Some(named(&registry, "latest", "", "")),
            ..Default::default()
        }),
        request_id: "5f3f2f0e-34a5-4d5b-9a0e-2a7a51b2a0c1".to_owned(),
        ..Default::default()
    };
    let send = || async {
        let call = harness.call("alice", request.clone());
        let response = harness.registry.create_deploy(call).await?;
        Ok::<_, Status>(response.into_inner().deploy.unwrap())
    };
    let first = send().await.unwrap();
    registry.push("latest", OTHER_LABELS).await;
    assert_eq!(send().await.unwrap(), first);
    drop(registry);
    assert_eq!(send().await.unwrap(), first);
}

#[tokio::test]
async fn what_a_registry_does_not_confirm_is_refused_or_recorded_as_such() {
    let registry = RealRegistry::start();
    let first = registry.push("1", LABELS).await.to_string();
    let other = registry.push("2", OTHER_LABELS).await.to_string();
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let mut harness = Harness::with_deployment().await;
    let missing = (Code::FailedPrecondition, ErrorReason::ImageMissing);
    let invalid = (Code::InvalidArgument, ErrorReason::InvalidFields);
    for (revision, refused, reason) in [
        (
            named(&registry, "1", &other, ""),
            invalid,
            "tag 1 points to",
        ),
        (
            named(&registry, "3", &first, ""),
            invalid,
            "tag 3 does not exist",
        ),
        (
            named(&registry, "1", "", "3.1-10"),
            invalid,
            "Runtime 3.1-9",
        ),
        (
            named(&registry, "", &nowhere, "3.1-9"),
            missing,
            "does not have",
        ),
    ] {
        harness.ask(&registry, ImageVerifier::Require).await;
        let result = harness.deploy("alice", revision.clone()).await;
        assert_refused(result, refused.0, refused.1);
        harness.ask(&registry, ImageVerifier::Warn).await;
        let deploy = harness.deploy("alice", revision.clone()).await.unwrap();
        let (found, told) = verification(&deploy);
        assert_eq!(found, pb::ImageVerification::Unverified);
        assert!(told.contains(reason), "{told}");
        let (asked, recorded) = (revision.image.unwrap(), deploy.revision.unwrap());
        let digest = if asked.digest.is_empty() {
            &first
        } else {
            &asked.digest
        };
        assert_eq!(recorded.image.unwrap().digest, *digest);
    }
    // Without anything to record, there is nothing to warn of.
    for revision in [
        named(&registry, "3", "", "3.1-9"),
        named(&registry, "", &nowhere, ""),
    ] {
        let result = harness.deploy("alice", revision).await;
        assert_refused(result, missing.0, missing.1);
    }
    registry.push("plain", "{}").await;
    for verifier in [ImageVerifier::Warn, ImageVerifier::Require] as [Verifier; 2] {
        harness.ask(&registry, verifier).await;
        let result = harness
            .deploy("alice", named(&registry, "plain", "", ""))
            .await;
        let status = assert_refused(result, invalid.0, invalid.1);
        assert!(status.message().contains("no labels"), "{status:?}");
        let given = named(&registry, "plain", "", "3.1-9");
        let deploy = harness.deploy("alice", given).await.unwrap();
        assert_eq!(verification(&deploy).0, pb::ImageVerification::Verified);
    }
}

#[tokio::test]
async fn a_registry_that_is_down_stops_what_only_it_can_tell() {
    let registry = RealRegistry::start();
    let digest = registry.push("1", LABELS).await.to_string();
    let mut harness = Harness::with_deployment().await;
    let whole = named(&registry, "1", &digest, "3.1-9");
    let tagged = named(&registry, "1", "", "3.1-9");
    let unversioned = named(&registry, "1", &digest, "");
    harness.ask(&registry, ImageVerifier::Warn).await;
    let warning = harness.registry.images.clone();
    harness.ask(&registry, ImageVerifier::Require).await;
    drop(registry);

    let down = (Code::Unavailable, ErrorReason::DependencyUnavailable);
    let result = harness.deploy("alice", whole.clone()).await;
    let status = assert_refused(result, down.0, down.1);
    assert_eq!(metadata(&status, "dependency"), "the image registry");
    harness.registry.images = warning;
    for revision in [tagged, unversioned] {
        assert_refused(harness.deploy("alice", revision).await, down.0, down.1);
    }
    let deploy = harness.deploy("alice", whole).await.unwrap();
    let (found, told) = verification(&deploy);
    assert_eq!(found, pb::ImageVerification::Unverified);
    assert!(told.contains("cannot be reached"), "{told}");
}

#[tokio::test]
async fn a_rollback_is_blocked_by_an_image_that_is_gone() {
    let registry = RealRegistry::start();
    let mut harness = Harness::with_deployment().await;
    harness.ask(&registry, ImageVerifier::Require).await;
    let image = registry.push("1", LABELS).await;
    harness
        .deploy("alice", named(&registry, "1", "", ""))
        .await
        .unwrap();
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    harness.deploy("alice", dags(&bundle)).await.unwrap();
    registry.push("2", OTHER_LABELS).await;
    harness
        .deploy("alice", named(&registry, "2", "", ""))
        .await
        .unwrap();
    let blockers = |preview: pb::CreateRollbackDeployResponse| {
        let code = |blocker: &proto::common::v1::Blocker| (blocker.code(), blocker.subject.clone());
        preview.blockers.iter().map(code).collect::<Vec<_>>()
    };
    let gone = format!("{}/data/etl@{image}", registry.host);
    let gone = [(BlockerCode::ArtifactMissing, gone)];
    assert_eq!(blockers(harness.preview(2, RollbackScope::All).await), []);
    let claims = harness.claims(1).await;

    registry.delete(image).await;
    harness.advance(TimeDelta::seconds(31));
    assert_eq!(blockers(harness.preview(2, RollbackScope::All).await), gone);
    let claims = chassis::identity::PermitClaims {
        issue_time: DateTime::from_timestamp(harness.now().timestamp(), 0).unwrap(),
        expire_time: DateTime::from_timestamp(harness.now().timestamp() + 15, 0).unwrap(),
        ..claims
    };
    let write = || harness.rollback(ORCHESTRATOR, harness.request(&claims));
    let status = assert_refused(
        write().await,
        Code::FailedPrecondition,
        ErrorReason::RollbackBlocked,
    );
    assert_eq!(metadata(&status, "blockers"), "ARTIFACT_MISSING");

    // Nothing is lost: pushed again, the image can be rolled back to.
    registry.push("1", LABELS).await;
    let deploy = write().await.unwrap().deploy.unwrap();
    assert_eq!(
        deploy.revision.unwrap().image.unwrap().digest,
        image.to_string()
    );
}

#[tokio::test]
async fn a_rollback_waits_for_no_registry_unless_it_must() {
    let registry = RealRegistry::start();
    let mut harness = Harness::with_deployment().await;
    harness.ask(&registry, ImageVerifier::Warn).await;
    registry.push("1", LABELS).await;
    harness
        .deploy("alice", named(&registry, "1", "", ""))
        .await
        .unwrap();
    let bundle = harness.upload("alice", b"dags").await.unwrap();
    harness.deploy("alice", dags(&bundle)).await.unwrap();
    registry.push("2", OTHER_LABELS).await;
    harness
        .deploy("alice", named(&registry, "2", "", ""))
        .await
        .unwrap();
    let warning = harness.registry.images.clone();
    harness.ask(&registry, ImageVerifier::Require).await;
    drop(registry);

    let request = pb::CreateRollbackDeployRequest {
        parent: ETL.to_owned(),
        target_deploy: format!("{ETL}/deploys/2"),
        scope: RollbackScope::All.into(),
        validate_only: true,
        ..Default::default()
    };
    assert_refused(
        harness.rollback(ORCHESTRATOR, request).await,
        Code::Unavailable,
        ErrorReason::DependencyUnavailable,
    );
    harness.registry.images = warning;
    let claims = harness.claims(1).await;
    let request = harness.request(&claims);
    assert!(harness.rollback(ORCHESTRATOR, request).await.is_ok());
    assert_eq!(harness.latest().await, format!("{ETL}/deploys/4"));
}
