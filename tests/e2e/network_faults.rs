//! Whatever the network between two services does: a rollback that is under way makes one deploy or
//! none and says which, what cannot be asked is never a yes, and once the network is well again
//! everything works, without a restart.

use std::time::Duration;

use chassis::environment::Environment;
use futures::future::join_all;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{DagDeployMode, Deploy, Revision};
use proto::rollback::v1::{CreateRollbackRequest, CreateRollbackResponse, RollbackState};
use serde_json::Value;
use tonic::{Code, Response, Status};

use crate::harness::cable::{Cable, Way};
use crate::harness::orders::{V1, V2, V3, WORKSPACE};
use crate::harness::process::Process;
use crate::harness::refusal::done;
use crate::harness::requests::{create_deploy, deploy, image, patient, rollback};
use crate::harness::rolling_back::RollingBack;
use crate::harness::{Addresses, Person, Refusal, Setup, Stack, refused, until};
use crate::proxy::{Held, Point, Proxy};

const DELAY: Duration = Duration::from_millis(100);

/// What happens to a connection between two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Delay,
    Reset,
    BlackHole,
    /// What is asked does not arrive.
    DeafCallee,
    /// What is answered does not arrive.
    DeafCaller,
}

const FAULTS: [Fault; 5] = [
    Fault::Delay,
    Fault::Reset,
    Fault::BlackHole,
    Fault::DeafCallee,
    Fault::DeafCaller,
];

impl Fault {
    fn happens_to(self, cable: &Cable) {
        match self {
            Self::Delay => cable.slow_down(DELAY),
            Self::Reset => cable.cut(),
            Self::BlackHole => cable.silence(),
            Self::DeafCallee => cable.silence_way(Way::ToServer),
            Self::DeafCaller => cable.silence_way(Way::ToClient),
        }
    }

    /// Whether calls fail.
    fn is_noticed(self) -> bool {
        self != Self::Delay
    }
}

/// A Deployment, and services of its own whose cables can be broken.
struct Site {
    deployment: String,
    /// Calls services of which no cable is broken.
    admin: Person,
    dana: Person,
    orchestrator: Process,
    _registry: Process,
    /// Holds writes on their way to the registry.
    proxy: Proxy,
    to_registry: Cable,
    to_authorization: Cable,
    registry_to_authorization: Cable,
}

#[tokio::test]
async fn between_orchestrator_and_registry() {
    at_each_site(async |fault, site| {
        let cable = &site.to_registry;
        is_not_accepted_while(fault, cable, "deploy-registry", &site).await;
        let request = site.request(1);
        let mut held = site.proxy.hold_write(Point::Answer);
        let rolling_back = site.dana.start_rollback(&request);
        held.reached().await;
        fault.happens_to(cable);
        drop(held);
        // What was asked has arrived before; whether its answer does is the question.
        if fault.is_noticed() && fault != Fault::DeafCallee {
            site.has_failed("WRITE").await;
        }
        cable.mend();
        done(rolling_back.outcome().await);
        site.has_made_the_last_of(5, &request).await;
    })
    .await;
}

#[tokio::test]
async fn between_orchestrator_and_authorization() {
    at_each_site(async |fault, site| {
        let cable = &site.to_authorization;
        is_not_accepted_while(fault, cable, "authorization", &site).await;
        let request = site.request(1);
        let mut held = site.proxy.hold_write(Point::Answer);
        let rolling_back = site.dana.start_rollback(&request);
        held.reached().await;
        fault.happens_to(cable);
        // The answer is lost, so that another permit is needed.
        site.to_registry.cut();
        site.has_failed("WRITE").await;
        site.to_registry.mend();
        drop(held);
        if fault.is_noticed() {
            site.has_failed("AUTHORIZE").await;
        }
        cable.mend();
        done(rolling_back.outcome().await);
        site.has_made_the_last_of(5, &request).await;
    })
    .await;
}

