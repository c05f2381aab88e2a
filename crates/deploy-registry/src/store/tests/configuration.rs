use chassis::requests::Request;
use chassis::testing::TestDatabase;
use model::{DagDeployMode, WorkspaceName};
use proto::registry::v1 as pb;

use super::{Fixture, dags, image, name, new_deploy, new_deployment, number, number_of, time};
use crate::domain::{Delivery, DeploymentChanges, ExecutionMode, Report, Settings};
use crate::store::{DeploymentList, DeploymentOrder, Error};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_field_that_can_be_changed_is_changed,
    what_is_so_already_is_no_change,
    an_etag_keeps_one_change_from_undoing_another,
    a_repeated_change_is_made_once,
    a_delivery_is_not_changed_while_a_deploy_is_unfinished,
    a_change_of_mode_takes_effect_with_the_next_deploy,
    what_is_deleted_can_be_read_and_not_written_to,
    a_deployment_is_not_deleted_while_a_deploy_is_unfinished,
    a_hold_keeps_deploys_away_until_it_is_released,
    a_deploy_races_a_hold_and_never_lands_after_it,
    who_is_not_told_of_a_hold_was_not_held_up,
    a_hold_does_not_stop_a_rollback,
);

fn renamed(display_name: &str) -> DeploymentChanges {
    DeploymentChanges {
        display_name: Some(display_name.to_owned()),
        ..DeploymentChanges::default()
    }
}

async fn every_field_that_can_be_changed_is_changed(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let before = fixture.deployment().await;
    let changes = DeploymentChanges {
        display_name: Some("Ünïcode".to_owned()),
        description: Some("two\nlines".to_owned()),
        labels: Some([("team".to_owned(), "data".to_owned())].into()),
        dag_deploy_mode: Some(DagDeployMode::Image),
        rollback_enabled: Some(false),
        settings: Some(Settings::new()),
        delivery: Some(Delivery::Agent),
        execution_mode: Some(ExecutionMode::Remote),
    };
    let after = fixture
        .store
        .update_deployment(&name("etl"), &changes, "", None, time(7))
        .await
        .unwrap();
    let mut expected = changes.onto(&before);
    expected.change = 2;
    expected.update_time = time(7);
    assert_eq!(after, expected);
    assert_eq!(fixture.deployment().await, expected);
}

async fn what_is_so_already_is_no_change(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let before = fixture.deployment().await;
    for changes in [renamed("ETL"), DeploymentChanges::default()] {
        let after = fixture
            .store
            .update_deployment(&name("etl"), &changes, "", None, time(7))
            .await;
        assert_eq!(after.unwrap(), before);
    }
}

async fn an_etag_keeps_one_change_from_undoing_another(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let etag = fixture.deployment().await.etag();
    let name = name("etl");
    let changes = (0..16).map(|n| {
        let (store, name, etag) = (&fixture.store, &name, &etag);
        async move {
            let change = renamed(&n.to_string());
            store
                .update_deployment(name, &change, etag, None, time(7))
                .await
        }
    });
    let outcomes = futures::future::join_all(changes).await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::EtagMismatch)), "{outcome:?}");
    }
    let stale = fixture
        .store
        .delete_deployment(&name, &etag, None, time(8))
        .await;
    assert!(matches!(stale, Err(Error::EtagMismatch)), "{stale:?}");
    let etag = fixture.deployment().await.etag();
    let deleted = fixture
        .store
        .delete_deployment(&name, &etag, None, time(8))
        .await;
    assert_eq!(deleted.unwrap().delete_time, Some(time(8)));
}

async fn a_repeated_change_is_made_once(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let request = |method| {
        Request::new(
            &"user:alice@example.com".parse().unwrap(),
            method,
            &name("etl"),
            "1e0d3c9b-9d2f-4a53-8a5b-3f0f1f1f1f1f".parse().unwrap(),
            &pb::UpdateDeploymentRequest::default(),
        )
    };
    let etag = fixture.deployment().await.etag();
    for _ in 0..2 {
        let update = request("UpdateDeployment");
        let updated = fixture
            .store
            .update_deployment(&name("etl"), &renamed("new"), &etag, Some(&update), time(7))
            .await
            .unwrap();
        assert_eq!((updated.change, updated.display_name.as_str()), (2, "new"));
    }
    for _ in 0..2 {
        let delete = request("DeleteDeployment");
        let deleted = fixture
            .store
            .delete_deployment(&name("etl"), "", Some(&delete), time(8))
            .await;
        assert_eq!(deleted.unwrap().change, 3);
    }
}

