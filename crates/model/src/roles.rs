//! The roles that are built in: Houston's default roles, and one for those who ship deploys.
//!
//! A role is what it includes and what it adds. Each role includes the one below it in its family;
//! a system role also includes the workspace and deployment role of its rank. A workspace role
//! does not imply a deployment role, with one exception: a Workspace Admin acts as Deployment Admin
//! on every Deployment of the workspace. A Workspace Editor therefore can push nothing.
//!
//! Which role includes which is data, here, and what a role holds can be changed for one
//! installation by [`RoleChanges`]: where workspace editors are to ship, WORKSPACE_EDITOR is said to
//! hold `deployment.images.push` and `deployment.dags.push`.

use crate::names::Level;
use crate::permissions::Permission::{self, *};
use crate::permissions::PermissionSet;

mod changes;
#[cfg(test)]
mod tests;

pub use changes::{RoleChangeError, RoleChanges};

text_enum! {
    /// A role that is built in.
    pub enum SystemRole: "system role" {
        /// Sees a Deployment and its history.
        DeploymentViewer = "DEPLOYMENT_VIEWER",
        /// Ships to a Deployment, and rolls it back.
        DeploymentEditor = "DEPLOYMENT_EDITOR",
        /// Does everything on a Deployment.
        DeploymentAdmin = "DEPLOYMENT_ADMIN",
        /// Ships what was recorded and reports how it went: for machines.
        DeploymentAgent = "DEPLOYMENT_AGENT",
        /// Sees a workspace.
        WorkspaceViewer = "WORKSPACE_VIEWER",
        /// Creates Deployments in a workspace.
        WorkspaceEditor = "WORKSPACE_EDITOR",
        /// Does everything in a workspace, and on all its Deployments.
        WorkspaceAdmin = "WORKSPACE_ADMIN",
        /// Sees everything.
        SystemViewer = "SYSTEM_VIEWER",
        /// Is an editor everywhere.
        SystemEditor = "SYSTEM_EDITOR",
        /// Is an admin everywhere.
        SystemAdmin = "SYSTEM_ADMIN",
    }
}

impl SystemRole {
    /// The level that the role is made for.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::DeploymentViewer
            | Self::DeploymentEditor
            | Self::DeploymentAdmin
            | Self::DeploymentAgent => Level::Deployment,
            Self::WorkspaceViewer | Self::WorkspaceEditor | Self::WorkspaceAdmin => {
                Level::Workspace
            }
            Self::SystemViewer | Self::SystemEditor | Self::SystemAdmin => Level::System,
        }
    }

    /// Everything that the role holds, with what it includes, unless an installation says otherwise:
    /// [`Self::permissions_with`].
    #[must_use]
    pub const fn permissions(self) -> PermissionSet {
        let mut set = PermissionSet::of(self.adds());
        let mut rest = self.includes();
        while let [first, others @ ..] = rest {
            set = set.union(first.permissions());
            rest = others;
        }
        set
    }

    /// The roles whose permissions the role holds too.
    #[must_use]
    pub const fn includes(self) -> &'static [Self] {
        match self {
            Self::DeploymentViewer | Self::DeploymentAgent | Self::WorkspaceViewer => &[],
            Self::DeploymentEditor => &[Self::DeploymentViewer],
            Self::DeploymentAdmin => &[Self::DeploymentEditor],
            Self::WorkspaceEditor => &[Self::WorkspaceViewer],
            Self::WorkspaceAdmin => &[Self::WorkspaceEditor, Self::DeploymentAdmin],
            Self::SystemViewer => &[Self::WorkspaceViewer, Self::DeploymentViewer],
            Self::SystemEditor => &[
                Self::SystemViewer,
                Self::WorkspaceEditor,
                Self::DeploymentEditor,
            ],
            Self::SystemAdmin => &[
                Self::SystemEditor,
                Self::WorkspaceAdmin,
                Self::DeploymentAdmin,
            ],
        }
    }

    const fn adds(self) -> &'static [Permission] {
        match self {
            Self::DeploymentViewer => &[
                DeploymentAirflowGet,
                DeploymentConfigGet,
                DeploymentLogsGet,
                DeploymentImagesPull,
                DeploymentMetricsGet,
                DeploymentServiceAccountsGet,
                DeploymentVariablesGet,
                DeploymentUsersGet,
                DeploymentTeamsGet,
                DeploymentTaskUsageGet,
                DeploymentStatusGet,
                DeploymentDeployRevisionsGet,
            ],
            Self::DeploymentEditor => &[
                DeploymentAirflowUser,
                DeploymentConfigUpdate,
                DeploymentImagesPush,
                DeploymentDagsPush,
                DeploymentServiceAccountsCreate,
                DeploymentServiceAccountsUpdate,
                DeploymentServiceAccountsDelete,
                DeploymentVariablesUpdate,
                DeploymentConfigUpsert,
                DeploymentAdminCountGet,
            ],
            Self::DeploymentAdmin => &[
                DeploymentAirflowAdmin,
                DeploymentConfigDelete,
                DeploymentUserRolesUpdate,
                DeploymentTeamRolesUpdate,
                DeploymentDeploysReport,
                DeploymentAgentsReport,
            ],
            Self::DeploymentAgent => &[
                DeploymentConfigGet,
                DeploymentDeployRevisionsGet,
                DeploymentImagesPull,
                DeploymentDeploysReport,
                DeploymentAgentsReport,
            ],
            Self::WorkspaceViewer => &[
                WorkspaceConfigGet,
                WorkspaceDeploymentsGet,
                WorkspaceServiceAccountsGet,
                WorkspaceUsersGet,
                WorkspaceTeamsGet,
                WorkspaceTaskUsageGet,
            ],
            Self::WorkspaceEditor => &[
                WorkspaceConfigUpdate,
                WorkspaceDeploymentsCreate,
                WorkspaceDeploymentsUpsert,
                WorkspaceServiceAccountsCreate,
                WorkspaceServiceAccountsUpdate,
                WorkspaceServiceAccountsDelete,
                WorkspaceAdminCountGet,
            ],
            Self::WorkspaceAdmin => &[
                WorkspaceInvitesGet,
                WorkspaceConfigDelete,
                WorkspaceIamUpdate,
                WorkspaceTeamsGetAll,
                WorkspaceUsersGetAll,
            ],
            Self::SystemViewer => &[
                SystemDeploymentsGet,
                SystemUsersGet,
                SystemTeamsGet,
                SystemWorkspaceGet,
                SystemServiceAccountsGet,
                SystemDeployRevisionsGet,
            ],
            Self::SystemEditor => &[SystemDeploymentVariablesUpdate, SystemServiceAccountsUpdate],
            Self::SystemAdmin => &[
                SystemIamUpdate,
                SystemDeploymentsCreate,
                SystemDeploymentsUpdate,
                SystemDeploymentsDelete,
                SystemServiceAccountsCreate,
                SystemServiceAccountsDelete,
                SystemDeploymentsImagesPush,
                SystemDeploymentsDagsPush,
                SystemCleanupDeployRevisionsDelete,
            ],
        }
    }
}
