use std::time::Duration;

use chassis::args;
use chassis::transaction;
use chrono::TimeDelta;
use futures::StreamExt;
use model::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::super::watch_deploys::{Changes, Pace};
use super::{ETL, Harness, assert_refused, image};

const PATIENCE: Duration = Duration::from_secs(60);

impl Harness {
    pub(super) async fn watch(&self, who: &str, after_change: i64) -> Result<Changes, Status> {
        let request = pb::WatchDeploysRequest {
            parent: ETL.to_owned(),
            after_change,
            after_changes: Default::default(),
        };
        let response = self.registry.watch_deploys(self.call(who, request)).await?;
        Ok(response.into_inner())
    }
}

pub(super) async fn next(changes: &mut Changes) -> Result<pb::WatchDeploysResponse, Status> {
    let next = tokio::time::timeout(PATIENCE, changes.next()).await;
    next.expect("nothing came").expect("the stream ended")
}

/// The numbers of the next changes, up to this one.
pub(super) async fn up_to(changes: &mut Changes, last: i64) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let message = next(changes).await.unwrap();
        numbers.extend(message.changes.iter().map(|change| change.change));
        assert_eq!(numbers.last(), Some(&message.last_change));
    }
    numbers
}

#[tokio::test]
async fn a_watcher_sees_what_was_and_what_comes() {
    let harness = Harness::with_deployment().await;
    let deploy = harness.deploy("alice", image('a')).await.unwrap();
    let mut changes = harness.watch("alice", 0).await.unwrap();
    let message = next(&mut changes).await.unwrap();
    let [created, deployed] = message.changes.as_slice() else {
        panic!("{message:?}")
    };
    assert_eq!(created.kind(), pb::ChangeKind::DeploymentCreated);
    assert_eq!((created.change, created.deploy.as_str()), (1, ""));
    assert_eq!(deployed.kind(), pb::ChangeKind::DeployCreated);
    assert_eq!((deployed.change, &deployed.deploy), (2, &deploy.name));
    assert_eq!(deployed.state(), pb::DeployState::Deployed);
    assert_eq!(deployed.change_time, deploy.create_time);
    assert_eq!(message.last_change, 2);

    harness.deploy("alice", image('b')).await.unwrap();
    assert_eq!(up_to(&mut changes, 3).await, [3]);
    let change = harness.get_deployment("alice", ETL).await.unwrap().change;
    assert_eq!(change, 3);
}

#[tokio::test]
async fn many_watchers_miss_nothing_and_see_nothing_twice() {
    let harness = Harness::with_deployment().await;
    let mut early = Vec::new();
    for _ in 0..32 {
        early.push(harness.watch("alice", 1).await.unwrap());
    }
    for number in 0..40 {
        harness.deploy("alice", image('a')).await.unwrap();
        if number % 10 == 0 {
            early.push(harness.watch("alice", 1).await.unwrap());
        }
    }
    let all = (2..=41).collect::<Vec<_>>();
    for changes in &mut early {
        assert_eq!(up_to(changes, 41).await, all);
    }
    // Whoever comes back goes on where the stream broke off.
    for after in [1, 17, 40] {
        let mut changes = harness.watch("alice", after).await.unwrap();
        assert_eq!(
            up_to(&mut changes, 41).await,
            (after + 1..=41).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_watcher_that_is_far_behind_catches_up() {
    let harness = Harness::with_deployment().await;
    let hold = async |reason: String| {
        let request = pb::PlaceHoldRequest {
            name: ETL.to_owned(),
            reason,
        };
        harness
            .registry
            .place_hold(harness.call("alice", request))
            .await
            .unwrap();
    };
    let mut slow = harness.watch("alice", 0).await.unwrap();
    for number in 2..=600 {
        hold(number.to_string()).await;
    }
    assert_eq!(up_to(&mut slow, 600).await, (1..=600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_position_that_is_not_kept_or_not_there_is_told() {
    let harness = Harness::with_deployment().await;
    for digit in ['a', 'b', 'c'] {
        harness.deploy("alice", image(digit)).await.unwrap();
    }
    let forget = async |last: i64| {
        let forgotten: Result<u64, chassis::database::Error> =
            transaction!(harness.database.database, |tx| tx
                .execute("DELETE FROM deploy_changes WHERE change <= $1", args![last])
                .await);
        forgotten.unwrap();
    };
    forget(2).await;
    let trimmed = harness.watch("alice", 1).await.map(|_| ());
    assert_refused(trimmed, Code::OutOfRange, ErrorReason::ChangesTrimmed);
    let mut changes = harness.watch("alice", 2).await.unwrap();
    assert_eq!(up_to(&mut changes, 4).await, [3, 4]);
    forget(4).await;
    let trimmed = harness.watch("alice", 3).await.map(|_| ());
    assert_refused(trimmed, Code::OutOfRange, ErrorReason::ChangesTrimmed);
    let mut changes = harness.watch("alice", 4).await.unwrap();
    harness.deploy("alice", image('d')).await.unwrap();
    assert_eq!(up_to(&mut changes, 5).await, [5]);

    for after in [-1, 6, i64::MAX] {
        let wrong = harness.watch("alice", after).await.map(|_| ());
        assert_refused(wrong, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_permission_and_with_the_token() {
    let harness = Harness::with_deployment().await;
    let reads = PermissionSet::of(&[
        Permission::DeploymentConfigGet,
        Permission::DeploymentDeployRevisionsGet,
    ]);
    harness.grant("viewer", ETL, reads);
    let mut changes = harness.watch("viewer", 0).await.unwrap();
    assert_eq!(up_to(&mut changes, 1).await, [1]);
    let config = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    harness.authorization.revoke("viewer");
    harness.grant("viewer", ETL, config);
    let refused = next(&mut changes).await;
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let refused = harness.watch("viewer", 0).await.map(|_| ());
    assert_refused(
        refused,
        Code::PermissionDenied,
        ErrorReason::PermissionMissing,
    );
    let refused = harness.watch("nobody", 0).await.map(|_| ());
    assert_refused(refused, Code::NotFound, ErrorReason::ResourceNotFound);

    let mut changes = harness.watch("alice", 1).await.unwrap();
    harness.advance(TimeDelta::hours(2));
    let ended = next(&mut changes).await;
    assert_refused(ended, Code::Unauthenticated, ErrorReason::Unauthenticated);
}

#[tokio::test]
async fn a_quiet_stream_gives_signs_of_life() {
    let mut harness = Harness::with_deployment().await;
    harness.registry.watch_pace = Pace {
        recheck: Duration::from_secs(3_600),
        keep_alive: Duration::from_millis(5),
    };
    let mut changes = harness.watch("alice", 1).await.unwrap();
    for _ in 0..3 {
        let message = next(&mut changes).await.unwrap();
        assert_eq!((message.changes.len(), message.last_change), (0, 1));
    }
}
