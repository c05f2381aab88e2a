use std::collections::{BTreeMap, BTreeSet};

use chassis::database::{Connection, time};
use chassis::{args, transaction};
use chrono::{DateTime, Utc};
use model::{DagBundleName, Sha256Digest};
use uuid::Uuid;

use super::{Error, Store};
use crate::domain::{Bundle, BundleObject, BundleSize, DeploymentUid, StoredBundle};

#[derive(sqlx::FromRow)]
struct BundleRow {
    deployment_uid: Uuid,
    size_bytes: i64,
    object: String,
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

    /// A bundle of a Deployment that somebody is about to refer to: for a while no sweep takes it.
    pub(crate) async fn use_bundle(
        &self,
        name: &DagBundleName,
        time: DateTime<Utc>,
    ) -> Result<Option<(DeploymentUid, StoredBundle)>, Error> {
        transaction!(self.database, |tx| {
            let Some((uid, _)) = bundle(tx, name).await? else {
                return Ok(None);
            };
            touch(tx, uid, name.digest(), time).await?;
            bundle(tx, name).await
        })
    }

    /// Fails unless a Deployment has room for a bundle of this size.
    pub(crate) async fn check_quota(
        &self,
        uid: DeploymentUid,
        size: BundleSize,
        quota: i64,
    ) -> Result<(), Error> {
        let mut connection = self.database.read().await?;
        let used = connection
            .fetch_optional::<(i64,)>(
                "SELECT bundle_bytes FROM deployments WHERE uid = $1",
                args![uid.get()],
            )
            .await?;
        check_room(used, size, quota)
    }

    /// Notes that a Deployment has a bundle, whose bytes are in the bundle store by now, if it has
    /// room for it. If it has it already, what is known of it stays, but for an object that is
    /// `gone`. Whoever finds another object than the new one has brought the bytes in vain.
    pub(crate) async fn add_bundle(
        &self,
        uid: DeploymentUid,
        new: &StoredBundle,
        gone: Option<&BundleObject>,
        quota: i64,
    ) -> Result<StoredBundle, Error> {
        let StoredBundle {
            name,
            size,
            object,
            created_by,
            create_time,
        } = new;
        transaction!(self.database, |tx| {
            // Locks the Deployment: of two uploads for the last bytes, the second finds them taken.
            let used = tx
                .fetch_optional::<(i64,)>(
                    "UPDATE deployments SET bundle_bytes = bundle_bytes WHERE uid = $1
                     RETURNING bundle_bytes",
                    args![uid.get()],
                )
                .await?;
            if touch(tx, uid, name.digest(), *create_time).await? {
                tx.execute(
                    "UPDATE dag_bundles SET object = $3
                     WHERE deployment_uid = $1 AND sha256 = $2 AND object = $4",
                    args![
                        uid.get(),
                        name.digest().to_string(),
                        object.as_str(),
                        gone.map(BundleObject::as_str),
                    ],
                )
                .await?;
            } else {
                check_room(used, *size, quota)?;
                tx.execute(
                    "UPDATE deployments SET bundle_bytes = bundle_bytes + $2 WHERE uid = $1",
                    args![uid.get(), size.get()],
                )
                .await?;
                tx.execute(
                    "INSERT INTO dag_bundles (deployment_uid, sha256, size_bytes, object,
                                              created_by, create_time, use_time)
                     VALUES ($1, $2, $3, $4, $5, $6, $6)",
                    args![
                        uid.get(),
                        name.digest().to_string(),
                        size.get(),
                        object.as_str(),
                        created_by.to_string(),
                        *create_time,
                    ],
                )
                .await?;
            }
            let bundle = bundle(tx, name).await?;
            bundle
                .map(|(_, bundle)| bundle)
                .ok_or(Error::DeploymentMissing)
        })
    }

    /// The objects of those of the bundles that the Deployment has.
    pub(crate) async fn bundle_objects(
        &self,
        uid: DeploymentUid,
        digests: &BTreeSet<Sha256Digest>,
    ) -> Result<BTreeMap<Sha256Digest, BundleObject>, Error> {
        let mut connection = self.database.read().await?;
        let mut found = BTreeMap::new();
        for sha256 in digests {
            let row = connection
                .fetch_optional::<(String,)>(
                    "SELECT object FROM dag_bundles WHERE deployment_uid = $1 AND sha256 = $2",
                    args![uid.get(), sha256.to_string()],
                )
                .await?;
            found.extend(row.map(|(object,)| (*sha256, BundleObject::stored(object))));
        }
        Ok(found)
    }
}

/// Notes that a bundle is wanted, if the Deployment has it.
async fn touch(
    tx: &mut Connection,
    uid: DeploymentUid,
    sha256: Sha256Digest,
    time: DateTime<Utc>,
) -> Result<bool, Error> {
    let touched = tx
        .execute(
            "UPDATE dag_bundles
             SET mark_time = NULL, use_time = CASE WHEN use_time > $3 THEN use_time ELSE $3 END
             WHERE deployment_uid = $1 AND sha256 = $2",
            args![uid.get(), sha256.to_string(), time],
        )
        .await?;
    Ok(touched == 1)
}

fn check_room(used: Option<(i64,)>, size: BundleSize, quota: i64) -> Result<(), Error> {
    let (used,) = used.ok_or(Error::DeploymentMissing)?;
    if used.saturating_add(size.get()) > quota {
        return Err(Error::QuotaExceeded { used, quota });
    }
    Ok(())
}

async fn bundle(
    connection: &mut Connection,
    name: &DagBundleName,
) -> Result<Option<(DeploymentUid, StoredBundle)>, Error> {
    let deployment = name.deployment();
    let row = connection
        .fetch_optional::<BundleRow>(
            "SELECT b.deployment_uid, b.size_bytes, b.object, b.created_by, b.create_time
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
        object,
        created_by,
        create_time,
    }) = row
    else {
        return Ok(None);
    };
    let bundle = StoredBundle {
        name: name.clone(),
        size: size(size_bytes)?,
        object: BundleObject::stored(object),
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
