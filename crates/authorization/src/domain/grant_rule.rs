//! Nobody can grant what they do not hold.
//!
//! It holds for what is granted directly, by a role or a binding, and for what comes with the token
//! of a service account.

use chrono::{DateTime, Utc};
use model::names::{Principal, ResourceName, ServiceAccountName};
use model::permissions::PermissionSet;
use thiserror::Error;

use super::index::{Index, IndexedRole};
use super::subject::Subject;

/// Why something cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Ungrantable {
    /// It is more than the granter holds.
    #[error("the granter does not hold {missing} on {resource}")]
    Exceeds {
        /// Where.
        resource: ResourceName,
        /// What the granter does not hold there.
        missing: PermissionSet,
    },
    /// Nobody can tell how much it is: a role is not known here, or not all that it holds.
    #[error("a role on {resource} cannot be read by this release")]
    Unreadable {
        /// Where.
        resource: ResourceName,
    },
}

/// Whether the granter may give these permissions on the resource.
pub(crate) fn check_permissions(
    index: &Index,
    granter: &Subject,
    permissions: PermissionSet,
    resource: &ResourceName,
    now: DateTime<Utc>,
) -> Result<(), Ungrantable> {
    let missing = permissions.difference(index.held(granter, resource, now));
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Ungrantable::Exceeds {
            resource: resource.clone(),
            missing,
        })
    }
}

/// Whether the granter may bind the role on the resource.
pub(crate) fn check_role(
    index: &Index,
    granter: &Subject,
    role: &IndexedRole,
    resource: &ResourceName,
    now: DateTime<Utc>,
) -> Result<(), Ungrantable> {
    if !role.complete {
        return Err(Ungrantable::Unreadable {
            resource: resource.clone(),
        });
    }
    check_permissions(index, granter, role.permissions, resource, now)
}

/// What those get to whom the role is bound, if it holds `permissions` from now on. Where it is not
/// known what it holds today, that is all of it.
///
/// Whoever holds that where the role is defined holds it wherever the role is bound: it cannot be
/// bound but there and below.
pub(crate) fn gained(role: Option<&IndexedRole>, permissions: PermissionSet) -> PermissionSet {
    match role {
        Some(role) if role.complete => permissions.difference(role.permissions),
        Some(_) | None => permissions,
    }
}

/// Whether the granter may have a token of the service account, and so all that it holds. The first
/// resource is told on which that is too much.
pub(crate) fn check_account(
    index: &Index,
    granter: &Subject,
    account: &ServiceAccountName,
    now: DateTime<Utc>,
) -> Result<(), Ungrantable> {
    index
        .holdings(&Principal::ServiceAccount(account.clone()), now)
        .try_for_each(|holding| match holding.role {
            Some(role) => check_role(index, granter, role, holding.resource, now),
            None => Err(Ungrantable::Unreadable {
                resource: holding.resource.clone(),
            }),
        })
}

#[cfg(test)]
mod tests {
    use model::permissions::Permission::{
        DeploymentDagsPush, DeploymentImagesPush, WorkspaceIamUpdate,
    };
    use model::roles::SystemRole;
    use uuid::Uuid;

    use super::*;
    use crate::domain::index::{BindingRow, PolicyRows, RoleRow};
    use crate::domain::policy::PolicyRevision;