async fn a_delivery_is_not_changed_while_a_deploy_is_unfinished(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    let changes = DeploymentChanges {
        delivery: Some(Delivery::Record),
        ..DeploymentChanges::default()
    };
    let update = async || {
        fixture
            .store
            .update_deployment(&name("etl"), &changes, "", None, time(7))
            .await
    };
    for _ in 0..2 {
        let error = update().await.unwrap_err();
        assert!(matches!(error, Error::DeployUnfinished(deploy) if deploy == number(1)));
        fixture.report(1, Report::RollingOut).await.unwrap();
    }
    fixture.report(1, Report::Failed).await.unwrap();
    assert_eq!(update().await.unwrap().delivery, Delivery::Record);
    let entry = fixture.ship(image('b')).await;
    assert_eq!(entry.history.current, number(2));
}

async fn a_change_of_mode_takes_effect_with_the_next_deploy(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let digest = fixture.bundle('d').await;
    fixture.ship(image('a')).await;
    fixture.ship(dags(digest)).await;
    let changes = DeploymentChanges {
        dag_deploy_mode: Some(DagDeployMode::Image),
        ..DeploymentChanges::default()
    };
    let changed = fixture
        .store
        .update_deployment(&name("etl"), &changes, "", None, time(7))
        .await
        .unwrap();
    assert_eq!(
        changed.current_revision.unwrap().mode,
        DagDeployMode::DagOnly
    );
    let refused = fixture.try_ship(dags(digest), None).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let next = fixture.ship(image('b')).await.deploy.revision;
    assert_eq!((next.mode, next.dag_bundle), (DagDeployMode::Image, None));
}

async fn what_is_deleted_can_be_read_and_not_written_to(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.create(&new_deployment("other")).await;
    fixture.ship(image('a')).await;
    let history = fixture.history().await;
    let etl = name("etl");
    let store = &fixture.store;
    store
        .delete_deployment(&etl, "", None, time(8))
        .await
        .unwrap();

    assert_eq!(fixture.deployment().await.delete_time, Some(time(8)));
    assert_eq!(fixture.history().await, history);
    let workspace = WorkspaceName::new("data").unwrap();
    for (show_deleted, count) in [(false, 1), (true, 2)] {
        let list = DeploymentList {
            workspace: &workspace,
            show_deleted,
            order: DeploymentOrder::Name,
        };
        let list = store.list_deployments(list, None, 10).await;
        assert_eq!(list.unwrap().items.len(), count);
    }
    let again = store
        .create_deployment(&new_deployment("etl"), None, false)
        .await;
    assert!(matches!(again, Err(Error::DeploymentExists)), "{again:?}");

    let by = "user:alice@example.com".parse().unwrap();
    let errors = [
        fixture.try_ship(image('b'), None).await.unwrap_err(),
        fixture.try_ship(image('b'), Some(7)).await.unwrap_err(),
        store.deployment_uid(&etl).await.unwrap_err(),
        store
            .update_deployment(&etl, &renamed("x"), "", None, time(9))
            .await
            .unwrap_err(),
        store
            .delete_deployment(&etl, "", None, time(9))
            .await
            .unwrap_err(),
        store
            .place_hold(&etl, "why", &by, time(9))
            .await
            .unwrap_err(),
        store.release_hold(&etl, time(9)).await.unwrap_err(),
        store
            .mark_deploy(&history[0].deploy.name, None, "", &by, time(9))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::DeploymentDeleted), "{error:?}");
    }
    assert_eq!(fixture.deployment().await.change, 3);
}