#[tokio::test]
async fn between_registry_and_authorization() {
    at_each_site(async |fault, site| {
        let cable = &site.registry_to_authorization;
        let ship = async || {
            let request = create_deploy(&site.deployment, image('c', "3.1-17"));
            site.dana.registry().create_deploy(patient(request)).await
        };
        fault.happens_to(cable);
        let shipped = ship().await;
        match fault.is_noticed() {
            true => drop(refused(shipped).unavailable("authorization")),
            false => drop(done(shipped)),
        }
        // A rollback asks nothing on this way: its permit says all.
        let request = site.request(1);
        let before = site.history().await.len();
        done(site.dana.start_rollback(&request).outcome().await);
        cable.mend();
        site.has_made_the_last_of(before + 1, &request).await;
        let works_again = async || ship().await.ok();
        until("the registry to know who may ship", works_again).await;
        assert_eq!(site.history().await.len(), before + 2);
    })
    .await;
}

/// Whether a rollback whose time is over has a deploy, the registry decides as soon as it can be reached.
#[tokio::test]
async fn past_the_deadline_a_rollback_waits_for_the_registry_and_ends_as_it_says() {
    let setup = Setup::postgres().await;
    let setup = setup.orchestrator_flags(&["--write-deadline-seconds", "2"]);
    let stack = setup.start().await;
    let was_written = async {
        let site = Site::new(&stack, 0).await;
        let (request, _rolling_back, held) = site.write_and_hold(Point::Answer).await;
        site.to_registry.silence();
        drop(held);
        site.is_in_doubt(&request).await;
        site.to_registry.mend();
        site.has_made_the_last_of(4, &request).await;
    };
    let arrives_too_late = async {
        let site = Site::new(&stack, 1).await;
        let (request, _rolling_back, held) = site.write_and_hold(Point::LateCall).await;
        site.to_registry.silence();
        site.is_in_doubt(&request).await;
        site.to_registry.mend();
        let refusal = until("the rollback to end", async || {
            let refusal = refused(site.roll_back(&request).await);
            (refusal.reason != "ROLLBACK_UNFINISHED").then_some(refusal)
        })
        .await;
        refusal.is(Code::DeadlineExceeded, "ROLLBACK_DEADLINE_EXCEEDED");
        held.let_go().await;
        assert_eq!(site.history().await.len(), 3);
        let next = site.request(2);
        site.dana.roll_back(next.clone()).await;
        site.has_made_the_last_of(4, &next).await;
    };
    tokio::join!(was_written, arrives_too_late);
}

/// Nothing is accepted and nothing is written while something cannot be asked; then the same request
/// goes through.
async fn is_not_accepted_while(fault: Fault, cable: &Cable, dependency: &str, site: &Site) {
    let request = site.request(2);
    fault.happens_to(cable);
    let outcome = site.roll_back(&request).await;
    match fault.is_noticed() {
        true => {
            refused(outcome).unavailable(dependency);
            assert_eq!(site.history().await.len(), 3);
        }
        false => drop(done(outcome)),
    }
    cable.mend();
    until("what is asked to be answered again", async || {
        match site.roll_back(&request).await {
            Err(status) if status.code() == Code::Unavailable => {
                assert_eq!(Refusal::of(&status).reason, "DEPENDENCY_UNAVAILABLE");
                None
            }
            outcome => Some(done(outcome)),
        }
    })
    .await;
    site.has_made_the_last_of(4, &request).await;
}

/// Runs a case with every fault at once, each at a site of its own.
async fn at_each_site(case: impl AsyncFn(Fault, Site)) {
    let stack = Setup::postgres().await.start().await;
    let cases = FAULTS.into_iter().enumerate().map(async |(number, fault)| {
        let site = Site::new(&stack, number).await;
        case(fault, site).await;
    });
    join_all(cases).await;
}

