//! People of a real identity provider, which the services come to trust while they run.

use proto::authorization::v1::WhoAmIRequest;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{GetDeploymentRequest, Revision};
use tonic::Code;

use crate::harness::identity_provider::{AUDIENCE, IdentityProvider};
use crate::harness::orders::{V1, V2, rollback_to};
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Person, Setup, refused, until};
use crate::service_tokens::call_each_service;

/// Waits until all three services know who this is.
async fn is_known(person: &Person) {
    until("the services to trust the identity provider", async || {
        let refusals = call_each_service(person).await;
        let known = refusals.iter().all(|r| r.code != Code::Unauthenticated);
        known.then_some(())
    })
    .await;
}

async fn is_nobody(person: &Person) {
    for refusal in call_each_service(person).await {
        refusal.unauthenticated();
    }
}

#[tokio::test]
async fn people_of_an_identity_provider_work_by_name_and_by_group() {
    let mut provider = IdentityProvider::start();
    let orders = Orders::new(Setup::sqlite()).await;
    let alice = orders.stack.client_of(&mut provider, "alice");
    let bob = orders.stack.client_of(&mut provider, "bob");
    is_nobody(&alice).await;

    orders.stack.trust(&provider);
    is_known(&alice).await;
    let who = done(bob.authorization().who_am_i(WhoAmIRequest {}).await);
    assert_eq!(who.principal, "user:acme:bob");
    assert_eq!(who.groups, ["group:acme:on-call"]);
    assert_eq!(who.issuer, provider.issuer);

    let editor = "roles/DEPLOYMENT_EDITOR";
    for principal in ["user:acme:alice", "group:acme:on-call"] {
        orders.admin.bind(DEPLOYMENT, principal, editor).await;
    }
    alice.ship_dags(DEPLOYMENT, V1, image('a', "3.1-9")).await;
    alice.ship_dags(DEPLOYMENT, V2, Revision::default()).await;
    let plan = bob.plan(DEPLOYMENT, 1, RollbackScope::All).await;
    assert!(plan.blockers.is_empty(), "{plan:?}");
    bob.roll_back(rollback_to(1, RollbackScope::All)).await;
    let history = orders.history().await;
    let creators: Vec<_> = history.iter().map(|d| d.created_by.as_str()).collect();
    assert_eq!(
        creators,
        ["user:acme:bob", "user:acme:alice", "user:acme:alice"]
    );
    // Another group of the same name is another group.
    let impostor = orders.stack.token_of("mallory", &["on-call"]);
    let impostor = orders.stack.somebody(&impostor);
    let request = GetDeploymentRequest {
        name: DEPLOYMENT.to_owned(),
    };
    refused(impostor.registry().get_deployment(request).await).not_found();
}

#[tokio::test]
async fn a_token_of_a_provider_counts_for_its_audience_and_while_the_provider_is_trusted() {
    let mut provider = IdentityProvider::start();
    let stack = Setup::sqlite().start().await;
    stack.trust(&provider);
    let alice = stack.client_of(&mut provider, "alice");
    is_known(&alice).await;

    for audience in ["https://other.example.com", "https://reprise.example.com/"] {
        let token = provider.token("alice", audience);
        is_nobody(&stack.somebody(&token)).await;
    }

    let trust = stack.keyring.folder().join("trust.json");
    let text = std::fs::read_to_string(&trust).unwrap();
    let other = text.replace(AUDIENCE, "https://other.example.com");
    assert_ne!(other, text);
    std::fs::write(&trust, other).unwrap();
    until("the token to be refused", async || {
        let refusals = call_each_service(&alice).await;
        let refused = refusals.iter().all(|r| r.code == Code::Unauthenticated);
        refused.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_provider_may_change_its_keys_and_may_be_down() {
    let mut provider = IdentityProvider::start();
    let stack = Setup::sqlite().start().await;
    stack.trust(&provider);
    is_known(&stack.client_of(&mut provider, "alice")).await;

    provider.rotate();
    // Known at once: the services ask for a key that they do not know.
    let by_new_key = stack.client_of(&mut provider, "alice");
    for refusal in call_each_service(&by_new_key).await {
        assert_ne!(refusal.code, Code::Unauthenticated, "{refusal}");
    }

    let never_seen = stack.client_of(&mut provider, "bob");
    provider.rotate();
    let by_unknown_key = stack.client_of(&mut provider, "alice");
    provider.stop();
    for refusal in call_each_service(&never_seen).await {
        assert_ne!(refusal.code, Code::Unauthenticated, "{refusal}");
    }
    is_nobody(&by_unknown_key).await;
    for refusal in call_each_service(&stack.person("admin")).await {
        assert_ne!(refusal.code, Code::Unauthenticated, "{refusal}");
    }
}
