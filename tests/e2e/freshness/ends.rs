//! What ends by itself or by a word: bindings that expire and tokens that are revoked, on both
//! replicas.

use chrono::{DateTime, TimeDelta, Utc};
use prost_types::Timestamp;
use proto::authorization::v1::consistency::Requirement;
use proto::authorization::v1::{
    CreateRoleBindingRequest, CreateServiceAccountTokenRequest, RevokeServiceAccountTokenRequest,
    RoleBinding, ServiceAccountToken,
};

use super::asking::question;
use super::history::{MOST_BEHIND, Promise};
use super::world::{FIRST, PERMISSION, SECOND, World};
use crate::harness::refusal::done;
use crate::harness::{DEPLOYMENT, Person, Refusal, refused, until};

const ANN: usize = 0;
const ACCOUNT: &str = "workspaces/acme/serviceAccounts/ci";
const LIFETIME: TimeDelta = TimeDelta::seconds(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_that_has_expired_gives_nothing_on_any_replica() {
    let world = World::new().await;
    let now = || world.stack.environment.now();
    let end = now() + LIFETIME;
    let request = CreateRoleBindingRequest {
        parent: DEPLOYMENT.to_owned(),
        role_binding: Some(RoleBinding {
            principal: "user:ann".to_owned(),
            role: "roles/DEPLOYMENT_EDITOR".to_owned(),
            expire_time: Some(timestamp(end)),
            ..RoleBinding::default()
        }),
        ..CreateRoleBindingRequest::default()
    };
    let bound = done(world.writer(0, FIRST).create_role_binding(request).await);
    let rollback = world.new_rollback();
    let granted = world.permit(ANN, FIRST, &rollback).await;

    let mut gone = false;
    while !gone {
        for at in [FIRST, SECOND] {
            let begun = now();
            let newest = world.check(ANN, at, Promise::Newest).await;
            let reached = world
                .check(ANN, at, Promise::AtLeast(bound.policy_revision))
                .await;
            let permit = world.permit(ANN, at, &world.new_rollback()).await;
            let told = [newest, reached, permit];
            if now() < end {
                assert_eq!(told, [Some(true); 3], "it has not expired");
            }
            if end <= begun {
                assert_eq!(told, [Some(false); 3], "it has expired");
                let from_memory = world.check(ANN, at, Promise::FewSecondsBehind).await;
                assert_ne!(from_memory, Some(true));
                if granted == Some(true) {
                    assert_eq!(world.permit_again(ANN, at, &rollback).await, Some(false));
                }
                gone = at == SECOND;
            }
        }
    }
    assert_eq!(world.newest(), bound.policy_revision, "nobody has swept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_one_replica_has_revoked_counts_at_no_other() {
    let world = World::new().await;
    let admin = world.stack.person("admin");
    let principal = format!("service-account:{ACCOUNT}");
    admin
        .bind(DEPLOYMENT, &principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    // Often enough that polling would show, which is seconds behind.
    for (revoking, asked) in [(FIRST, SECOND), (SECOND, FIRST), (FIRST, SECOND)] {
        let (name, ci) = new_token(&world).await;
        let rollback = world.new_rollback();
        let permit = world.permit_for(&ci[asked], asked, &rollback).await;
        assert_eq!(done(permit).principal, principal);
        assert!(
            may(&ci[asked], Requirement::MinimizeLatency(true))
                .await
                .unwrap()
        );
        assert!(
            may(&ci[asked], Requirement::FullyConsistent(true))
                .await
                .unwrap()
        );

        let request = RevokeServiceAccountTokenRequest {
            name,
            ..RevokeServiceAccountTokenRequest::default()
        };
        let mut writer = world.writer(0, revoking);
        let (revoked, revoking) = world
            .timed(writer.revoke_service_account_token(request))
            .await;
        let revoked = done(revoked).policy_revision;

        let new_rollback = world.new_rollback();
        refused(world.permit_for(&ci[asked], asked, &new_rollback).await).unauthenticated();
        refused(world.permit_by_grant(asked, &rollback).await).lacks(PERMISSION);
        for requirement in [
            Requirement::FullyConsistent(true),
            Requirement::AtLeastAsFresh(revoked),
        ] {
            let refusal = may(&ci[asked], requirement).await.unwrap_err();
            refusal.unauthenticated();
        }
        until("memory to refuse it", async || {
            let asked = may(&ci[asked], Requirement::MinimizeLatency(true));
            let (told, span) = world.timed(asked).await;
            match told {
                Ok(_) => assert!(span.begun <= revoking.ended + MOST_BEHIND, "it is too late"),
                Err(refusal) => {
                    refusal.unauthenticated();
                    return Some(());
                }
            }
            None
        })
        .await;
    }
}

/// The name of a new token of the account, and the account at each replica.
async fn new_token(world: &World) -> (String, [Person; 2]) {
    let request = CreateServiceAccountTokenRequest {
        parent: ACCOUNT.to_owned(),
        service_account_token: Some(ServiceAccountToken {
            expire_time: Some(timestamp(
                world.stack.environment.now() + TimeDelta::hours(1),
            )),
            ..ServiceAccountToken::default()
        }),
        ..CreateServiceAccountTokenRequest::default()
    };
    let mut writer = world.writer(0, FIRST);
    let made = done(writer.create_service_account_token(request).await);
    let ci = world.everywhere(&world.stack.somebody(&made.token));
    (made.service_account_token.unwrap().name, ci)
}

/// Whether somebody may, on their own word.
async fn may(person: &Person, requirement: Requirement) -> Result<bool, Refusal> {
    let mut authorization = person.authorization();
    let answer = authorization.check_permission(question(requirement)).await;
    let answer = answer.map_err(|status| Refusal::of(&status))?.into_inner();
    Ok(answer.decision.unwrap().allowed)
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: time.timestamp_subsec_nanos().try_into().unwrap(),
    }
}
