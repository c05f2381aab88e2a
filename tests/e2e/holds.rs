//! A rollback that places a hold, and one to a deploy that is marked bad.

use model::permissions::{Permission, PermissionSet};
use proto::common::v1::{BlockerCode, RollbackScope};
use proto::registry::v1::{
    CreateRollbackDeployRequest, CreateRollbackDeployResponse, Hold, MarkDeployRequest,
    PlaceHoldRequest, ReleaseHoldRequest, Verdict,
};
use proto::rollback::v1::{CreateRollbackRequest, PlanRollbackRequest};
use tonic::{Code, Response, Status};

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::{self, create_deploy, deploy, image};
use crate::harness::{DEPLOYMENT, Orders, Refusal, Setup, refused};
use crate::proxy::Point;

on_both_databases!(
    a_rollback_with_a_hold_keeps_deploys_away_until_it_is_released,
    a_rollback_takes_the_place_of_a_hold_and_is_stopped_by_none,
    a_rollback_that_is_repeated_places_its_hold_once,
    who_may_roll_back_a_part_may_place_no_hold,
    a_permit_without_a_hold_places_none,
    a_deploy_that_is_marked_bad_comes_back_only_if_it_is_meant,
    no_deploy_of_ci_lands_after_a_rollback_with_a_hold,
);

fn with_hold(target: i64, scope: RollbackScope) -> CreateRollbackRequest {
    CreateRollbackRequest {
        hold: true,
        ..rollback_to(target, scope)
    }
}

impl Orders {
    async fn hold(&self) -> Option<Hold> {
        self.admin.deployment(DEPLOYMENT).await.hold
    }

    async fn release(&self) {
        let release = ReleaseHoldRequest {
            name: DEPLOYMENT.to_owned(),
        };
        done(self.dana.registry().release_hold(release).await);
    }

    /// What the next CI run is told.
    async fn ci(&self) -> Refusal {
        let ship = create_deploy(DEPLOYMENT, image('c', "3.1-17"));
        refused(self.dana.registry().create_deploy(ship).await)
    }

    async fn mark_bad(&self, number: i64) {
        let mark = MarkDeployRequest {
            name: deploy(DEPLOYMENT, number),
            verdict: Verdict::Bad.into(),
            reason: "it loses rows".to_owned(),
            etag: String::new(),
        };
        done(self.dana.registry().mark_deploy(mark).await);
    }
}

async fn a_rollback_with_a_hold_keeps_deploys_away_until_it_is_released(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let plan = PlanRollbackRequest {
        hold: true,
        ..requests::plan(DEPLOYMENT, 3, RollbackScope::All)
    };
    let plan = done(orders.dana.orchestrator().plan_rollback(plan).await);
    let plan = plan.plan.unwrap();
    assert!(plan.hold);
    let without = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    assert_ne!(plan.digest, without.digest);
    let agreed_to_another = CreateRollbackRequest {
        plan_digest: without.digest,
        ..with_hold(3, RollbackScope::All)
    };
    refused(
        orders
            .dana
            .orchestrator()
            .create_rollback(agreed_to_another)
            .await,
    )
    .is(Code::Aborted, "PLAN_CHANGED");
    assert_eq!(orders.hold().await, None);

    let agreed = CreateRollbackRequest {
        plan_digest: plan.digest,
        ..with_hold(3, RollbackScope::All)
    };
    let rollback = orders.dana.roll_back(agreed).await;
    assert!(rollback.hold);
    assert_eq!(orders.dana.rollback(&rollback.name).await, rollback);
    let hold = orders.hold().await.unwrap();
    assert_eq!(hold.placed_by, "user:dana");
    let reason = format!("{}: {}", rollback.name, rollback.description);
    assert_eq!(hold.reason, reason);

    let refusal = orders.ci().await;
    let refusal = refusal.is(Code::FailedPrecondition, "DEPLOY_HELD");
    assert_eq!(refusal.about("placed_by"), "user:dana");
    assert!(refusal.message.contains(&rollback.name), "{refusal}");
    assert_eq!(orders.latest().await, 6);

    orders.release().await;
    let shipped = orders.ship_another().await;
    assert_eq!(shipped.number, 7);
}

