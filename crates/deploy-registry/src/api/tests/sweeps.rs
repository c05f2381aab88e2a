//! CollectExpired, and what a sweep leaves in the bundle store.

use super::*;
use crate::domain::BundleObject;
use crate::sweep::{Error, Report, Sweeper};

impl Harness {
    fn sweeper(&self) -> Sweeper {
        Sweeper {
            store: self.registry.store.clone(),
            bundles: self.registry.bundles.clone(),
            environment: self.environment.clone(),
            retention: self.registry.retention,
        }
    }

    /// From now on the time is that of the files.
    fn follow_the_system(&self) {
        let now = Environment::system().now();
        self.seconds.store(now.timestamp(), Ordering::SeqCst);
    }

    async fn collect(
        &self,
        who: &str,
        validate_only: bool,
    ) -> Result<pb::CollectExpiredResponse, Status> {
        let request = pb::CollectExpiredRequest { validate_only };
        let response = self
            .registry
            .collect_expired(self.call(who, request))
            .await?;
        Ok(response.into_inner())
    }

    async fn sweep(&self) -> Report {
        self.sweeper().run(TimeDelta::zero()).await.unwrap()
    }
}

fn collected(names: &[&str], bytes: i64) -> pb::CollectExpiredResponse {
    pb::CollectExpiredResponse {
        removed_bundles: names.iter().map(|name| (*name).to_owned()).collect(),
        removed_count: names.len().try_into().unwrap(),
        removed_bytes: bytes,
        ..Default::default()
    }
}

#[tokio::test]
async fn an_administrator_collects_what_no_deploy_needs() {
    let harness = Harness::with_deployment().await;
    harness.grant(
        "root",
        "system",
        PermissionSet::of(&[Permission::SystemCleanupDeployRevisionsDelete]),
    );
    harness.deploy("alice", image('a')).await.unwrap();
    let kept = harness.upload("alice", b"kept").await.unwrap();
    harness.deploy("alice", dags(&kept)).await.unwrap();
    let lost = harness.upload("alice", b"forgotten").await.unwrap();
    let nothing = pb::CollectExpiredResponse::default();
    assert_eq!(harness.collect("root", false).await.unwrap(), nothing);

    harness.advance(TimeDelta::hours(24));
    let marked = pb::CollectExpiredResponse {
        marked_bundles: vec![lost.name.clone()],
        marked_count: 1,
        ..Default::default()
    };
    assert_eq!(harness.collect("root", true).await.unwrap(), marked);
    assert_eq!(harness.collect("root", false).await.unwrap(), marked);
    harness.advance(TimeDelta::minutes(5));
    let gone = collected(&[lost.name.as_str()], 9);
    assert_eq!(harness.collect("root", true).await.unwrap(), gone);
    assert_eq!(harness.files().len(), 2);
    assert_eq!(harness.collect("root", false).await.unwrap(), gone);
    assert_eq!(harness.files().len(), 1);
    assert_eq!(harness.collect("root", false).await.unwrap(), nothing);

    let request = pb::GetDagBundleRequest { name: lost.name };
    let call = harness.call("alice", request);
    let found = harness.registry.get_dag_bundle(call).await;
    assert_refused(found, Code::NotFound, ErrorReason::ResourceNotFound);
}

#[tokio::test]
async fn nobody_else_collects() {
    let harness = Harness::with_deployment().await;
    for validate_only in [true, false] {
        // alice may do everything in the workspace.
        let status = assert_refused(
            harness.collect("alice", validate_only).await,
            Code::PermissionDenied,
            ErrorReason::PermissionMissing,
        );
        assert_eq!(
            metadata(&status, "permissions"),
            "system.cleanupDeployRevisions.delete"
        );
    }
}

#[tokio::test]
async fn two_sweeps_do_not_go_on_at_once() {
    let harness = Harness::with_deployment().await;
    harness.grant(
        "root",
        "system",
        PermissionSet::of(&[Permission::SystemCleanupDeployRevisionsDelete]),
    );
    let other = harness.environment.new_uuid();
    let none = TimeDelta::zero();
    assert!(
        harness
            .registry
            .store
            .begin_sweep(other, none)
            .await
            .unwrap()
    );
    assert_refused(
        harness.collect("root", false).await,
        Code::Aborted,
        ErrorReason::SweepInProgress,
    );
    // Whoever only looks is in nobody's way.
    harness.collect("root", true).await.unwrap();
    harness.registry.store.end_sweep(other).await.unwrap();
    harness.collect("root", false).await.unwrap();
    let rested = harness.sweeper().run(TimeDelta::minutes(30)).await;
    assert!(matches!(rested, Err(Error::Taken)), "{rested:?}");
}

#[tokio::test]
async fn what_a_crash_left_of_a_sweep_or_an_upload_goes_with_a_later_sweep() {
    let harness = Harness::with_deployment().await;
    harness.follow_the_system();
    let kept = harness.upload("alice", b"kept").await.unwrap();
    harness.deploy("alice", image('a')).await.unwrap();
    harness.deploy("alice", dags(&kept)).await.unwrap();
    harness.upload("alice", b"swept").await.unwrap();
    let deployments = harness.registry.store.deployments_to_sweep(None).await;
    let deployment = deployments.unwrap().remove(0);

    // A sweep that crashed between the row and the bytes.
    harness.advance(TimeDelta::hours(25));
    assert_eq!(harness.sweep().await.marked_count, 1);
    harness.advance(TimeDelta::minutes(5));
    let rules = crate::store::SweepRules {
        retention: harness.registry.retention,
        now: harness.now(),
    };
    let store = &harness.registry.store;
    let swept = store.sweep_bundles(&deployment, None, rules, false).await;
    assert_eq!(swept.unwrap().removed.len(), 1);
    // An upload that crashed between the bytes and the row, and one amid the bytes.
    for (name, whole) in [("unnoted", true), ("half", false)] {
        let object = BundleObject::stored(name);
        let bundles = &harness.registry.bundles;
        let mut upload = bundles.upload(deployment.uid, &object).await.unwrap();
        upload.push(&[7; 6_000_000]).await.unwrap();
        if whole {
            upload.publish().await.unwrap();
        } else {
            std::mem::forget(upload);
        }
    }
    assert_eq!(harness.files().len(), 4);

    // They are a day old only by the clock of the service: by then they go, and not before.
    harness.follow_the_system();
    harness.sweep().await;
    assert_eq!(harness.files().len(), 4);
    harness.advance(TimeDelta::hours(25));
    harness.sweep().await;
    let left = harness.files();
    assert_eq!(left.len(), 1);
    assert!(left[0].contains(&kept.sha256), "{left:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_removes_nothing_too_early() {
    let harness = Harness::with_deployment().await;
    harness.upload("alice", b"forgotten").await.unwrap();
    harness.advance(TimeDelta::days(400));
    assert_eq!(harness.sweep().await.marked_count, 1);
    harness.advance(TimeDelta::days(-398));
    // The mark counts from now.
    assert_eq!(harness.sweep().await.marked_count, 1);
    harness.advance(TimeDelta::minutes(4));
    assert_eq!(harness.sweep().await, Report::default());
    harness.advance(TimeDelta::minutes(1));
    assert_eq!(harness.sweep().await.removed_count, 1);
}
