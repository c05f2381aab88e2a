use std::collections::{BTreeMap, BTreeSet};

use super::{RoleChangeError, RoleChanges, SystemRole};
use crate::names::Level;
use crate::permissions::{Permission, PermissionSet};

/// Houston's default roles, and what Reprise adds. `+` includes another role; the words after the
/// first slash of a permission replace its last one.
const ROLES: &str = "
DEPLOYMENT_VIEWER: deployment.airflow.get, deployment.config.get, deployment.logs.get, deployment.images.pull, deployment.metrics.get, deployment.serviceAccounts.get, deployment.variables.get, deployment.users.get, deployment.teams.get, deployment.taskUsage.get, deployment.status.get, deployment.deployRevisions.get
DEPLOYMENT_EDITOR: +DEPLOYMENT_VIEWER, deployment.airflow.user, deployment.config.update, deployment.images.push, deployment.dags.push, deployment.serviceAccounts.create/update/delete, deployment.variables.update, deployment.config.upsert, deployment.adminCount.get
DEPLOYMENT_ADMIN: +DEPLOYMENT_EDITOR, deployment.airflow.admin, deployment.config.delete, deployment.userRoles.update, deployment.teamRoles.update, deployment.deploys.report, deployment.agents.report
DEPLOYMENT_AGENT: deployment.config.get, deployment.deployRevisions.get, deployment.images.pull, deployment.deploys.report, deployment.agents.report
WORKSPACE_VIEWER: workspace.config.get, workspace.deployments.get, workspace.serviceAccounts.get, workspace.users.get, workspace.teams.get, workspace.taskUsage.get
WORKSPACE_EDITOR: +WORKSPACE_VIEWER, workspace.config.update, workspace.deployments.create, workspace.deployments.upsert, workspace.serviceAccounts.create/update/delete, workspace.adminCount.get
WORKSPACE_ADMIN: +WORKSPACE_EDITOR, +DEPLOYMENT_ADMIN, workspace.invites.get, workspace.config.delete, workspace.iam.update, workspace.teams.getAll, workspace.users.getAll
SYSTEM_VIEWER: +WORKSPACE_VIEWER, +DEPLOYMENT_VIEWER, system.deployments.get, system.users.get, system.teams.get, system.workspace.get, system.serviceAccounts.get, system.deployRevisions.get
SYSTEM_EDITOR: +SYSTEM_VIEWER, +WORKSPACE_EDITOR, +DEPLOYMENT_EDITOR, system.deployment.variables.update, system.serviceAccounts.update
SYSTEM_ADMIN: +SYSTEM_EDITOR, +WORKSPACE_ADMIN, +DEPLOYMENT_ADMIN, system.iam.update, system.deployments.create/update/delete, system.serviceAccounts.create/delete, system.deployments.images.push, system.deployments.dags.push, system.cleanupDeployRevisions.delete
";

/// Reads the table, in which a role includes only roles above it.
fn expected() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut roles: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in ROLES.lines().filter(|line| !line.is_empty()) {
        let (role, words) = line.split_once(": ").unwrap();
        let mut names = BTreeSet::new();
        for word in words.split(", ") {
            if let Some(included) = word.strip_prefix('+') {
                names.extend(roles[included].iter().cloned());
                continue;
            }
            let (prefix, actions) = word.rsplit_once('.').unwrap();
            names.extend(
                actions
                    .split('/')
                    .map(|action| format!("{prefix}.{action}")),
            );
        }
        roles.insert(role, names);
    }
    roles
}

#[test]
fn every_role_holds_what_the_table_says() {
    let expected = expected();
    assert_eq!(expected.len(), SystemRole::ALL.len());
    for role in SystemRole::ALL {
        let held: BTreeSet<_> = role
            .permissions()
            .iter()
            .map(|permission| permission.to_string())
            .collect();
        assert_eq!(held, expected[role.as_str()], "{role}");
    }
}

#[test]
fn every_permission_is_in_a_role_or_for_services_only() {
    let admin = SystemRole::SystemAdmin.permissions();
    for permission in Permission::ALL {
        assert_eq!(
            admin.contains(*permission),
            !permission.service_only(),
            "{permission}"
        );
    }
}

#[test]
fn no_role_holds_what_a_custom_role_at_its_level_could_not() {
    for role in SystemRole::ALL {
        assert!(
            role.permissions()
                .is_subset(PermissionSet::grantable_at(role.level())),
            "{role}"
        );
    }
}

#[test]
fn a_role_is_made_for_the_level_in_its_name() {
    for role in SystemRole::ALL {
        let (level, _) = role.as_str().split_once('_').unwrap();
        assert_eq!(level.to_lowercase().parse(), Ok(role.level()), "{role}");
    }
}

#[test]
fn a_workspace_editor_can_push_nothing_and_a_workspace_admin_everything() {
    let pushes = PermissionSet::of(&[
        Permission::DeploymentImagesPush,
        Permission::DeploymentDagsPush,
    ]);
    let editor = SystemRole::WorkspaceEditor.permissions();
    assert_eq!(editor.difference(pushes), editor);
    assert!(editor.is_subset(PermissionSet::grantable_at(Level::Workspace)));
    assert!(pushes.is_subset(SystemRole::WorkspaceAdmin.permissions()));
}

