use std::collections::BTreeMap;

use chassis::args;
use chassis::testing::TestDatabase;
use model::{DagDeployMode, DeployName, DeployState};

use super::{Fixture, dags, image, name, new_deploy, new_deployment, number, number_of, time};
use crate::domain::{
    Component, Deploy, DeployFilter, DeployTrigger, DeployType, GitSource, ImageVerification,
    NewDeployment, Refusal, Shipment,
};
use crate::store::{Error, Listing, NewDeploy};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_field_of_a_deploy_comes_back,
    sixteen_racing_writers_leave_no_gap,
    of_racing_writers_that_expect_the_same_latest_deploy_one_wins,
    an_expectation_that_is_wrong_is_told_the_latest_deploy,
    a_deploy_that_fails_takes_no_number,
    a_deploy_that_is_only_validated_takes_no_number,
    a_deploy_inherits_from_a_latest_one_that_came_to_something,
    a_deploy_notes_when_the_one_before_ceased_to_be_current,
    times_never_run_backwards,
    deploys_are_listed_newest_first_while_more_arrive,
    a_list_tells_whether_there_is_more,
    a_list_of_large_rows_is_cut_short,
    deploys_are_found_by_a_filter_page_by_page,
    a_filter_looks_at_a_bounded_number_of_deploys,
    deploys_of_one_deployment_are_not_those_of_another,
    a_missing_deployment_takes_no_deploy,
    what_made_a_deploy_is_kept,
);

async fn what_made_a_deploy_is_kept(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let git_sync = NewDeployment {
        dag_deploy_mode: DagDeployMode::GitSync,
        ..new_deployment("etl")
    };
    let created = fixture
        .store
        .create_deployment(&git_sync, None, false)
        .await;
    created.unwrap();
    let record = async |shipment| {
        let new = new_deploy(shipment);
        fixture.store.create_deploy(&new, None, false).await
    };
    let pulled = Shipment {
        trigger: DeployTrigger::GitSync,
        ..Shipment::default()
    };
    let refused = record(pulled.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused}");
    let by_workflow = Shipment {
        trigger: DeployTrigger::Github,
        ..image('a')
    };
    let by_workflow = record(by_workflow).await.unwrap().deploy;
    let pulled = record(pulled).await.unwrap();
    assert_eq!(by_workflow.trigger, DeployTrigger::Github);
    assert_eq!(pulled.deploy.deploy_type, DeployType::DagsOnly);
    assert_eq!(pulled.deploy.revision, by_workflow.revision);
    assert_eq!(pulled.deploy.changed, []);
    let name = pulled.deploy.name.clone();
    assert_eq!(fixture.store.deploy(&name).await.unwrap(), Some(pulled));

    for (filter, expected) in [("trigger = GIT_SYNC", 2), ("trigger = GITHUB", 1)] {
        let listing = fixture.filtered(filter, None, 10).await;
        let found = listing.items.into_iter().filter_map(|(_, entry)| entry);
        let numbers = found.map(|entry| number_of(&entry)).collect::<Vec<_>>();
        assert_eq!(numbers, [expected], "{filter}");
    }
}

async fn every_field_of_a_deploy_comes_back(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let (dag_bundle, dbt_bundle) = (fixture.bundle('d').await, fixture.bundle('e').await);
    let shipment = Shipment {
        dag_bundle: Some(dag_bundle),
        dbt: BTreeMap::from([("/usr/local/airflow/dbt/sales".parse().unwrap(), dbt_bundle)]),
        ..image('a')
    };
    let new = NewDeploy {
        image_verification: Some(ImageVerification::Unverified("tag 1 moved".to_owned())),
        description: "Ünïcode — \u{1F680}\n'quoted'".to_owned(),
        git: Some(GitSource {
            provider: "github".to_owned(),
            repository: "acme/etl".to_owned(),
            branch: "main".to_owned(),
            commit_sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            author: "Alice <alice@example.com>".to_owned(),
            commit_url: "https://github.com/acme/etl/commit/0123".to_owned(),
        }),
        created_by: "service-account:workspaces/data/serviceAccounts/ci"
            .parse()
            .unwrap(),
        ..new_deploy(shipment)
    };
    let entry = fixture
        .store
        .create_deploy(&new, None, false)
        .await
        .unwrap();
    let revision = entry.deploy.revision.clone();
    assert_eq!(revision.dag_bundle.unwrap().sha256, dag_bundle);
    assert_eq!(revision.dag_bundle.unwrap().size.get(), 1_024);
    assert_eq!(revision.dbt.len(), 1);
    assert_eq!(revision.mode, DagDeployMode::DagOnly);
    let expected = Deploy {
        name: DeployName::new(name("etl"), number(1)),
        deploy_type: DeployType::ImageAndDags,
        trigger: DeployTrigger::Api,
        description: new.description,
        revision_digest: revision.digest(),
        image_verification: new.image_verification,
        artifacts_gone: false,
        revision,
        changed: vec![
            Component::Image,
            Component::RuntimeVersion,
            Component::AirflowVersion,
            Component::DagBundle,
            Component::DbtBundles,
        ],
        git: new.git,
        rollback: None,
        settings: new_deployment("etl").settings,
        state: DeployState::Deployed,
        state_reason: String::new(),
        created_by: new.created_by,
        create_time: time(1),
        deploy_time: Some(time(1)),
        ceased_time: None,
        update_time: time(1),
        change: 2,
        pin: None,
        mark: None,
    };
    assert_eq!(entry.deploy, expected);
    assert_eq!(
        fixture.store.deploy(&expected.name).await.unwrap(),
        Some(entry)
    );
}

