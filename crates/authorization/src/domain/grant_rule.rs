//! Nobody can grant what they do not hold, nor for longer than they hold it.
//!
//! It holds for what is granted directly, by a role or a binding, and for what comes with the token
//! of a service account. A role is for ever; a binding and a token are until they expire. So whoever
//! administers for an hour can make others administer for that hour, and not themselves for ever.

use chrono::{DateTime, TimeDelta, Utc};
use model::names::{Principal, ResourceName, ServiceAccountName};
use model::permissions::PermissionSet;
use thiserror::Error;

use super::index::{Holding, Index, IndexedRole};
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
    /// It would last longer than the granter holds it.
    #[error("the granter does not hold {missing} on {resource} for so long")]
    Outlasts {
        /// Where.
        resource: ResourceName,
        /// What the granter holds there now, and not until the end.
        missing: PermissionSet,
    },
    /// Nobody can tell how much it is: a role is not known here, or not all that it holds.
    #[error("a role on {resource} cannot be read by this release")]
    Unreadable {
        /// Where.
        resource: ResourceName,
    },
}

/// Whether the granter may give these permissions on the resource, from now until they expire; for
/// ever without an `expire_time`.
pub(crate) fn check_permissions(
    index: &Index,
    granter: &Subject,
    permissions: PermissionSet,
    resource: &ResourceName,
    now: DateTime<Utc>,
    expire_time: Option<DateTime<Utc>>,
) -> Result<(), Ungrantable> {
    let resource = resource.clone();
    let missing = permissions.difference(index.held(granter, &resource, now));
    if !missing.is_empty() {
        return Err(Ungrantable::Exceeds { resource, missing });
    }
    // What somebody holds grows less with time, by the policy of today: what is held at the end is
    // held all the time until then.
    let missing = permissions.difference(index.held(granter, &resource, end(expire_time)));
    if !missing.is_empty() {
        return Err(Ungrantable::Outlasts { resource, missing });
    }
    Ok(())
}

/// The last moment at which something counts that expires then.
fn end(expire_time: Option<DateTime<Utc>>) -> DateTime<Utc> {
    expire_time.map_or(DateTime::<Utc>::MAX_UTC, |time| {
        time.checked_sub_signed(TimeDelta::microseconds(1))
            .unwrap_or(time)
    })
}