fn changes(changes: &[(SystemRole, Permission, bool)]) -> RoleChanges {
    let mut all = RoleChanges::default();
    for (role, permission, held) in changes {
        all.set(*role, *permission, *held).unwrap();
    }
    all
}

#[test]
fn without_changes_every_role_holds_what_it_holds_everywhere() {
    for role in SystemRole::ALL {
        assert_eq!(
            role.permissions_with(&RoleChanges::default()),
            role.permissions(),
            "{role}"
        );
    }
}

#[test]
fn a_change_reaches_every_role_that_includes_the_changed_one() {
    use Permission::{DeploymentDeploysReport as REPORT, DeploymentImagesPush as PUSH};
    use SystemRole::*;

    const HOLD_PUSH: &[SystemRole] = &[
        DeploymentEditor,
        DeploymentAdmin,
        WorkspaceAdmin,
        SystemEditor,
        SystemAdmin,
    ];
    const HOLD_REPORT: &[SystemRole] = &[
        DeploymentAdmin,
        DeploymentAgent,
        WorkspaceAdmin,
        SystemAdmin,
    ];
    type Case<'a> = (
        &'a [(SystemRole, Permission, bool)],
        Permission,
        &'a [SystemRole],
    );
    let cases: [Case<'_>; 9] = [
        (&[], PUSH, HOLD_PUSH),
        (&[], REPORT, HOLD_REPORT),
        (&[(DeploymentEditor, PUSH, false)], PUSH, &[]),
        // One that includes it says otherwise, for itself and for those that include it in turn.
        (
            &[
                (DeploymentEditor, PUSH, false),
                (DeploymentAdmin, PUSH, true),
            ],
            PUSH,
            &[DeploymentAdmin, WorkspaceAdmin, SystemAdmin],
        ),
        (
            &[(WorkspaceAdmin, PUSH, false)],
            PUSH,
            &[DeploymentEditor, DeploymentAdmin, SystemEditor, SystemAdmin],
        ),
        (
            &[(SystemAdmin, PUSH, false)],
            PUSH,
            &[
                DeploymentEditor,
                DeploymentAdmin,
                WorkspaceAdmin,
                SystemEditor,
            ],
        ),
        // A workspace role can be given what is of Deployments.
        (
            &[(WorkspaceEditor, PUSH, true)],
            PUSH,
            &[
                DeploymentEditor,
                DeploymentAdmin,
                WorkspaceEditor,
                WorkspaceAdmin,
                SystemEditor,
                SystemAdmin,
            ],
        ),
        (
            &[(DeploymentViewer, REPORT, true)],
            REPORT,
            &[
                DeploymentViewer,
                DeploymentEditor,
                DeploymentAdmin,
                DeploymentAgent,
                WorkspaceAdmin,
                SystemViewer,
                SystemEditor,
                SystemAdmin,
            ],
        ),
        // What is said last of the same role and permission counts.
        (
            &[
                (DeploymentEditor, PUSH, false),
                (DeploymentEditor, PUSH, true),
            ],
            PUSH,
            HOLD_PUSH,
        ),
    ];
    for (said, permission, holders) in cases {
        let changes = changes(said);
        for role in SystemRole::ALL {
            let held = role.permissions_with(&changes);
            assert_eq!(
                held.contains(permission),
                holders.contains(role),
                "{role} {permission} {said:?}"
            );
            let this = PermissionSet::of(&[permission]);
            assert_eq!(
                held.difference(this),
                role.permissions().difference(this),
                "{role}: nothing else changes"
            );
        }
    }
}

#[test]
fn no_change_gives_a_role_what_its_level_cannot_hold_or_takes_the_last_administration() {
    use Permission::*;
    use SystemRole::*;

    for held in [false, true] {
        for role in SystemRole::ALL {
            for permission in Permission::ALL {
                let mut changes = RoleChanges::default();
                let level = role.level();
                let expected = if permission.service_only() {
                    Err(RoleChangeError::ServiceOnly {
                        permission: *permission,
                    })
                } else if permission.level() < level {
                    Err(RoleChangeError::AboveLevel {
                        role: *role,
                        level,
                        permission: *permission,
                    })
                } else if (*role, *permission, held) == (SystemAdmin, SystemIamUpdate, false) {
                    Err(RoleChangeError::LastAdministration {
                        role: *role,
                        permission: *permission,
                    })
                } else {
                    Ok(())
                };
                assert_eq!(changes.set(*role, *permission, held), expected);
                if expected.is_err() {
                    assert_eq!(changes, RoleChanges::default());
                }
                for other in SystemRole::ALL {
                    let holds = other.permissions_with(&changes);
                    assert!(holds.is_subset(PermissionSet::grantable_at(other.level())));
                }
                assert!(
                    SystemAdmin
                        .permissions_with(&changes)
                        .contains(SystemIamUpdate)
                );
            }
        }
    }
}
