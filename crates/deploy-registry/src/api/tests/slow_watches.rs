use std::time::Duration;

use chassis::{args, transaction};
use proto::common::v1::ErrorReason;
use tonic::Code;

use super::watches::{next, up_to};
use super::{ETL, Harness, assert_refused};
use crate::feed::{Feed, MOST_AT_ONCE};

impl Harness {
    /// Has a Deployment changed so often, by the shortest way, which is not that of the store.
    pub(super) async fn make_changes(&self, name: &str, up_to: i64) {
        let name = name.parse().unwrap();
        let found = self
            .registry
            .store
            .deployment(&name)
            .await
            .unwrap()
            .unwrap();
        let uid = found.uid.get();
        let made: Result<u64, chassis::database::Error> =
            transaction!(self.database.database, |tx| {
                tx.execute(
                    "WITH RECURSIVE s (n) AS (
                         SELECT CAST($2 AS BIGINT) UNION ALL SELECT n + 1 FROM s WHERE n < $3
                     )
                     INSERT INTO deploy_changes (deployment_uid, change, kind, create_time)
                     SELECT $1, n, 'HOLD_PLACED', $4 FROM s",
                    args![uid, found.change + 1, up_to, self.now()],
                )
                .await?;
                tx.execute(
                    "UPDATE deployments SET change = $2 WHERE uid = $1",
                    args![uid, up_to],
                )
                .await
            });
        made.unwrap();
    }

    /// Forgets the changes of a Deployment up to this one.
    pub(super) async fn forget_changes(&self, name: &str, last: i64) {
        let name = name.parse().unwrap();
        let found = self
            .registry
            .store
            .deployment(&name)
            .await
            .unwrap()
            .unwrap();
        let forgotten = self.registry.store.trim_changes_to(found.uid, last).await;
        forgotten.unwrap();
    }
}

#[tokio::test]
async fn a_watcher_that_takes_its_time_misses_nothing_and_nothing_piles_up_for_it() {
    const ALL: i64 = 50_000;

    let harness = Harness::with_deployment().await;
    let mut quick = harness.watch("alice", 1).await.unwrap();
    let mut slow = harness.watch("alice", 0).await.unwrap();
    for last in (10_000..=ALL).step_by(10_000) {
        harness.make_changes(ETL, last).await;
        up_to(&mut quick, last).await;
        let held = harness.registry.feed.held_changes().await;
        assert!(held <= 2 * MOST_AT_ONCE, "{held} changes are held");
    }
    let told = up_to(&mut slow, ALL).await;
    assert_eq!(told, (1..=ALL).collect::<Vec<_>>());
    let held = harness.registry.feed.held_changes().await;
    assert!(held <= 2 * MOST_AT_ONCE, "{held} changes are held");
}

#[tokio::test]
async fn a_watcher_that_takes_too_long_is_told_to_begin_anew() {
    let harness = Harness::with_deployment().await;
    let mut slow = harness.watch("alice", 0).await.unwrap();
    harness.make_changes(ETL, 1_000).await;
    let first = next(&mut slow).await.unwrap();
    assert!(first.last_change < 500, "{}", first.last_change);
    harness.forget_changes(ETL, 999).await;
    let refused = loop {
        match next(&mut slow).await {
            Ok(message) => assert!(message.last_change < 1_000),
            Err(status) => break status,
        }
    };
    let refused = Err::<(), _>(refused);
    assert_refused(refused, Code::OutOfRange, ErrorReason::ChangesTrimmed);
}

#[tokio::test]
async fn of_a_long_history_the_newest_changes_are_kept() {
    const KEPT: i64 = 100_000;

    let harness = Harness::with_deployment().await;
    harness.make_changes(ETL, KEPT + 500).await;
    let store = harness.registry.store.clone();
    let environment = harness.environment.clone();
    let (_feed, poller) = Feed::new(store, environment, Duration::from_millis(1));
    tokio::spawn(poller.run(std::future::pending()));
    let workspace = super::WORKSPACE.parse().unwrap();
    let trimmed = async {
        loop {
            let kept = harness
                .registry
                .store
                .kept_changes(&workspace)
                .await
                .unwrap();
            match kept[0].oldest {
                Some(1) => tokio::task::yield_now().await,
                oldest => break oldest,
            }
        }
    };
    let oldest = tokio::time::timeout(Duration::from_secs(60), trimmed).await;
    assert_eq!(oldest.unwrap(), Some(501));
    let trimmed = harness.watch("alice", 499).await.map(|_| ());
    assert_refused(trimmed, Code::OutOfRange, ErrorReason::ChangesTrimmed);
    let mut changes = harness.watch("alice", 500).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().changes[0].change, 501);
}
