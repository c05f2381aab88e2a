//! Watching a workspace: who sees what of it, and that nobody misses anything, whatever breaks.

use std::collections::BTreeMap;

use proto::registry::v1::{
    DagDeployMode, DeleteDeploymentRequest, WatchDeploysRequest, WatchDeploysResponse,
};

#[cfg(feature = "test-postgres")]
use crate::harness::Person;
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Setup};

const BILLING: &str = "workspaces/acme/deployments/billing";

on_both_databases!(a_workspace_is_watched_as_far_as_one_may_see_it,);

/// What somebody was told of the histories of a workspace, by Deployment.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told(BTreeMap<String, Vec<i64>>);

impl Told {
    fn add(&mut self, message: &WatchDeploysResponse) {
        for change in &message.changes {
            let of = self.0.entry(change.deployment.clone()).or_default();
            of.push(change.change);
        }
        for (name, last) in &message.last_changes {
            assert_eq!(self.0[name].last(), Some(last));
        }
    }

    fn has_come_to(&self, name: &str, last: i64) -> bool {
        self.0.get(name).and_then(|numbers| numbers.last()) == Some(&last)
    }

    /// Where to go on.
    fn request(&self) -> WatchDeploysRequest {
        let last = self.0.iter();
        let last = last.map(|(name, numbers)| (name.clone(), *numbers.last().unwrap()));
        WatchDeploysRequest {
            parent: WORKSPACE.to_owned(),
            after_change: 0,
            after_changes: last.collect(),
        }
    }

    fn assert_is(&self, expected: &[(&str, i64)]) {
        let all = expected.iter();
        let all = all.map(|(name, last)| ((*name).to_owned(), (1..=*last).collect()));
        assert_eq!(*self, Self(all.collect()));
    }
}

async fn a_workspace_is_watched_as_far_as_one_may_see_it(setup: Setup) {
    let orders = Orders::new(setup).await;
    let (admin, sam) = (&orders.admin, &orders.sam);
    admin
        .create_deployment(BILLING, DagDeployMode::DagOnly)
        .await;
    let mut all = done(
        admin
            .registry()
            .watch_deploys(Told::default().request())
            .await,
    );
    let mut some = done(
        sam.registry()
            .watch_deploys(Told::default().request())
            .await,
    );
    let later = "workspaces/acme/deployments/later";
    admin.create_deployment(later, DagDeployMode::Image).await;
    admin.ship(BILLING, image('a', "3.1-9")).await;
    admin.ship(DEPLOYMENT, image('a', "3.1-9")).await;
    let delete = DeleteDeploymentRequest {
        name: later.to_owned(),
        ..DeleteDeploymentRequest::default()
    };
    done(admin.registry().delete_deployment(delete).await);

    let mut told = Told::default();
    for (name, last) in [(later, 2), (BILLING, 2), (DEPLOYMENT, 2)] {
        while !told.has_come_to(name, last) {
            told.add(&all.message().await.unwrap().unwrap());
        }
    }
    told.assert_is(&[(BILLING, 2), (later, 2), (DEPLOYMENT, 2)]);
    let mut told = Told::default();
    while !told.has_come_to(DEPLOYMENT, 2) {
        told.add(&some.message().await.unwrap().unwrap());
    }
    told.assert_is(&[(DEPLOYMENT, 2)]);
    // What is granted comes into sight, in the stream that is open, with all that was before.
    admin
        .bind(BILLING, &sam.principal, "roles/DEPLOYMENT_VIEWER")
        .await;
    while !told.has_come_to(BILLING, 2) {
        told.add(&some.message().await.unwrap().unwrap());
    }
    told.assert_is(&[(BILLING, 2), (DEPLOYMENT, 2)]);
}

/// Follows a workspace until both Deployments have come to this change, at one replica or another. Few open
/// a stream at once, as clients do that wait a while before they come back.
#[cfg(feature = "test-postgres")]
async fn follow(
    mut at: [Person; 2],
    last: i64,
    turns: std::sync::Arc<tokio::sync::Semaphore>,
) -> (Told, usize) {
    let mut told = Told::default();
    let mut streams = 0;
    loop {
        let mut turn = Some(turns.acquire().await.unwrap());
        let [person, _] = &at;
        if let Ok(opened) = person.registry().watch_deploys(told.request()).await {
            streams += 1;
            let mut changes = opened.into_inner();
            while let Ok(Some(message)) = changes.message().await {
                turn = None;
                told.add(&message);
                if told.has_come_to(DEPLOYMENT, last) && told.has_come_to(BILLING, last) {
                    return (told, streams);
                }
            }
        }
        drop(turn);
        at.reverse();
    }
}

#[cfg(feature = "test-postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_of_a_replica_that_dies_see_each_change_once_at_the_other() {
    use std::time::Duration;

    use crate::harness::Addresses;

    const LAST: i64 = 12;

    let mut orders = Orders::new(Setup::postgres().await).await;
    orders
        .admin
        .create_deployment(BILLING, DagDeployMode::DagOnly)
        .await;
    let other = orders.stack.registry.replica().await;
    let elsewhere = Addresses {
        registry: other.address,
        ..orders.stack.addresses()
    };
    // A connection takes 512 calls at once, so that there are a few.
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(16));
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let here = orders.stack.person("admin");
        let there = here.at(elsewhere);
        for _ in 0..250 {
            watchers.spawn(follow([here.clone(), there.clone()], LAST, turns.clone()));
        }
    }
    // And one that has been at the other all the time.
    let there = orders.admin.at(elsewhere);
    watchers.spawn(follow([there.clone(), there.clone()], LAST, turns));

    let change = async |person: &Person, changes: i64| {
        for _ in 0..changes {
            for name in [DEPLOYMENT, BILLING] {
                person.ship(name, image('a', "3.1-9")).await;
            }
        }
    };
    change(&orders.admin, 3).await;
    change(&there, 2).await;
    orders.stack.registry.kill();
    change(&there, LAST - 6).await;

    let mut moved = 0;
    let all = async {
        while let Some(watcher) = watchers.join_next().await {
            let (told, streams) = watcher.unwrap();
            told.assert_is(&[(BILLING, LAST), (DEPLOYMENT, LAST)]);
            moved += usize::from(streams > 1);
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(300), all).await;
    all.expect("a watcher waits in vain");
    assert!(moved > 0, "nobody was cut off");
}
