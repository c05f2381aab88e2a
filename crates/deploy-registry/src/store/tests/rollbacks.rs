use std::collections::BTreeSet;

use chassis::args;
use chassis::testing::TestDatabase;
use chrono::TimeDelta;
use model::{
    DagDeployMode, DeployName, Permission, PermissionSet, RollbackId, RollbackName, Scope,
};
use uuid::Uuid;

use super::{Fixture, dags, image, name, new_deployment, number, number_of, time};
use crate::domain::{
    BlockerCode, Component, Deploy, DeployTrigger, DeployType, NewDeployment, PermitId, Retention,
    RollbackAuthor, RollbackOrigin,
};
use crate::store::{Error, PermitBounds, RollbackOutcome, WriteRollback};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_rollback_is_a_new_deploy_of_an_earlier_version,
    every_field_of_a_rollback_deploy_comes_back,
    a_rollback_across_modes_brings_the_mode_back,
    a_known_rollback_returns_its_deploy_before_anything_else,
    a_closed_rollback_is_never_written,
    a_written_rollback_is_not_closed,
    of_a_racing_write_and_close_one_wins,
    racing_writes_of_one_rollback_make_one_deploy,
    of_racing_rollbacks_on_the_same_latest_deploy_one_wins,
    a_rollback_id_belongs_to_one_deployment,
    a_deploy_that_landed_in_between_stops_a_rollback,
    every_blocker_stops_a_rollback_and_all_are_told,
    a_target_expires_as_the_clock_moves,
    a_permit_for_something_else_writes_nothing,
    a_permit_is_taken_once,
    a_missing_target_or_deployment_is_told,
);

const IMAGES: PermissionSet = PermissionSet::of(&[Permission::DeploymentImagesPush]);
const BOTH: PermissionSet = PermissionSet::of(&[
    Permission::DeploymentImagesPush,
    Permission::DeploymentDagsPush,
]);

fn rollback(id: u128) -> RollbackName {
    RollbackName::new(name("etl"), RollbackId::new(Uuid::from_u128(id)))
}

impl Fixture {
    /// Deploy 1 is image `a`, 2 adds the bundle `d`, 3 is image `b`, 4 is the bundle `e`.
    pub(super) async fn with_history(database: TestDatabase) -> Self {
        let fixture = Self::with_deployment(database).await;
        fixture.ship(image('a')).await;
        let digest = fixture.bundle('d').await;
        fixture.ship(dags(digest)).await;
        fixture.ship(image('b')).await;
        let digest = fixture.bundle('e').await;
        fixture.ship(dags(digest)).await;
        fixture
    }

    /// A rollback of the latest deploy to deploy 2, with a permit that fits.
    pub(super) async fn rollback(&self, id: u128) -> WriteRollback {
        self.rollback_to(id, 2, Scope::All).await
    }

    pub(super) async fn rollback_to(&self, id: u128, target: i64, scope: Scope) -> WriteRollback {
        let target = DeployName::new(name("etl"), number(target));
        let facts = self.store.rollback_facts(&target).await.unwrap();
        let revision_digest = match facts.compose(scope, false) {
            Some(Ok(composed)) => composed.revision.digest().to_string(),
            Some(Err(_)) | None => String::new(),
        };
        WriteRollback {
            deployment: name("etl"),
            target: target.number(),
            scope,
            expected_latest: facts.deployment.history.latest,
            author: RollbackAuthor {
                rollback: RollbackId::new(Uuid::from_u128(id)),
                permit: PermitId::new(Uuid::from_u128(1_000 + id)),
                person: "user:bob@example.com".parse().unwrap(),
                description: "the DAGs of deploy 4 are broken".to_owned(),
            },
            permit: PermitBounds {
                deployment_uid: facts.deployment.uid,
                revision_digest,
                permissions: BOTH,
                jws: format!("header.permit-{id}.signature"),
            },
            gone: BTreeSet::new(),
            gone_image: None,
            installation_enabled: true,
            allow_marked_bad: false,
            hold: false,
            retention: Retention::days(90),
            time: time(5),
        }
    }

