use chassis::testing::TestDatabase;

use super::{Fixture, bundle, name, new_deployment, time};
use crate::domain::{BundleObject, BundleSize, DeploymentUid, StoredBundle};
use crate::store::Error;

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_field_of_a_bundle_comes_back,
    what_is_known_of_a_bundle_stays,
    a_bundle_belongs_to_one_deployment,
    racing_uploads_of_the_same_content_both_succeed,
    an_object_that_is_gone_is_replaced_and_no_other,
    of_uploads_that_race_for_the_last_bytes_some_fail,
);

async fn every_field_of_a_bundle_comes_back(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let new = bundle("etl", 'd');
    assert_eq!(fixture.store.bundle(&new.name).await.unwrap(), None);
    assert_eq!(fixture.add(uid, &new).await.unwrap(), new);
    assert_eq!(
        fixture.store.bundle(&new.name).await.unwrap(),
        Some((uid, new))
    );
}

async fn what_is_known_of_a_bundle_stays(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let first = bundle("etl", 'd');
    fixture.add(uid, &first).await.unwrap();
    let again = StoredBundle {
        created_by: "user:bob@example.com".parse().unwrap(),
        create_time: time(9),
        ..first.clone()
    };
    assert_eq!(fixture.add(uid, &again).await.unwrap(), first);
}

async fn a_bundle_belongs_to_one_deployment(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.create(&new_deployment("other")).await;
    fixture.bundle('d').await;
    assert_eq!(
        fixture
            .store
            .bundle(&bundle("other", 'd').name)
            .await
            .unwrap(),
        None
    );

    let uid = fixture
        .store
        .deployment_uid(&name("other"))
        .await
        .unwrap()
        .unwrap();
    let digests = [bundle("etl", 'd').name.digest()].into();
    let objects = async |uid| fixture.store.bundle_objects(uid, &digests).await.unwrap();
    assert!(objects(uid).await.is_empty());
    let etl = objects(fixture.deployment().await.uid).await;
    assert_eq!(
        etl.into_values().collect::<Vec<_>>(),
        [bundle("etl", 'd').object]
    );
}

async fn racing_uploads_of_the_same_content_both_succeed(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let uploads = (0..8).map(|second| {
        let store = fixture.store.clone();
        let new = StoredBundle {
            object: BundleObject::stored(second.to_string()),
            create_time: time(second),
            ..bundle("etl", 'd')
        };
        tokio::spawn(async move { store.add_bundle(uid, &new, None, i64::MAX).await })
    });
    let mut known = Vec::new();
    for upload in uploads.collect::<Vec<_>>() {
        known.push(upload.await.unwrap().unwrap());
    }
    known.dedup();
    assert_eq!(known.len(), 1);
    assert_eq!(used(&fixture, uid).await, 1_024);
}

async fn used(fixture: &Fixture, uid: DeploymentUid) -> i64 {
    let size = BundleSize::new(1).unwrap();
    match fixture.store.check_quota(uid, size, 0).await {
        Err(Error::QuotaExceeded { used, quota: 0 }) => used,
        other => panic!("{other:?}"),
    }
}

async fn an_object_that_is_gone_is_replaced_and_no_other(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let first = bundle("etl", 'd');
    fixture.add(uid, &first).await.unwrap();
    let object = |name: &str| BundleObject::stored(name);
    let bring = async |name: &str, gone: Option<BundleObject>| {
        let new = StoredBundle {
            object: object(name),
            ..first.clone()
        };
        // There is no room, and none is needed: the bytes were counted before.
        let kept = fixture.store.add_bundle(uid, &new, gone.as_ref(), 0).await;
        kept.unwrap().object
    };
    assert_eq!(bring("second", None).await, first.object);
    assert_eq!(bring("second", Some(object("other"))).await, first.object);
    assert_eq!(
        bring("second", Some(first.object.clone())).await,
        object("second")
    );
    assert_eq!(
        bring("third", Some(first.object.clone())).await,
        object("second")
    );
    assert_eq!(used(&fixture, uid).await, 1_024);
}

async fn of_uploads_that_race_for_the_last_bytes_some_fail(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let uploads = "0123456789abcdef".chars().map(|digit| {
        let store = fixture.store.clone();
        let new = bundle("etl", digit);
        tokio::spawn(async move { store.add_bundle(uid, &new, None, 5 * 1_024 + 1_023).await })
    });
    let mut kept = 0;
    for upload in uploads.collect::<Vec<_>>() {
        match upload.await.unwrap() {
            Ok(_) => kept += 1,
            Err(Error::QuotaExceeded { used, quota: _ }) => assert_eq!(used, 5 * 1_024),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(kept, 5);
    assert_eq!(used(&fixture, uid).await, 5 * 1_024);
}
