use chassis::requests::Request;
use chassis::testing::TestDatabase;
use proto::registry::v1 as pb;

use super::{Fixture, image, name, new_deploy, new_deployment, number_of};
use crate::store::{Error, NewDeploy};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_repeated_request_returns_what_it_did,
    a_request_id_with_other_contents_is_refused,
    a_request_id_is_one_callers_and_one_parents,
    racing_repetitions_of_a_request_make_one_deploy,
    racing_repetitions_make_one_deployment,
    a_request_that_failed_or_was_only_validated_is_not_remembered,
);

fn request(description: &str) -> Request {
    request_of("user:alice@example.com", "etl", description)
}

fn request_of(principal: &str, parent: &str, description: &str) -> Request {
    let body = pb::CreateDeployRequest {
        deploy: Some(pb::Deploy {
            description: description.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    Request::new(
        &principal.parse().unwrap(),
        "CreateDeploy",
        &name(parent),
        "0d9a3b5e-2f0b-4c3e-9f4e-1f6f1a2b3c4d".parse().unwrap(),
        &body,
    )
}

async fn a_repeated_request_returns_what_it_did(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let new = new_deploy(image('a'));
    let first = fixture
        .store
        .create_deploy(&new, Some(&request("x")), false)
        .await
        .unwrap();
    fixture.ship(image('b')).await;
    let again = fixture
        .store
        .create_deploy(&new, Some(&request("x")), false)
        .await
        .unwrap();
    assert_eq!(again.deploy.name, first.deploy.name);
    assert_eq!(again.deploy.revision, first.deploy.revision);
    assert_eq!(fixture.numbers().await, [2, 1]);

    // Even where it could not be done again: the latest deploy is another one by now.
    let new = NewDeploy {
        expected_latest: Some(super::number(0)),
        ..new
    };
    let again = fixture
        .store
        .create_deploy(&new, Some(&request("x")), false)
        .await
        .unwrap();
    assert_eq!(number_of(&again), 1);
}

async fn a_request_id_with_other_contents_is_refused(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let new = new_deploy(image('a'));
    fixture
        .store
        .create_deploy(&new, Some(&request("x")), false)
        .await
        .unwrap();
    let error = fixture
        .store
        .create_deploy(&new, Some(&request("y")), false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RequestIdReused(_)), "{error:?}");
    assert_eq!(fixture.numbers().await, [1]);
}

async fn a_request_id_is_one_callers_and_one_parents(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.create(&new_deployment("other")).await;
    let new = new_deploy(image('a'));
    fixture
        .store
        .create_deploy(&new, Some(&request("x")), false)
        .await
        .unwrap();
    let bobs = request_of("user:bob@example.com", "etl", "y");
    let second = fixture
        .store
        .create_deploy(&new, Some(&bobs), false)
        .await
        .unwrap();
    assert_eq!(number_of(&second), 2);
    let others = request_of("user:alice@example.com", "other", "y");
    let other = NewDeploy {
        deployment: name("other"),
        ..new
    };
    let third = fixture
        .store
        .create_deploy(&other, Some(&others), false)
        .await
        .unwrap();
    assert_eq!(number_of(&third), 1);
}

async fn racing_repetitions_of_a_request_make_one_deploy(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for expected_latest in [None, Some(super::number(1))] {
        let description = format!("{expected_latest:?}");
        let principal = if expected_latest.is_none() {
            "user:a@b.c"
        } else {
            "user:d@e.f"
        };
        let repetitions = (0..8).map(|_| {
            let store = fixture.store.clone();
            let request = request_of(principal, "etl", &description);
            let new = NewDeploy {
                expected_latest,
                ..new_deploy(image('a'))
            };
            tokio::spawn(async move { store.create_deploy(&new, Some(&request), false).await })
        });
        let mut numbers = Vec::new();
        for repetition in repetitions.collect::<Vec<_>>() {
            numbers.push(number_of(&repetition.await.unwrap().unwrap()));
        }
        let latest = fixture.deployment().await.history.latest.get();
        assert_eq!(numbers, [latest; 8]);
    }
    assert_eq!(fixture.numbers().await, [2, 1]);
}

async fn racing_repetitions_make_one_deployment(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let repetitions = (0..8).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            store
                .create_deployment(&new_deployment("etl"), Some(&request("x")), false)
                .await
        })
    });
    let mut uids = Vec::new();
    for repetition in repetitions.collect::<Vec<_>>() {
        uids.push(repetition.await.unwrap().unwrap().uid);
    }
    uids.dedup();
    assert_eq!(uids.len(), 1);
}

async fn a_request_that_failed_or_was_only_validated_is_not_remembered(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let new = new_deploy(image('a'));
    let wrong = NewDeploy {
        expected_latest: Some(super::number(7)),
        ..new.clone()
    };
    fixture
        .store
        .create_deploy(&wrong, Some(&request("x")), false)
        .await
        .unwrap_err();
    fixture
        .store
        .create_deploy(&new, Some(&request("y")), true)
        .await
        .unwrap();
    let entry = fixture
        .store
        .create_deploy(&new, Some(&request("z")), false)
        .await
        .unwrap();
    assert_eq!(number_of(&entry), 1);
}