    async fn kept_permits(&self) -> Vec<String> {
        let mut connection = self.database.database.read().await.unwrap();
        let rows = connection
            .fetch_all::<(String,)>(
                "SELECT permit FROM deploys WHERE permit IS NOT NULL ORDER BY number",
                args![],
            )
            .await
            .unwrap();
        rows.into_iter().map(|(permit,)| permit).collect()
    }

    /// Nothing was written: the history, and what is known of the rollback, are as before.
    async fn assert_untouched(&self, id: u128) {
        assert_eq!(self.numbers().await, [4, 3, 2, 1]);
        assert_eq!(self.deployment().await.change, 5);
        assert_eq!(
            self.store.rollback_outcome(&rollback(id)).await.unwrap(),
            None
        );
    }
}

async fn a_rollback_is_a_new_deploy_of_an_earlier_version(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let before = fixture.history().await;
    let write = fixture.rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(number_of(&entry), 5);

    let after = fixture.history().await;
    assert_eq!(after[0], entry);
    assert_eq!(entry.deploy.revision, before[2].deploy.revision);
    for (before, after) in before.iter().zip(&after[1..]) {
        assert_eq!(before.deploy.name, after.deploy.name);
        assert_eq!(before.deploy.revision, after.deploy.revision);
    }
    assert_eq!(after[1].deploy.ceased_time, Some(time(5)));

    let deployment = fixture.deployment().await;
    assert_eq!(deployment.history, entry.history);
    assert_eq!(deployment.history.current, number(5));
    assert_eq!(deployment.history.previous, number(4));
    assert_eq!(deployment.change, 6);
    assert_eq!(deployment.current_revision, Some(entry.deploy.revision));

    // What comes next goes on from there.
    assert_eq!(number_of(&fixture.ship(image('c')).await), 6);
}

async fn every_field_of_a_rollback_deploy_comes_back(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback_to(1, 2, Scope::Dags).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    let revision = entry.deploy.revision.clone();
    let expected = Deploy {
        name: DeployName::new(name("etl"), number(5)),
        deploy_type: DeployType::DagsOnly,
        trigger: DeployTrigger::Rollback,
        description: write.author.description.clone(),
        revision_digest: revision.digest(),
        image_verification: None,
        artifacts_gone: false,
        revision,
        changed: vec![Component::DagBundle],
        git: None,
        rollback: Some(RollbackOrigin {
            source: number(2),
            replaced: number(4),
            scope: Scope::Dags,
            rollback: write.author.rollback,
            permit: write.author.permit,
        }),
        settings: new_deployment("etl").settings,
        state: model::DeployState::Deployed,
        state_reason: String::new(),
        created_by: write.author.person.clone(),
        create_time: time(5),
        deploy_time: Some(time(5)),
        ceased_time: None,
        update_time: time(5),
        change: 6,
        pin: None,
        mark: None,
    };
    assert_eq!(entry.deploy, expected);
    assert_eq!(
        fixture.store.deploy(&expected.name).await.unwrap(),
        Some(entry)
    );
    assert_eq!(fixture.kept_permits().await, [write.permit.jws]);
    let used = fixture
        .store
        .rollback_of_permit(write.author.permit)
        .await
        .unwrap();
    assert_eq!(used, Some(write.author.rollback));
}

async fn a_rollback_across_modes_brings_the_mode_back(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    // Nothing changes the mode of a Deployment yet, so the row is set as if something had.
    fixture
        .set(
            "UPDATE deployments SET dag_deploy_mode = $1",
            args!["IMAGE"],
        )
        .await;
    fixture.ship(image('f')).await;
    assert_eq!(
        fixture
            .deployment()
            .await
            .current_revision
            .unwrap()
            .dag_bundle,
        None
    );

    let write = fixture.rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(entry.deploy.revision.mode, DagDeployMode::DagOnly);
    assert!(entry.deploy.changed.contains(&Component::DagDeployMode));
    assert_eq!(
        fixture.deployment().await.dag_deploy_mode,
        DagDeployMode::DagOnly
    );
}

