//! Every method of the store on both databases.

mod agents;
mod annotations;
mod bundles;
mod changes;
mod configuration;
mod deployments;
mod deploys;
mod held_rollbacks;
mod histories;
mod plans;
mod requests;
mod rollbacks;
mod states;
mod sweeps;
mod targets;

use std::collections::BTreeMap;

use chassis::database::{self, Value};
use chassis::testing::TestDatabase;
use chassis::transaction;
use chrono::{DateTime, Utc};
use model::{DagDeployMode, DeployNumber, DeploymentName, RunsOn, Sha256Digest};

use super::{Entry, Error, Listing, NewDeploy, Store};
use crate::domain::{
    BundleObject, BundleSize, Delivery, Deployment, DeploymentUid, ExecutionMode, Image,
    NewDeployment, Settings, Shipment, ShippedImage, StoredBundle,
};

/// The store of a test. The database lives as long as it does.
struct Fixture {
    store: Store,
    database: TestDatabase,
}

impl Fixture {
    fn new(database: TestDatabase) -> Self {
        Self {
            store: Store::new(database.database.clone()),
            database,
        }
    }

    /// A store with the Deployment `etl` in the mode DAG_ONLY.
    async fn with_deployment(database: TestDatabase) -> Self {
        let fixture = Self::new(database);
        fixture.create(&new_deployment("etl")).await;
        fixture
    }

    async fn create(&self, new: &NewDeployment) -> Deployment {
        self.store
            .create_deployment(new, None, false)
            .await
            .unwrap()
    }

    async fn deployment(&self) -> Deployment {
        self.store.deployment(&name("etl")).await.unwrap().unwrap()
    }

    /// Records a deploy on the Deployment `etl`.
    async fn ship(&self, shipment: Shipment) -> Entry {
        self.try_ship(shipment, None).await.unwrap()
    }

    async fn try_ship(
        &self,
        shipment: Shipment,
        expected_latest: Option<i64>,
    ) -> Result<Entry, Error> {
        let new = NewDeploy {
            expected_latest: expected_latest.map(number),
            ..new_deploy(shipment)
        };
        self.store.create_deploy(&new, None, false).await
    }

    /// Notes a bundle of the Deployment `etl`, and returns its digest.
    async fn bundle(&self, digit: char) -> Sha256Digest {
        let uid = self
            .store
            .deployment_uid(&name("etl"))
            .await
            .unwrap()
            .unwrap();
        let bundle = bundle("etl", digit);
        self.add(uid, &bundle).await.unwrap();
        bundle.name.digest()
    }

    async fn add(&self, uid: DeploymentUid, bundle: &StoredBundle) -> Result<StoredBundle, Error> {
        self.store.add_bundle(uid, bundle, None, i64::MAX).await
    }

    /// Changes rows behind the store's back.
    async fn set(&self, sql: &'static str, args: Vec<Value>) {
        let changed: Result<u64, database::Error> = transaction!(self.database.database, |tx| tx
            .execute(sql, args.clone())
            .await);
        changed.unwrap();
    }

    /// A part of the history of `etl`.
    async fn page(&self, before: Option<i64>, limit: usize) -> Listing<Entry> {
        let Listing { items, more } = self.filtered("", before, limit).await;
        let items = items.into_iter().map(|(_, entry)| entry.unwrap());
        Listing {
            items: items.collect(),
            more,
        }
    }

    /// A part of those deploys of `etl` that a filter lets through.
    async fn filtered(
        &self,
        filter: &str,
        before: Option<i64>,
        limit: usize,
    ) -> Listing<(DeployNumber, Option<Entry>)> {
        let filter = crate::api::deploy_filter(filter);
        let before = before.map(number);
        let page = self
            .store
            .list_deploys(&name("etl"), &filter, before, limit)
            .await;
        page.unwrap().unwrap()
    }

    /// The whole history of `etl`, newest first.
    async fn history(&self) -> Vec<Entry> {
        self.page(None, 1_000).await.items
    }

    async fn numbers(&self) -> Vec<i64> {
        self.history().await.iter().map(number_of).collect()
    }
}

fn name(id: &str) -> DeploymentName {
    format!("workspaces/data/deployments/{id}").parse().unwrap()
}

fn number(number: i64) -> DeployNumber {
    DeployNumber::new(number).unwrap()
}

fn number_of(entry: &Entry) -> i64 {
    entry.deploy.name.number().get()
}

/// A time with all the microseconds that a database can lose.
fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros((1_767_225_600 + second) * 1_000_000 + 123_457).unwrap()
}

fn new_deployment(id: &str) -> NewDeployment {
    NewDeployment {
        name: name(id),
        uid: DeploymentUid::new(chassis::environment::Environment::system().new_uuid()),
        display_name: "ETL".to_owned(),
        description: String::new(),
        labels: BTreeMap::new(),
        dag_deploy_mode: DagDeployMode::DagOnly,
        rollback_enabled: true,
        delivery: Delivery::Record,
        execution_mode: ExecutionMode::Hosted,
        settings: Settings::from([("executor".to_owned(), "celery".to_owned())]),
        created_by: "user:alice@example.com".parse().unwrap(),
        create_time: time(0),
    }
}

fn new_deploy(shipment: Shipment) -> NewDeploy {
    NewDeploy {
        deployment: name("etl"),
        shipment,
        image_verification: None,
        description: String::new(),
        git: None,
        expected_latest: None,
        created_by: "user:alice@example.com".parse().unwrap(),
        time: time(1),
    }
}

fn image(digit: char) -> Shipment {
    Shipment {
        image: Some(ShippedImage {
            image: Image {
                repository: "registry.example.com/data/etl".parse().unwrap(),
                tag: Some("1.4".parse().unwrap()),
                digest: format!("sha256:{}", digit.to_string().repeat(64))
                    .parse()
                    .unwrap(),
            },
            runs_on: RunsOn::exactly(
                Some("3.1-9".parse().unwrap()),
                Some("3.1.5".parse().unwrap()),
            )
            .unwrap(),
        }),
        ..Shipment::default()
    }
}

fn dags(digest: Sha256Digest) -> Shipment {
    Shipment {
        dag_bundle: Some(digest),
        ..Shipment::default()
    }
}

fn bundle(deployment: &str, digit: char) -> StoredBundle {
    let digest = digit.to_string().repeat(64);
    StoredBundle {
        name: format!("{}/dagBundles/{digest}", name(deployment))
            .parse()
            .unwrap(),
        size: BundleSize::new(1_024).unwrap(),
        object: BundleObject::stored(digest),
        created_by: "user:alice@example.com".parse().unwrap(),
        create_time: time(0),
    }
}