async fn sixteen_racing_writers_leave_no_gap(database: TestDatabase) {
    const EACH: usize = 4;

    let fixture = Fixture::with_deployment(database).await;
    let writers = (0..16).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..EACH {
                let entry = store
                    .create_deploy(&new_deploy(image('a')), None, false)
                    .await;
                taken.push(number_of(&entry.unwrap()));
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        taken.extend(writer.await.unwrap());
    }
    taken.sort_unstable();
    let all = (1..=64).collect::<Vec<i64>>();
    assert_eq!(taken, all);
    assert_eq!(
        fixture.numbers().await,
        all.into_iter().rev().collect::<Vec<_>>()
    );
}

async fn of_racing_writers_that_expect_the_same_latest_deploy_one_wins(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for latest in 0..3 {
        let writers = (0..16).map(|_| {
            let store = fixture.store.clone();
            let new = NewDeploy {
                expected_latest: Some(number(latest)),
                ..new_deploy(image('a'))
            };
            tokio::spawn(async move { store.create_deploy(&new, None, false).await })
        });
        let mut winners = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(entry) => {
                    assert_eq!(number_of(&entry), latest + 1);
                    winners += 1;
                }
                Err(Error::LatestDeployChanged { latest: found }) => {
                    assert_eq!(found, number(latest + 1));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners, 1);
    }
    assert_eq!(fixture.numbers().await, [3, 2, 1]);
}

async fn an_expectation_that_is_wrong_is_told_the_latest_deploy(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.try_ship(image('a'), Some(0)).await.unwrap();
    for wrong in [0, 2, i64::MAX] {
        let error = fixture.try_ship(image('b'), Some(wrong)).await.unwrap_err();
        assert!(
            matches!(error, Error::LatestDeployChanged { latest } if latest == number(1)),
            "{error:?}"
        );
    }
    assert_eq!(
        number_of(&fixture.try_ship(image('b'), Some(1)).await.unwrap()),
        2
    );
}

