//! Rollbacks that place a hold.

use chassis::testing::TestDatabase;
use model::{DeployName, Permission, PermissionSet, RollbackId, RollbackName, Scope};
use uuid::Uuid;

use super::{Fixture, image, name, new_deploy, number, number_of, time};
use crate::domain::{ChangeKind, Hold, Report};
use crate::store::{Error, WriteRollback};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_places_its_hold_with_its_deploy,
    a_hold_that_is_on_gives_way_to_that_of_a_rollback,
    a_rollback_that_is_repeated_places_no_second_hold,
    a_rollback_that_is_not_written_places_no_hold,
    a_hold_needs_the_permissions_of_the_whole,
    a_hold_outlives_a_roll_out_that_failed,
    no_deploy_lands_after_a_rollback_with_a_hold,
);

const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
const DAGS: PermissionSet = PermissionSet::of(&[Permission::DeploymentDagsPush]);

impl Fixture {
    /// A rollback of the latest deploy to deploy 2, with a hold and a permit that fits.
    async fn held_rollback(&self, id: u128) -> WriteRollback {
        WriteRollback {
            hold: true,
            ..self.rollback(id).await
        }
    }

    async fn hold(&self) -> Option<Hold> {
        self.deployment().await.hold
    }

    /// What changed after the change with this number.
    async fn changes_after(&self, change: i64) -> Vec<(i64, ChangeKind, Option<i64>)> {
        let uid = self.deployment().await.uid;
        let changes = self.store.changes(uid, change, 100).await.unwrap();
        changes
            .into_iter()
            .map(|change| {
                let deploy = change.deploy.map(|(number, _)| number.get());
                (change.change, change.kind, deploy)
            })
            .collect()
    }
}

fn expected(id: u128) -> Hold {
    let rollback = RollbackName::new(name("etl"), RollbackId::new(Uuid::from_u128(id)));
    Hold {
        reason: format!("{rollback}: the DAGs of deploy 4 are broken"),
        by: "user:bob@example.com".parse().unwrap(),
        time: time(5),
    }
}

async fn a_rollback_places_its_hold_with_its_deploy(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.held_rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!((number_of(&entry), entry.deploy.change), (5, 6));
    let deployment = fixture.deployment().await;
    assert_eq!(deployment.hold, Some(expected(1)));
    assert_eq!(deployment.change, 7);
    assert_eq!(
        fixture.changes_after(5).await,
        [
            (6, ChangeKind::DeployCreated, Some(5)),
            (7, ChangeKind::HoldPlaced, None)
        ]
    );
    assert_eq!(fixture.history().await[0], entry);

    match fixture.try_ship(image('c'), None).await {
        Err(Error::Held(hold)) => assert_eq!(*hold, expected(1)),
        other => panic!("{other:?}"),
    }
    // It stops no rollback; and one without a hold leaves it on.
    let back = fixture.rollback_to(2, 3, Scope::All).await;
    fixture.store.create_rollback_deploy(&back).await.unwrap();
    assert_eq!(fixture.hold().await, Some(expected(1)));
    fixture
        .store
        .release_hold(&name("etl"), time(9))
        .await
        .unwrap();
    assert_eq!(number_of(&fixture.ship(image('c')).await), 7);
}

async fn a_hold_that_is_on_gives_way_to_that_of_a_rollback(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let by = "user:alice@example.com".parse().unwrap();
    let placed = fixture
        .store
        .place_hold(&name("etl"), "look into it", &by, time(4))
        .await;
    placed.unwrap();
    let write = fixture.held_rollback(1).await;
    fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(fixture.hold().await, Some(expected(1)));
    let kinds = fixture.changes_after(6).await;
    assert_eq!(
        kinds,
        [
            (7, ChangeKind::DeployCreated, Some(5)),
            (8, ChangeKind::HoldPlaced, None)
        ]
    );
}

