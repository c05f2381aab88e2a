use chassis::args;
use chassis::testing::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use model::{DeployName, Scope, Sha256Digest};
use uuid::Uuid;

use super::{Fixture, bundle, dags, image, name, new_deploy, number, time};
use crate::domain::{Blocker, BlockerCode, Refusal, Retention, StoredBundle};
use crate::store::{Error, NewDeploy, SweepRules, SweptBundles, SweptDeployment, WriteRollback};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_bundle_stays_while_a_deploy_needs_it,
    a_bundle_that_no_deploy_refers_to_stays_for_a_day,
    a_deploy_or_an_upload_in_between_keeps_a_marked_bundle,
    what_would_go_is_told_without_a_change,
    a_bundle_that_is_removed_frees_its_room_and_is_missing_from_history,
    bundles_are_swept_page_by_page,
    one_replica_sweeps_at_a_time,
    no_sweep_takes_what_a_deploy_at_the_same_time_needs,
    no_sweep_takes_what_an_upload_at_the_same_time_brings,
    no_sweep_takes_what_a_rollback_at_the_same_time_needs,
);

const DAY: i64 = 24 * 60 * 60;
/// Longer than a marked bundle waits.
const LATER: i64 = 10 * 60;
const SIXTEEN: &str = "0123456789abcdef";

impl Fixture {
    async fn swept_deployment(&self) -> SweptDeployment {
        let uid = self.deployment().await.uid;
        let name = name("etl");
        SweptDeployment { uid, name }
    }

    /// Sweeps the bundles of `etl`, with a retention of 90 days.
    async fn sweep(&self, now: DateTime<Utc>) -> SweptBundles {
        let deployment = self.swept_deployment().await;
        let store = &self.store;
        let swept = store.sweep_bundles(&deployment, None, rules(now), false);
        swept.await.unwrap()
    }

    /// Marks what is not needed, and removes it as soon as that is possible.
    async fn sweep_twice(&self, now: DateTime<Utc>) -> Vec<Sha256Digest> {
        let mut gone = removed(&self.sweep(now).await);
        gone.extend(removed(&self.sweep(now + TimeDelta::seconds(LATER)).await));
        gone
    }

    async fn ship_at(&self, digest: Sha256Digest, second: i64) {
        let new = NewDeploy {
            time: time(second),
            ..new_deploy(dags(digest))
        };
        self.store.create_deploy(&new, None, false).await.unwrap();
    }

    async fn has(&self, digit: char) -> bool {
        let found = self.store.bundle(&bundle("etl", digit).name).await;
        found.unwrap().is_some()
    }
}

fn rules(now: DateTime<Utc>) -> SweepRules {
    let retention = Retention::days(90);
    SweepRules { retention, now }
}

fn digest(digit: char) -> Sha256Digest {
    bundle("etl", digit).name.digest()
}

fn removed(swept: &SweptBundles) -> Vec<Sha256Digest> {
    let removed = swept.removed.iter();
    removed.map(|bundle| bundle.name.digest()).collect()
}

fn marked(swept: &SweptBundles) -> Vec<Sha256Digest> {
    swept.marked.iter().map(|name| name.digest()).collect()
}

/// Deploy 1 is an image, 2 to 6 ship the bundles `a` to `e`, each a second after the one before.
async fn with_history(database: TestDatabase) -> Fixture {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    for (second, digit) in (2..).zip("abcde".chars()) {
        let digest = fixture.bundle(digit).await;
        fixture.ship_at(digest, second).await;
    }
    fixture
}