async fn a_known_rollback_returns_its_deploy_before_anything_else(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    fixture.ship(image('c')).await;

    let again = WriteRollback {
        target: number(99),
        installation_enabled: false,
        permit: PermitBounds {
            permissions: PermissionSet::EMPTY,
            ..write.permit.clone()
        },
        ..write
    };
    let found = fixture.store.create_rollback_deploy(&again).await.unwrap();
    assert_eq!(found.deploy.name, entry.deploy.name);
    let outcome = fixture.store.rollback_outcome(&rollback(1)).await.unwrap();
    assert_eq!(outcome, Some(RollbackOutcome::Written(Box::new(found))));
    assert_eq!(fixture.numbers().await, [6, 5, 4, 3, 2, 1]);
}

async fn a_closed_rollback_is_never_written(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    for _ in 0..2 {
        assert_eq!(
            fixture
                .store
                .close_rollback(&rollback(1), time(3))
                .await
                .unwrap(),
            None
        );
    }
    let write = fixture.rollback(1).await;
    let error = fixture
        .store
        .create_rollback_deploy(&write)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RollbackClosed), "{error:?}");
    let outcome = fixture.store.rollback_outcome(&rollback(1)).await.unwrap();
    assert_eq!(outcome, Some(RollbackOutcome::Closed));
    assert_eq!(fixture.numbers().await, [4, 3, 2, 1]);
}

async fn a_written_rollback_is_not_closed(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    let closed = fixture
        .store
        .close_rollback(&rollback(1), time(9))
        .await
        .unwrap();
    assert_eq!(closed, Some(entry));
}

async fn of_a_racing_write_and_close_one_wins(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let mut written = 0;
    for id in 0..12 {
        // The target is never the current deploy, and always differs from it.
        let target = if id % 2 == 0 { 2 } else { 3 };
        let write = fixture.rollback_to(id, target, Scope::All).await;
        let (writer, closer) = (fixture.store.clone(), fixture.store.clone());
        let writing = tokio::spawn(async move { writer.create_rollback_deploy(&write).await });
        let closing =
            tokio::spawn(async move { closer.close_rollback(&rollback(id), time(5)).await });
        let (writing, closing) = (writing.await.unwrap(), closing.await.unwrap().unwrap());
        match (writing, closing) {
            (Ok(entry), Some(found)) => {
                assert_eq!(entry.deploy.name, found.deploy.name);
                written += 1;
            }
            (Err(Error::RollbackClosed), None) => {}
            // Target and current are the same: a rollback before this one was closed.
            (Err(Error::Blocked(_)), None) => {}
            other => panic!("{other:?}"),
        }
        let outcome = fixture
            .store
            .rollback_outcome(&rollback(id))
            .await
            .unwrap()
            .unwrap();
        let latest = fixture.deployment().await.history.latest.get();
        assert_eq!(latest, 4 + written, "{outcome:?}");
    }
}

async fn racing_writes_of_one_rollback_make_one_deploy(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    let writers = (0..8).map(|attempt| {
        let store = fixture.store.clone();
        let mut write = write.clone();
        // Each attempt brings a permit of its own.
        write.author.permit = PermitId::new(Uuid::from_u128(2_000 + attempt));
        tokio::spawn(async move { store.create_rollback_deploy(&write).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        assert_eq!(number_of(&writer.await.unwrap().unwrap()), 5);
    }
    assert_eq!(fixture.numbers().await, [5, 4, 3, 2, 1]);
}

async fn of_racing_rollbacks_on_the_same_latest_deploy_one_wins(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let mut writes = Vec::new();
    for id in 0..8 {
        writes.push(fixture.rollback(id).await);
    }
    let writers = writes.into_iter().map(|write| {
        let store = fixture.store.clone();
        tokio::spawn(async move { store.create_rollback_deploy(&write).await })
    });
    let mut winners = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok(_) => winners += 1,
            Err(Error::LatestDeployChanged { latest }) => assert_eq!(latest, number(5)),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(fixture.numbers().await, [5, 4, 3, 2, 1]);
}

async fn a_rollback_id_belongs_to_one_deployment(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    fixture
        .create(&NewDeployment {
            ..new_deployment("other")
        })
        .await;
    let elsewhere = RollbackName::new(name("other"), rollback(1).id());
    fixture
        .store
        .close_rollback(&elsewhere, time(3))
        .await
        .unwrap();

    let error = fixture
        .store
        .rollback_outcome(&rollback(1))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RollbackElsewhere), "{error:?}");
    let error = fixture
        .store
        .close_rollback(&rollback(1), time(3))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RollbackElsewhere), "{error:?}");
    let write = fixture.rollback(1).await;
    let error = fixture
        .store
        .create_rollback_deploy(&write)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RollbackElsewhere), "{error:?}");
}

