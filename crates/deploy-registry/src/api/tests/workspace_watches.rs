use std::collections::BTreeMap;
use std::time::Duration;

use model::{Permission, PermissionSet};
use proto::common::v1::ErrorReason;
use proto::registry::v1 as pb;
use proto::registry::v1::deploy_registry_service_server::DeployRegistryService;
use tonic::{Code, Status};

use super::super::watch_deploys::Changes;
use super::watches::next;
use super::{ETL, Harness, WORKSPACE, assert_refused, image, metadata};
use crate::feed::{Feed, MOST_AT_ONCE};

const BILLING: &str = "workspaces/data/deployments/billing";
const READS: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentConfigGet,
    Permission::DeploymentDeployRevisionsGet,
]);

impl Harness {
    async fn watch_all(&self, who: &str, known: &[(&str, i64)]) -> Result<Changes, Status> {
        let request = pb::WatchDeploysRequest {
            parent: WORKSPACE.to_owned(),
            after_change: 0,
            after_changes: known
                .iter()
                .map(|(name, change)| (name.to_string(), *change))
                .collect(),
        };
        let response = self.registry.watch_deploys(self.call(who, request)).await?;
        Ok(response.into_inner())
    }

    async fn change(&self, name: &str) {
        let request = pb::PlaceHoldRequest {
            name: name.to_owned(),
            reason: self.environment.new_uuid().to_string(),
        };
        let placed = self.registry.place_hold(self.call("alice", request)).await;
        placed.unwrap();
    }
}

/// What a watcher of a workspace was told: each history's numbers.
#[derive(Debug, Default, PartialEq)]
struct Told(BTreeMap<String, Vec<i64>>);

impl Told {
    fn add(&mut self, message: &pb::WatchDeploysResponse) {
        assert!(message.changes.len() <= MOST_AT_ONCE);
        assert_eq!(message.last_change, 0);
        let mut last_changes = BTreeMap::new();
        for change in &message.changes {
            let of = self.0.entry(change.deployment.clone()).or_default();
            of.push(change.change);
            last_changes.insert(change.deployment.clone(), change.change);
        }
        assert_eq!(message.last_changes, last_changes);
    }

    /// Reads on until the history of this Deployment has come to this change.
    async fn up_to(&mut self, changes: &mut Changes, name: &str, last: i64) {
        while self.0.get(name).and_then(|numbers| numbers.last()) != Some(&last) {
            self.add(&next(changes).await.unwrap());
        }
    }

    /// From the first change that is expected of each Deployment to the last.
    fn assert_is(&self, expected: &[(&str, i64, i64)]) {
        let expected = expected
            .iter()
            .map(|(name, first, last)| (name.to_string(), (*first..=*last).collect()));
        assert_eq!(self.0, expected.collect());
    }
}

#[tokio::test]
async fn a_workspace_is_watched_with_what_is_yet_to_come_and_what_was_deleted() {
    let harness = Harness::with_deployment().await;
    harness.deploy("alice", image('a')).await.unwrap();
    harness.create_deployment("billing").await;
    let mut changes = harness.watch_all("alice", &[(ETL, 1)]).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, BILLING, 1).await;
    told.up_to(&mut changes, ETL, 2).await;

    harness.create_deployment("later").await;
    let later = "workspaces/data/deployments/later";
    told.up_to(&mut changes, later, 1).await;
    let delete = pb::DeleteDeploymentRequest {
        name: BILLING.to_owned(),
        ..Default::default()
    };
    let deleted = harness
        .registry
        .delete_deployment(harness.call("alice", delete))
        .await;
    deleted.unwrap();
    told.up_to(&mut changes, BILLING, 2).await;
    harness.deploy("alice", image('b')).await.unwrap();
    told.up_to(&mut changes, ETL, 3).await;
    told.assert_is(&[(BILLING, 1, 2), (ETL, 2, 3), (later, 1, 1)]);

    // Whoever comes back goes on where the stream broke off, with what was deleted too.
    let known = [(ETL, 3), (BILLING, 1), (later, 1)];
    let mut changes = harness.watch_all("alice", &known).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, BILLING, 2).await;
    told.assert_is(&[(BILLING, 2, 2)]);
}

