use chassis::database::{Connection, time};
use chassis::requests::{self, Request};
use chassis::{args, transaction};
use model::{DeployNumber, DeploymentName, WorkspaceName};
use uuid::Uuid;

use super::changes::{Counted, log};
use super::{Attempt, Error, Listing, Reading, Store, documents, rows};
use crate::domain::{
    ChangeKind, Delivery, Deployment, DeploymentUid, ExecutionMode, History, Hold, NewDeployment,
};

#[derive(sqlx::FromRow)]
struct DeploymentRow {
    uid: Uuid,
    workspace: String,
    deployment_id: String,
    display_name: String,
    description: String,
    labels: String,
    dag_deploy_mode: String,
    rollback_enabled: bool,
    delivery: String,
    execution_mode: String,
    settings: String,
    latest_number: i64,
    current_number: i64,
    previous_number: i64,
    change: i64,
    hold_reason: Option<String>,
    hold_by: Option<String>,
    hold_time: Option<i64>,
    delete_time: Option<i64>,
    created_by: String,
    create_time: i64,
    update_time: i64,
    current_revision: Option<String>,
}

/// A list of Deployments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeploymentList<'a> {
    pub(crate) workspace: &'a WorkspaceName,
    pub(crate) show_deleted: bool,
    pub(crate) order: DeploymentOrder,
}

/// In which order Deployments are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeploymentOrder {
    Name,
    NameDescending,
    CreateTime,
    CreateTimeDescending,
    UpdateTime,
    UpdateTimeDescending,
}

/// Which Deployment it is, and where its history stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) uid: DeploymentUid,
    pub(super) history: History,
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    uid: Uuid,
    latest_number: i64,
    current_number: i64,
    previous_number: i64,
}

impl Store {
    /// Creates a Deployment.
    pub(crate) async fn create_deployment(
        &self,
        new: &NewDeployment,
        request: Option<&Request>,
        validate_only: bool,
    ) -> Result<Deployment, Error> {
        Attempt::settle(transaction!(self.database, |tx| {
            Attempt::end(create(tx, new, request).await?, validate_only)
        }))
    }

    /// A Deployment with its current revision.
    pub(crate) async fn deployment(
        &self,
        name: &DeploymentName,
    ) -> Result<Option<Deployment>, Error> {
        deployment(&mut self.database.read().await?, name).await
    }

    /// Which Deployment has the name. Fails if nothing more is written to it.
    pub(crate) async fn deployment_uid(
        &self,
        name: &DeploymentName,
    ) -> Result<Option<DeploymentUid>, Error> {
        let row = self
            .database
            .read()
            .await?
            .fetch_optional::<(Uuid, Option<i64>)>(
                "SELECT uid, delete_time FROM deployments
                 WHERE workspace = $1 AND deployment_id = $2",
                args![name.workspace().id(), name.id()],
            )
            .await?;
        match row {
            Some((_, Some(_))) => Err(Error::DeploymentDeleted),
            Some((uid, None)) => Ok(Some(DeploymentUid::new(uid))),
            None => Ok(None),
        }
    }

    /// At most `limit` Deployments of a list, from the one after the Deployment `after`.
    pub(crate) async fn list_deployments(
        &self,
        list: DeploymentList<'_>,
        mut after: Option<DeploymentUid>,
        limit: usize,
    ) -> Result<Listing<Deployment>, Error> {
        let mut connection = self.database.read().await?;
        let mut reading = Reading::new(limit);
        loop {
            let step = reading.step();
            let rows = next_rows(&mut connection, list, after, step).await?;
            let last = rows.len() < step;
            for row in rows {
                if reading.is_full() {
                    return Ok(reading.end(true));
                }
                after = Some(DeploymentUid::new(row.uid));
                let bytes = row.settings.len() + row.labels.len();
                reading.push(row.try_into()?, bytes);
            }
            if last {
                return Ok(reading.end(false));
            }
        }
    }
}

