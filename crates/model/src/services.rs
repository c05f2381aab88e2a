//! What the services themselves may do. No role holds these permissions together and no binding
//! gives them: a service has them because its key is in the trust file.

use crate::names::ServiceName;
use crate::permissions::{Permission, PermissionSet};

const DEPLOY_REGISTRY: PermissionSet = PermissionSet::of(&[Permission::SystemPermissionsCheck]);

const ROLLBACK_ORCHESTRATOR: PermissionSet = PermissionSet::of(&[
    Permission::SystemRollbacksWrite,
    Permission::SystemPermitsIssue,
    Permission::SystemPermissionsCheck,
    Permission::DeploymentConfigGet,
    Permission::DeploymentDeployRevisionsGet,
    Permission::DeploymentVariablesGet,
]);

impl ServiceName {
    /// What the service may do, everywhere.
    #[must_use]
    pub const fn permissions(self) -> PermissionSet {
        match self {
            Self::Authorization => PermissionSet::EMPTY,
            Self::DeployRegistry => DEPLOY_REGISTRY,
            Self::RollbackOrchestrator => ROLLBACK_ORCHESTRATOR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_orchestrator_writes_rollbacks_and_asks_for_permits() {
        for (service, may) in [
            (ServiceName::Authorization, false),
            (ServiceName::DeployRegistry, false),
            (ServiceName::RollbackOrchestrator, true),
        ] {
            let permissions = service.permissions();
            assert_eq!(permissions.contains(Permission::SystemRollbacksWrite), may);
            assert_eq!(permissions.contains(Permission::SystemPermitsIssue), may);
        }
    }

    #[test]
    fn no_service_may_push() {
        for service in [
            ServiceName::DeployRegistry,
            ServiceName::RollbackOrchestrator,
        ] {
            assert!(
                !service
                    .permissions()
                    .contains(Permission::DeploymentImagesPush)
            );
            assert!(
                !service
                    .permissions()
                    .contains(Permission::DeploymentDagsPush)
            );
        }
    }
}
