use chassis::testing::TestDatabase;

use super::{Fixture, bundle, name, new_deployment, time};
use crate::domain::StoredBundle;

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_field_of_a_bundle_comes_back,
    what_is_known_of_a_bundle_stays,
    a_bundle_belongs_to_one_deployment,
    racing_uploads_of_the_same_content_both_succeed,
);

async fn every_field_of_a_bundle_comes_back(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let new = bundle("etl", 'd');
    assert_eq!(fixture.store.bundle(&new.name).await.unwrap(), None);
    assert_eq!(fixture.store.add_bundle(uid, &new).await.unwrap(), new);
    assert_eq!(
        fixture.store.bundle(&new.name).await.unwrap(),
        Some((uid, new))
    );
}

async fn what_is_known_of_a_bundle_stays(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let first = bundle("etl", 'd');
    fixture.store.add_bundle(uid, &first).await.unwrap();
    let again = StoredBundle {
        created_by: "user:bob@example.com".parse().unwrap(),
        create_time: time(9),
        ..first.clone()
    };
    assert_eq!(fixture.store.add_bundle(uid, &again).await.unwrap(), first);
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
    assert_eq!(
        fixture.store.missing_bundles(uid, &digests).await.unwrap(),
        digests
    );
    let uid = fixture.deployment().await.uid;
    assert!(
        fixture
            .store
            .missing_bundles(uid, &digests)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn racing_uploads_of_the_same_content_both_succeed(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let uid = fixture.deployment().await.uid;
    let uploads = (0..8).map(|second| {
        let store = fixture.store.clone();
        let new = StoredBundle {
            create_time: time(second),
            ..bundle("etl", 'd')
        };
        tokio::spawn(async move { store.add_bundle(uid, &new).await })
    });
    let mut known = Vec::new();
    for upload in uploads.collect::<Vec<_>>() {
        known.push(upload.await.unwrap().unwrap());
    }
    known.dedup();
    assert_eq!(known.len(), 1);
}