async fn a_deployment_is_not_deleted_while_a_deploy_is_unfinished(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    let delete = async || {
        fixture
            .store
            .delete_deployment(&name("etl"), "", None, time(8))
            .await
    };
    let error = delete().await.unwrap_err();
    assert!(matches!(error, Error::DeployUnfinished(deploy) if deploy == number(1)));
    fixture.report(1, Report::Deployed).await.unwrap();
    delete().await.unwrap();
}

async fn a_hold_keeps_deploys_away_until_it_is_released(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    let by = "user:alice@example.com".parse().unwrap();
    let etl = name("etl");
    let store = &fixture.store;
    for _ in 0..2 {
        let held = store
            .place_hold(&etl, "look into it", &by, time(7))
            .await
            .unwrap();
        let hold = held.hold.unwrap();
        assert_eq!(
            (hold.reason.as_str(), &hold.by, hold.time),
            ("look into it", &by, time(7))
        );
        assert_eq!(held.change, 3);
    }
    for validate_only in [false, true] {
        let refused = store
            .create_deploy(&new_deploy(image('b')), None, validate_only)
            .await;
        match refused {
            Err(Error::Held(hold)) => assert_eq!(hold.reason, "look into it"),
            other => panic!("{other:?}"),
        }
    }
    let other = store.place_hold(&etl, "still", &by, time(8)).await.unwrap();
    assert_eq!(other.hold.unwrap().reason, "still");
    for _ in 0..2 {
        let released = store.release_hold(&etl, time(9)).await.unwrap();
        assert_eq!((released.hold, released.change), (None, 5));
    }
    assert_eq!(number_of(&fixture.ship(image('b')).await), 2);
}

async fn a_deploy_races_a_hold_and_never_lands_after_it(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let by = "user:alice@example.com".parse().unwrap();
    let etl = name("etl");
    let deploys = (0..15).map(|_| fixture.try_ship(image('a'), None));
    let (outcomes, held) = tokio::join!(
        futures::future::join_all(deploys),
        fixture.store.place_hold(&etl, "stop", &by, time(7))
    );
    let held_at = held.unwrap().change;
    let mut shipped = 0;
    for outcome in outcomes {
        match outcome {
            Ok(entry) => {
                shipped += 1;
                assert!(entry.deploy.change < held_at);
            }
            Err(error) => assert!(matches!(error, Error::Held(_)), "{error:?}"),
        }
    }
    assert_eq!(fixture.numbers().await.len(), shipped);
}

async fn who_is_not_told_of_a_hold_was_not_held_up(database: TestDatabase) {
    const HOLDS: i64 = 60;

    let fixture = Fixture::with_deployment(database).await;
    let by = "user:alice@example.com".parse().unwrap();
    let etl = name("etl");
    let holding = tokio::spawn({
        let (store, etl) = (fixture.store.clone(), etl.clone());
        async move {
            for turn in 0..HOLDS {
                store
                    .place_hold(&etl, "wait", &by, time(turn))
                    .await
                    .unwrap();
                store.release_hold(&etl, time(turn)).await.unwrap();
            }
        }
    });
    let shippers = (0..4).map(|_| {
        let store = fixture.store.clone();
        let over = holding.abort_handle();
        tokio::spawn(async move {
            while !over.is_finished() {
                let new = new_deploy(image('a'));
                let outcome = store.create_deploy(&new, None, false).await;
                assert!(
                    matches!(outcome, Ok(_) | Err(Error::Held(_))),
                    "{outcome:?}"
                );
            }
        })
    });
    for shipper in shippers.collect::<Vec<_>>() {
        shipper.await.unwrap();
    }
    holding.await.unwrap();
    assert!(fixture.try_ship(image('b'), None).await.is_ok());
}

async fn a_hold_does_not_stop_a_rollback(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let by = "user:alice@example.com".parse().unwrap();
    let placed = fixture
        .store
        .place_hold(&name("etl"), "look into it", &by, time(4))
        .await;
    placed.unwrap();
    let write = fixture.rollback(1).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(number_of(&entry), 5);
    assert!(fixture.deployment().await.hold.is_some());
}
