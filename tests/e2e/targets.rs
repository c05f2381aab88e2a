//! Which deploys there are to go back to, and which one is meant.

use proto::common::v1::RollbackScope;
use proto::registry::v1::find_deploy_request::By;
use proto::registry::v1::{
    CreateDeploymentRequest, DagDeployMode, Delivery, DeployState, Deployment, FindDeployRequest,
    GetDeployRequest, MarkDeployRequest, PreviewRollbackDeploysRequest, ReportDeployStateRequest,
    Revision, Verdict,
};
use proto::rollback::v1::create_rollback_request::Target;
use proto::rollback::v1::plan_rollback_request::Target as PlanTarget;
use proto::rollback::v1::{
    CreateRollbackRequest, ListRollbackTargetsRequest, ListRollbackTargetsResponse,
    PlanRollbackRequest, Warning,
};
use tonic::Code;

use crate::harness::orders::{V1, V2, V3, WORKSPACE};
use crate::harness::refusal::done;
use crate::harness::requests::{self, deploy, image, last};
use crate::harness::{DEPLOYMENT, Orders, Person, Setup, refused};

on_both_databases!(
    going_back_again_and_again_never_leads_to_what_was_left,
    previous_is_none_that_failed_or_is_bad_and_as_of_is_what_ran,
    a_retry_of_previous_is_the_same_rollback,
    a_list_and_the_plans_agree_whatever_the_history,
    who_may_see_a_history_may_see_its_targets,
);

const SCOPES: [RollbackScope; 3] = [
    RollbackScope::All,
    RollbackScope::Image,
    RollbackScope::Dags,
];

fn back(deployment: &str, scope: RollbackScope) -> CreateRollbackRequest {
    CreateRollbackRequest {
        target: Some(Target::Previous(true)),
        ..requests::rollback(deployment, 1, scope)
    }
}

fn list(deployment: &str, page_token: &str) -> ListRollbackTargetsRequest {
    ListRollbackTargetsRequest {
        parent: deployment.to_owned(),
        page_size: 5,
        page_token: page_token.to_owned(),
        ..ListRollbackTargetsRequest::default()
    }
}

impl Person {
    async fn targets(&self, request: ListRollbackTargetsRequest) -> ListRollbackTargetsResponse {
        done(self.orchestrator().list_rollback_targets(request).await)
    }

    async fn report(&self, deployment: &str, number: i64, state: DeployState) {
        let request = ReportDeployStateRequest {
            name: deploy(deployment, number),
            state: state.into(),
            reason: String::new(),
        };
        done(self.registry().report_deploy_state(request).await);
    }

    async fn mark(&self, deployment: &str, number: i64, verdict: Verdict) {
        let request = MarkDeployRequest {
            name: deploy(deployment, number),
            verdict: verdict.into(),
            reason: "as it turned out".to_owned(),
            etag: String::new(),
        };
        done(self.registry().mark_deploy(request).await);
    }

    /// What `previous` means; 0 for nothing.
    async fn previous(&self, deployment: &str, scope: RollbackScope) -> i64 {
        let request = PlanRollbackRequest {
            target: Some(PlanTarget::Previous(true)),
            ..requests::plan(deployment, 1, scope)
        };
        match self.orchestrator().plan_rollback(request).await {
            Ok(plan) => number(&plan.into_inner().plan.unwrap().target_deploy),
            outcome => {
                refused(outcome).is(Code::FailedPrecondition, "TARGET_NOT_FOUND");
                0
            }
        }
    }

    async fn create(&self, name: &str, delivery: Delivery) {
        let (parent, id) = name.split_once("/deployments/").unwrap();
        let request = CreateDeploymentRequest {
            parent: parent.to_owned(),
            deployment_id: id.to_owned(),
            deployment: Some(Deployment {
                dag_deploy_mode: DagDeployMode::DagOnly.into(),
                rollback_enabled: true,
                delivery: delivery.into(),
                ..Deployment::default()
            }),
            ..CreateDeploymentRequest::default()
        };
        done(self.registry().create_deployment(request).await);
    }
}

fn number(name: &str) -> i64 {
    last(name).parse().unwrap()
}

async fn going_back_again_and_again_never_leads_to_what_was_left(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let dana = &orders.dana;
    // Deploy 5 broke the DAGs; deploy 4 brought another image, and left them.
    for (expected, written) in [(4, 6), (2, 7), (1, 8)] {
        let rollback = dana.roll_back(back(DEPLOYMENT, RollbackScope::Dags)).await;
        assert_eq!(rollback.target_deploy, deploy(DEPLOYMENT, expected));
        assert_eq!(rollback.deploy, deploy(DEPLOYMENT, written));
    }
    let outcome = dana
        .orchestrator()
        .create_rollback(back(DEPLOYMENT, RollbackScope::Dags))
        .await;
    let refusal = refused(outcome).is(Code::FailedPrecondition, "TARGET_NOT_FOUND");
    assert_eq!(refusal.about("deployment"), DEPLOYMENT);
    // The image was never rolled back.
    let rollback = dana.roll_back(back(DEPLOYMENT, RollbackScope::Image)).await;
    assert_eq!(rollback.target_deploy, deploy(DEPLOYMENT, 3));
    assert_eq!(dana.previous(DEPLOYMENT, RollbackScope::All).await, 2);
    assert_eq!(orders.latest().await, 9);
}

