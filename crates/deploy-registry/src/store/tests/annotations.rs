use chassis::requests::Request;
use chassis::testing::TestDatabase;
use model::{DeployName, Principal};
use proto::registry::v1 as pb;

use super::{Fixture, image, name, number, time};
use crate::domain::{BlockerCode, DeployChanges, Mark, Pin, Verdict};
use crate::store::{Entry, Error, WriteRollback};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_description_is_changed_and_a_pin_says_who_and_when,
    a_mark_says_who_when_and_why_and_is_taken_away_again,
    a_stale_etag_changes_nothing,
    a_repeated_update_is_made_once,
    a_missing_deploy_is_told,
    what_was_shipped_never_changes,
    a_rollback_to_a_deploy_that_is_marked_bad_has_to_mean_it,
    a_deploy_that_is_pinned_stays_a_target,
);

fn alice() -> Principal {
    "user:alice@example.com".parse().unwrap()
}

fn deploy(deploy: i64) -> DeployName {
    DeployName::new(name("etl"), number(deploy))
}

fn described(description: &str) -> DeployChanges {
    DeployChanges {
        description: Some(description.to_owned()),
        pinned: None,
    }
}

fn pinned(pinned: bool) -> DeployChanges {
    DeployChanges {
        description: None,
        pinned: Some(pinned),
    }
}

impl Fixture {
    async fn update(&self, changes: &DeployChanges) -> Entry {
        let updated = self
            .store
            .update_deploy(&deploy(1), changes, "", &alice(), None, time(7))
            .await;
        updated.unwrap()
    }

    async fn mark(&self, number: i64, verdict: Option<(Verdict, &str)>) -> Entry {
        let marked = self
            .store
            .mark_deploy(&deploy(number), verdict, "", &alice(), time(8))
            .await;
        marked.unwrap()
    }
}

async fn a_description_is_changed_and_a_pin_says_who_and_when(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    let entry = fixture.update(&described("the one that works")).await;
    assert_eq!(entry.deploy.description, "the one that works");
    assert_eq!(
        (entry.deploy.change, entry.deploy.update_time),
        (3, time(7))
    );

    let (by, time) = (alice(), time(7));
    for _ in 0..2 {
        let entry = fixture.update(&pinned(true)).await;
        assert_eq!(
            entry.deploy.pin,
            Some(Pin {
                by: by.clone(),
                time
            })
        );
        assert_eq!(entry.deploy.change, 4);
    }
    let entry = fixture.update(&pinned(false)).await;
    assert_eq!((entry.deploy.pin.clone(), entry.deploy.change), (None, 5));
    assert_eq!(fixture.history().await, [entry]);
    assert_eq!(fixture.deployment().await.change, 5);
}

async fn a_mark_says_who_when_and_why_and_is_taken_away_again(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    for _ in 0..2 {
        let entry = fixture.mark(1, Some((Verdict::Bad, "it loses rows"))).await;
        assert_eq!(
            entry.deploy.mark,
            Some(Mark {
                verdict: Verdict::Bad,
                reason: "it loses rows".to_owned(),
                by: alice(),
                time: time(8),
            })
        );
        assert_eq!(
            (entry.deploy.change, entry.deploy.update_time),
            (3, time(8))
        );
    }
    let entry = fixture.mark(1, Some((Verdict::Good, "it does not"))).await;
    assert_eq!(entry.deploy.mark.unwrap().verdict, Verdict::Good);
    for _ in 0..2 {
        let entry = fixture.mark(1, None).await;
        assert_eq!((entry.deploy.mark, entry.deploy.change), (None, 5));
    }
}

async fn a_stale_etag_changes_nothing(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let stale = fixture.ship(image('a')).await.deploy.etag();
    let fresh = fixture.update(&described("new")).await.deploy.etag();
    assert_ne!(stale, fresh);
    let store = &fixture.store;
    let (name, by) = (deploy(1), alice());
    let updated = store
        .update_deploy(&name, &described("x"), &stale, &by, None, time(9))
        .await;
    assert!(matches!(updated, Err(Error::EtagMismatch)), "{updated:?}");
    let verdict = Some((Verdict::Bad, "x"));
    let marked = store
        .mark_deploy(&name, verdict, &stale, &by, time(9))
        .await;
    assert!(matches!(marked, Err(Error::EtagMismatch)), "{marked:?}");
    assert_eq!(fixture.deployment().await.change, 3);
    // Deploys that come after change nothing about this one.
    fixture.ship(image('b')).await;
    store
        .mark_deploy(&name, verdict, &fresh, &by, time(9))
        .await
        .unwrap();
}

async fn a_repeated_update_is_made_once(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let etag = fixture.ship(image('a')).await.deploy.etag();
    let request = Request::new(
        &alice(),
        "UpdateDeploy",
        &name("etl"),
        "1e0d3c9b-9d2f-4a53-8a5b-3f0f1f1f1f1f".parse().unwrap(),
        &pb::UpdateDeployRequest::default(),
    );
    for _ in 0..2 {
        let updated = fixture
            .store
            .update_deploy(
                &deploy(1),
                &pinned(true),
                &etag,
                &alice(),
                Some(&request),
                time(9),
            )
            .await;
        assert_eq!(updated.unwrap().deploy.change, 3);
    }
}

async fn a_missing_deploy_is_told(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let missing = fixture
        .store
        .update_deploy(&deploy(1), &pinned(true), "", &alice(), None, time(9))
        .await;
    assert!(matches!(missing, Err(Error::DeployMissing)), "{missing:?}");
    let elsewhere = DeployName::new(name("other"), number(1));
    let missing = fixture
        .store
        .mark_deploy(&elsewhere, None, "", &alice(), time(9))
        .await;
    assert!(
        matches!(missing, Err(Error::DeploymentMissing)),
        "{missing:?}"
    );
}

async fn what_was_shipped_never_changes(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let before = fixture.ship(image('a')).await.deploy;
    fixture.update(&described("new")).await;
    fixture.update(&pinned(true)).await;
    let mut after = fixture.mark(1, Some((Verdict::Good, "fine"))).await.deploy;
    after.description.clone_from(&before.description);
    (after.pin, after.mark) = (None, None);
    (after.change, after.update_time) = (before.change, before.update_time);
    assert_eq!(after, before);
}

async fn a_rollback_to_a_deploy_that_is_marked_bad_has_to_mean_it(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let write = fixture.rollback(1).await;
    fixture.mark(2, Some((Verdict::Bad, "it loses rows"))).await;
    match fixture.store.create_rollback_deploy(&write).await {
        Err(Error::Blocked(blockers)) => {
            let codes = blockers.iter().map(|blocker| blocker.code());
            assert_eq!(codes.collect::<Vec<_>>(), [BlockerCode::TargetMarkedBad]);
        }
        other => panic!("{other:?}"),
    }
    let meant = WriteRollback {
        allow_marked_bad: true,
        ..write
    };
    fixture.store.create_rollback_deploy(&meant).await.unwrap();
}

async fn a_deploy_that_is_pinned_stays_a_target(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let late = WriteRollback {
        time: time(400 * 86_400),
        ..fixture.rollback(1).await
    };
    let expired = fixture.store.create_rollback_deploy(&late).await;
    assert!(matches!(expired, Err(Error::Blocked(_))), "{expired:?}");
    let target = deploy(2);
    let pin = fixture
        .store
        .update_deploy(&target, &pinned(true), "", &alice(), None, time(9))
        .await;
    pin.unwrap();
    fixture.store.create_rollback_deploy(&late).await.unwrap();
}