/// The statement of a list of Deployments in an order. A place in the list is told by uid, because the
/// name of a Deployment that the reader cannot see must not be in a page token.
macro_rules! list_in_order {
    ($columns:literal, $after:literal, $direction:literal) => {
        concat!(
            "SELECT d.uid, d.workspace, d.deployment_id, d.display_name, d.description, d.labels,
                    d.dag_deploy_mode, d.rollback_enabled, d.delivery, d.execution_mode,
                    d.settings, d.latest_number,
                    d.current_number, d.previous_number, d.change, d.hold_reason, d.hold_by,
                    d.hold_time, d.delete_time, d.created_by,
                    d.create_time, d.update_time, c.revision AS current_revision
             FROM deployments d
             LEFT JOIN deploys c ON c.deployment_uid = d.uid AND c.number = d.current_number
             WHERE d.workspace = $1
               AND (d.delete_time IS NULL OR $4)
               AND (NOT EXISTS
                        (SELECT 1 FROM deployments a WHERE a.uid = $2 AND a.workspace = $1)
                    OR (d.",
            $columns,
            ", d.deployment_id) ",
            $after,
            " (SELECT a.",
            $columns,
            ", a.deployment_id FROM deployments a WHERE a.uid = $2))
             ORDER BY d.",
            $columns,
            " ",
            $direction,
            ", d.deployment_id ",
            $direction,
            " LIMIT $3"
        )
    };
}

const fn statement(order: DeploymentOrder) -> &'static str {
    match order {
        // Straight along the index, however many Deployments there are.
        DeploymentOrder::Name => {
            "SELECT d.uid, d.workspace, d.deployment_id, d.display_name, d.description, d.labels,
                    d.dag_deploy_mode, d.rollback_enabled, d.delivery, d.execution_mode,
                    d.settings, d.latest_number,
                    d.current_number, d.previous_number, d.change, d.hold_reason, d.hold_by,
                    d.hold_time, d.delete_time, d.created_by,
                    d.create_time, d.update_time, c.revision AS current_revision
             FROM deployments d
             LEFT JOIN deploys c ON c.deployment_uid = d.uid AND c.number = d.current_number
             WHERE d.workspace = $1
               AND (d.delete_time IS NULL OR $4)
               AND d.deployment_id > COALESCE(
                   (SELECT a.deployment_id FROM deployments a
                    WHERE a.uid = $2 AND a.workspace = $1), '')
             ORDER BY d.deployment_id
             LIMIT $3"
        }
        DeploymentOrder::NameDescending => list_in_order!("deployment_id", "<", "DESC"),
        DeploymentOrder::CreateTime => list_in_order!("create_time", ">", "ASC"),
        DeploymentOrder::CreateTimeDescending => list_in_order!("create_time", "<", "DESC"),
        DeploymentOrder::UpdateTime => list_in_order!("update_time", ">", "ASC"),
        DeploymentOrder::UpdateTimeDescending => list_in_order!("update_time", "<", "DESC"),
    }
}

async fn next_rows(
    connection: &mut Connection,
    list: DeploymentList<'_>,
    after: Option<DeploymentUid>,
    step: usize,
) -> Result<Vec<DeploymentRow>, Error> {
    let DeploymentList {
        workspace,
        show_deleted,
        order,
    } = list;
    Ok(connection
        .fetch_all(
            statement(order),
            args![
                workspace.id(),
                after.map(DeploymentUid::get),
                rows(step),
                show_deleted
            ],
        )
        .await?)
}

async fn create(
    tx: &mut Connection,
    new: &NewDeployment,
    request: Option<&Request>,
) -> Result<Deployment, Error> {
    if let Some(deployment) = replay(tx, request).await? {
        return Ok(deployment);
    }
    if !insert(tx, new).await? {
        // Whoever was faster may have been this very request.
        return replay(tx, request).await?.ok_or(Error::DeploymentExists);
    }
    let counted = Counted {
        uid: new.uid,
        change: 1,
        time: new.create_time,
    };
    log(tx, counted, ChangeKind::DeploymentCreated, None).await?;
    requests::remember(tx, request, &new.name, new.create_time).await?;
    deployment(tx, &new.name)
        .await?
        .ok_or(Error::DeploymentMissing)
}

pub(super) async fn deployment(
    connection: &mut Connection,
    name: &DeploymentName,
) -> Result<Option<Deployment>, Error> {
    connection
        .fetch_optional::<DeploymentRow>(
            "SELECT d.uid, d.workspace, d.deployment_id, d.display_name, d.description, d.labels,
                    d.dag_deploy_mode, d.rollback_enabled, d.delivery, d.execution_mode,
                    d.settings, d.latest_number,
                    d.current_number, d.previous_number, d.change, d.hold_reason, d.hold_by,
                    d.hold_time, d.delete_time, d.created_by,
                    d.create_time, d.update_time, c.revision AS current_revision
             FROM deployments d
             LEFT JOIN deploys c ON c.deployment_uid = d.uid AND c.number = d.current_number
             WHERE d.workspace = $1 AND d.deployment_id = $2",
            args![name.workspace().id(), name.id()],
        )
        .await?
        .map(Deployment::try_from)
        .transpose()
}

/// Read before the deploys that are judged by it: a deploy that lands in between has a higher number,
/// and changes nothing about those below that this would not say otherwise.
pub(super) async fn head(
    connection: &mut Connection,
    name: &DeploymentName,
) -> Result<Option<Head>, Error> {
    connection
        .fetch_optional::<HeadRow>(
            "SELECT uid, latest_number, current_number, previous_number FROM deployments
             WHERE workspace = $1 AND deployment_id = $2",
            args![name.workspace().id(), name.id()],
        )
        .await?
        .map(Head::try_from)
        .transpose()
}

/// Inserts a Deployment, unless the name is taken.
async fn insert(tx: &mut Connection, new: &NewDeployment) -> Result<bool, Error> {
    let NewDeployment {
        name,
        uid,
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        delivery,
        execution_mode,
        settings,
        created_by,
        create_time,
    } = new;
    let inserted = tx
        .execute(
            "INSERT INTO deployments
                 (uid, workspace, deployment_id, display_name, description, labels,
                  dag_deploy_mode, rollback_enabled, delivery, execution_mode, settings,
                  latest_number, current_number, previous_number, change, created_by,
                  create_time, update_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 1, $12, $13, $13)
             ON CONFLICT (workspace, deployment_id) DO NOTHING",
            args![
                uid.get(),
                name.workspace().id(),
                name.id(),
                display_name,
                description,
                documents::write_map(labels)?,
                dag_deploy_mode.as_str(),
                *rollback_enabled,
                delivery.as_str(),
                execution_mode.as_str(),
                documents::write_map(settings)?,
                created_by.to_string(),
                *create_time,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(super) async fn replay(
    tx: &mut Connection,
    request: Option<&Request>,
) -> Result<Option<Deployment>, Error> {
    let Some(name) = requests::replay::<Error>(tx, request).await? else {
        return Ok(None);
    };
    let name = name.parse::<DeploymentName>().map_err(Error::corrupt)?;
    let deployment = deployment(tx, &name).await?;
    deployment
        .ok_or_else(|| Error::corrupt("a request created no Deployment"))
        .map(Some)
}

impl TryFrom<DeploymentRow> for Deployment {
    type Error = Error;

    fn try_from(row: DeploymentRow) -> Result<Self, Error> {
        let DeploymentRow {
            uid,
            workspace,
            deployment_id,
            display_name,
            description,
            labels,
            dag_deploy_mode,
            rollback_enabled,
            delivery,
            execution_mode,
            settings,
            latest_number,
            current_number,
            previous_number,
            change,
            hold_reason,
            hold_by,
            hold_time,
            delete_time,
            created_by,
            create_time,
            update_time,
            current_revision,
        } = row;
        let workspace = WorkspaceName::new(&workspace).map_err(Error::corrupt)?;
        Ok(Self {
            name: DeploymentName::new(&workspace, &deployment_id).map_err(Error::corrupt)?,
            uid: DeploymentUid::new(uid),
            display_name,
            description,
            labels: documents::read_map(&labels)?,
            dag_deploy_mode: dag_deploy_mode.parse().map_err(Error::corrupt)?,
            rollback_enabled,
            delivery: read_delivery(&delivery)?,
            execution_mode: ExecutionMode::from_text(&execution_mode)
                .ok_or_else(|| Error::corrupt(format!("execution mode {execution_mode:?}")))?,
            settings: documents::read_map(&settings)?,
            history: history(latest_number, current_number, previous_number)?,
            change,
            hold: hold(hold_reason, hold_by, hold_time)?,
            delete_time: delete_time.map(time).transpose()?,
            current_revision: current_revision
                .map(|revision| documents::read_revision(&revision))
                .transpose()?,
            created_by: created_by.parse().map_err(Error::corrupt)?,
            create_time: time(create_time)?,
            update_time: time(update_time)?,
        })
    }
}

impl TryFrom<HeadRow> for Head {
    type Error = Error;

    fn try_from(row: HeadRow) -> Result<Self, Error> {
        let HeadRow {
            uid,
            latest_number,
            current_number,
            previous_number,
        } = row;
        Ok(Self {
            uid: DeploymentUid::new(uid),
            history: history(latest_number, current_number, previous_number)?,
        })
    }
}

fn hold(
    reason: Option<String>,
    by: Option<String>,
    hold_time: Option<i64>,
) -> Result<Option<Hold>, Error> {
    match (reason, by, hold_time) {
        (None, None, None) => Ok(None),
        (Some(reason), Some(by), Some(hold_time)) => Ok(Some(Hold {
            reason,
            by: by.parse().map_err(Error::corrupt)?,
            time: time(hold_time)?,
        })),
        _ => Err(Error::corrupt("half a hold")),
    }
}

fn history(latest: i64, current: i64, previous: i64) -> Result<History, Error> {
    Ok(History {
        latest: number(latest)?,
        current: number(current)?,
        previous: number(previous)?,
    })
}

pub(super) fn number(number: i64) -> Result<DeployNumber, Error> {
    DeployNumber::new(number).map_err(Error::corrupt)
}

pub(super) fn read_delivery(text: &str) -> Result<Delivery, Error> {
    Delivery::from_text(text).ok_or_else(|| Error::corrupt(format!("delivery {text:?}")))
}