async fn a_deploy_that_fails_takes_no_number(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let missing = super::bundle("etl", 'd').name.digest();
    let first = fixture.try_ship(dags(missing), None).await.unwrap_err();
    assert!(
        matches!(first, Error::Refused(Refusal::NotAllowed(_))),
        "{first:?}"
    );

    fixture.ship(image('a')).await;
    let before = fixture.deployment().await;
    let error = fixture.try_ship(dags(missing), None).await.unwrap_err();
    let Error::Refused(Refusal::BundlesMissing(digests)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(digests, [missing]);
    assert_eq!(fixture.deployment().await, before);

    // Even if the database itself fails at the last moment: here the number is in the way.
    fixture
        .set(
            "UPDATE deployments SET latest_number = 0 WHERE deployment_id = $1",
            args!["etl"],
        )
        .await;
    let error = fixture.try_ship(image('b'), None).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert_eq!(fixture.deployment().await.history.latest, number(0));
}

async fn a_deploy_that_is_only_validated_takes_no_number(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let shown = fixture
        .store
        .create_deploy(&new_deploy(image('a')), None, true)
        .await
        .unwrap();
    assert_eq!(number_of(&shown), 1);
    assert_eq!(fixture.numbers().await, [0; 0]);
    assert_eq!(fixture.deployment().await.change, 1);

    let missing = dags(super::bundle("etl", 'd').name.digest());
    fixture.ship(image('a')).await;
    let refused = fixture
        .store
        .create_deploy(&new_deploy(missing), None, true)
        .await;
    assert!(
        matches!(refused, Err(Error::Refused(Refusal::BundlesMissing(_)))),
        "{refused:?}"
    );
}

async fn a_deploy_inherits_from_a_latest_one_that_came_to_something(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    let digest = fixture.bundle('d').await;
    let first = fixture.ship(image('a')).await.deploy.revision;
    let second = fixture.ship(dags(digest)).await.deploy;
    assert_eq!(second.revision.image, first.image);
    assert_eq!(second.deploy_type, DeployType::DagsOnly);
    assert_eq!(second.changed, [Component::DagBundle]);
    let third = fixture.ship(image('b')).await.deploy;
    assert_eq!(third.revision.dag_bundle, second.revision.dag_bundle);
    assert_eq!(third.changed, [Component::Image]);

    // Nothing reports a failure yet, so the rows are set as if something had.
    for state in ["FAILED", "SUPERSEDED"] {
        set_latest_state(&fixture, state).await;
        let next = fixture.try_validate(dags(digest)).await.revision;
        assert_eq!(next.image, first.image, "{state}");
    }
    set_latest_state(&fixture, "PENDING").await;
    let next = fixture.try_validate(dags(digest)).await.revision;
    assert_eq!(next.image, third.revision.image);
}

impl Fixture {
    async fn try_validate(&self, shipment: Shipment) -> Deploy {
        self.store
            .create_deploy(&new_deploy(shipment), None, true)
            .await
            .unwrap()
            .deploy
    }
}

/// Makes it look as if deploy 3 ended so, and deploy 2 were the current one.
async fn set_latest_state(fixture: &Fixture, state: &str) {
    fixture
        .set(
            "UPDATE deploys SET state = $1 WHERE number = 3",
            args![state],
        )
        .await;
    fixture
        .set("UPDATE deployments SET current_number = 2", args![])
        .await;
}

async fn a_deploy_notes_when_the_one_before_ceased_to_be_current(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for second in [1, 5, 9] {
        let new = NewDeploy {
            time: time(second),
            ..new_deploy(image('a'))
        };
        fixture
            .store
            .create_deploy(&new, None, false)
            .await
            .unwrap();
    }
    let entries = fixture.history().await;
    let ceased = entries
        .iter()
        .map(|entry| entry.deploy.ceased_time)
        .collect::<Vec<_>>();
    assert_eq!(ceased, [None, Some(time(9)), Some(time(5))]);
}

async fn times_never_run_backwards(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture
        .store
        .create_deploy(
            &NewDeploy {
                time: time(100),
                ..new_deploy(image('a'))
            },
            None,
            false,
        )
        .await
        .unwrap();
    // A replica whose clock is behind.
    let new = NewDeploy {
        time: time(50),
        ..new_deploy(image('b'))
    };
    let entry = fixture
        .store
        .create_deploy(&new, None, false)
        .await
        .unwrap();
    assert_eq!(entry.deploy.create_time, time(100));
    assert_eq!(fixture.deployment().await.update_time, time(100));
}

async fn deploys_are_listed_newest_first_while_more_arrive(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for _ in 0..5 {
        fixture.ship(image('a')).await;
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let Listing { items, more } = fixture.page(before, 2).await;
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(number_of));
        before = seen.last().copied();
        if !more {
            break;
        }
        fixture.ship(image('a')).await;
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert_eq!(fixture.numbers().await, [7, 6, 5, 4, 3, 2, 1]);
}

async fn a_list_tells_whether_there_is_more(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    assert_eq!(
        fixture.page(None, 10).await,
        Listing {
            items: vec![],
            more: false
        }
    );
    for _ in 0..105 {
        fixture.ship(image('a')).await;
    }
    for (limit, expected) in [
        (1, 1),
        (99, 99),
        (100, 100),
        (104, 104),
        (105, 105),
        (106, 105),
    ] {
        let page = fixture.page(None, limit).await;
        assert_eq!(page.items.len(), expected, "{limit}");
        assert_eq!(page.more, expected < 105, "{limit}");
        assert_eq!(page.items.first().map(number_of), Some(105));
    }
    let page = fixture.page(Some(3), 10).await;
    assert_eq!(page.items.iter().map(number_of).collect::<Vec<_>>(), [2, 1]);
    assert!(!page.more);
}

async fn a_list_of_large_rows_is_cut_short(database: TestDatabase) {
    let fixture = Fixture::new(database);
    let settings = (0..16)
        .map(|n| (format!("k{n}"), "x".repeat(4_000)))
        .collect();
    fixture
        .create(&NewDeployment {
            settings,
            ..new_deployment("etl")
        })
        .await;
    for _ in 0..80 {
        fixture.ship(image('a')).await;
    }
    let page = fixture.page(None, 1_000).await;
    assert!((60..80).contains(&page.items.len()), "{}", page.items.len());
    assert!(page.more);
}

async fn deploys_of_one_deployment_are_not_those_of_another(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture
        .create(&NewDeployment {
            ..new_deployment("other")
        })
        .await;
    fixture.ship(image('a')).await;
    let other = NewDeploy {
        deployment: name("other"),
        ..new_deploy(image('b'))
    };
    let entry = fixture
        .store
        .create_deploy(&other, None, false)
        .await
        .unwrap();
    assert_eq!(
        entry.deploy.name.to_string(),
        "workspaces/data/deployments/other/deploys/1"
    );
    assert_eq!(fixture.numbers().await, [1]);
    let missing = DeployName::new(name("other"), number(2));
    assert_eq!(fixture.store.deploy(&missing).await.unwrap(), None);
    assert_eq!(
        fixture.store.deploy(&entry.deploy.name).await.unwrap(),
        Some(entry)
    );
}

async fn a_missing_deployment_takes_no_deploy(database: TestDatabase) {
    let fixture = Fixture::new(database);
    for expected in [None, Some(0)] {
        let error = fixture.try_ship(image('a'), expected).await.unwrap_err();
        assert!(matches!(error, Error::DeploymentMissing), "{error:?}");
    }
    assert_eq!(
        fixture
            .store
            .list_deploys(&name("etl"), &DeployFilter::default(), None, 10)
            .await
            .unwrap(),
        None
    );
}

async fn deploys_are_found_by_a_filter_page_by_page(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    for number in 1..=9 {
        let new = NewDeploy {
            description: if number % 3 == 0 { "Third" } else { "other" }.to_owned(),
            time: time(number),
            ..new_deploy(image('a'))
        };
        fixture
            .store
            .create_deploy(&new, None, false)
            .await
            .unwrap();
    }
    let numbers = async |filter: &str, before, limit| {
        let page = fixture.filtered(filter, before, limit).await;
        let numbers = page.items.iter().map(|(number, entry)| {
            assert!(entry.is_some());
            number.get()
        });
        (numbers.collect::<Vec<_>>(), page.more)
    };
    let third = "description : third";
    assert_eq!(numbers(third, None, 10).await, (vec![9, 6, 3], false));
    assert_eq!(numbers(third, None, 2).await, (vec![9, 6], true));
    assert_eq!(numbers(third, Some(6), 2).await, (vec![3], false));
    let since = "create_time >= 2026-01-01T00:00:05Z AND create_time < 2026-01-01T00:00:08Z";
    assert_eq!(numbers(since, None, 10).await, (vec![7, 6, 5], false));
    assert_eq!(numbers("state = FAILED", None, 10).await, (vec![], false));
}

async fn a_filter_looks_at_a_bounded_number_of_deploys(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    fixture
        .set(
            "WITH RECURSIVE numbers (number) AS (
                 SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < 5000
             )
             INSERT INTO deploys
                 (deployment_uid, number, deploy_type, deploy_trigger, description, revision,
                  revision_digest, changed_components, settings, state, created_by, create_time,
                  deploy_time, update_time)
             SELECT d.deployment_uid, n.number, d.deploy_type, d.deploy_trigger, 'bulk', d.revision,
                    d.revision_digest, d.changed_components, d.settings, d.state, d.created_by,
                    d.create_time, d.deploy_time, d.update_time
             FROM deploys d, numbers n",
            args![],
        )
        .await;
    fixture
        .set(
            "UPDATE deployments SET latest_number = 5000, current_number = 5000",
            args![],
        )
        .await;
    let mut before = None;
    for last in [3_001, 1_001] {
        let page = fixture.filtered("description != bulk", before, 10).await;
        assert_eq!(page.items, [(number(last), None)]);
        assert!(page.more);
        before = Some(last);
    }
    let page = fixture.filtered("description != bulk", before, 10).await;
    let found = page.items.iter().map(|(number, _)| number.get());
    assert_eq!((found.collect::<Vec<_>>(), page.more), (vec![1], false));
}