async fn a_deploy_that_landed_in_between_stops_a_rollback(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    fixture.ship(image('c')).await;
    let error = fixture
        .store
        .create_rollback_deploy(&write)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::LatestDeployChanged { latest } if latest == number(5)),
        "{error:?}"
    );
    // The id is free: the same rollback can still be written, or closed.
    assert_eq!(
        fixture.store.rollback_outcome(&rollback(1)).await.unwrap(),
        None
    );
    let write = fixture.rollback(1).await;
    fixture.store.create_rollback_deploy(&write).await.unwrap();
}

async fn every_blocker_stops_a_rollback_and_all_are_told(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let codes = async |write: WriteRollback| {
        let error = fixture
            .store
            .create_rollback_deploy(&write)
            .await
            .unwrap_err();
        let Error::Blocked(blockers) = error else {
            panic!("{error:?}")
        };
        blockers
            .iter()
            .map(|blocker| blocker.code())
            .collect::<Vec<_>>()
    };

    let write = fixture.rollback(1).await;
    let gone = BTreeSet::from([super::bundle("etl", 'd').name.digest()]);
    assert_eq!(
        codes(WriteRollback {
            gone,
            ..write.clone()
        })
        .await,
        [BlockerCode::ArtifactMissing]
    );
    // A bundle that the rollback does not need may be gone.
    let unrelated = BTreeSet::from([super::bundle("etl", 'e').name.digest()]);
    let mut fine = WriteRollback {
        gone: unrelated,
        ..write.clone()
    };
    fine.permit.revision_digest = String::new();
    let error = fixture
        .store
        .create_rollback_deploy(&fine)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::PermitMismatch("revision_digest")),
        "{error:?}"
    );

    let disabled = WriteRollback {
        installation_enabled: false,
        ..write.clone()
    };
    assert_eq!(
        codes(disabled).await,
        [BlockerCode::RollbackDisabledInstallation]
    );
    let current = fixture.rollback_to(1, 4, Scope::All).await;
    assert_eq!(
        codes(current).await,
        [BlockerCode::TargetIsCurrent, BlockerCode::NoChange]
    );
    let same = fixture.rollback_to(1, 3, Scope::Image).await;
    assert_eq!(codes(same).await, [BlockerCode::NoChange]);
    fixture.assert_untouched(1).await;

    fixture
        .set(
            "UPDATE deployments SET rollback_enabled = $1, dag_deploy_mode = 'NFS'",
            args![false],
        )
        .await;
    fixture
        .set(
            "DELETE FROM dag_bundles WHERE sha256 = $1",
            args!["d".repeat(64)],
        )
        .await;
    assert_eq!(
        codes(WriteRollback {
            installation_enabled: false,
            ..write
        })
        .await,
        [
            BlockerCode::RollbackDisabledInstallation,
            BlockerCode::RollbackDisabledDeployment,
            BlockerCode::DagDeployModeUnsupported,
        ]
    );

    fixture
        .set(
            "UPDATE deployments SET rollback_enabled = $1, dag_deploy_mode = 'DAG_ONLY'",
            args![true],
        )
        .await;
    let write = fixture.rollback(1).await;
    assert_eq!(codes(write).await, [BlockerCode::ArtifactMissing]);
}