    fn index(roles: &[(&str, &[&str])], bindings: &[(&str, &str, &str)]) -> Index {
        let roles = roles.iter().map(|(name, permissions)| RoleRow {
            name: (*name).to_owned(),
            permissions: Some(permissions.iter().map(|text| (*text).to_owned()).collect()),
        });
        let bindings = (1..)
            .zip(bindings)
            .map(|(id, (principal, role, resource))| BindingRow {
                id: model::names::RoleBindingId::new(Uuid::from_u128(id)),
                resource: (*resource).to_owned(),
                principal: (*principal).to_owned(),
                role: (*role).to_owned(),
                expire_time: None,
            });
        Index::build(PolicyRows {
            revision: PolicyRevision(1),
            built_in_role_changes: Vec::new(),
            roles: roles.collect(),
            bindings: bindings.collect(),
            revoked: Vec::new(),
        })
        .0
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn user(id: &str) -> Subject {
        Subject {
            principal: Principal::user(id).unwrap(),
            groups: Vec::new(),
            service_permissions: PermissionSet::EMPTY,
        }
    }

    fn resource(text: &str) -> ResourceName {
        text.parse().unwrap()
    }

    #[test]
    fn a_granter_needs_every_permission_at_the_resource_itself_or_above() {
        let index = index(
            &[("workspaces/w/roles/pusher", &["deployment.dags.push"])],
            &[
                ("user:ann", "roles/WORKSPACE_ADMIN", "workspaces/w"),
                (
                    "user:bob",
                    "workspaces/w/roles/pusher",
                    "workspaces/w/deployments/d",
                ),
            ],
        );
        let dags = PermissionSet::of(&[DeploymentDagsPush]);
        let both = PermissionSet::of(&[DeploymentDagsPush, DeploymentImagesPush]);
        for (granter, permissions, on, missing) in [
            (
                "ann",
                both,
                "workspaces/w/deployments/d",
                PermissionSet::EMPTY,
            ),
            ("ann", both, "workspaces/w", PermissionSet::EMPTY),
            ("ann", both, "workspaces/v", both),
            ("ann", both, "system", both),
            (
                "bob",
                dags,
                "workspaces/w/deployments/d",
                PermissionSet::EMPTY,
            ),
            (
                "bob",
                both,
                "workspaces/w/deployments/d",
                PermissionSet::of(&[DeploymentImagesPush]),
            ),
            ("bob", dags, "workspaces/w", dags),
            ("bob", dags, "workspaces/w/deployments/e", dags),
            (
                "bob",
                PermissionSet::of(&[WorkspaceIamUpdate]),
                "workspaces/w/deployments/d",
                PermissionSet::of(&[WorkspaceIamUpdate]),
            ),
        ] {
            let found = check_permissions(&index, &user(granter), permissions, &resource(on), NOW);
            let expected = if missing.is_empty() {
                Ok(())
            } else {
                Err(Ungrantable::Exceeds {
                    resource: resource(on),
                    missing,
                })
            };
            assert_eq!(found, expected, "{granter} on {on}");
        }
    }

    #[test]
    fn a_token_needs_all_that_its_account_holds_wherever_it_is_bound() {
        let account = "workspaces/w/serviceAccounts/ci"
            .parse::<ServiceAccountName>()
            .unwrap();
        let ci = "service-account:workspaces/w/serviceAccounts/ci";
        let index = index(
            &[],
            &[
                ("user:ann", "roles/WORKSPACE_ADMIN", "workspaces/w"),
                ("user:root", "roles/SYSTEM_ADMIN", "system"),
                (ci, "roles/DEPLOYMENT_EDITOR", "workspaces/w/deployments/d"),
                (ci, "roles/DEPLOYMENT_VIEWER", "workspaces/v"),
            ],
        );
        assert_eq!(check_account(&index, &user("root"), &account, NOW), Ok(()));
        assert_eq!(
            check_account(&index, &user("ann"), &account, NOW),
            Err(Ungrantable::Exceeds {
                resource: resource("workspaces/v"),
                missing: SystemRole::DeploymentViewer.permissions(),
            })
        );
        let other = "workspaces/w/serviceAccounts/new".parse().unwrap();
        assert_eq!(check_account(&index, &user("ann"), &other, NOW), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_cannot_be_granted_by_anybody() {
        let ci = "service-account:workspaces/w/serviceAccounts/ci";
        let index = index(
            &[(
                "roles/later",
                &["deployment.dags.push", "deployment.future.do"],
            )],
            &[
                ("user:root", "roles/SYSTEM_ADMIN", "system"),
                (ci, "roles/gone", "workspaces/w"),
            ],
        );
        let later = index.role(&"roles/later".parse().unwrap()).unwrap();
        let unreadable = |on| {
            Err(Ungrantable::Unreadable {
                resource: resource(on),
            })
        };
        assert_eq!(
            check_role(&index, &user("root"), later, &resource("workspaces/w"), NOW),
            unreadable("workspaces/w")
        );
        assert_eq!(
            check_account(
                &index,
                &user("root"),
                &"workspaces/w/serviceAccounts/ci".parse().unwrap(),
                NOW
            ),
            unreadable("workspaces/w")
        );
    }
}