async fn previous_is_none_that_failed_or_is_bad_and_as_of_is_what_ran(setup: Setup) {
    let orders = Orders::new(setup).await;
    let admin = &orders.admin;
    let name = &format!("{WORKSPACE}/deployments/shipped");
    admin.create(name, Delivery::Agent).await;
    for (number, digit) in [(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')] {
        admin.ship(name, image(digit, "3.1-9")).await;
        let state = match number {
            3 => DeployState::Failed,
            _ => DeployState::Deployed,
        };
        admin.report(name, number, state).await;
    }
    // On its way: it runs neither now nor before.
    admin.ship(name, image('e', "3.1-9")).await;
    let previous = async || admin.previous(name, RollbackScope::All).await;
    assert_eq!(previous().await, 2, "deploy 3 failed");
    admin.mark(name, 2, Verdict::Bad).await;
    assert_eq!(previous().await, 1);

    let as_of = async |time| {
        let request = FindDeployRequest {
            parent: name.clone(),
            by: Some(By::AsOf(time)),
        };
        done(admin.registry().find_deploy(request).await)
            .deploy
            .unwrap()
    };
    for ran in [1, 2, 4] {
        let request = GetDeployRequest {
            name: deploy(name, ran),
        };
        let ran = done(admin.registry().get_deploy(request).await)
            .deploy
            .unwrap();
        let found = as_of(ran.deploy_time.unwrap()).await;
        assert_eq!(found, ran);
        // A rollback to it says the same deploy.
        let plan = PlanRollbackRequest {
            target: Some(PlanTarget::AsOf(ran.deploy_time.unwrap())),
            ..requests::plan(name, 1, RollbackScope::All)
        };
        let plan = done(admin.orchestrator().plan_rollback(plan).await);
        assert_eq!(plan.plan.unwrap().target_deploy, ran.name);
        if ran.number == 1 {
            // Deploy 1 was written before it ran.
            let before = FindDeployRequest {
                parent: name.clone(),
                by: Some(By::AsOf(ran.create_time.unwrap())),
            };
            refused(admin.registry().find_deploy(before).await)
                .is(Code::FailedPrecondition, "TARGET_NOT_FOUND");
        }
    }
    let request = CreateRollbackRequest {
        target: Some(Target::AsOf(prost_types::Timestamp::default())),
        ..requests::rollback(name, 1, RollbackScope::All)
    };
    refused(admin.orchestrator().create_rollback(request).await)
        .is(Code::FailedPrecondition, "TARGET_NOT_FOUND");
}

async fn a_retry_of_previous_is_the_same_rollback(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..back(DEPLOYMENT, RollbackScope::All)
    };
    let first = orders.dana.roll_back(request.clone()).await;
    assert_eq!(first.target_deploy, deploy(DEPLOYMENT, 4));
    orders.ship_another().await;
    assert_eq!(
        orders.dana.previous(DEPLOYMENT, RollbackScope::All).await,
        6
    );
    assert_eq!(
        orders.dana.roll_back(request.clone()).await.name,
        first.name
    );
    assert_eq!(orders.latest().await, 7);

    let named = CreateRollbackRequest {
        target: Some(Target::TargetDeploy(deploy(DEPLOYMENT, 4))),
        ..request
    };
    refused(orders.dana.orchestrator().create_rollback(named).await)
        .is(Code::InvalidArgument, "REQUEST_ID_REUSED");
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn any<T: Copy>(&mut self, of: &[T]) -> T {
        let sides = u64::try_from(of.len()).unwrap();
        of[usize::try_from(self.roll(sides)).unwrap()]
    }
}

/// Lets something happen to a Deployment; whether it can is not the question.
async fn happen(admin: &Person, name: &str, delivery: Delivery, dice: &mut Dice) {
    let latest = admin.latest(name).await;
    let one_of = i64::try_from(dice.roll(u64::try_from(latest).unwrap())).unwrap() + 1;
    match dice.roll(6) {
        0 | 1 => {
            let runtime = dice.any(&["12.0.0", "3.1-1", "3.1-9", "3.1-17"]);
            admin
                .ship(name, image(dice.any(&['a', 'b', 'c']), runtime))
                .await;
        }
        2 | 3 => {
            let bytes = dice.any(&[V1, V2, V3]);
            admin.ship_dags(name, bytes, Revision::default()).await;
        }
        4 => {
            let scope = dice.any(&SCOPES);
            let request = requests::rollback(name, one_of, scope);
            let _ = admin.orchestrator().create_rollback(request).await;
        }
        _ => {
            let verdict = dice.any(&[Verdict::Good, Verdict::Bad]);
            admin.mark(name, one_of, verdict).await;
        }
    }
    let written = admin.latest(name).await;
    if delivery == Delivery::Agent && written > latest && dice.roll(4) > 0 {
        let states = [
            DeployState::Deployed,
            DeployState::Deployed,
            DeployState::Failed,
        ];
        admin.report(name, written, dice.any(&states)).await;
    }
}

