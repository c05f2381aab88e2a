//! A token of a service account works until it is revoked, and then nowhere.

use prost_types::Timestamp;
use proto::authorization::v1::{
    CreateServiceAccountTokenRequest, ListServiceAccountTokensRequest,
    RevokeServiceAccountTokenRequest, RevokeServiceAccountTokenResponse, ServiceAccountToken,
};
use proto::common::v1::RollbackScope;
use proto::registry::v1::{CreateDeployRequest, Deploy, ListDeploysRequest};
use proto::rollback::v1::PlanRollbackRequest;
use tonic::{Code, Status};

use crate::harness::orders::rollback_to;
use crate::harness::refusal::done;
use crate::harness::requests::{image, plan};
use crate::harness::{DEPLOYMENT, Orders, Person, Setup, refused, until};

on_both_databases!(
    a_revoked_token_is_refused_by_every_service,
    no_token_and_no_permit_gets_into_a_log,
);

const ACCOUNT: &str = "workspaces/acme/serviceAccounts/ci";

impl Orders {
    /// Somebody with a new token of the account, which may ship and roll back, and what is known of
    /// the token.
    async fn robot(&self) -> (Person, ServiceAccountToken) {
        let tomorrow = self.stack.environment.now().timestamp() + 86_400;
        let request = CreateServiceAccountTokenRequest {
            parent: ACCOUNT.to_owned(),
            service_account_token: Some(ServiceAccountToken {
                expire_time: Some(Timestamp {
                    seconds: tomorrow,
                    nanos: 0,
                }),
                ..ServiceAccountToken::default()
            }),
            ..CreateServiceAccountTokenRequest::default()
        };
        let mut authorization = self.admin.authorization();
        let made = done(authorization.create_service_account_token(request).await);
        let account = format!("service-account:{ACCOUNT}");
        let role = "roles/DEPLOYMENT_EDITOR";
        self.admin.bind(DEPLOYMENT, &account, role).await;
        let robot = self.stack.somebody(&made.token);
        (robot, made.service_account_token.unwrap())
    }
}

async fn revoke(admin: &Person, token: &ServiceAccountToken) -> RevokeServiceAccountTokenResponse {
    let request = RevokeServiceAccountTokenRequest {
        name: token.name.clone(),
        reason: "it stood in a pull request".to_owned(),
    };
    let mut authorization = admin.authorization();
    done(authorization.revoke_service_account_token(request).await)
}

fn shipping() -> CreateDeployRequest {
    CreateDeployRequest {
        parent: DEPLOYMENT.to_owned(),
        deploy: Some(Deploy {
            revision: Some(image('c', "3.1-17")),
            ..Deploy::default()
        }),
        ..CreateDeployRequest::default()
    }
}

fn history() -> ListDeploysRequest {
    ListDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        ..ListDeploysRequest::default()
    }
}

fn planning() -> PlanRollbackRequest {
    plan(DEPLOYMENT, 3, RollbackScope::All)
}

/// Nothing is written for the token from now on.
async fn can_change_nothing(robot: &Person) {
    let rollback = rollback_to(3, RollbackScope::All);
    refused(robot.orchestrator().create_rollback(rollback).await).unauthenticated();
    refused(robot.registry().create_deploy(shipping()).await).unauthenticated();
}

async fn a_revoked_token_is_refused_by_every_service(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let (robot, token) = orders.robot().await;
    let (other, _) = orders.robot().await;
    // It is in every cache.
    done(robot.registry().list_deploys(history()).await);
    done(robot.orchestrator().plan_rollback(planning()).await);
    robot.roll_back(rollback_to(3, RollbackScope::All)).await;

    let revoked = revoke(&orders.admin, &token).await;
    can_change_nothing(&robot).await;
    let refused = |status: Status| (status.code() == Code::Unauthenticated).then_some(());
    until("the registry to refuse to read", async || {
        let read = robot.registry().list_deploys(history()).await;
        read.err().and_then(refused)
    })
    .await;
    until("the orchestrator to refuse to read", async || {
        let read = robot.orchestrator().plan_rollback(planning()).await;
        read.err().and_then(refused)
    })
    .await;
    assert_eq!(orders.latest().await, 6);
    // The account's other token goes on.
    done(other.registry().create_deploy(shipping()).await);

    let listed = async |include_inactive| {
        let request = ListServiceAccountTokensRequest {
            parent: "workspaces/acme/serviceAccounts/-".to_owned(),
            include_inactive,
            ..ListServiceAccountTokensRequest::default()
        };
        let mut authorization = orders.admin.authorization();
        done(authorization.list_service_account_tokens(request).await).service_account_tokens
    };
    assert_eq!(listed(false).await.len(), 1);
    let shown = listed(true).await;
    let shown = shown.iter().find(|shown| shown.name == token.name).unwrap();
    assert_eq!(shown.revoke_reason, "it stood in a pull request");
    let told = revoked.service_account_token.unwrap();
    assert_eq!(
        (&shown.revoked_by, shown.revoke_time),
        (&told.revoked_by, told.revoke_time)
    );
}

async fn no_token_and_no_permit_gets_into_a_log(setup: Setup) {
    let mut orders = Orders::with_history(setup).await;
    let (robot, token) = orders.robot().await;
    robot.roll_back(rollback_to(3, RollbackScope::All)).await;
    revoke(&orders.admin, &token).await;
    can_change_nothing(&robot).await;
    let tokens = [&robot, &orders.admin, &orders.dana].map(|person| person.token.clone());
    // Where no token belongs.
    for token in &tokens {
        let mut request = shipping();
        request.parent.clone_from(token);
        request.request_id.clone_from(token);
        refused(robot.registry().create_deploy(request).await);
        let mut request = planning();
        request.parent.clone_from(token);
        refused(orders.dana.orchestrator().plan_rollback(request).await);
    }

    let stack = &mut orders.stack;
    let mut decisions = 0;
    for service in [
        &mut stack.orchestrator,
        &mut stack.registry,
        &mut stack.authorization,
    ] {
        assert!(service.terminate().await.success());
        let log = service.log();
        assert!(!log.is_empty());
        decisions += log
            .iter()
            .filter(|line| line["target"] == "reprise::decisions")
            .count();
        let text = log.iter().map(ToString::to_string).collect::<String>();
        for token in &tokens {
            // What it claims, and its signature.
            for part in token.split('.').skip(1) {
                assert!(!text.contains(part), "{part} is in a log");
            }
            // Whatever is signed, permits too, begins like this.
            assert!(!text.contains(&token[..12]));
        }
    }
    // The writer has not lost the last ones: the permit, and the two refusals after it.
    assert!(decisions >= 3, "{decisions}");
}

#[cfg(feature = "test-postgres")]
#[tokio::test]
async fn a_token_that_one_authorization_service_has_revoked_counts_at_no_other() {
    use crate::harness::Addresses;

    let orders = Orders::with_history(Setup::postgres().await).await;
    let other = orders.stack.authorization.replica().await;
    let elsewhere = orders.admin.at(Addresses {
        authorization: other.address,
        ..orders.stack.addresses()
    });
    // Often enough that polling would show, which is seconds behind.
    for target in [3, 2, 3] {
        let (robot, token) = orders.robot().await;
        robot
            .roll_back(rollback_to(target, RollbackScope::Dags))
            .await;
        revoke(&elsewhere, &token).await;
        can_change_nothing(&robot).await;
    }
    assert_eq!(orders.latest().await, 8);
}
