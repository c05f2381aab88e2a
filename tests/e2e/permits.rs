//! No rollback deploy without a permit for exactly that write.
//!
//! Every write here is sent as the orchestrator itself would, with its own token: what somebody
//! could do who has taken over its machine.

use chassis::identity::permit::sign;
use chrono::TimeDelta;
use model::deploys::Scope;
use model::names::{DeployNumber, Principal};
use model::permissions::{Permission, PermissionSet};
use proto::common::v1::RollbackScope;
use proto::registry::v1::{
    CreateRollbackDeployRequest, CreateRollbackDeployResponse, DagDeployMode,
};
use tonic::{Code, Response, Status};

use crate::harness::permit::{claims, encode, parts};
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

const BILLING: &str = "workspaces/acme/deployments/billing";

on_both_databases!(
    nothing_passes_for_a_permit,
    a_permit_for_another_write_is_refused,
    a_permit_counts_once_and_its_rollback_can_be_repeated,
    a_permit_does_not_outlive_the_history_that_it_was_for,
);

async fn nothing_passes_for_a_permit(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let genuine = orders.permit(&orders.dana, &write).await;
    let before = orders.history().await;

    let orchestrator = orders.stack.orchestrator_itself();
    let minute = TimeDelta::minutes(1);
    for (what, permit) in [
        ("nothing", String::new()),
        ("text", "let me in".to_owned()),
        ("a token of a person", orders.dana.token.clone()),
        ("a token of the orchestrator", orchestrator.token),
        ("a forged permit", forged(&orders, &genuine)),
        ("a permit under another signature", tampered(&genuine)),
        ("a permit without signature", unsigned(&genuine)),
        ("an expired permit", moved(&orders, &genuine, -minute)),
        ("a permit of the future", moved(&orders, &genuine, minute)),
    ] {
        refused(send(&orders, &write, &permit).await)
            .when(what)
            .invalid_permit();
    }
    assert_eq!(orders.history().await, before);

    let written = done(send(&orders, &write, &genuine).await).deploy.unwrap();
    assert_eq!(written.number, 6);
    assert_eq!(written.created_by, "user:dana");
}

/// Each of these permits is signed as it should be, but for another write.
async fn a_permit_for_another_write_is_refused(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    make_a_twin(&orders).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let genuine = orders.permit(&orders.dana, &write).await;
    let before = orders.history().await;

    let of_the_twin = orders.write(BILLING, 1, RollbackScope::All).await;
    let of_the_twin = orders.permit(&orders.dana, &of_the_twin).await;
    refused(send(&orders, &write, &of_the_twin).await)
        .when("Deployment")
        .invalid_permit();
    let uid = orders.stack.environment.new_uuid();
    let rollback = orders.stack.environment.new_uuid().to_string();
    let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
    let older = DeployNumber::new(4).unwrap();
    for (what, permit) in [
        (
            "Deployment's name",
            orders.resigned(&genuine, |permit| {
                permit.deployment = BILLING.parse().unwrap()
            }),
        ),
        (
            "Deployment's uid",
            orders.resigned(&genuine, |permit| permit.deployment_uid = uid),
        ),
        (
            "target",
            orders.resigned(&genuine, |permit| permit.target_deploy = older),
        ),
        (
            "scope",
            orders.resigned(&genuine, |permit| permit.scope = Scope::Dags),
        ),
        (
            "rollback",
            orders.resigned(&genuine, |permit| {
                permit.rollback = rollback.parse().unwrap()
            }),
        ),
        (
            "latest deploy",
            orders.resigned(&genuine, |permit| permit.expected_latest_deploy = older),
        ),
        (
            "revision",
            orders.resigned(&genuine, |permit| permit.revision_digest = "0".repeat(64)),
        ),
        (
            "set of permissions",
            orders.resigned(&genuine, |permit| permit.permissions = dags),
        ),
    ] {
        refused(send(&orders, &write, &permit).await)
            .when(what)
            .invalid_permit();
    }
    assert_eq!(orders.history().await, before);
    assert_eq!(orders.admin.latest(BILLING).await, 2);

    done(send(&orders, &write, &genuine).await);
}