async fn a_bundle_stays_while_a_deploy_needs_it(database: TestDatabase) {
    let fixture = with_history(database).await;
    let pin = "UPDATE deploys SET pin_by = 'user:alice', pin_time = 1 WHERE number = 3";
    fixture.set(pin, args![]).await;
    // Deploy 2 ceased to be current at second 3, so that it expires 90 days after that.
    let expiry = time(3 + 90 * DAY);
    let before = expiry - TimeDelta::seconds(LATER + 1);
    assert_eq!(fixture.sweep_twice(before).await, []);
    assert_eq!(fixture.sweep_twice(expiry).await, [digest('a')]);
    // 3 is pinned, 4 expires, 5 is the one before the current one, which is 6.
    let late = time(1_000 * DAY);
    assert_eq!(fixture.sweep_twice(late).await, [digest('c')]);
    assert_eq!(fixture.sweep_twice(late).await, []);
    let unpin = "UPDATE deploys SET pin_by = NULL, pin_time = NULL";
    fixture.set(unpin, args![]).await;
    assert_eq!(fixture.sweep_twice(late).await, [digest('b')]);

    // A later deploy still needs the bundle that an expired one shipped.
    let first = fixture.bundle('f').await;
    fixture.ship_at(first, 3_001 * DAY).await;
    fixture.ship_at(digest('e'), 3_002 * DAY).await;
    let last = fixture.bundle('0').await;
    fixture.ship_at(last, 3_003 * DAY).await;
    let gone = [digest('d'), digest('f')];
    assert_eq!(fixture.sweep_twice(time(4_000 * DAY)).await, gone);
}

async fn a_bundle_that_no_deploy_refers_to_stays_for_a_day(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.bundle('a').await;
    // It was brought at second 0.
    assert_eq!(fixture.sweep(time(DAY - 1)).await, SweptBundles::default());
    let swept = fixture.sweep(time(DAY)).await;
    assert_eq!(marked(&swept), [digest('a')]);
    assert_eq!(removed(&swept), []);
    assert_eq!(
        fixture.sweep(time(DAY + 299)).await,
        SweptBundles::default()
    );
    let swept = fixture.sweep(time(DAY + 300)).await;
    assert_eq!(marked(&swept), []);
    assert_eq!(removed(&swept), [digest('a')]);
    assert_eq!(swept.removed[0].object, bundle("etl", 'a').object);
    assert!(!fixture.has('a').await);
    assert_eq!(fixture.sweep(time(2 * DAY)).await, SweptBundles::default());
}

async fn a_deploy_or_an_upload_in_between_keeps_a_marked_bundle(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for digit in ['a', 'b', 'c', 'd'] {
        fixture.bundle(digit).await;
    }
    let uid = fixture.deployment().await.uid;
    fixture.ship(image('a')).await;
    assert_eq!(fixture.sweep(time(DAY)).await.marked.len(), 4);
    fixture.ship_at(digest('a'), DAY + 1).await;
    let (b, store) = (bundle("etl", 'b').name, &fixture.store);
    let used = store.use_bundle(&b, time(DAY + 1)).await.unwrap();
    assert!(used.is_some());
    let again = StoredBundle {
        create_time: time(DAY + 1),
        ..bundle("etl", 'c')
    };
    fixture.add(uid, &again).await.unwrap();
    let swept = fixture.sweep(time(DAY + LATER)).await;
    assert_eq!(removed(&swept), [digest('d')]);
    // Those that were wanted have another day.
    assert_eq!(fixture.sweep_twice(time(2 * DAY)).await, []);
    let gone = [digest('b'), digest('c')];
    assert_eq!(fixture.sweep_twice(time(2 * DAY + 1)).await, gone);
    assert_eq!(store.use_bundle(&b, time(3 * DAY)).await.unwrap(), None);
}

async fn what_would_go_is_told_without_a_change(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.bundle('a').await;
    let deployment = fixture.swept_deployment().await;
    let preview = async |now| {
        let store = &fixture.store;
        let swept = store.sweep_bundles(&deployment, None, rules(now), true);
        swept.await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(marked(&preview(time(DAY)).await), [digest('a')]);
    }
    fixture.sweep(time(DAY)).await;
    for _ in 0..2 {
        let swept = preview(time(DAY + LATER)).await;
        assert_eq!(removed(&swept), [digest('a')]);
        assert!(fixture.has('a').await);
    }
}