#[tokio::test]
async fn only_what_the_caller_may_see_is_told_while_that_changes() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("billing").await;
    harness.grant("viewer", ETL, READS);
    let mut changes = harness.watch_all("viewer", &[]).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, ETL, 1).await;
    harness.change(BILLING).await;
    harness.change(ETL).await;
    told.up_to(&mut changes, ETL, 2).await;
    told.assert_is(&[(ETL, 1, 2)]);

    // Granted: all of it, from the beginning.
    harness.grant("viewer", BILLING, READS);
    told.up_to(&mut changes, BILLING, 2).await;
    // Taken away: nothing more.
    harness.authorization.revoke("viewer");
    harness.grant("viewer", BILLING, READS);
    let calls = harness.authorization.calls();
    let mut last = 2;
    while harness.authorization.calls() == calls {
        harness.change(BILLING).await;
        last += 1;
        told.up_to(&mut changes, BILLING, last).await;
    }
    // Now that was asked again.
    harness.change(ETL).await;
    harness.change(BILLING).await;
    told.up_to(&mut changes, BILLING, last + 1).await;
    told.assert_is(&[(BILLING, 1, last + 1), (ETL, 1, 2)]);
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_workspace() {
    let mut harness = Harness::with_deployment().await;
    harness.registry.watch_pace.keep_alive = Duration::from_millis(5);
    let mut changes = harness.watch_all("nobody", &[(ETL, 77)]).await.unwrap();
    for _ in 0..3 {
        let message = next(&mut changes).await.unwrap();
        assert_eq!(message, pb::WatchDeploysResponse::default());
    }
}

#[tokio::test]
async fn a_position_that_is_none_is_told_with_its_key() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("billing").await;
    harness.grant("viewer", ETL, READS);
    let key = |name: &str| format!("after_changes[{name}]: ");
    for (who, known, told) in [
        ("alice", (ETL, -1), key(ETL)),
        ("alice", (ETL, 2), key(ETL)),
        ("alice", (BILLING, i64::MAX), key(BILLING)),
        ("viewer", (ETL, 2), key(ETL)),
        ("viewer", (BILLING, i64::MIN), key(BILLING)),
        ("alice", ("etl", 1), "after_changes: ".to_owned()),
        (
            "alice",
            ("workspaces/other/deployments/etl", 1),
            "after_changes: ".to_owned(),
        ),
    ] {
        let wrong = harness.watch_all(who, &[known]).await.map(|_| ());
        let status = assert_refused(wrong, Code::InvalidArgument, ErrorReason::InvalidFields);
        assert!(status.message().starts_with(&told), "{status}");
    }
    // Of what the viewer may not see nothing is told, not even that it is there.
    let unseen = [
        (ETL, 1),
        (BILLING, 9),
        ("workspaces/data/deployments/none", 9),
    ];
    harness
        .watch_all("viewer", &unseen)
        .await
        .map(|_| ())
        .unwrap();

    let names = (0..10_001).map(|n| format!("workspaces/data/deployments/d{n}"));
    let names = names.collect::<Vec<_>>();
    let many = names.iter().map(|name| (name.as_str(), 1));
    let many = many.collect::<Vec<_>>();
    let wrong = harness.watch_all("alice", &many).await.map(|_| ());
    assert_refused(wrong, Code::InvalidArgument, ErrorReason::InvalidFields);
    harness
        .watch_all("alice", &many[1..])
        .await
        .map(|_| ())
        .unwrap();

    for (parent, after_change, named) in [(WORKSPACE, 1, None), (ETL, 0, Some((ETL, 1)))] {
        let named = named.into_iter();
        let request = pb::WatchDeploysRequest {
            parent: parent.to_owned(),
            after_change,
            after_changes: named
                .map(|(name, after)| (name.to_owned(), after))
                .collect(),
        };
        let call = harness.call("alice", request);
        let wrong = harness.registry.watch_deploys(call).await.map(|_| ());
        assert_refused(wrong, Code::InvalidArgument, ErrorReason::InvalidFields);
    }
}

#[tokio::test]
async fn a_gap_is_told_with_its_deployment_and_never_passed_over() {
    let harness = Harness::with_deployment().await;
    harness.create_deployment("billing").await;
    harness.make_changes(BILLING, 10).await;
    harness.forget_changes(BILLING, 4).await;
    harness.grant("viewer", ETL, READS);

    let trimmed = |result: Result<Changes, Status>| {
        let status = assert_refused(
            result.map(|_| ()),
            Code::OutOfRange,
            ErrorReason::ChangesTrimmed,
        );
        assert_eq!(metadata(&status, "deployment"), BILLING);
    };
    trimmed(harness.watch_all("alice", &[]).await);
    trimmed(harness.watch_all("alice", &[(BILLING, 3), (ETL, 1)]).await);
    let mut changes = harness.watch_all("alice", &[(BILLING, 4)]).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, BILLING, 10).await;

    // One that comes into sight without its beginning ends the stream.
    let mut changes = harness.watch_all("viewer", &[]).await.unwrap();
    Told::default().up_to(&mut changes, ETL, 1).await;
    harness.grant("viewer", BILLING, READS);
    trimmed(next(&mut changes).await.map(|_| unreachable!()));
}

