//! A long history, and what is read of it: for the benchmark, and for the test of how the databases go about
//! it. No API: it is there with the feature `benchmark`, and in tests, only.
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has failed"
)]

use std::collections::BTreeMap;

use chassis::database::{self, Database, Migrations};
use chassis::environment::Environment;
use chassis::{args, transaction};
use chrono::{DateTime, TimeDelta, Utc};
use model::{
    DagDeployMode, DeployName, DeployNumber, DeploymentName, Principal, RunsOn, Scope, Sha256Digest,
};

use crate::api::deploy_filter;
use crate::domain::{
    BundleObject, BundleSize, Delivery, DeployFilter, DeploymentUid, ExecutionMode, Image,
    NewDeployment, Shipment, ShippedImage, StoredBundle,
};
use crate::store::{Error, MIGRATIONS, NewDeploy, Previous, Store};

/// The tables of the service.
pub const TABLES: &Migrations = &MIGRATIONS;

/// How many deploys one statement writes.
const STEP: i64 = 20_000;
/// How many changes of a Deployment are kept.
const CHANGES: i64 = 100_000;

/// A Deployment with a long history.
#[derive(Debug)]
pub struct History {
    database: Database,
    store: Store,
    name: DeploymentName,
    uid: DeploymentUid,
    deploys: i64,
}

/// Something that is read of a history, or tried on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// GetDeployment: with the current deploy.
    Deployment,
    /// GetDeploy, of one in the middle.
    Deploy,
    /// ListDeploys: the newest 50.
    NewestPage,
    /// ListDeploys: 50 from the middle.
    DeepPage,
    /// ListDeploys: the newest 50 that have failed, one in ten.
    FilteredPage,
    /// ListDeploys: the newest 50 since some time that is not long ago.
    RecentPage,
    /// FindDeploy, by a time in the middle.
    AsOf,
    /// FindDeploy, the last one that worked.
    Previous,
    /// PreviewRollbackDeploys: the newest 50.
    Previews,
    /// WatchDeploys: the next 256 changes for who is as far behind as one can be.
    OldestChanges,
    /// WatchDeploys of a workspace: what is kept.
    KeptChanges,
    /// CreateDeploy, with `validate_only`.
    TriedDeploy,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Deployment,
        Self::Deploy,
        Self::NewestPage,
        Self::DeepPage,
        Self::FilteredPage,
        Self::RecentPage,
        Self::AsOf,
        Self::Previous,
        Self::Previews,
        Self::OldestChanges,
        Self::KeptChanges,
        Self::TriedDeploy,
    ];
}

impl History {
    /// Fills an empty database with a Deployment that has so many deploys, all copies of its first.
    pub async fn fill(database: &Database, deploys: i64) -> Self {
        let store = Store::new(database.clone());
        let new = new_deployment();
        let (name, uid) = (new.name.clone(), new.uid);
        let history = Self {
            database: database.clone(),
            store,
            name,
            uid,
            deploys,
        };
        history.begin(&new).await.expect("the first deploy");
        let mut last = 1;
        while last < deploys {
            let next = deploys.min(last + STEP);
            let copied = history.copy(last + 1, next).await;
            copied.expect("copies of the first deploy");
            if last == 1 {
                // Later it would take SQLite long, and both databases scale what they find.
                history.analyze().await.expect("an analysis");
            }
            last = next;
        }
        history.end().await.expect("the newest deploy");
        history
    }

    /// How many rows there were to find.
    pub async fn run(&self, operation: Operation) -> usize {
        let found = match operation {
            Operation::Deployment => self.deployment().await,
            Operation::Deploy => self.deploy().await,
            Operation::NewestPage => self.page("", None).await,
            Operation::DeepPage => self.page("", Some(self.deploys / 2)).await,
            Operation::FilteredPage => self.page("state = FAILED", None).await,
            Operation::RecentPage => {
                let since = time_of(self.deploys - 49).to_rfc3339();
                self.page(&format!("create_time >= {since}"), None).await
            }
            Operation::AsOf => self.as_of().await,
            Operation::Previous => self.previous().await,
            Operation::Previews => self.previews().await,
            Operation::OldestChanges => self.changes().await,
            Operation::KeptChanges => self.kept().await,
            Operation::TriedDeploy => self.try_deploy().await,
        };
        found.expect("a history that can be read")
    }