async fn a_target_expires_as_the_clock_moves(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    // Every deploy was made at second 1, and ceased to be current then.
    let just_before = time(1) + TimeDelta::days(90) - TimeDelta::microseconds(1);
    let late = time(1) + TimeDelta::days(90);
    let write = fixture.rollback(1).await;
    let expired = WriteRollback {
        time: late,
        ..write.clone()
    };
    let error = fixture
        .store
        .create_rollback_deploy(&expired)
        .await
        .unwrap_err();
    let Error::Blocked(blockers) = error else {
        panic!("{error:?}")
    };
    assert_eq!(blockers.len(), 1);
    assert_eq!(blockers[0].code(), BlockerCode::TargetExpired);
    fixture.assert_untouched(1).await;

    // The last previously current deploy never expires.
    let mut previous = fixture.rollback_to(2, 3, Scope::All).await;
    previous.time = late + TimeDelta::days(10_000);
    previous.permit.permissions = PermissionSet::EMPTY;
    let error = fixture
        .store
        .create_rollback_deploy(&previous)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::PermitMismatch("permissions")),
        "{error:?}"
    );

    let in_time = WriteRollback {
        time: just_before,
        ..write
    };
    fixture
        .store
        .create_rollback_deploy(&in_time)
        .await
        .unwrap();
}

async fn a_permit_for_something_else_writes_nothing(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    let good = write.permit.clone();
    let uid = new_deployment("etl").uid;
    let digest = fixture
        .rollback_to(1, 3, Scope::All)
        .await
        .permit
        .revision_digest;
    for (permit, expected) in [
        (
            PermitBounds {
                deployment_uid: uid,
                ..good.clone()
            },
            "deployment_uid",
        ),
        (
            PermitBounds {
                revision_digest: digest,
                ..good.clone()
            },
            "revision_digest",
        ),
        (
            PermitBounds {
                permissions: IMAGES,
                ..good.clone()
            },
            "permissions",
        ),
        (
            PermitBounds {
                permissions: PermissionSet::EMPTY,
                ..good
            },
            "permissions",
        ),
    ] {
        let write = WriteRollback {
            permit,
            ..write.clone()
        };
        let error = fixture
            .store
            .create_rollback_deploy(&write)
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::PermitMismatch(found) if found == expected),
            "{expected}: {error:?}"
        );
    }
    fixture.assert_untouched(1).await;
}

async fn a_permit_is_taken_once(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let first = fixture.rollback_to(1, 2, Scope::All).await;
    fixture.store.create_rollback_deploy(&first).await.unwrap();

    let mut second = fixture.rollback_to(2, 3, Scope::All).await;
    second.author.permit = first.author.permit;
    let error = fixture
        .store
        .create_rollback_deploy(&second)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PermitUsed), "{error:?}");
    assert_eq!(fixture.numbers().await, [5, 4, 3, 2, 1]);
    assert_eq!(
        fixture.store.rollback_outcome(&rollback(2)).await.unwrap(),
        None
    );
    assert_eq!(fixture.deployment().await.history.latest, number(5));
}

async fn a_missing_target_or_deployment_is_told(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    let missing = WriteRollback {
        target: number(99),
        ..write.clone()
    };
    let error = fixture
        .store
        .create_rollback_deploy(&missing)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::DeployMissing), "{error:?}");
    let elsewhere = WriteRollback {
        deployment: name("nowhere"),
        ..write
    };
    let error = fixture
        .store
        .create_rollback_deploy(&elsewhere)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::DeploymentMissing), "{error:?}");
    let nowhere = RollbackName::new(name("nowhere"), rollback(1).id());
    let error = fixture
        .store
        .close_rollback(&nowhere, time(1))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::DeploymentMissing), "{error:?}");
    let nowhere = DeployName::new(name("nowhere"), number(1));
    let error = fixture.store.rollback_facts(&nowhere).await.unwrap_err();
    assert!(matches!(error, Error::DeploymentMissing), "{error:?}");
    fixture.assert_untouched(1).await;
}