/// Whether the granter may bind the role on the resource, from now until the binding expires.
pub(crate) fn check_role(
    index: &Index,
    granter: &Subject,
    role: &IndexedRole,
    resource: &ResourceName,
    now: DateTime<Utc>,
    expire_time: Option<DateTime<Utc>>,
) -> Result<(), Ungrantable> {
    if !role.complete {
        return Err(Ungrantable::Unreadable {
            resource: resource.clone(),
        });
    }
    check_permissions(index, granter, role.permissions, resource, now, expire_time)
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

/// Whether the granter may have a token of the service account that expires then, and so all that the
/// account holds until then. The first resource is told on which that is too much.
pub(crate) fn check_account(
    index: &Index,
    granter: &Subject,
    account: &ServiceAccountName,
    now: DateTime<Utc>,
    expire_time: DateTime<Utc>,
) -> Result<(), Ungrantable> {
    index
        .holdings(&Principal::ServiceAccount(account.clone()), now)
        .try_for_each(|holding| {
            let Holding {
                resource,
                role,
                expire_time: held_until,
            } = holding;
            let role = role.ok_or_else(|| Ungrantable::Unreadable {
                resource: resource.clone(),
            })?;
            let until = held_until.map_or(expire_time, |time| time.min(expire_time));
            check_role(index, granter, role, resource, now, Some(until))
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
        let bindings = bindings
            .iter()
            .map(|(principal, role, resource)| (*principal, *role, *resource, None));
        index_until(roles, &bindings.collect::<Vec<_>>())
    }

    /// With bindings that expire so many seconds from now.
    fn index_until(
        roles: &[(&str, &[&str])],
        bindings: &[(&str, &str, &str, Option<i64>)],
    ) -> Index {
        let roles = roles.iter().map(|(name, permissions)| RoleRow {
            name: (*name).to_owned(),
            permissions: Some(permissions.iter().map(|text| (*text).to_owned()).collect()),
        });
        let bindings = (1..)
            .zip(bindings)
            .map(|(id, (principal, role, resource, seconds))| BindingRow {
                id: model::names::RoleBindingId::new(Uuid::from_u128(id)),
                resource: (*resource).to_owned(),
                principal: (*principal).to_owned(),
                role: (*role).to_owned(),
                expire_time: seconds.map(|seconds| at(seconds).timestamp_micros()),
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

    fn at(seconds: i64) -> DateTime<Utc> {
        NOW + TimeDelta::seconds(seconds)
    }

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
            let found = check_permissions(
                &index,
                &user(granter),
                permissions,
                &resource(on),
                NOW,
                None,
            );
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
    fn nobody_can_grant_for_longer_than_they_hold() {
        let index = index_until(
            &[],
            &[
                (
                    "user:ann",
                    "roles/DEPLOYMENT_ADMIN",
                    "workspaces/w",
                    Some(60),
                ),
                ("user:ann", "roles/DEPLOYMENT_VIEWER", "workspaces/w", None),
            ],
        );
        let viewer = SystemRole::DeploymentViewer;
        let admin = SystemRole::DeploymentAdmin;
        for (role, seconds, lasts) in [
            (viewer, None, true),
            (viewer, Some(1_000), true),
            (admin, Some(59), true),
            (admin, Some(60), true),
            (admin, Some(61), false),
            (admin, None, false),
        ] {
            let (permissions, until) = (role.permissions(), seconds.map(at));
            let on = resource("workspaces/w/deployments/d");
            let found = check_permissions(&index, &user("ann"), permissions, &on, NOW, until);
            let expected = if lasts {
                Ok(())
            } else {
                Err(Ungrantable::Outlasts {
                    resource: on,
                    missing: admin.permissions().difference(viewer.permissions()),
                })
            };
            assert_eq!(found, expected, "{role} {seconds:?}");
        }
    }

    #[test]
    fn a_token_gives_what_its_account_holds_until_either_expires() {
        let ci = "service-account:workspaces/w/serviceAccounts/ci";
        let account = "workspaces/w/serviceAccounts/ci".parse().unwrap();
        for (account_seconds, granter_seconds, token_seconds, may) in [
            (None, Some(60), 60, true),
            (None, Some(60), 61, false),
            (Some(60), Some(60), 1_000, true),
            (Some(61), Some(60), 1_000, false),
            (None, None, 1_000, true),
        ] {
            let role = "roles/DEPLOYMENT_EDITOR";
            let index = index_until(
                &[],
                &[
                    (ci, role, "workspaces/w", account_seconds),
                    ("user:ann", role, "workspaces/w", granter_seconds),
                ],
            );
            let found = check_account(&index, &user("ann"), &account, NOW, at(token_seconds));
            assert_eq!(
                found.is_ok(),
                may,
                "{account_seconds:?} {granter_seconds:?} {token_seconds}"
            );
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
        assert_eq!(
            check_account(&index, &user("root"), &account, NOW, at(9)),
            Ok(())
        );
        assert_eq!(
            check_account(&index, &user("ann"), &account, NOW, at(9)),
            Err(Ungrantable::Exceeds {
                resource: resource("workspaces/v"),
                missing: SystemRole::DeploymentViewer.permissions(),
            })
        );
        let other = "workspaces/w/serviceAccounts/new".parse().unwrap();
        assert_eq!(
            check_account(&index, &user("ann"), &other, NOW, at(9)),
            Ok(())
        );
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
            check_role(
                &index,
                &user("root"),
                later,
                &resource("workspaces/w"),
                NOW,
                None
            ),
            unreadable("workspaces/w")
        );
        assert_eq!(
            check_account(
                &index,
                &user("root"),
                &"workspaces/w/serviceAccounts/ci".parse().unwrap(),
                NOW,
                at(9)
            ),
            unreadable("workspaces/w")
        );
    }
}
