use proto::common::v1::RollbackScope;
use proto::registry::v1::{DagDeployMode, Deploy, Revision};
use proto::rollback::v1::CreateRollbackRequest;

use super::requests::{self, image};
use super::{Person, Setup, Stack};

pub(crate) const WORKSPACE: &str = "workspaces/acme";
pub(crate) const DEPLOYMENT: &str = "workspaces/acme/deployments/orders";

pub(crate) const V1: &[u8] = include_bytes!("../../../crates/reprise/demo/bundles/v1.tar.gz");
pub(crate) const V2: &[u8] = include_bytes!("../../../crates/reprise/demo/bundles/v2.tar.gz");
pub(crate) const V3: &[u8] = include_bytes!("../../../crates/reprise/demo/bundles/v3.tar.gz");
pub(crate) const V4_BROKEN: &[u8] =
    include_bytes!("../../../crates/reprise/demo/bundles/v4-broken.tar.gz");

/// The Deployment `orders`, in the mode DAG_ONLY, and the people around it.
pub(crate) struct Orders {
    pub(crate) stack: Stack,
    /// Administrator of everything.
    pub(crate) admin: Person,
    /// DEPLOYMENT_EDITOR.
    pub(crate) dana: Person,
    /// DEPLOYMENT_VIEWER, with `deployment.dags.push`.
    pub(crate) sam: Person,
    /// Known to nobody.
    pub(crate) stranger: Person,
}

impl Orders {
    /// A Deployment without a deploy.
    pub(crate) async fn new(setup: Setup) -> Self {
        let stack = setup.start().await;
        let orders = Self {
            admin: stack.person("admin"),
            dana: stack.person("dana"),
            sam: stack.person("sam"),
            stranger: stack.person("stranger"),
            stack,
        };
        let Self {
            admin, dana, sam, ..
        } = &orders;
        admin
            .create_deployment(DEPLOYMENT, DagDeployMode::DagOnly)
            .await;
        admin
            .bind(DEPLOYMENT, &dana.principal, "roles/DEPLOYMENT_EDITOR")
            .await;
        let dag_pusher = admin
            .create_role(DEPLOYMENT, "dag-pusher", &["deployment.dags.push"])
            .await;
        for role in ["roles/DEPLOYMENT_VIEWER", &dag_pusher] {
            admin.bind(DEPLOYMENT, &sam.principal, role).await;
        }
        orders
    }

    /// A Deployment with five deploys: an image with DAGs, two of DAGs alone, a newer image with a
    /// newer runtime, and DAGs that break things.
    pub(crate) async fn with_history(setup: Setup) -> Self {
        let orders = Self::new(setup).await;
        let dana = &orders.dana;
        let nothing_else = Revision::default;
        dana.ship_dags(DEPLOYMENT, V1, image('a', "3.1-9")).await;
        dana.ship_dags(DEPLOYMENT, V2, nothing_else()).await;
        dana.ship_dags(DEPLOYMENT, V3, nothing_else()).await;
        dana.ship(DEPLOYMENT, image('b', "3.1-17")).await;
        dana.ship_dags(DEPLOYMENT, V4_BROKEN, nothing_else()).await;
        orders
    }

    /// The whole history as it is stored, newest first.
    pub(crate) async fn history(&self) -> Vec<Deploy> {
        self.admin.history(DEPLOYMENT).await
    }

    pub(crate) async fn latest(&self) -> i64 {
        self.admin.latest(DEPLOYMENT).await
    }

    /// One more deploy, by somebody else, at a bad moment.
    pub(crate) async fn ship_another(&self) -> Deploy {
        self.dana.ship(DEPLOYMENT, image('c', "3.1-17")).await
    }
}

/// A rollback of `orders`.
pub(crate) fn rollback_to(target: i64, scope: RollbackScope) -> CreateRollbackRequest {
    requests::rollback(DEPLOYMENT, target, scope)
}