    async fn begin(&self, new: &NewDeployment) -> Result<(), Error> {
        self.store.create_deployment(new, None, false).await?;
        let digest = digest('d');
        let bundle = StoredBundle {
            name: format!("{}/dagBundles/{digest}", self.name)
                .parse()
                .map_err(database::Error::corrupt)?,
            size: BundleSize::new(1_024).expect("a size"),
            object: BundleObject::stored(digest.to_string()),
            created_by: person(),
            create_time: first_time(),
        };
        self.store
            .add_bundle(self.uid, &bundle, None, i64::MAX)
            .await?;
        self.store
            .create_deploy(&self.new_deploy(), None, false)
            .await?;
        Ok(())
    }

    /// Copies the first deploy to all numbers from one to another. One in ten has failed, and every other
    /// one has another image.
    async fn copy(&self, first: i64, last: i64) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            tx.execute(
                "WITH RECURSIVE s (n) AS (
                     SELECT CAST($2 AS BIGINT) UNION ALL SELECT n + 1 FROM s WHERE n < $3
                 )
                 INSERT INTO deploys
                     (deployment_uid, number, deploy_type, deploy_trigger, description, revision,
                      revision_digest, changed_components, settings, state, created_by, create_time,
                      deploy_time, ceased_time, update_time, change)
                 SELECT d.deployment_uid, s.n, d.deploy_type, d.deploy_trigger, d.description,
                        CASE WHEN s.n % 2 = 0 THEN d.revision
                             ELSE REPLACE(d.revision, $4, $5) END,
                        d.revision_digest, d.changed_components, d.settings,
                        CASE WHEN s.n % 10 = 0 THEN 'FAILED' ELSE 'DEPLOYED' END, d.created_by,
                        d.create_time + s.n * 1000000,
                        CASE WHEN s.n % 10 = 0 THEN NULL ELSE d.create_time + s.n * 1000000 END,
                        CASE WHEN s.n % 10 = 0 THEN NULL
                             ELSE d.create_time + (s.n + 1) * 1000000 END,
                        d.create_time + s.n * 1000000, s.n + 1
                 FROM s, deploys d
                 WHERE d.deployment_uid = $1 AND d.number = 1",
                args![self.uid.get(), first, last, "a".repeat(64), "b".repeat(64)],
            )
            .await?;
            tx.execute(
                "INSERT INTO deploy_bundles (deployment_uid, number, sha256)
                 SELECT d.deployment_uid, d.number, b.sha256
                 FROM deploys d, deploy_bundles b
                 WHERE d.deployment_uid = $1 AND d.number BETWEEN $2 AND $3
                   AND b.deployment_uid = $1 AND b.number = 1",
                args![self.uid.get(), first, last],
            )
            .await?;
            tx.execute(
                "INSERT INTO deploy_changes
                     (deployment_uid, change, kind, number, deploy_state, create_time)
                 SELECT deployment_uid, change, 'DEPLOY_CREATED', number, state, create_time
                 FROM deploys
                 WHERE deployment_uid = $1 AND number BETWEEN $2 AND $3 AND number > $4",
                args![self.uid.get(), first, last, self.deploys - CHANGES],
            )
            .await?;
            Ok::<_, Error>(())
        })
    }

    async fn analyze(&self) -> Result<(), Error> {
        transaction!(self.database, |tx| {
            tx.execute("ANALYZE", args![]).await?;
            Ok::<_, Error>(())
        })
    }

    /// Has the Deployment know of its copies.
    async fn end(&self) -> Result<(), Error> {
        let newest = match self.deploys % 10 {
            0 => self.deploys - 1,
            _ => self.deploys,
        };
        transaction!(self.database, |tx| {
            tx.execute(
                "UPDATE deployments
                 SET latest_number = $2, current_number = $3, previous_number = $3 - 1,
                     change = $2 + 1
                 WHERE uid = $1",
                args![self.uid.get(), self.deploys, newest],
            )
            .await?;
            Ok::<_, Error>(())
        })
    }

    async fn deployment(&self) -> Result<usize, Error> {
        let found = self.store.deployment(&self.name).await?;
        let revision = found.and_then(|found| found.current_revision);
        Ok(usize::from(revision.is_some()))
    }

    async fn deploy(&self) -> Result<usize, Error> {
        let name = DeployName::new(self.name.clone(), number(self.deploys / 2)?);
        Ok(usize::from(self.store.deploy(&name).await?.is_some()))
    }

    async fn page(&self, filter: &str, before: Option<i64>) -> Result<usize, Error> {
        let filter = match filter {
            "" => DeployFilter::default(),
            text => deploy_filter(text),
        };
        let before = before.map(number).transpose()?;
        let page = self.store.list_deploys(&self.name, &filter, before, 50);
        Ok(page.await?.map_or(0, |page| page.items.len()))
    }

    async fn as_of(&self) -> Result<usize, Error> {
        let time = time_of(self.deploys / 2);
        let found = self.store.deploy_as_of(&self.name, time).await?;
        Ok(usize::from(found.is_some()))
    }

    async fn previous(&self) -> Result<usize, Error> {
        let found = self.store.previous_deploy(&self.name, Scope::All).await?;
        Ok(usize::from(matches!(found, Previous::Found(_))))
    }

    async fn previews(&self) -> Result<usize, Error> {
        let found = self.store.rollback_previews(&self.name, None, 50).await?;
        Ok(found.targets.items.len())
    }

    async fn changes(&self) -> Result<usize, Error> {
        let after = (self.deploys - CHANGES + 1).max(0);
        Ok(self.store.changes(self.uid, after, 256).await?.len())
    }

    async fn kept(&self) -> Result<usize, Error> {
        let kept = self.store.kept_changes(self.name.workspace()).await?;
        Ok(kept.len())
    }

    async fn try_deploy(&self) -> Result<usize, Error> {
        let new = self.new_deploy();
        self.store.create_deploy(&new, None, true).await.map(|_| 1)
    }

    fn new_deploy(&self) -> NewDeploy {
        NewDeploy {
            deployment: self.name.clone(),
            shipment: Shipment {
                image: Some(image()),
                dag_bundle: Some(digest('d')),
                ..Shipment::default()
            },
            image_verification: None,
            description: "the nightly build of main".to_owned(),
            git: None,
            expected_latest: None,
            created_by: person(),
            time: first_time(),
        }
    }
}

