//! Roles, bindings, and the number that grows with every change of them.

use std::fmt;

use chrono::{DateTime, Utc};
use model::names::{Level, PolicyFileName, Principal, ResourceName, RoleBindingName, RoleName};
use model::permissions::PermissionSet;
use thiserror::Error;

/// The number of a policy. It grows by one with every change of roles or bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PolicyRevision(pub(crate) i64);

impl fmt::Display for PolicyRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) name: RoleName,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) permissions: PermissionSet,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) updated_by: Principal,
    pub(crate) update_time: DateTime<Utc>,
    /// The policy file that keeps the role as it is.
    pub(crate) managed_by: Option<PolicyFileName>,
}

/// A role that a principal has on a resource and on all that is below it. Calls never change it; a
/// policy file can take it over, and change when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleBinding {
    /// The name, which says the resource.
    pub(crate) name: RoleBindingName,
    pub(crate) principal: Principal,
    pub(crate) role: RoleName,
    pub(crate) created_by: Principal,
    pub(crate) create_time: DateTime<Utc>,
    /// From when on it gives nothing; it stays until it is deleted.
    pub(crate) expire_time: Option<DateTime<Utc>>,
    /// The policy file that keeps the binding.
    pub(crate) managed_by: Option<PolicyFileName>,
}

impl RoleBinding {
    /// Whether the binding gives nothing any more.
    pub(crate) fn expired(&self, now: DateTime<Utc>) -> bool {
        self.expire_time.is_some_and(|time| time <= now)
    }
}

/// Why a role cannot be bound on a resource.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unbindable {
    /// A custom role of somewhere else.
    #[error("{role} can be bound on {} and below it only", role.parent())]
    Elsewhere {
        /// The role.
        role: RoleName,
    },
    /// What the role holds means nothing on so narrow a resource.
    #[error(
        "{role} holds permissions that mean nothing on a {level}, such as {}: bind it higher \
         up, or give a narrower role",
        permissions.iter().next().map(|permission| permission.to_string()).unwrap_or_default()
    )]
    TooWide {
        /// The role.
        role: RoleName,
        /// The level of the resource.
        level: Level,
        /// What is too wide.
        permissions: PermissionSet,
    },
}

/// Whether a role that holds `permissions` can be bound on `resource`: it must be built in, or of
/// the resource or one above it, and hold only what has a meaning there.
///
/// Of the built-in roles those for Deployments therefore fit everywhere, those for workspaces a
/// workspace and the system, and those for the system only that.
pub(crate) fn check_bindable(
    role: &RoleName,
    permissions: PermissionSet,
    resource: &ResourceName,
) -> Result<(), Unbindable> {
    let parent = role.parent();
    if !resource.ancestors().any(|ancestor| ancestor == parent) {
        return Err(Unbindable::Elsewhere { role: role.clone() });
    }
    let level = resource.level();
    let too_wide = permissions.difference(PermissionSet::grantable_at(level));
    if !too_wide.is_empty() {
        return Err(Unbindable::TooWide {
            role: role.clone(),
            level,
            permissions: too_wide,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::permissions::Permission;
    use model::roles::SystemRole;

    use super::*;

    #[test]
    fn a_built_in_role_fits_its_level_and_all_wider_ones() {
        let resources = ["system", "workspaces/w", "workspaces/w/deployments/d"];
        for role in SystemRole::ALL {
            for resource in resources {
                let resource = resource.parse::<ResourceName>().unwrap();
                let fits =
                    check_bindable(&RoleName::built_in(*role), role.permissions(), &resource);
                assert_eq!(
                    fits.is_ok(),
                    resource.level() <= role.level(),
                    "{role} on {resource}"
                );
            }
        }
    }

    #[test]
    fn a_custom_role_fits_its_own_resource_and_below() {
        let pushing = PermissionSet::of(&[Permission::DeploymentDagsPush]);
        for (role, resource, fits) in [
            ("roles/shipper", "system", true),
            ("roles/shipper", "workspaces/w/deployments/d", true),
            ("workspaces/w/roles/shipper", "system", false),
            ("workspaces/w/roles/shipper", "workspaces/w", true),
            (
                "workspaces/w/roles/shipper",
                "workspaces/w/deployments/d",
                true,
            ),
            ("workspaces/w/roles/shipper", "workspaces/v", false),
            (
                "workspaces/w/roles/shipper",
                "workspaces/v/deployments/d",
                false,
            ),
            (
                "workspaces/w/deployments/d/roles/shipper",
                "workspaces/w",
                false,
            ),
            (
                "workspaces/w/deployments/d/roles/shipper",
                "workspaces/w/deployments/d",
                true,
            ),
            (
                "workspaces/w/deployments/d/roles/shipper",
                "workspaces/w/deployments/e",
                false,
            ),
        ] {
            let found = check_bindable(&role.parse().unwrap(), pushing, &resource.parse().unwrap());
            assert_eq!(found.is_ok(), fits, "{role} on {resource}");
        }
    }

    #[test]
    fn a_custom_role_that_holds_something_wider_does_not_fit() {
        let role = "roles/mixed".parse().unwrap();
        let permissions = PermissionSet::of(&[
            Permission::DeploymentDagsPush,
            Permission::WorkspaceConfigGet,
        ]);
        assert!(check_bindable(&role, permissions, &"workspaces/w".parse().unwrap()).is_ok());
        assert_eq!(
            check_bindable(
                &role,
                permissions,
                &"workspaces/w/deployments/d".parse().unwrap()
            ),
            Err(Unbindable::TooWide {
                role,
                level: Level::Deployment,
                permissions: PermissionSet::of(&[Permission::WorkspaceConfigGet]),
            })
        );
    }

    #[test]
    fn what_only_services_may_do_fits_nowhere() {
        let permissions = PermissionSet::of(&[Permission::SystemPermitsIssue]);
        assert!(
            check_bindable(
                &"roles/sly".parse().unwrap(),
                permissions,
                &ResourceName::System
            )
            .is_err()
        );
    }
}
