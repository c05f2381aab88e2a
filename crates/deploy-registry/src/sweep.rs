//! The sweep: takes the bundles that nothing needs, and what interrupted uploads and sweeps left.
//!
//! A bundle goes in three steps, each of which the next sweep takes up where a crash stopped: it is
//! marked; after a grace its row is removed, in a transaction that finds it needed by nothing; then
//! its bytes are. Bytes without a row, and parts of uploads, go once they are a day old: until then
//! they can be of an upload that is not done.

use std::future::Future;
use std::time::Duration;

use chassis::environment::Environment;
use chassis::problem::chain;
use chrono::TimeDelta;
use model::{DagBundleName, Sha256Digest};
use uuid::Uuid;

use crate::bundle_store::{self, BundleStore};
use crate::domain::{Retention, UNUSED_FOR};
use crate::store::{self, RemovedBundle, Store, SweepRules, SweptBundles, SweptDeployment};

/// How many bundles a report names.
const MOST_NAMES: usize = 1_000;

/// Why a sweep did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("another replica sweeps, or has just done so")]
    Taken,
    #[error("the database failed")]
    Store(#[from] store::Error),
    #[error("the bundle store failed")]
    BundleStore(#[from] bundle_store::Error),
}

/// What a sweep did, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The first of them.
    pub(crate) removed: Vec<DagBundleName>,
    pub(crate) removed_count: i64,
    pub(crate) removed_bytes: i64,
    /// The first of them.
    pub(crate) marked: Vec<DagBundleName>,
    pub(crate) marked_count: i64,
}

impl Report {
    fn add(&mut self, swept: &SweptBundles) {
        let SweptBundles {
            removed,
            marked,
            last: _,
        } = swept;
        for RemovedBundle {
            name,
            object: _,
            bytes,
        } in removed
        {
            self.removed_count += 1;
            self.removed_bytes = self.removed_bytes.saturating_add(*bytes);
            if self.removed.len() < MOST_NAMES {
                self.removed.push(name.clone());
            }
        }
        for name in marked {
            self.marked_count += 1;
            if self.marked.len() < MOST_NAMES {
                self.marked.push(name.clone());
            }
        }
    }
}

/// Whoever sweeps.
#[derive(Debug, Clone)]
pub(crate) struct Sweeper {
    pub(crate) store: Store,
    pub(crate) bundles: BundleStore,
    pub(crate) environment: Environment,
    pub(crate) retention: Retention,
}

impl Sweeper {
    /// What a sweep would do now.
    pub(crate) async fn preview(&self) -> Result<Report, Error> {
        let mut report = Report::default();
        let mut after = None;
        loop {
            let deployments = self.store.deployments_to_sweep(after).await?;
            let Some(last) = deployments.last() else {
                return Ok(report);
            };
            after = Some(last.uid);
            for deployment in &deployments {
                let mut from = None;
                loop {
                    let swept = self.bundles_of(deployment, from, true).await?;
                    report.add(&swept);
                    from = swept.last;
                    if from.is_none() {
                        break;
                    }
                }
            }
        }
    }

    /// Sweeps, unless somebody else does, or did less than `rest` ago.
    pub(crate) async fn run(&self, rest: TimeDelta) -> Result<Report, Error> {
        let holder = self.environment.new_uuid();
        if !self.store.begin_sweep(holder, rest).await? {
            return Err(Error::Taken);
        }
        let swept = self.sweep(holder).await;
        self.store.end_sweep(holder).await?;
        let report = swept?;
        tracing::info!(
            removed = report.removed_count,
            bytes = report.removed_bytes,
            marked = report.marked_count,
            "bundles swept"
        );
        Ok(report)
    }

    async fn sweep(&self, holder: Uuid) -> Result<Report, Error> {
        let mut report = Report::default();
        let mut after = None;
        loop {
            let deployments = self.store.deployments_to_sweep(after).await?;
            let Some(last) = deployments.last() else {
                return Ok(report);
            };
            after = Some(last.uid);
            for deployment in &deployments {
                self.sweep_deployment(holder, deployment, &mut report)
                    .await?;
            }
        }
    }

    async fn sweep_deployment(
        &self,
        holder: Uuid,
        deployment: &SweptDeployment,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut from = None;
        loop {
            if !self.store.go_on_sweeping(holder).await? {
                return Err(Error::Taken);
            }
            let swept = self.bundles_of(deployment, from, false).await?;
            report.add(&swept);
            for removed in &swept.removed {
                tracing::info!(dag_bundle = %removed.name, "bundle removed: nothing needs it");
                self.bundles.remove(deployment.uid, &removed.object).await?;
            }
            from = swept.last;
            if from.is_none() {
                break;
            }
        }
        self.clear(deployment).await
    }

    async fn bundles_of(
        &self,
        deployment: &SweptDeployment,
        from: Option<Sha256Digest>,
        validate_only: bool,
    ) -> Result<SweptBundles, Error> {
        let rules = SweepRules {
            retention: self.retention,
            now: self.environment.now(),
        };
        let store = &self.store;
        Ok(store
            .sweep_bundles(deployment, from, rules, validate_only)
            .await?)
    }

    /// Removes old bytes that no bundle is in: those of an upload that ended before it was noted, and
    /// of a sweep that ended before they were removed.
    async fn clear(&self, deployment: &SweptDeployment) -> Result<(), Error> {
        let uid = deployment.uid;
        let old = self.environment.now() - UNUSED_FOR;
        let parts = self.bundles.remove_leftovers(uid, old).await?;
        // In this order: what is noted later is younger.
        let objects = self.bundles.objects_before(uid, old).await?;
        let known = self.store.all_bundle_objects(uid).await?;
        let orphans = objects.difference(&known);
        let mut count = 0;
        for object in orphans {
            self.bundles.remove(uid, object).await?;
            count += 1;
        }
        if parts + count > 0 {
            let deployment = &deployment.name;
            tracing::info!(%deployment, parts, objects = count, "what was left behind is removed");
        }
        Ok(())
    }

    /// Sweeps every `interval` until `stop` resolves; all replicas together, not each.
    pub(crate) async fn repeat(self, interval: Duration, stop: impl Future<Output = ()>) {
        let rest = TimeDelta::from_std(interval / 2).unwrap_or(TimeDelta::zero());
        let sweeping = async {
            loop {
                tokio::time::sleep(interval).await;
                match self.run(rest).await {
                    Ok(_) => {}
                    Err(Error::Taken) => tracing::debug!("another replica sweeps"),
                    Err(error) => {
                        let cause = chain(&error);
                        tracing::warn!(cause, "the sweep broke off; the next one goes on");
                    }
                }
            }
        };
        tokio::select! {
            () = stop => {}
            () = sweeping => {}
        }
    }
}