async fn a_rollback_takes_the_place_of_a_hold_and_is_stopped_by_none(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let place = PlaceHoldRequest {
        name: DEPLOYMENT.to_owned(),
        reason: "we look into it".to_owned(),
    };
    done(orders.dana.registry().place_hold(place).await);
    let placed = orders.hold().await.unwrap();

    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    assert!(plan.unchanged.iter().any(|line| line.what == "hold"));
    let without = rollback_to(3, RollbackScope::All);
    orders.dana.roll_back(without).await;
    assert_eq!(orders.hold().await.unwrap(), placed);

    let rollback = orders
        .dana
        .roll_back(with_hold(5, RollbackScope::All))
        .await;
    let hold = orders.hold().await.unwrap();
    assert!(hold.reason.starts_with(&rollback.name), "{hold:?}");
    orders
        .ci()
        .await
        .is(Code::FailedPrecondition, "DEPLOY_HELD");
}

async fn a_rollback_that_is_repeated_places_its_hold_once(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request = CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..with_hold(3, RollbackScope::All)
    };
    let trial = CreateRollbackRequest {
        validate_only: true,
        ..request.clone()
    };
    let shown = orders.dana.roll_back(trial).await;
    assert!(shown.hold);
    assert_eq!(orders.hold().await, None);

    let rollback = orders.dana.roll_back(request.clone()).await;
    orders.release().await;
    assert_eq!(orders.dana.roll_back(request.clone()).await, rollback);
    assert_eq!(orders.hold().await, None);
    for other in [
        CreateRollbackRequest {
            hold: false,
            ..request.clone()
        },
        CreateRollbackRequest {
            allow_marked_bad: true,
            ..request
        },
    ] {
        refused(orders.dana.orchestrator().create_rollback(other).await)
            .is(Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    assert_eq!(orders.latest().await, 6);
}

async fn who_may_roll_back_a_part_may_place_no_hold(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let request = with_hold(3, RollbackScope::Dags);
    let refusal = refused(
        orders
            .sam
            .orchestrator()
            .create_rollback(request.clone())
            .await,
    );
    let refusal = refusal.lacks("deployment.images.push");
    assert_eq!(refusal.about("open_scopes"), "");
    assert_eq!(refusal.about("open_scopes_without_hold"), "DAGS");
    let plan = PlanRollbackRequest {
        hold: true,
        ..requests::plan(DEPLOYMENT, 3, RollbackScope::Dags)
    };
    let plan = done(orders.sam.orchestrator().plan_rollback(plan).await);
    let permissions = plan.plan.unwrap().permissions.unwrap();
    assert_eq!(permissions.missing, ["deployment.images.push"]);
    assert_eq!(orders.latest().await, 5);
    assert_eq!(orders.hold().await, None);

    orders
        .sam
        .roll_back(rollback_to(3, RollbackScope::Dags))
        .await;
    assert_eq!(orders.hold().await, None);
    // Whoever holds both may place one with a part.
    let back = with_hold(5, RollbackScope::Dags);
    orders.dana.roll_back(back).await;
    assert!(orders.hold().await.is_some());
}

/// Sent as the orchestrator itself would, with its own token.
async fn send(
    orders: &Orders,
    write: &CreateRollbackDeployRequest,
    permit: &str,
) -> Result<Response<CreateRollbackDeployResponse>, Status> {
    let write = CreateRollbackDeployRequest {
        permit: permit.to_owned(),
        ..write.clone()
    };
    let mut registry = orders.stack.orchestrator_itself().registry();
    registry.create_rollback_deploy(write).await
}

async fn a_permit_without_a_hold_places_none(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let without = orders.write(DEPLOYMENT, 3, RollbackScope::Dags).await;
    let with = CreateRollbackDeployRequest {
        hold: true,
        ..without.clone()
    };
    let permit_without = orders.permit(&orders.sam, &without).await;
    let permit_with = orders.resigned(&permit_without, |permit| permit.hold = true);
    for (what, write, permit) in [
        ("a hold that is not permitted", &with, &permit_without),
        ("no hold, where one is permitted", &without, &permit_with),
        // The registry knows by itself what a hold needs.
        ("a hold for a part", &with, &permit_with),
    ] {
        refused(send(&orders, write, permit).await)
            .when(what)
            .invalid_permit();
    }
    assert_eq!(orders.latest().await, 5);
    assert_eq!(orders.hold().await, None);

    let both = PermissionSet::of(&[
        Permission::DeploymentImagesPush,
        Permission::DeploymentDagsPush,
    ]);
    let enough = orders.resigned(&permit_with, |permit| permit.permissions = both);
    done(send(&orders, &with, &enough).await);
    assert_eq!(orders.hold().await.unwrap().placed_by, "user:sam");
}

async fn a_deploy_that_is_marked_bad_comes_back_only_if_it_is_meant(setup: Setup) {
    let orders = Orders::with_history(setup.proxied()).await;
    orders.mark_bad(3).await;
    let plan = orders.dana.plan(DEPLOYMENT, 3, RollbackScope::All).await;
    let codes = plan.blockers.iter().map(|blocker| blocker.code());
    assert_eq!(codes.collect::<Vec<_>>(), [BlockerCode::TargetMarkedBad]);
    let request = rollback_to(3, RollbackScope::All);
    refused(
        orders
            .dana
            .orchestrator()
            .create_rollback(request.clone())
            .await,
    )
    .blocked_by(&["TARGET_MARKED_BAD"]);

    let meant = PlanRollbackRequest {
        allow_marked_bad: true,
        ..requests::plan(DEPLOYMENT, 3, RollbackScope::All)
    };
    let meant = done(orders.dana.orchestrator().plan_rollback(meant).await);
    let meant = meant.plan.unwrap();
    assert_eq!(
        (meant.blockers.as_slice(), meant.allow_marked_bad),
        (&[][..], true)
    );
    assert_ne!(meant.digest, plan.digest);
    let meant = CreateRollbackRequest {
        allow_marked_bad: true,
        plan_digest: meant.digest,
        ..request
    };
    let rollback = orders.dana.roll_back(meant).await;
    assert!(rollback.allow_marked_bad && !rollback.hold);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));

    // A mark that comes between the plan and the write stops the write too.
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders
        .dana
        .start_rollback(&rollback_to(2, RollbackScope::All));
    held.reached().await;
    orders.mark_bad(2).await;
    drop(held);
    refused(rolling_back.outcome().await).blocked_by(&["TARGET_MARKED_BAD"]);
    assert_eq!(orders.latest().await, 6);
}

