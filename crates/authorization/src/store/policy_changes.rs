//! What was changed in the policy, by whom, when and why.

mod details;

use chassis::args;
use chassis::database::{Connection, time};
use model::names::ResourceName;

use self::details::Details;
use super::error::corrupt;
use super::{Error, Store};
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::{Author, Change, PolicyChange, Position};

#[derive(sqlx::FromRow)]
struct ChangeRow {
    revision: i64,
    number: i64,
    r#type: String,
    name: String,
    changed_by: String,
    change_time: i64,
    reason: String,
    managed_by: Option<String>,
    details: String,
}

impl TryFrom<ChangeRow> for PolicyChange {
    type Error = Error;

    fn try_from(row: ChangeRow) -> Result<Self, Error> {
        let ChangeRow {
            revision,
            number,
            r#type,
            name,
            changed_by,
            change_time,
            reason,
            managed_by,
            details,
        } = row;
        let managed_by = managed_by.as_deref().map(str::parse).transpose();
        Ok(Self {
            position: Position {
                revision: PolicyRevision(revision),
                number: number.try_into().map_err(corrupt)?,
            },
            author: Author {
                principal: changed_by.parse().map_err(corrupt)?,
                time: time(change_time)?,
                reason,
                managed_by: managed_by.map_err(corrupt)?,
            },
            change: Details::read(&r#type, &name, &details)?,
        })
    }
}

impl Store {
    /// The changes on a resource itself, or with `descendants` on all below it too, from the one
    /// before `before` on: the newest first.
    pub(crate) async fn policy_changes(
        &self,
        resource: &ResourceName,
        descendants: bool,
        before: Option<Position>,
        most: i64,
    ) -> Result<Vec<PolicyChange>, Error> {
        let (revision, number) = before.map_or((i64::MAX, i64::MAX), |position| {
            (position.revision.0, i64::from(position.number))
        });
        let mut args = args![revision, number, most];
        let sql = match (resource, descendants) {
            (ResourceName::System, true) => {
                "SELECT revision, number, type, name, changed_by, change_time, reason, managed_by,
                        details
                 FROM policy_changes WHERE (revision, number) < ($1, $2)
                 ORDER BY revision DESC, number DESC LIMIT $3"
            }
            (ResourceName::Workspace(workspace), true) => {
                args.push(workspace.to_string().into());
                "SELECT revision, number, type, name, changed_by, change_time, reason, managed_by,
                        details
                 FROM policy_changes WHERE workspace = $4 AND (revision, number) < ($1, $2)
                 ORDER BY revision DESC, number DESC LIMIT $3"
            }
            // Nothing is below a Deployment.
            (ResourceName::Deployment(_), true)
            | (
                ResourceName::System | ResourceName::Workspace(_) | ResourceName::Deployment(_),
                false,
            ) => {
                args.push(resource.to_string().into());
                "SELECT revision, number, type, name, changed_by, change_time, reason, managed_by,
                        details
                 FROM policy_changes WHERE resource = $4 AND (revision, number) < ($1, $2)
                 ORDER BY revision DESC, number DESC LIMIT $3"
            }
        };
        let mut connection = self.database.read().await?;
        let rows = connection.fetch_all::<ChangeRow>(sql, args).await?;
        rows.into_iter().map(PolicyChange::try_from).collect()
    }
}

/// Records the changes of a revision, in the transaction that makes them: all of them in one call.
pub(super) async fn record(
    transaction: &mut Connection,
    revision: PolicyRevision,
    author: &Author,
    changes: &[Change],
) -> Result<(), Error> {
    let Author {
        principal,
        time,
        reason,
        managed_by,
    } = author;
    for (number, change) in (1_i64..).zip(changes) {
        let Details { kind, text } = Details::write(change)?;
        let resource = change.resource();
        transaction
            .execute(
                "INSERT INTO policy_changes
                     (revision, number, type, resource, workspace, name, changed_by, change_time,
                      reason, managed_by, details)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                args![
                    revision.0,
                    number,
                    kind,
                    resource.to_string(),
                    workspace_of(&resource),
                    change.name(),
                    principal.to_string(),
                    *time,
                    reason,
                    managed_by.as_ref().map(ToString::to_string),
                    text,
                ],
            )
            .await?;
    }
    Ok(())
}

/// The workspace that a resource is, or is in.
fn workspace_of(resource: &ResourceName) -> Option<String> {
    match resource {
        ResourceName::System => None,
        ResourceName::Workspace(name) => Some(name.to_string()),
        ResourceName::Deployment(name) => Some(name.workspace().to_string()),
    }
}
