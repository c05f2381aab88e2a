//! Two of a service over one PostgreSQL database.

use proto::authorization::v1::DeleteRoleBindingRequest;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{CreateDeployRequest, Deploy};
use proto::rollback::v1::{CreateRollbackRequest, RollbackState};
use tonic::Code;

use crate::harness::orders::rollback_to;
use crate::harness::process::Process;
use crate::harness::refusal::done;
use crate::harness::requests::{deploy, image};
use crate::harness::{Addresses, DEPLOYMENT, Orders, Person, Refusal, Setup, refused};
use crate::proxy::Point;

#[tokio::test]
async fn a_request_that_two_orchestrators_get_at_once_is_one_rollback() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = at_orchestrator(&orders.dana, &orders, &other);
    let request = named(&orders, 3);
    let calls = [&orders.dana, &elsewhere, &orders.dana, &elsewhere]
        .map(|dana| dana.start_rollback(&request));
    let mut names = Vec::new();
    for call in calls {
        names.push(done(call.outcome().await).rollback.unwrap().name);
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(orders.latest().await, 6);
}

#[tokio::test]
async fn of_two_rollbacks_that_two_orchestrators_get_at_once_none_overwrites_the_other() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = at_orchestrator(&orders.dana, &orders, &other);
    let calls = [
        orders.dana.start_rollback(&named(&orders, 3)),
        elsewhere.start_rollback(&named(&orders, 2)),
    ];
    let mut written = 0;
    for call in calls {
        match call.outcome().await {
            Ok(_) => written += 1,
            Err(status) => {
                let refusal = Refusal::of(&status);
                assert_eq!(refusal.code, Code::Aborted, "{refusal}");
            }
        }
    }
    // If one was over before the other was planned, both were done, one after the other.
    assert!(written >= 1);
    assert_eq!(orders.latest().await, 5 + written);
}

#[tokio::test]
async fn what_one_orchestrator_had_accepted_when_it_was_killed_the_other_finishes() {
    let setup = Setup::postgres().await.proxied();
    let setup = setup.orchestrator_flags(&["--lease-seconds", "2"]);
    let mut orders = Orders::with_history(setup).await;
    let other = orders.stack.orchestrator.replica().await;
    let elsewhere = at_orchestrator(&orders.dana, &orders, &other);
    let request = named(&orders, 3);
    let mut held = orders.stack.proxy().hold_write(Point::Call);
    let rolling_back = orders.dana.start_rollback(&request);
    held.reached().await;
    orders.stack.orchestrator.kill();
    assert!(rolling_back.outcome().await.is_err());

    let rollback = elsewhere.roll_back_again(&request).await;
    assert_eq!(rollback.state(), RollbackState::Succeeded);
    assert_eq!(rollback.deploy, deploy(DEPLOYMENT, 6));
    assert_eq!(orders.latest().await, 6);
}

#[tokio::test]
async fn a_binding_that_one_authorization_service_has_revoked_counts_at_no_other() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.authorization.replica().await;
    let elsewhere = orders.admin.at(Addresses {
        authorization: other.address,
        ..orders.stack.addresses()
    });
    // Often enough that polling would show, which is seconds behind.
    for target in [3, 2, 3] {
        let eve = orders.stack.person("eve");
        let binding = elsewhere
            .bind(DEPLOYMENT, &eve.principal, "roles/DEPLOYMENT_EDITOR")
            .await;
        let request = rollback_to(target, RollbackScope::Dags);
        eve.roll_back(request.clone()).await;
        let delete = DeleteRoleBindingRequest {
            name: binding,
            ..DeleteRoleBindingRequest::default()
        };
        done(elsewhere.authorization().delete_role_binding(delete).await);
        refused(eve.orchestrator().create_rollback(request).await).not_found();
    }
    assert_eq!(orders.latest().await, 8);
}

#[tokio::test]
async fn of_deploys_that_two_registries_get_at_once_one_lands() {
    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.registry.replica().await;
    let elsewhere = orders.dana.at(Addresses {
        registry: other.address,
        ..orders.stack.addresses()
    });
    let racers = "cdef0123456789".chars().enumerate().map(|(turn, digit)| {
        let dana = [&orders.dana, &elsewhere][turn % 2];
        let mut registry = dana.registry();
        let request = CreateDeployRequest {
            parent: DEPLOYMENT.to_owned(),
            deploy: Some(Deploy {
                revision: Some(image(digit, "3.1-17")),
                ..Deploy::default()
            }),
            expected_latest_deploy: deploy(DEPLOYMENT, 5),
            ..CreateDeployRequest::default()
        };
        tokio::spawn(async move { registry.create_deploy(request).await })
    });
    let mut landed = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(_) => landed += 1,
            Err(status) => {
                Refusal::of(&status).is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
            }
        }
    }
    assert_eq!((landed, orders.latest().await), (1, 6));
    let history = orders.history().await;
    assert_eq!(elsewhere.history(DEPLOYMENT).await, history);
}

fn at_orchestrator(person: &Person, orders: &Orders, other: &Process) -> Person {
    person.at(Addresses {
        orchestrator: other.address,
        ..orders.stack.addresses()
    })
}

fn named(orders: &Orders, target: i64) -> CreateRollbackRequest {
    CreateRollbackRequest {
        request_id: orders.stack.environment.new_uuid().to_string(),
        ..rollback_to(target, RollbackScope::All)
    }
}
