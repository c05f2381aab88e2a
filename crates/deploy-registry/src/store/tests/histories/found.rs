use std::collections::BTreeMap;

use chassis::environment::Environment;
use chassis::testing::TestDatabase;
use chrono::{DateTime, Utc};
use model::{DeployName, DeployState, RollbackId, RollbackName, Sha256Digest};
use proptest::sample::Index;

use super::super::{Fixture, bundle, dags, image, name, new_deploy, number, time};
use super::expected::{Model, Outcome, Refused, number_chosen};
use super::steps::{BUNDLES, IMAGES, Step};
use crate::domain::{
    Blocker, Change, ChangeKind, Delivery, Deploy, DeployChanges, Refusal, Retention, StoredBundle,
};
use crate::store::{
    Entry, Error, NewDeploy, SweepRules, SweptBundles, SweptDeployment, WriteRollback,
};

/// A Deployment in a store, and what was seen of it so far.
pub(super) struct World {
    fixture: Fixture,
    /// Seconds since the beginning.
    now: i64,
    /// The deploys, each as it was when it was seen first.
    first_seen: Vec<Deploy>,
    /// All changes.
    log: Vec<Change>,
    /// The rollbacks that were sent, by their ids.
    sent: Vec<WriteRollback>,
}

impl World {
    pub(super) async fn new(database: TestDatabase, delivery: Delivery) -> Self {
        let fixture = match delivery {
            Delivery::Record => Fixture::with_deployment(database).await,
            Delivery::Agent => Fixture::with_agent(database).await,
        };
        Self {
            fixture,
            now: 0,
            first_seen: Vec::new(),
            log: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(super) async fn take(&mut self, step: &Step) -> Outcome {
        match self.perform(step).await {
            Ok(outcome) => outcome,
            Err(Error::Blocked(blockers)) => {
                let codes = blockers.iter().map(Blocker::code);
                Outcome::Blocked(codes.map(|code| format!("{code:?}")).collect())
            }
            Err(error) => Outcome::Refused(refused(error)),
        }
    }

    async fn perform(&mut self, step: &Step) -> Result<Outcome, Error> {
        let store = &self.fixture.store;
        let by = "user:alice@example.com".parse().unwrap();
        let now = self.time();
        match step {
            Step::Upload(which) => {
                let uid = self.fixture.deployment().await.uid;
                let bundle = StoredBundle {
                    create_time: now,
                    ..bundle("etl", BUNDLES[*which])
                };
                self.fixture.add(uid, &bundle).await?;
            }
            Step::Ship {
                image,
                bundle,
                stale,
            } => self.ship(*image, *bundle, *stale).await?,
            Step::Report(deploy, report) => {
                let deploy = self.chosen(deploy).await;
                store.report_deploy_state(&deploy, *report, "", now).await?;
            }
            Step::Mark(deploy, verdict) => {
                let deploy = self.chosen(deploy).await;
                let verdict = verdict.map(|verdict| (verdict, "as it was seen"));
                store.mark_deploy(&deploy, verdict, "", &by, now).await?;
            }
            Step::Pin(deploy, pinned) => {
                let deploy = self.chosen(deploy).await;
                let changes = DeployChanges {
                    description: None,
                    pinned: Some(*pinned),
                };
                store
                    .update_deploy(&deploy, &changes, "", &by, None, now)
                    .await?;
            }
            Step::RollBack {
                target,
                scope,
                allow_marked_bad,
                stale,
            } => {
                let target = self.chosen(target).await;
                store.rollback_facts(&target).await?;
                let id = u128::try_from(self.sent.len()).unwrap();
                let write = self
                    .fixture
                    .rollback_to(id, target.number().get(), *scope)
                    .await;
                let latest = write.expected_latest.get() + i64::from(*stale);
                self.sent.push(WriteRollback {
                    expected_latest: number(latest),
                    allow_marked_bad: *allow_marked_bad,
                    ..write
                });
                return self.write(self.sent.len() - 1).await;
            }
            Step::RepeatRollback(which) => {
                if !self.sent.is_empty() {
                    return self.write(which.index(self.sent.len())).await;
                }
            }
            Step::Close(which) => {
                let which = which.index(self.sent.len() + 1);
                let id = match self.sent.get(which) {
                    Some(write) => write.author.rollback,
                    None => RollbackId::new(Environment::system().new_uuid()),
                };
                let rollback = RollbackName::new(name("etl"), id);
                let closed = store.close_rollback(&rollback, now).await?;
                return Ok(closed.map_or(Outcome::Closed, written));
            }
            Step::Sweep => return self.sweep().await,
            Step::Wait(seconds) => self.now += seconds,
        }
        Ok(Outcome::Done)
    }

    async fn ship(
        &self,
        image_shipped: Option<usize>,
        bundle: Option<usize>,
        stale: bool,
    ) -> Result<(), Error> {
        let mut shipment = match (image_shipped, bundle) {
            (Some(which), _) => image(IMAGES[which]),
            (None, None) => image(IMAGES[0]),
            (None, Some(which)) => dags(digest(which)),
        };
        shipment.dag_bundle = bundle.map(digest);
        let latest = self.fixture.deployment().await.history.latest.get();
        let new = NewDeploy {
            expected_latest: stale.then(|| number(latest + 1)),
            time: self.time(),
            ..new_deploy(shipment)
        };
        self.fixture.store.create_deploy(&new, None, false).await?;
        Ok(())
    }

    async fn write(&self, which: usize) -> Result<Outcome, Error> {
        let write = WriteRollback {
            time: self.time(),
            ..self.sent[which].clone()
        };
        let entry = self.fixture.store.create_rollback_deploy(&write).await?;
        Ok(written(entry))
    }

    async fn sweep(&self) -> Result<Outcome, Error> {
        let deployment = SweptDeployment {
            uid: self.fixture.deployment().await.uid,
            name: name("etl"),
        };
        let rules = SweepRules {
            retention: Retention::days(90),
            now: self.time(),
        };
        let store = &self.fixture.store;
        let SweptBundles {
            removed,
            marked,
            last: _,
        } = store.sweep_bundles(&deployment, None, rules, false).await?;
        let removed = removed.iter().map(|bundle| which(bundle.name.digest()));
        let marked = marked.iter().map(|name| which(name.digest()));
        Ok(Outcome::Swept {
            removed: removed.collect(),
            marked: marked.collect(),
        })
    }

    /// Everything that must hold after each step.
    pub(super) async fn compare(&mut self, model: &Model) {
        let deployment = self.fixture.deployment().await;
        let mut entries = self.fixture.history().await;
        entries.reverse();
        let deploys = entries.into_iter().map(|entry| entry.deploy);
        let deploys = deploys.collect::<Vec<_>>();

        let numbers = deploys.iter().map(|deploy| deploy.name.number().get());
        assert!(numbers.eq(1..=model.latest()), "numbers without gaps");
        let highest = deploys.iter().rfind(|d| d.state == DeployState::Deployed);
        let highest = highest.map_or(0, |deploy| deploy.name.number().get());
        assert_eq!(deployment.history.current.get(), highest, "what runs");
        assert_eq!(deployment.history.latest.get(), model.latest());
        assert_eq!(deployment.history.current.get(), model.current);
        assert_eq!(deployment.history.previous.get(), model.previous);

        for deploy in &deploys {
            same(deploy, model);
        }
        self.nothing_shipped_has_changed(&deploys);
        self.replay(deployment.change, &deploys).await;
    }

    /// What was written stays as it was written.
    fn nothing_shipped_has_changed(&mut self, deploys: &[Deploy]) {
        for (first, now) in self.first_seen.iter().zip(deploys) {
            assert_eq!(first.revision, now.revision);
            assert_eq!(first.revision_digest, now.revision_digest);
            assert_eq!(first.revision.digest(), now.revision_digest);
            assert_eq!(first.rollback, now.rollback);
            assert_eq!(first.settings, now.settings);
            assert_eq!(first.create_time, now.create_time);
            assert_eq!(first.created_by, now.created_by);
        }
        let new = deploys.iter().skip(self.first_seen.len()).cloned();
        self.first_seen.extend(new);
    }

    /// The log has each change once, in order, and tells the same history.
    async fn replay(&mut self, change: i64, deploys: &[Deploy]) {
        let uid = self.fixture.deployment().await.uid;
        let after = i64::try_from(self.log.len()).unwrap();
        let news = self.fixture.store.changes(uid, after, 1_000).await.unwrap();
        self.log.extend(news);
        let counted = self.log.iter().map(|change| change.change);
        assert!(counted.eq(1..=change), "changes without gaps");

        let mut told = BTreeMap::new();
        for Change {
            change,
            kind,
            deploy,
            time: _,
        } in &self.log
        {
            if let Some((number, state)) = deploy {
                let created = told.insert(number.get(), (*state, *change)).is_none();
                assert_eq!(created, *kind == ChangeKind::DeployCreated);
            }
        }
        let found = deploys
            .iter()
            .map(|deploy| (deploy.name.number().get(), (deploy.state, deploy.change)));
        assert_eq!(told, found.collect::<BTreeMap<_, _>>(), "{:?}", self.log);
    }

    fn time(&self) -> DateTime<Utc> {
        time(10 + self.now)
    }

    async fn chosen(&self, deploy: &Index) -> DeployName {
        let latest = self.fixture.deployment().await.history.latest.get();
        DeployName::new(name("etl"), number(number_chosen(deploy, latest)))
    }
}

/// A deploy is as the model has it.
fn same(found: &Deploy, model: &Model) {
    let number = found.name.number().get();
    let expected = model.deploy(number);
    let (image_expected, bundle_expected) = expected.runs;
    let digit = IMAGES[image_expected].to_string().repeat(64);
    assert_eq!(
        found.revision.image.digest.to_string(),
        format!("sha256:{digit}"),
        "image of deploy {number}"
    );
    let bundle = found.revision.dag_bundle.map(|bundle| which(bundle.sha256));
    assert_eq!(bundle, bundle_expected, "bundle of deploy {number}");
    assert_eq!(found.state, expected.state, "state of deploy {number}");
    let verdict = found.mark.as_ref().map(|mark| mark.verdict);
    assert_eq!(verdict, expected.verdict, "mark of deploy {number}");
    assert_eq!(
        found.pin.is_some(),
        expected.pinned,
        "pin of deploy {number}"
    );
    let source = found.rollback.as_ref().map(|origin| origin.source.get());
    assert_eq!(source, expected.source, "source of deploy {number}");
    let gone = bundle.is_some_and(|bundle| !model.has(bundle));
    assert_eq!(found.artifacts_gone, gone, "artifacts of deploy {number}");
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other error is a failure of the test"
)]
fn refused(error: Error) -> Refused {
    match error {
        Error::DeployMissing => Refused::DeployMissing,
        Error::LatestDeployChanged { latest: _ } => Refused::LatestDeployChanged,
        Error::Refused(Refusal::NotAllowed(_)) => Refused::FirstNeedsImage,
        Error::Refused(Refusal::BundlesMissing(_)) => Refused::BundleMissing,
        Error::ReportsNotTaken => Refused::ReportsNotTaken,
        Error::StateFinal(_) => Refused::StateFinal,
        Error::RollbackClosed => Refused::RollbackClosed,
        Error::PermitMismatch(_) => Refused::PermitMismatch,
        error => panic!("{error}"),
    }
}

fn written(entry: Entry) -> Outcome {
    Outcome::Written(entry.deploy.name.number().get())
}

fn digest(which: usize) -> Sha256Digest {
    bundle("etl", BUNDLES[which]).name.digest()
}

fn which(sha256: Sha256Digest) -> usize {
    let found = (0..BUNDLES.len()).find(|which| digest(*which) == sha256);
    found.unwrap()
}