async fn a_rollback_that_is_repeated_places_no_second_hold(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.held_rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    fixture
        .store
        .release_hold(&name("etl"), time(9))
        .await
        .unwrap();
    let again = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(again.deploy.name, entry.deploy.name);
    assert_eq!(fixture.hold().await, None);
}

async fn a_rollback_that_is_not_written_places_no_hold(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.held_rollback(1).await;
    let mut for_another = write.clone();
    for_another.permit.revision_digest = "0".repeat(64);
    let blocked = WriteRollback {
        installation_enabled: false,
        ..write.clone()
    };
    let late = WriteRollback {
        expected_latest: number(3),
        ..write
    };
    for write in [for_another, blocked, late] {
        let outcome = fixture.store.create_rollback_deploy(&write).await;
        assert!(outcome.is_err());
        assert_eq!(fixture.hold().await, None);
    }
    assert_eq!(fixture.deployment().await.change, 5);
}

async fn a_hold_needs_the_permissions_of_the_whole(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    for (id, scope, part) in [(1, Scope::Dags, DAGS), (2, Scope::Image, IMAGES)] {
        let mut write = fixture.rollback_to(id, 1, scope).await;
        write.permit.permissions = part;
        write.hold = true;
        let error = fixture.store.create_rollback_deploy(&write).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::PermitMismatch("permissions")),
            "{scope}: {error:?}"
        );
        assert_eq!(fixture.hold().await, None);

        let without = WriteRollback {
            hold: false,
            ..write
        };
        fixture
            .store
            .create_rollback_deploy(&without)
            .await
            .unwrap();
        assert_eq!(fixture.hold().await, None);
    }
    let mut write = fixture.rollback_to(3, 4, Scope::Dags).await;
    write.permit.permissions = IMAGES.union(DAGS);
    write.hold = true;
    fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert!(fixture.hold().await.is_some());
}

async fn a_hold_outlives_a_roll_out_that_failed(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    for digit in ['a', 'b'] {
        let shipped = fixture.ship(image(digit)).await;
        fixture
            .report(number_of(&shipped), Report::Deployed)
            .await
            .unwrap();
    }
    let write = WriteRollback {
        hold: true,
        ..fixture.rollback_to(1, 1, Scope::All).await
    };
    fixture.store.create_rollback_deploy(&write).await.unwrap();
    fixture.report(3, Report::Failed).await.unwrap();
    assert!(fixture.hold().await.is_some());
    let refused = fixture.try_ship(image('c'), None).await;
    assert!(matches!(refused, Err(Error::Held(_))), "{refused:?}");
}

async fn no_deploy_lands_after_a_rollback_with_a_hold(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let ci = (0..8).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            store
                .create_deploy(&new_deploy(image('c')), None, false)
                .await
        })
    });
    let ci = ci.collect::<Vec<_>>();
    // Whoever rolls back looks again as long as somebody is faster.
    let rolled_back = loop {
        let write = fixture.held_rollback(1).await;
        match fixture.store.create_rollback_deploy(&write).await {
            Ok(entry) => break entry,
            Err(Error::LatestDeployChanged { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    let mut shipped = 0;
    for deploy in ci {
        match deploy.await.unwrap() {
            Ok(entry) => {
                shipped += 1;
                assert!(number_of(&entry) < number_of(&rolled_back));
            }
            Err(error) => assert!(matches!(error, Error::Held(_)), "{error:?}"),
        }
    }
    let late = fixture.try_ship(image('c'), None).await;
    assert!(matches!(late, Err(Error::Held(_))), "{late:?}");
    assert_eq!(number_of(&rolled_back), 5 + shipped);
    assert_eq!(
        fixture.deployment().await.history.latest,
        rolled_back.deploy.name.number()
    );
    let target = DeployName::new(name("etl"), number(2));
    let target = fixture.store.deploy(&target).await.unwrap().unwrap();
    assert_eq!(rolled_back.deploy.revision, target.deploy.revision);
}