async fn a_bundle_that_is_removed_frees_its_room_and_is_missing_from_history(
    database: TestDatabase,
) {
    let fixture = with_history(database).await;
    let uid = fixture.deployment().await.uid;
    let before = fixture.history().await;
    assert!(before.iter().all(|entry| !entry.deploy.artifacts_gone));
    let gone = fixture.sweep_twice(time(1_000 * DAY)).await;
    assert_eq!(gone, [digest('a'), digest('b'), digest('c')]);
    let after = fixture.history().await;
    let lost = after.iter().map(|entry| entry.deploy.artifacts_gone);
    assert_eq!(
        lost.collect::<Vec<_>>(),
        [false, false, true, true, true, false]
    );
    for (mut after, before) in after.into_iter().zip(before) {
        after.deploy.artifacts_gone = false;
        assert_eq!(after, before);
    }
    let second = DeployName::new(name("etl"), number(2));
    let is_gone = async || {
        let entry = fixture.store.deploy(&second).await.unwrap().unwrap();
        entry.deploy.artifacts_gone
    };
    assert!(is_gone().await);

    // Two bundles are left, and there is room for a third: the one that brings deploy 2 back.
    let (back, store) = (bundle("etl", 'a'), &fixture.store);
    match store.add_bundle(uid, &back, None, 3 * 1_024 - 1).await {
        Err(Error::QuotaExceeded { used, quota: _ }) => assert_eq!(used, 2_048),
        other => panic!("{other:?}"),
    }
    let room = 3 * 1_024;
    store.add_bundle(uid, &back, None, room).await.unwrap();
    assert!(!is_gone().await);
}

async fn bundles_are_swept_page_by_page(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let deployment = fixture.swept_deployment().await;
    for n in 0..450_u64 {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        let name = model::DagBundleName::new(name("etl"), Sha256Digest::new(digest));
        let new = StoredBundle {
            name,
            ..bundle("etl", 'a')
        };
        fixture.add(deployment.uid, &new).await.unwrap();
    }
    let (mut from, mut seen) = (None, Vec::new());
    for more in [true, true, false] {
        let store = &fixture.store;
        let swept = store.sweep_bundles(&deployment, from, rules(time(DAY)), false);
        let swept = swept.await.unwrap();
        seen.extend(marked(&swept));
        from = swept.last;
        assert_eq!(from.is_some(), more);
    }
    assert_eq!(seen.len(), 450);
    assert!(seen.is_sorted());
}

async fn one_replica_sweeps_at_a_time(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let (store, one, two) = (&fixture.store, Uuid::from_u128(1), Uuid::from_u128(2));
    let now = TimeDelta::zero();
    let racers = (10..18).map(|id| {
        let store = store.clone();
        tokio::spawn(async move { store.begin_sweep(Uuid::from_u128(id), now).await.unwrap() })
    });
    let mut winners = 0;
    for racer in racers.collect::<Vec<_>>() {
        winners += usize::from(racer.await.unwrap());
    }
    assert_eq!(winners, 1);
    // Whoever crashed is not waited for longer than its lease.
    let crash = "UPDATE sweep SET expire_time = 1";
    fixture.set(crash, args![]).await;
    assert!(store.begin_sweep(one, now).await.unwrap());
    assert!(store.go_on_sweeping(one).await.unwrap());
    assert!(!store.begin_sweep(two, now).await.unwrap());
    assert!(!store.go_on_sweeping(two).await.unwrap());
    store.end_sweep(two).await.unwrap();
    assert!(store.go_on_sweeping(one).await.unwrap());
    store.end_sweep(one).await.unwrap();
    let rest = TimeDelta::minutes(30);
    assert!(!store.begin_sweep(two, rest).await.unwrap());
    assert!(store.begin_sweep(two, now).await.unwrap());
    assert!(!store.go_on_sweeping(one).await.unwrap());
}