#[tokio::test]
async fn a_busy_deployment_keeps_nobody_waiting() {
    let harness = Harness::with_deployment().await;
    harness.make_changes(ETL, 5_000).await;
    let quiet = ["a", "b", "c"].map(|id| format!("workspaces/data/deployments/{id}"));
    for id in ["a", "b", "c"] {
        harness.create_deployment(id).await;
    }
    let mut changes = harness.watch_all("alice", &[]).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, &quiet[2], 1).await;
    assert!(told.0[ETL].len() <= MOST_AT_ONCE, "{}", told.0[ETL].len());
    let mut follower = harness.registry.feed.follow().unwrap();
    let workspace = WORKSPACE.parse().unwrap();
    for name in &quiet {
        harness.change(name).await;
        while follower.standings(&workspace)[&name.parse().unwrap()].count < 2 {
            follower.moved().await.unwrap();
        }
        let before = told.0[ETL].len();
        told.up_to(&mut changes, name, 2).await;
        // What is behind by thousands goes on, but not before the others.
        let meanwhile = told.0[ETL].len() - before;
        assert!(meanwhile <= MOST_AT_ONCE, "{meanwhile}");
    }
    told.up_to(&mut changes, ETL, 5_000).await;
    assert_eq!(told.0[ETL], (1..=5_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_deployments_take_turns_in_messages_that_stay_small() {
    let harness = Harness::with_deployment().await;
    let mut expected = vec![(ETL.to_owned(), 40)];
    harness.make_changes(ETL, 40).await;
    for number in 0..60 {
        let id = format!("d{number}");
        let name = harness.create_deployment(&id).await.name;
        harness.make_changes(&name, 40).await;
        expected.push((name, 40));
    }
    let mut changes = harness.watch_all("alice", &[]).await.unwrap();
    let mut told = Told::default();
    // 61 histories of 40 changes, by 16 at a time: everybody had a turn before anybody has a second one.
    while told.0.len() < expected.len() {
        told.add(&next(&mut changes).await.unwrap());
        let most = told.0.values().map(Vec::len).max();
        let all = told.0.len() == expected.len();
        assert!(most <= Some(16) || all, "{most:?}");
    }
    for (name, last) in &expected {
        told.up_to(&mut changes, name, *last).await;
    }
    let expected = expected
        .iter()
        .map(|(name, last)| (name.as_str(), 1, *last));
    told.assert_is(&expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_change_is_told_at_once_where_it_was_made() {
    let mut harness = Harness::with_deployment().await;
    let hour = Duration::from_secs(3_600);
    let store = harness.registry.store.clone();
    let (feed, poller) = Feed::new(store, harness.environment.clone(), hour);
    tokio::spawn(poller.run(std::future::pending()));
    harness.registry.feed = feed;
    let mut changes = harness.watch_all("alice", &[]).await.unwrap();
    let mut told = Told::default();
    told.up_to(&mut changes, ETL, 1).await;
    for change in 2..5 {
        harness.change(ETL).await;
        told.up_to(&mut changes, ETL, change).await;
    }
}

#[tokio::test]
async fn a_thousand_watchers_at_two_replicas_see_each_change_once_and_in_order() {
    const EACH: i64 = 20;

    let mut harness = Harness::with_deployment().await;
    harness.registry.watch_pace.recheck = Duration::from_secs(3_600);
    harness.create_deployment("billing").await;
    // Another replica has a feed of its own, over the same database.
    let mut other = harness.registry.clone();
    let poll = Duration::from_millis(5);
    let (feed, poller) = Feed::new(other.store.clone(), harness.environment.clone(), poll);
    tokio::spawn(poller.run(std::future::pending()));
    other.feed = feed;
    let open = async |index: usize, known: &BTreeMap<String, i64>| {
        let request = pb::WatchDeploysRequest {
            parent: WORKSPACE.to_owned(),
            after_change: 0,
            after_changes: known.clone().into_iter().collect(),
        };
        let registry = [&harness.registry, &other][index % 2];
        let opened = registry.watch_deploys(harness.call("alice", request)).await;
        opened.unwrap().into_inner()
    };
    let mut watchers = Vec::new();
    for index in 0..1_000 {
        let mut changes = open(index, &BTreeMap::new()).await;
        let mut told = Told::default();
        told.up_to(&mut changes, ETL, 1).await;
        watchers.push((index, changes, told));
    }
    let writing = async {
        for _ in 1..EACH {
            harness.change(ETL).await;
            harness.change(BILLING).await;
        }
    };
    // Each that comes back is asked about, and the stand-in is slow.
    let turns = tokio::sync::Semaphore::new(8);
    let watching = watchers
        .into_iter()
        .map(async |(index, mut changes, mut told)| {
            if index % 3 == 0 {
                // Breaks off, and goes on at the other replica.
                let _turn = turns.acquire().await.unwrap();
                drop(changes);
                let known = told.0.iter();
                let known = known.map(|(name, numbers)| (name.clone(), *numbers.last().unwrap()));
                changes = open(index + 1, &known.collect()).await;
                told.add(&next(&mut changes).await.unwrap());
            }
            told.up_to(&mut changes, ETL, EACH).await;
            told.up_to(&mut changes, BILLING, EACH).await;
            told
        });
    let (told, ()) = tokio::join!(futures::future::join_all(watching), writing);
    for told in told {
        told.assert_is(&[(ETL, 1, EACH), (BILLING, 1, EACH)]);
    }
}
