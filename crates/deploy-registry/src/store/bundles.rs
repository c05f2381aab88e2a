use std::collections::{BTreeMap, BTreeSet};

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use model::{DagBundleName, Sha256Digest};
use uuid::Uuid;

use super::{Error, Store};
use crate::domain::{Bundle, BundleSize, DeploymentUid, StoredBundle};

#[derive(sqlx::FromRow)]
struct BundleRow {
    deployment_uid: Uuid,
    size_bytes: i64,
    created_by: String,
    create_time: i64,
}

impl Store {
    /// A bundle of a Deployment, and which Deployment that is.
    pub(crate) async fn bundle(
        &self,
        name: &DagBundleName,
    ) -> Result<Option<(DeploymentUid, StoredBundle)>, Error> {
        bundle(&mut self.database.read().await?, name).await
    }

    /// Notes that a Deployment has a bundle, whose bytes are in the bundle store by now. If it has
    /// it already, what is known of it stays.
    pub(crate) async fn add_bundle(
        &self,
        uid: DeploymentUid,
        new: &StoredBundle,
    ) -> Result<StoredBundle, Error> {
        let StoredBundle {
            name,
            size,
            created_by,
            create_time,
        } = new;
        transaction!(self.database, |tx| {
            tx.execute(
                "INSERT INTO dag_bundles (deployment_uid, sha256, size_bytes, created_by, create_time)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (deployment_uid, sha256) DO NOTHING",
                args![
                    uid.get(),
                    name.digest().to_string(),
                    size.get(),
                    created_by.to_string(),
                    *create_time,
                ],
            )
            .await?;
            let bundle = bundle(tx, name).await?;
            bundle
                .map(|(_, bundle)| bundle)
                .ok_or(Error::DeploymentMissing)
        })
    }
}

async fn bundle(
    connection: &mut Connection,
    name: &DagBundleName,
) -> Result<Option<(DeploymentUid, StoredBundle)>, Error> {
    let deployment = name.deployment();
    let row = connection
        .fetch_optional::<BundleRow>(
            "SELECT b.deployment_uid, b.size_bytes, b.created_by, b.create_time
             FROM deployments d
             JOIN dag_bundles b ON b.deployment_uid = d.uid AND b.sha256 = $3
             WHERE d.workspace = $1 AND d.deployment_id = $2",
            args![
                deployment.workspace().id(),
                deployment.id(),
                name.digest().to_string()
            ],
        )
        .await?;
    let Some(BundleRow {
        deployment_uid,
        size_bytes,
        created_by,
        create_time,
    }) = row
    else {
        return Ok(None);
    };
    let bundle = StoredBundle {
        name: name.clone(),
        size: size(size_bytes)?,
        created_by: created_by.parse().map_err(Error::corrupt)?,
        create_time: time(create_time)?,
    };
    Ok(Some((DeploymentUid::new(deployment_uid), bundle)))
}

/// Those of the bundles that the Deployment has. At most one for the DAGs and one for each dbt
/// project is ever asked for.
pub(super) async fn bundles(
    connection: &mut Connection,
    uid: DeploymentUid,
    digests: impl IntoIterator<Item = Sha256Digest>,
) -> Result<BTreeMap<Sha256Digest, Bundle>, Error> {
    let mut found = BTreeMap::new();
    for sha256 in digests.into_iter().collect::<BTreeSet<_>>() {
        let row = connection
            .fetch_optional::<(i64,)>(
                "SELECT size_bytes FROM dag_bundles WHERE deployment_uid = $1 AND sha256 = $2",
                args![uid.get(), sha256.to_string()],
            )
            .await?;
        if let Some((bytes,)) = row {
            found.insert(
                sha256,
                Bundle {
                    sha256,
                    size: size(bytes)?,
                },
            );
        }
    }
    Ok(found)
}

fn size(bytes: i64) -> Result<BundleSize, Error> {
    BundleSize::new(bytes).ok_or_else(|| Error::corrupt("a bundle of no bytes"))
}