impl Site {
    /// A Deployment with three deploys.
    async fn new(stack: &Stack, number: usize) -> Self {
        let authorization = stack.authorization.address.to_string();
        let registry_to_authorization = Cable::to(authorization.clone()).await;
        let to_authorization = Cable::to(authorization).await;
        let asks = [("--authorization-address", registry_to_authorization.address)];
        let registry = stack.registry.replica_that_asks(&asks).await;
        let proxy = Proxy::start(registry.address).await;
        let to_registry = Cable::to(proxy.address.to_string()).await;
        let asks = [
            ("--authorization-address", to_authorization.address),
            ("--registry-address", to_registry.address),
        ];
        let orchestrator = stack.orchestrator.replica_that_asks(&asks).await;

        let deployment = format!("{WORKSPACE}/deployments/d{number}");
        let dana = stack.person("dana").at(Addresses {
            registry: registry.address,
            orchestrator: orchestrator.address,
            ..stack.addresses()
        });
        let admin = stack.person("admin");
        let mode = DagDeployMode::DagOnly;
        admin.create_deployment(&deployment, mode).await;
        let role = "roles/DEPLOYMENT_EDITOR";
        admin.bind(&deployment, &dana.principal, role).await;
        dana.ship_dags(&deployment, V1, image('a', "3.1-9")).await;
        for bundle in [V2, V3] {
            dana.ship_dags(&deployment, bundle, Revision::default())
                .await;
        }
        Self {
            deployment,
            admin,
            dana,
            orchestrator,
            _registry: registry,
            proxy,
            to_registry,
            to_authorization,
            registry_to_authorization,
        }
    }

    fn request(&self, target: i64) -> CreateRollbackRequest {
        CreateRollbackRequest {
            request_id: Environment::system().new_uuid().to_string(),
            ..rollback(&self.deployment, target, RollbackScope::All)
        }
    }

    async fn write_and_hold(&self, point: Point) -> (CreateRollbackRequest, RollingBack, Held) {
        let request = self.request(1);
        let mut held = self.proxy.hold_write(point);
        let rolling_back = self.dana.start_rollback(&request);
        held.reached().await;
        (request, rolling_back, held)
    }

    async fn roll_back(
        &self,
        request: &CreateRollbackRequest,
    ) -> Result<Response<CreateRollbackResponse>, Status> {
        let request = patient(request.clone());
        self.dana.orchestrator().create_rollback(request).await
    }

    /// As a registry tells it whose cables are whole; newest first.
    async fn history(&self) -> Vec<Deploy> {
        self.admin.history(&self.deployment).await
    }

    /// Waits until an attempt of a step has failed.
    async fn has_failed(&self, step: &str) {
        until("an attempt to fail", async || {
            let failed = |line: &Value| line["step"] == step;
            self.orchestrator.log().iter().any(failed).then_some(())
        })
        .await;
    }

    /// Waits until somebody is told that a rollback cannot end by itself.
    async fn is_in_doubt(&self, request: &CreateRollbackRequest) {
        let name = self.dana.accepted_name(request).await;
        let rollback = until("the rollback to need people", async || {
            let rollback = self.dana.rollback(&name).await;
            rollback.needs_attention.then_some(rollback)
        })
        .await;
        assert_eq!(rollback.state(), RollbackState::Running);
    }

    /// The rollback of a request has made one deploy, after which there are so many.
    async fn has_made_the_last_of(&self, deploys: usize, request: &CreateRollbackRequest) {
        let rollback = self.dana.roll_back_again(request).await;
        assert_eq!(rollback.state(), RollbackState::Succeeded);
        let number = i64::try_from(deploys).unwrap();
        assert_eq!(rollback.deploy, deploy(&self.deployment, number));
        let history = self.history().await;
        assert_eq!(history.len(), deploys);
        let mut origins = history.iter().filter_map(|deploy| deploy.rollback.as_ref());
        assert_eq!(
            origins
                .clone()
                .filter(|origin| origin.rollback == rollback.name)
                .count(),
            1
        );
        assert!(origins.all(|origin| !origin.rollback.is_empty()));
    }
}
