use super::Permission;

impl Permission {
    /// What Reprise asks the permission for. Empty if it never does, and the permission is there for
    /// other services.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::DeploymentConfigGet => "See a Deployment, what it runs and its agents.",
            Self::DeploymentConfigUpdate => {
                "Change a Deployment, and hold back deploys or let them through again."
            }
            Self::DeploymentConfigDelete => "Delete a Deployment.",
            Self::DeploymentDeployRevisionsGet => {
                "See the history of a Deployment, its rollbacks, and plans of rollbacks."
            }
            Self::DeploymentImagesPush => {
                "Ship images to a Deployment, and roll its image back; describe, pin and mark deploys."
            }
            Self::DeploymentDagsPush => {
                "Ship DAGs and dbt projects to a Deployment, and roll them back; describe, pin and \
                 mark deploys."
            }
            Self::DeploymentImagesPull => "Download what was shipped to a Deployment.",
            Self::DeploymentVariablesGet => "See the settings of a Deployment.",
            Self::DeploymentDeploysReport => "Report how the roll-out of a deploy goes.",
            Self::DeploymentAgentsReport => "Report what a remote agent of a Deployment runs.",
            Self::DeploymentUserRolesUpdate => {
                "Administer the roles and role bindings of a Deployment, and check others' \
                 permissions there."
            }
            Self::DeploymentServiceAccountsGet => {
                "See what is known of the tokens of a Deployment's service accounts."
            }
            Self::DeploymentServiceAccountsCreate => {
                "Make tokens of a Deployment's service accounts."
            }
            Self::DeploymentServiceAccountsDelete => {
                "Revoke tokens of a Deployment's service accounts."
            }
            Self::WorkspaceConfigGet => "See that a workspace is there.",
            Self::WorkspaceDeploymentsGet => "See the names of a workspace's Deployments.",
            Self::WorkspaceDeploymentsCreate => "Create Deployments in a workspace.",
            Self::WorkspaceIamUpdate => {
                "Administer the roles and role bindings of a workspace, and check others' \
                 permissions there."
            }
            Self::WorkspaceServiceAccountsGet => {
                "See what is known of the tokens of a workspace's service accounts."
            }
            Self::WorkspaceServiceAccountsCreate => {
                "Make tokens of a workspace's service accounts."
            }
            Self::WorkspaceServiceAccountsDelete => {
                "Revoke tokens of a workspace's service accounts."
            }
            Self::SystemIamUpdate => {
                "Administer the roles and role bindings of the whole installation, and check \
                 others' permissions on it."
            }
            Self::SystemCleanupDeployRevisionsDelete => {
                "Remove what was shipped and is kept no longer."
            }
            Self::SystemRollbacksWrite => "Write the deploys of rollbacks.",
            Self::SystemPermitsIssue => "Ask for permits of rollbacks.",
            Self::SystemPermissionsCheck => "Check the permissions of others.",
            Self::DeploymentAirflowGet
            | Self::DeploymentLogsGet
            | Self::DeploymentMetricsGet
            | Self::DeploymentUsersGet
            | Self::DeploymentTeamsGet
            | Self::DeploymentTaskUsageGet
            | Self::DeploymentStatusGet
            | Self::DeploymentAirflowUser
            | Self::DeploymentServiceAccountsUpdate
            | Self::DeploymentVariablesUpdate
            | Self::DeploymentConfigUpsert
            | Self::DeploymentAdminCountGet
            | Self::DeploymentAirflowAdmin
            | Self::DeploymentTeamRolesUpdate
            | Self::WorkspaceUsersGet
            | Self::WorkspaceTeamsGet
            | Self::WorkspaceTaskUsageGet
            | Self::WorkspaceConfigUpdate
            | Self::WorkspaceDeploymentsUpsert
            | Self::WorkspaceServiceAccountsUpdate
            | Self::WorkspaceAdminCountGet
            | Self::WorkspaceInvitesGet
            | Self::WorkspaceConfigDelete
            | Self::WorkspaceTeamsGetAll
            | Self::WorkspaceUsersGetAll
            | Self::SystemDeploymentsGet
            | Self::SystemUsersGet
            | Self::SystemTeamsGet
            | Self::SystemWorkspaceGet
            | Self::SystemServiceAccountsGet
            | Self::SystemDeployRevisionsGet
            | Self::SystemDeploymentVariablesUpdate
            | Self::SystemServiceAccountsUpdate
            | Self::SystemDeploymentsCreate
            | Self::SystemDeploymentsUpdate
            | Self::SystemDeploymentsDelete
            | Self::SystemServiceAccountsCreate
            | Self::SystemServiceAccountsDelete
            | Self::SystemDeploymentsImagesPush
            | Self::SystemDeploymentsDagsPush => "",
        }
    }
}
