//! Every permission, and sets of them.
//!
//! The names are those of Astronomer's Houston, and a few that Reprise adds. A set is a mask of
//! 128 bits, so that a check is one `and`; the bits are an order of declaration and mean nothing
//! outside one build: store and send names.

use crate::names::Level;

mod description;
mod set;
#[cfg(test)]
mod tests;

pub use set::PermissionSet;

text_enum! {
    /// Something that a principal may do.
    pub enum Permission: "permission" {
        DeploymentAirflowGet = "deployment.airflow.get",
        DeploymentConfigGet = "deployment.config.get",
        DeploymentLogsGet = "deployment.logs.get",
        DeploymentImagesPull = "deployment.images.pull",
        DeploymentMetricsGet = "deployment.metrics.get",
        DeploymentServiceAccountsGet = "deployment.serviceAccounts.get",
        DeploymentVariablesGet = "deployment.variables.get",
        DeploymentUsersGet = "deployment.users.get",
        DeploymentTeamsGet = "deployment.teams.get",
        DeploymentTaskUsageGet = "deployment.taskUsage.get",
        DeploymentStatusGet = "deployment.status.get",
        DeploymentDeployRevisionsGet = "deployment.deployRevisions.get",

        DeploymentAirflowUser = "deployment.airflow.user",
        DeploymentConfigUpdate = "deployment.config.update",
        /// Ships images, and rolls the image of a Deployment back.
        DeploymentImagesPush = "deployment.images.push",
        /// Ships DAG and dbt bundles, and rolls the DAGs of a Deployment back.
        DeploymentDagsPush = "deployment.dags.push",
        DeploymentServiceAccountsCreate = "deployment.serviceAccounts.create",
        DeploymentServiceAccountsUpdate = "deployment.serviceAccounts.update",
        DeploymentServiceAccountsDelete = "deployment.serviceAccounts.delete",
        DeploymentVariablesUpdate = "deployment.variables.update",
        DeploymentConfigUpsert = "deployment.config.upsert",
        DeploymentAdminCountGet = "deployment.adminCount.get",

        DeploymentAirflowAdmin = "deployment.airflow.admin",
        DeploymentConfigDelete = "deployment.config.delete",
        DeploymentUserRolesUpdate = "deployment.userRoles.update",
        DeploymentTeamRolesUpdate = "deployment.teamRoles.update",
        /// Reports how the shipping of a deploy goes. Added by Reprise.
        DeploymentDeploysReport = "deployment.deploys.report",
        /// Reports what a remote agent runs. Added by Reprise.
        DeploymentAgentsReport = "deployment.agents.report",

        WorkspaceConfigGet = "workspace.config.get",
        WorkspaceDeploymentsGet = "workspace.deployments.get",
        WorkspaceServiceAccountsGet = "workspace.serviceAccounts.get",
        WorkspaceUsersGet = "workspace.users.get",
        WorkspaceTeamsGet = "workspace.teams.get",
        WorkspaceTaskUsageGet = "workspace.taskUsage.get",

        WorkspaceConfigUpdate = "workspace.config.update",
        WorkspaceDeploymentsCreate = "workspace.deployments.create",
        WorkspaceDeploymentsUpsert = "workspace.deployments.upsert",
        WorkspaceServiceAccountsCreate = "workspace.serviceAccounts.create",
        WorkspaceServiceAccountsUpdate = "workspace.serviceAccounts.update",
        WorkspaceServiceAccountsDelete = "workspace.serviceAccounts.delete",
        WorkspaceAdminCountGet = "workspace.adminCount.get",

        WorkspaceInvitesGet = "workspace.invites.get",
        WorkspaceConfigDelete = "workspace.config.delete",
        WorkspaceIamUpdate = "workspace.iam.update",
        WorkspaceTeamsGetAll = "workspace.teams.getAll",
        WorkspaceUsersGetAll = "workspace.users.getAll",

        SystemDeploymentsGet = "system.deployments.get",
        SystemUsersGet = "system.users.get",
        SystemTeamsGet = "system.teams.get",
        SystemWorkspaceGet = "system.workspace.get",
        SystemServiceAccountsGet = "system.serviceAccounts.get",
        SystemDeployRevisionsGet = "system.deployRevisions.get",

        SystemDeploymentVariablesUpdate = "system.deployment.variables.update",
        SystemServiceAccountsUpdate = "system.serviceAccounts.update",

        SystemIamUpdate = "system.iam.update",
        SystemDeploymentsCreate = "system.deployments.create",
        SystemDeploymentsUpdate = "system.deployments.update",
        SystemDeploymentsDelete = "system.deployments.delete",
        SystemServiceAccountsCreate = "system.serviceAccounts.create",
        SystemServiceAccountsDelete = "system.serviceAccounts.delete",
        SystemDeploymentsImagesPush = "system.deployments.images.push",
        SystemDeploymentsDagsPush = "system.deployments.dags.push",
        SystemCleanupDeployRevisionsDelete = "system.cleanupDeployRevisions.delete",

        /// Writes rollback deploys. Added by Reprise, for its orchestrator only.
        SystemRollbacksWrite = "system.rollbacks.write",
        /// Asks for permits. Added by Reprise, for its orchestrator only.
        SystemPermitsIssue = "system.permits.issue",
        /// Checks the permissions of others. Added by Reprise, for its services only.
        SystemPermissionsCheck = "system.permissions.check",
    }
}

// A set is a mask of 128 bits.
const _: () = assert!(Permission::ALL.len() <= 128);

impl Permission {
    /// The narrowest level at which the permission makes sense, as its name says.
    #[must_use]
    pub const fn level(self) -> Level {
        match self.as_str().as_bytes() {
            [b'd', ..] => Level::Deployment,
            [b'w', ..] => Level::Workspace,
            _ => Level::System,
        }
    }

    /// Whether only a service can hold the permission, by configuration. No role contains it.
    #[must_use]
    pub const fn service_only(self) -> bool {
        matches!(
            self,
            Self::SystemRollbacksWrite | Self::SystemPermitsIssue | Self::SystemPermissionsCheck
        )
    }

    const fn bit(self) -> u128 {
        1 << (self as u32)
    }
}