async fn a_list_and_the_plans_agree_whatever_the_history(setup: Setup) {
    let orders = Orders::new(setup).await;
    let Orders { admin, sam, .. } = &orders;
    let pusher = admin
        .create_role(WORKSPACE, "pusher", &["deployment.dags.push"])
        .await;
    for (seed, delivery) in [
        (1, Delivery::Record),
        (2, Delivery::Agent),
        (3, Delivery::Agent),
    ] {
        let name = &format!("{WORKSPACE}/deployments/random-{seed}");
        admin.create(name, delivery).await;
        for role in ["roles/DEPLOYMENT_VIEWER", &pusher] {
            admin.bind(name, &sam.principal, role).await;
        }
        admin.ship_dags(name, V1, image('a', "3.1-9")).await;
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        for _ in 0..12 {
            happen(admin, name, delivery, &mut dice).await;
        }
        assert_agreed(admin, name).await;
        assert_agreed(sam, name).await;
    }
}

async fn assert_agreed(person: &Person, name: &str) {
    let mut expected = person.latest(name).await;
    let mut token = String::new();
    loop {
        let page = person.targets(list(name, &token)).await;
        if token.is_empty() {
            for scope in SCOPES {
                let listed = page.previous.iter().find(|it| it.scope() == scope);
                let listed = listed.map_or(0, |listed| number(&listed.deploy));
                assert_eq!(
                    person.previous(name, scope).await,
                    listed,
                    "{name} {scope:?}"
                );
            }
        } else {
            assert_eq!(page.previous, []);
        }
        for target in page.targets {
            assert_eq!(number(&target.deploy), expected, "{name}");
            for listed in target.scopes {
                let what = format!("{} {:?}", target.deploy, listed.scope());
                let plan = person.plan(name, expected, listed.scope()).await;
                assert_eq!(plan.blockers, listed.blockers, "{what}");
                let missing = plan.permissions.unwrap().missing;
                assert_eq!(missing, listed.missing_permissions, "{what}");
                let must = plan.warnings.iter().filter(|it| it.must_acknowledge);
                let must = must.map(Warning::code).collect::<Vec<_>>();
                assert_eq!(
                    must,
                    listed.must_acknowledge().collect::<Vec<_>>(),
                    "{what}"
                );
                let trial = CreateRollbackRequest {
                    validate_only: true,
                    acknowledged_warnings: listed.must_acknowledge.clone(),
                    ..requests::rollback(name, expected, listed.scope())
                };
                let outcome = person.orchestrator().create_rollback(trial).await;
                assert_eq!(outcome.is_ok(), listed.allowed, "{what}: {outcome:?}");
            }
            expected -= 1;
        }
        token = page.next_page_token;
        if token.is_empty() {
            assert_eq!(expected, 0, "{name}: every deploy once");
            return;
        }
    }
}

async fn who_may_see_a_history_may_see_its_targets(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let page = orders.sam.targets(list(DEPLOYMENT, "")).await;
    let target = &page.targets[2];
    assert_eq!(target.deploy, deploy(DEPLOYMENT, 3));
    let [all, image, dags] = target.scopes.as_slice() else {
        panic!("{target:?}");
    };
    assert!(dags.allowed && !all.allowed && !image.allowed);
    assert_eq!(image.missing_permissions, ["deployment.images.push"]);
    let current = &page.targets[0].scopes[0];
    let codes = current
        .blockers
        .iter()
        .map(|blocker| blocker.code().as_str_name());
    assert_eq!(
        codes.collect::<Vec<_>>(),
        ["BLOCKER_CODE_TARGET_IS_CURRENT", "BLOCKER_CODE_NO_CHANGE"]
    );

    let previews = PreviewRollbackDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        ..PreviewRollbackDeploysRequest::default()
    };
    let find = FindDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        by: Some(By::PreviousIn(RollbackScope::All.into())),
    };
    let stranger = &orders.stranger;
    let listed = stranger
        .orchestrator()
        .list_rollback_targets(list(DEPLOYMENT, ""))
        .await;
    refused(listed).not_found();
    refused(stranger.registry().find_deploy(find.clone()).await).not_found();
    let (mut theirs, mut admins) = (stranger.registry(), orders.admin.registry());
    refused(theirs.preview_rollback_deploys(previews.clone()).await).not_found();
    // Previews are for the orchestrator, whoever else asks.
    refused(admins.preview_rollback_deploys(previews.clone()).await)
        .lacks("system.rollbacks.write");
    let itself = orders.stack.orchestrator_itself();
    let shown = done(itself.registry().preview_rollback_deploys(previews).await);
    assert_eq!(shown.previews.len(), 5);
    let found = done(orders.sam.registry().find_deploy(find).await);
    assert_eq!(found.deploy.unwrap().number, 4);
}