/// Sixteen deploys of CI race the write of a rollback. If they are faster, they race the next one; the
/// last one is raced once the registry has written it, while nobody else knows.
async fn no_deploy_of_ci_lands_after_a_rollback_with_a_hold(setup: Setup) {
    const RACERS: usize = 16;
    let orders = Orders::with_history(setup.proxied()).await;
    for point in [Point::Call, Point::Call, Point::Call, Point::Answer] {
        let mut write = orders.stack.proxy().hold_write(point);
        let rolling_back = orders
            .dana
            .start_rollback(&with_hold(3, RollbackScope::All));
        write.reached().await;
        let ci = (0..RACERS).map(|_| {
            let mut registry = orders.dana.registry();
            let ship = create_deploy(DEPLOYMENT, image('c', "3.1-17"));
            tokio::spawn(async move { registry.create_deploy(ship).await })
        });
        let ci = ci.collect::<Vec<_>>();
        let write = (point == Point::Answer).then_some(write);
        let (mut landed, mut held) = (0, 0);
        for deploy in ci {
            match deploy.await.unwrap() {
                Ok(_) => landed += 1,
                Err(status) => {
                    Refusal::of(&status).is(Code::FailedPrecondition, "DEPLOY_HELD");
                    held += 1;
                }
            }
        }
        drop(write);
        let rollback = match rolling_back.outcome().await {
            Ok(response) => response.into_inner().rollback.unwrap(),
            Err(status) => {
                Refusal::of(&status).is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
                assert_eq!((landed, held), (RACERS, 0));
                assert_eq!(orders.hold().await, None);
                continue;
            }
        };
        assert_eq!((landed, held), (0, RACERS));
        let latest = orders.latest().await;
        assert_eq!(rollback.deploy, deploy(DEPLOYMENT, latest));
        orders
            .ci()
            .await
            .is(Code::FailedPrecondition, "DEPLOY_HELD");
        return;
    }
    panic!("the rollback was never written");
}