async fn a_permit_counts_once_and_its_rollback_can_be_repeated(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::All).await;
    let permit = orders.permit(&orders.dana, &write).await;
    let written = done(send(&orders, &write, &permit).await);
    let history = orders.history().await;

    // Whoever repeats the rollback may have lost the permit, or come too late with it.
    let expired = moved(&orders, &permit, TimeDelta::minutes(-1));
    for repeated in [permit.as_str(), &expired, "no permit"] {
        let again = done(send(&orders, &write, repeated).await);
        assert_eq!(again.deploy, written.deploy);
    }
    assert_eq!(orders.history().await, history);

    let other = orders.write(DEPLOYMENT, 2, RollbackScope::All).await;
    refused(send(&orders, &other, &permit).await).is(Code::PermissionDenied, "PERMIT_USED");
    let genuine = orders.permit(&orders.dana, &other).await;
    let used = orders.resigned(&genuine, |other| other.id = claims(&permit).id);
    refused(send(&orders, &other, &used).await).is(Code::PermissionDenied, "PERMIT_USED");
    assert_eq!(orders.history().await, history);

    done(send(&orders, &other, &genuine).await);
    assert_eq!(orders.latest().await, 7);
}

async fn a_permit_does_not_outlive_the_history_that_it_was_for(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let write = orders.write(DEPLOYMENT, 3, RollbackScope::Dags).await;
    let permit = orders.permit(&orders.dana, &write).await;
    let landed = orders.ship_another().await;
    let before = orders.history().await;

    let refusal = refused(send(&orders, &write, &permit).await);
    let refusal = refusal.is(Code::Aborted, "LATEST_DEPLOY_CHANGED");
    let expected = &write.expected_latest_deploy;
    assert_eq!(refusal.about("expected_latest_deploy"), expected);
    assert_eq!(refusal.about("latest_deploy"), landed.name);

    // To know better than the permit what the latest deploy is does not help.
    let corrected = CreateRollbackDeployRequest {
        expected_latest_deploy: landed.name,
        ..write
    };
    refused(send(&orders, &corrected, &permit).await)
        .when("of an older history")
        .invalid_permit();
    assert_eq!(orders.history().await, before);
}

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

/// Another Deployment that Dana may roll back.
async fn make_a_twin(orders: &Orders) {
    let Orders { admin, dana, .. } = orders;
    admin
        .create_deployment(BILLING, DagDeployMode::DagOnly)
        .await;
    admin
        .bind(BILLING, &dana.principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    for digit in ['a', 'b'] {
        dana.ship(BILLING, image(digit, "3.1-9")).await;
    }
}

/// Signed by a key that signs no permits, under the id of one that does.
fn forged(orders: &Orders, genuine: &str) -> String {
    let key = orders.stack.keyring.local_issuer().unwrap();
    let by_another = sign(&key, &claims(genuine)).unwrap();
    let [header, claims, _] = parts(genuine);
    let [_, _, signature] = parts(&by_another);
    format!("{header}.{claims}.{signature}")
}

fn tampered(genuine: &str) -> String {
    let mut changed = claims(genuine);
    changed.person = Principal::user("mallory").unwrap();
    let [header, _, signature] = parts(genuine);
    format!("{header}.{}.{signature}", encode(&changed))
}

fn unsigned(genuine: &str) -> String {
    let [header, claims, _] = parts(genuine);
    format!("{header}.{claims}.")
}

/// As it would be, had it been asked for at another time.
fn moved(orders: &Orders, genuine: &str, by: TimeDelta) -> String {
    orders.resigned(genuine, |permit| {
        permit.issue_time += by;
        permit.expire_time += by;
    })
}
