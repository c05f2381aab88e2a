//! What was changed in the policy, by whom, when and why.

#![allow(dead_code, reason = "its readers follow")]

use chassis::args;
use chassis::database::Connection;
use model::names::ResourceName;

use self::details::Details;
use super::Error;
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::{Author, Change};

mod details;

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
