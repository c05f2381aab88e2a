use futures::future::join_all;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{DagDeployMode, GetDeploymentRequest, Revision};

use crate::harness::orders::{V1, V2, V3, WORKSPACE};
use crate::harness::process::Process;
use crate::harness::requests::image;
use crate::harness::{Addresses, Person, Setup, Stack, until};

/// How many deploys each Deployment has before anything is killed.
pub(super) const AT_FIRST: usize = 4;

/// Who works, and in which scopes they may.
pub(super) const PEOPLE: [(&str, &[RollbackScope]); 3] = [
    (
        "dana",
        &[
            RollbackScope::All,
            RollbackScope::Image,
            RollbackScope::Dags,
        ],
    ),
    ("erin", &[RollbackScope::All, RollbackScope::Image]),
    ("sam", &[RollbackScope::Dags]),
];

/// Two sides of three processes each. A registry asks the authorization service of its side, and an
/// orchestrator asks both.
pub(super) struct World {
    pub(super) stack: Stack,
    /// Authorization, registry and orchestrator of the other side.
    pub(super) other: [Process; 3],
    pub(super) deployments: Vec<String>,
}

impl World {
    pub(super) async fn new(deployments: usize) -> Self {
        let setup = Setup::postgres().await;
        // Crashed work is taken up soon, and sometimes before a process that was paused goes on.
        let setup = setup.orchestrator_flags(&["--lease-seconds", "2"]);
        let stack = setup.start().await;
        let authorization = stack.authorization.replica().await;
        let ask_there = ("--authorization-address", authorization.address);
        let registry = stack.registry.replica_that_asks(&[ask_there]).await;
        let ask_both = [ask_there, ("--registry-address", registry.address)];
        let orchestrator = stack.orchestrator.replica_that_asks(&ask_both).await;
        let world = Self {
            stack,
            other: [authorization, registry, orchestrator],
            deployments: (0..deployments)
                .map(|number| format!("{WORKSPACE}/deployments/d{number}"))
                .collect(),
        };
        world.set_up().await;
        world
    }

    /// Somebody as a caller of each side.
    pub(super) fn everywhere(&self, name: &str) -> [Person; 2] {
        let [authorization, registry, orchestrator] = &self.other;
        let there = Addresses {
            authorization: authorization.address,
            registry: registry.address,
            orchestrator: orchestrator.address,
        };
        let here = self.stack.person(name);
        let there = here.at(there);
        [here, there]
    }

    async fn set_up(&self) {
        let admin = self.stack.person("admin");
        let dags = admin
            .create_role(WORKSPACE, "dag-pusher", &["deployment.dags.push"])
            .await;
        let images = admin
            .create_role(WORKSPACE, "image-pusher", &["deployment.images.push"])
            .await;
        for (name, scopes) in PEOPLE {
            let principal = format!("user:{name}");
            let has = |scope| scopes.contains(&scope);
            let roles = [
                (true, "roles/DEPLOYMENT_VIEWER"),
                (has(RollbackScope::Dags) || has(RollbackScope::All), &dags),
                (has(RollbackScope::Image), &images),
            ];
            for (_, role) in roles.iter().filter(|(needed, _)| *needed) {
                admin.bind(WORKSPACE, &principal, role).await;
            }
        }
        let set_up = self.deployments.iter().map(async |deployment| {
            let mode = DagDeployMode::DagOnly;
            admin.create_deployment(deployment, mode).await;
            let nothing_else = Revision::default;
            admin.ship_dags(deployment, V1, image('a', "3.1-9")).await;
            admin.ship_dags(deployment, V2, nothing_else()).await;
            admin.ship(deployment, image('b', "3.1-17")).await;
            admin.ship_dags(deployment, V3, nothing_else()).await;
        });
        join_all(set_up).await;
        self.everybody_is_known_everywhere().await;
    }

    /// For reads, a replica may be some seconds behind with what people may do.
    async fn everybody_is_known_everywhere(&self) {
        let name = &self.deployments[0];
        for (person, _) in PEOPLE {
            for side in self.everywhere(person) {
                until("the Deployment to be seen", async || {
                    let request = GetDeploymentRequest { name: name.clone() };
                    side.registry().get_deployment(request).await.ok()
                })
                .await;
            }
        }
    }
}