async fn no_sweep_takes_what_a_deploy_at_the_same_time_needs(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    for digit in SIXTEEN.chars() {
        fixture.bundle(digit).await;
    }
    assert_eq!(fixture.sweep(time(DAY)).await.marked.len(), 16);
    let deployment = fixture.swept_deployment().await;
    let deploys = SIXTEEN.chars().map(|digit| {
        let store = fixture.store.clone();
        let new = NewDeploy {
            time: time(DAY + LATER),
            ..new_deploy(dags(digest(digit)))
        };
        tokio::spawn(async move { store.create_deploy(&new, None, false).await })
    });
    let deploys = deploys.collect::<Vec<_>>();
    let sweeps = (0..4).map(|_| {
        let (store, deployment) = (fixture.store.clone(), deployment.clone());
        let rules = rules(time(DAY + LATER));
        tokio::spawn(async move { store.sweep_bundles(&deployment, None, rules, false).await })
    });
    let mut swept = Vec::new();
    for sweep in sweeps.collect::<Vec<_>>() {
        swept.extend(removed(&sweep.await.unwrap().unwrap()));
    }
    let mut shipped = 0;
    for (deploy, digit) in deploys.into_iter().zip(SIXTEEN.chars()) {
        match deploy.await.unwrap() {
            Ok(entry) => {
                shipped += 1;
                assert!(fixture.has(digit).await, "{}", entry.deploy.name);
            }
            Err(Error::Refused(Refusal::BundlesMissing(missing))) => {
                assert_eq!(missing, [digest(digit)]);
                assert!(swept.contains(&digest(digit)));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(shipped + swept.len(), 16);
    let history = fixture.history().await;
    assert!(history.iter().all(|entry| !entry.deploy.artifacts_gone));
}

async fn no_sweep_takes_what_an_upload_at_the_same_time_brings(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    for digit in SIXTEEN.chars() {
        fixture.bundle(digit).await;
    }
    assert_eq!(fixture.sweep(time(DAY)).await.marked.len(), 16);
    let uploads = SIXTEEN.chars().map(|digit| {
        let store = fixture.store.clone();
        let name = bundle("etl", digit).name;
        tokio::spawn(async move { store.use_bundle(&name, time(DAY + LATER)).await })
    });
    let uploads = uploads.collect::<Vec<_>>();
    let swept = removed(&fixture.sweep(time(DAY + LATER)).await);
    for (upload, digit) in uploads.into_iter().zip(SIXTEEN.chars()) {
        // What was promised to be there is; what is gone is brought again.
        let found = upload.await.unwrap().unwrap().is_some();
        assert_eq!(found, fixture.has(digit).await, "{digit}");
        assert_eq!(found, !swept.contains(&digest(digit)), "{digit}");
    }
    let left = fixture.store.all_bundle_objects(uid).await.unwrap();
    assert_eq!(left.len() + swept.len(), 16);
}

/// A replica whose clock is behind writes a rollback to a deploy that has expired by the clock of those that
/// sweep: either the rollback comes first and keeps the bundle, or it is told that the bundle is gone.
async fn no_sweep_takes_what_a_rollback_at_the_same_time_needs(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    let keeper = fixture.bundle('f').await;
    for (round, digit) in (0..).zip("01234567".chars()) {
        let begin = (1 + round * 200) * DAY;
        fixture.bundle(digit).await;
        fixture.ship_at(digest(digit), begin).await;
        let target = fixture.deployment().await.history.latest;
        for _ in 0..2 {
            fixture.ship_at(keeper, begin).await;
        }
        let write = WriteRollback {
            time: time(begin + 89 * DAY),
            ..fixture
                .rollback_to(u128::from(round.unsigned_abs()), target.get(), Scope::Dags)
                .await
        };
        let marked_now = marked(&fixture.sweep(time(begin + 91 * DAY)).await);
        assert!(marked_now.contains(&digest(digit)), "round {round}");

        let deployment = fixture.swept_deployment().await;
        let sweeps = (0..4).map(|_| {
            let (store, deployment) = (fixture.store.clone(), deployment.clone());
            let rules = rules(time(begin + 91 * DAY + LATER));
            tokio::spawn(async move { store.sweep_bundles(&deployment, None, rules, false).await })
        });
        let sweeps = sweeps.collect::<Vec<_>>();
        let written = fixture.store.create_rollback_deploy(&write).await;
        let mut swept = Vec::new();
        for sweep in sweeps {
            swept.extend(removed(&sweep.await.unwrap().unwrap()));
        }
        match written {
            Ok(entry) => {
                assert!(!swept.contains(&digest(digit)), "{}", entry.deploy.name);
                assert!(fixture.has(digit).await, "{}", entry.deploy.name);
            }
            Err(Error::Blocked(blockers)) => {
                let codes = blockers.iter().map(Blocker::code);
                assert!(codes.eq([BlockerCode::ArtifactMissing]), "{blockers:?}");
                assert!(swept.contains(&digest(digit)));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