fn new_deployment() -> NewDeployment {
    NewDeployment {
        name: parsed("workspaces/data/deployments/etl"),
        uid: DeploymentUid::new(Environment::system().new_uuid()),
        display_name: "ETL".to_owned(),
        description: String::new(),
        labels: BTreeMap::new(),
        dag_deploy_mode: DagDeployMode::DagOnly,
        rollback_enabled: true,
        delivery: Delivery::Record,
        execution_mode: ExecutionMode::Hosted,
        settings: BTreeMap::from([("executor".to_owned(), "celery".to_owned())]),
        created_by: person(),
        create_time: first_time(),
    }
}

/// When the deploy with this number was written.
fn time_of(number: i64) -> DateTime<Utc> {
    first_time() + TimeDelta::seconds(number)
}

fn image() -> ShippedImage {
    ShippedImage {
        image: Image {
            repository: parsed("registry.example.com/data/etl"),
            tag: Some(parsed("1.4")),
            digest: parsed(&format!("sha256:{}", "a".repeat(64))),
        },
        runs_on: RunsOn::exactly(Some(parsed("3.1-9")), Some(parsed("3.1.5")))
            .expect("versions that agree"),
    }
}

fn digest(digit: char) -> Sha256Digest {
    parsed(&digit.to_string().repeat(64))
}

fn person() -> Principal {
    parsed("user:alice@example.com")
}

fn number(number: i64) -> Result<DeployNumber, Error> {
    DeployNumber::new(number).map_err(|error| database::Error::corrupt(error).into())
}

fn first_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name that is well formed")
}
