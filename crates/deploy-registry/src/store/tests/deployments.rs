use chassis::testing::TestDatabase;
use model::WorkspaceName;

use super::{Fixture, image, name, new_deployment, time};
use crate::domain::{
    Delivery, Deployment, DeploymentChanges, ExecutionMode, History, NewDeployment,
};
use crate::store::{DeploymentList, DeploymentOrder, Error};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_field_of_a_deployment_comes_back,
    a_name_is_given_once,
    of_racing_creators_of_a_name_one_wins,
    a_deployment_that_is_only_validated_is_not_created,
    a_missing_deployment_is_none,
    deployments_are_listed_by_name_page_by_page,
    deployments_are_listed_in_every_order,
    a_deployment_shows_where_its_history_stands,
);

async fn every_field_of_a_deployment_comes_back(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let new = NewDeployment {
        display_name: "Ünïcode — \u{1F680}".to_owned(),
        description: "two\nlines, a 'quote' and a \"double\" one".to_owned(),
        labels: [
            ("team".to_owned(), "data".to_owned()),
            ("tier".to_owned(), String::new()),
        ]
        .into(),
        dag_deploy_mode: model::DagDeployMode::GitSync,
        rollback_enabled: false,
        delivery: Delivery::Agent,
        execution_mode: ExecutionMode::Remote,
        ..new_deployment("etl")
    };
    let created = fixture.create(&new).await;
    let number = super::number(0);
    let expected = Deployment {
        name: new.name.clone(),
        uid: new.uid,
        display_name: new.display_name,
        description: new.description,
        labels: new.labels,
        dag_deploy_mode: new.dag_deploy_mode,
        rollback_enabled: new.rollback_enabled,
        delivery: new.delivery,
        execution_mode: new.execution_mode,
        settings: new.settings,
        history: History {
            latest: number,
            current: number,
            previous: number,
        },
        change: 1,
        hold: None,
        delete_time: None,
        current_revision: None,
        created_by: new.created_by,
        create_time: time(0),
        update_time: time(0),
    };
    assert_eq!(created, expected);
    assert_eq!(fixture.deployment().await, expected);
}

async fn a_name_is_given_once(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let before = fixture.deployment().await;
    let again = fixture
        .store
        .create_deployment(&new_deployment("etl"), None, false)
        .await;
    assert!(matches!(again, Err(Error::DeploymentExists)), "{again:?}");
    assert_eq!(fixture.deployment().await, before);

    // The same id in another workspace is another name.
    let elsewhere = "workspaces/other/deployments/etl".parse().unwrap();
    fixture
        .create(&NewDeployment {
            name: elsewhere,
            ..new_deployment("etl")
        })
        .await;
}

async fn of_racing_creators_of_a_name_one_wins(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let creators = (0..8).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            store
                .create_deployment(&new_deployment("etl"), None, false)
                .await
                .is_ok()
        })
    });
    let mut winners = 0;
    for creator in creators.collect::<Vec<_>>() {
        winners += i32::from(creator.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn a_deployment_that_is_only_validated_is_not_created(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let new = new_deployment("etl");
    let shown = fixture
        .store
        .create_deployment(&new, None, true)
        .await
        .unwrap();
    assert_eq!(shown.name, new.name);
    assert_eq!(fixture.store.deployment(&new.name).await.unwrap(), None);

    fixture.create(&new).await;
    let again = fixture
        .store
        .create_deployment(&new_deployment("etl"), None, true)
        .await;
    assert!(matches!(again, Err(Error::DeploymentExists)), "{again:?}");
}

async fn a_missing_deployment_is_none(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    assert_eq!(
        fixture.store.deployment(&name("other")).await.unwrap(),
        None
    );
    assert_eq!(
        fixture.store.deployment_uid(&name("other")).await.unwrap(),
        None
    );
}

async fn deployments_are_listed_by_name_page_by_page(database: TestDatabase) {
    let fixture = Fixture::new(database);
    // A collation of people's would sort the hyphen elsewhere.
    for id in ["b", "a-z", "ab", "a", "a1"] {
        fixture.create(&new_deployment(id)).await;
    }
    let elsewhere = "workspaces/other/deployments/aa".parse().unwrap();
    fixture
        .create(&NewDeployment {
            name: elsewhere,
            ..new_deployment("aa")
        })
        .await;

    let workspace = WorkspaceName::new("data").unwrap();
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = fixture
            .store
            .list_deployments(by_name(&workspace), after, 2)
            .await
            .unwrap();
        ids.extend(
            page.items
                .iter()
                .map(|deployment| deployment.name.id().to_owned()),
        );
        after = page.items.last().map(|last| last.uid);
        if !page.more {
            break;
        }
    }
    assert_eq!(ids, ["a", "a-z", "a1", "ab", "b"]);
}

fn by_name(workspace: &WorkspaceName) -> DeploymentList<'_> {
    DeploymentList {
        workspace,
        show_deleted: false,
        order: DeploymentOrder::Name,
    }
}

async fn deployments_are_listed_in_every_order(database: TestDatabase) {
    let fixture = Fixture::new(database);
    // The second and the third are of one moment.
    for (id, second) in [("c", 1), ("a", 2), ("d", 2), ("b", 3)] {
        let new = NewDeployment {
            create_time: time(second),
            ..new_deployment(id)
        };
        fixture.create(&new).await;
    }
    let moved = DeploymentChanges {
        display_name: Some("moved".to_owned()),
        ..DeploymentChanges::default()
    };
    let update = fixture
        .store
        .update_deployment(&name("c"), &moved, "", None, time(9))
        .await;
    update.unwrap();
    let workspace = WorkspaceName::new("data").unwrap();
    for (order, expected) in [
        (DeploymentOrder::Name, "abcd"),
        (DeploymentOrder::NameDescending, "dcba"),
        (DeploymentOrder::CreateTime, "cadb"),
        (DeploymentOrder::CreateTimeDescending, "bdac"),
        (DeploymentOrder::UpdateTime, "adbc"),
        (DeploymentOrder::UpdateTimeDescending, "cbda"),
    ] {
        let list = DeploymentList {
            order,
            ..by_name(&workspace)
        };
        for limit in 1..=4 {
            let mut ids = String::new();
            let mut after = None;
            loop {
                let page = fixture
                    .store
                    .list_deployments(list, after, limit)
                    .await
                    .unwrap();
                after = page.items.last().map(|deployment| deployment.uid);
                ids.extend(page.items.iter().map(|deployment| deployment.name.id()));
                if !page.more {
                    break;
                }
            }
            assert_eq!(ids, expected, "{order:?} by {limit}");
        }
    }
}

async fn a_deployment_shows_where_its_history_stands(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for (latest, digit) in [(1, 'a'), (2, 'b'), (3, 'c')] {
        let entry = fixture.ship(image(digit)).await;
        let deployment = fixture.deployment().await;
        let history = History {
            latest: super::number(latest),
            current: super::number(latest),
            previous: super::number(latest - 1),
        };
        assert_eq!(deployment.history, history);
        assert_eq!(entry.history, history);
        assert_eq!(deployment.current_revision, Some(entry.deploy.revision));
        assert_eq!(deployment.change, latest + 1);
        assert_eq!(deployment.update_time, time(1));
    }
}
