use chassis::args;
use chassis::testing::TestDatabase;
use model::{DeployName, DeployState, RollbackId, Scope};
use uuid::Uuid;

use super::{Fixture, dags, image, name, new_deployment, number, number_of, time};
use crate::domain::{Delivery, History, NewDeployment, Report};
use crate::store::{Entry, Error};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    a_deploy_runs_once_it_is_reported_as_deployed,
    reports_that_come_late_or_twice_change_nothing,
    a_new_deploy_overtakes_one_that_is_unfinished,
    a_partial_deploy_inherits_from_what_came_to_something,
    a_deploy_that_failed_leaves_what_runs,
    deploys_that_are_recorded_as_done_take_no_reports,
    of_racing_reports_one_decides,
    a_report_races_the_next_deploy_without_a_second_current_one,
    a_rollback_is_shipped_by_whoever_ships,
    every_change_has_its_row_in_order,
);

impl Fixture {
    /// A store with the Deployment `etl`, whose deploys somebody ships and reports.
    pub(super) async fn with_agent(database: TestDatabase) -> Self {
        let fixture = Self::new(database);
        fixture
            .create(&NewDeployment {
                delivery: Delivery::Agent,
                ..new_deployment("etl")
            })
            .await;
        fixture
    }

    pub(super) async fn report(&self, deploy: i64, report: Report) -> Result<Entry, Error> {
        let deploy = DeployName::new(name("etl"), number(deploy));
        let reason = format!("{} by the agent", report.state());
        self.store
            .report_deploy_state(&deploy, report, &reason, time(9))
            .await
    }

    async fn entry(&self, deploy: i64) -> Entry {
        let deploy = DeployName::new(name("etl"), number(deploy));
        self.store.deploy(&deploy).await.unwrap().unwrap()
    }

    async fn states(&self) -> Vec<DeployState> {
        let history = self.history().await;
        history
            .iter()
            .rev()
            .map(|entry| entry.deploy.state)
            .collect()
    }
}

fn history(latest: i64, current: i64, previous: i64) -> History {
    History {
        latest: number(latest),
        current: number(current),
        previous: number(previous),
    }
}

async fn a_deploy_runs_once_it_is_reported_as_deployed(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    let entry = fixture.ship(image('a')).await;
    assert_eq!(entry.deploy.state, DeployState::Pending);
    assert_eq!(entry.deploy.deploy_time, None);
    assert_eq!(entry.history, history(1, 0, 0));
    assert_eq!(fixture.deployment().await.current_revision, None);

    let entry = fixture.report(1, Report::RollingOut).await.unwrap();
    assert_eq!(entry.deploy.state, DeployState::RollingOut);
    assert_eq!(entry.deploy.state_reason, "ROLLING_OUT by the agent");
    assert_eq!(entry.deploy.update_time, time(9));
    assert_eq!(entry.history, history(1, 0, 0));

    let entry = fixture.report(1, Report::Deployed).await.unwrap();
    assert_eq!(entry.deploy.state, DeployState::Deployed);
    assert_eq!(entry.deploy.deploy_time, Some(time(9)));
    assert_eq!(entry.history, history(1, 1, 0));
    assert_eq!(entry, fixture.entry(1).await);
    let deployment = fixture.deployment().await;
    assert_eq!(deployment.current_revision, Some(entry.deploy.revision));
    assert_eq!(deployment.change, 4);

    fixture.ship(image('b')).await;
    assert_eq!(fixture.entry(1).await.deploy.ceased_time, None);
    let entry = fixture.report(2, Report::Deployed).await.unwrap();
    assert_eq!(entry.history, history(2, 2, 1));
    assert_eq!(fixture.entry(1).await.deploy.ceased_time, Some(time(9)));
}

async fn reports_that_come_late_or_twice_change_nothing(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    fixture.report(1, Report::Deployed).await.unwrap();
    let before = (fixture.deployment().await, fixture.entry(1).await);
    assert_eq!(fixture.report(1, Report::Deployed).await.unwrap(), before.1);
    for late in [Report::RollingOut, Report::Failed] {
        let error = fixture.report(1, late).await.unwrap_err();
        assert!(
            matches!(error, Error::StateFinal(DeployState::Deployed)),
            "{error:?}"
        );
    }
    assert_eq!((fixture.deployment().await, fixture.entry(1).await), before);
    let error = fixture.report(2, Report::Deployed).await.unwrap_err();
    assert!(matches!(error, Error::DeployMissing), "{error:?}");
}

async fn a_new_deploy_overtakes_one_that_is_unfinished(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    fixture.report(1, Report::RollingOut).await.unwrap();
    fixture.ship(image('b')).await;
    fixture.ship(image('c')).await;
    fixture.report(3, Report::Deployed).await.unwrap();
    fixture.ship(image('d')).await;
    use DeployState::{Deployed, Pending, Superseded};
    assert_eq!(
        fixture.states().await,
        [Superseded, Superseded, Deployed, Pending]
    );
    let overtaken = fixture.entry(2).await.deploy;
    assert_eq!(
        overtaken.state_reason,
        format!("{}/deploys/3 came before it was shipped", name("etl"))
    );
    let error = fixture.report(2, Report::Deployed).await.unwrap_err();
    assert!(
        matches!(error, Error::StateFinal(DeployState::Superseded)),
        "{error:?}"
    );
    assert_eq!(fixture.deployment().await.history, history(4, 3, 0));
}

async fn a_partial_deploy_inherits_from_what_came_to_something(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    fixture.report(1, Report::Deployed).await.unwrap();
    let digest = fixture.bundle('d').await;

    // From one that is on its way.
    fixture.ship(image('b')).await;
    let partial = fixture.ship(dags(digest)).await.deploy;
    assert_eq!(
        partial.revision.image,
        fixture.entry(2).await.deploy.revision.image
    );
    // Not from one that failed, but from what runs.
    fixture.report(3, Report::Failed).await.unwrap();
    let partial = fixture.ship(dags(digest)).await.deploy;
    assert_eq!(
        partial.revision.image,
        fixture.entry(1).await.deploy.revision.image
    );
}

async fn a_deploy_that_failed_leaves_what_runs(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    fixture.report(1, Report::Deployed).await.unwrap();
    fixture.ship(image('b')).await;
    let entry = fixture.report(2, Report::Failed).await.unwrap();
    assert_eq!(entry.history, history(2, 1, 0));
    assert_eq!(entry.deploy.state_reason, "FAILED by the agent");
    assert_eq!(entry.deploy.deploy_time, None);
    assert_eq!(fixture.entry(1).await.deploy.ceased_time, None);
}

async fn deploys_that_are_recorded_as_done_take_no_reports(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    for report in [Report::RollingOut, Report::Deployed, Report::Failed] {
        let error = fixture.report(1, report).await.unwrap_err();
        assert!(matches!(error, Error::ReportsNotTaken), "{error:?}");
    }
    assert_eq!(fixture.deployment().await.change, 2);
}

async fn of_racing_reports_one_decides(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    let reports = (0..16).map(|n| {
        let report = if n % 2 == 0 {
            Report::Deployed
        } else {
            Report::Failed
        };
        let fixture = &fixture;
        async move { (report.state(), fixture.report(1, report).await) }
    });
    let outcomes = futures::future::join_all(reports).await;
    let decided = fixture.entry(1).await.deploy.state;
    for (reported, outcome) in outcomes {
        match outcome {
            Ok(entry) => assert_eq!((entry.deploy.state, reported), (decided, decided)),
            Err(Error::StateFinal(state)) => {
                assert_eq!(state, decided);
                assert_ne!(reported, decided);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(fixture.deployment().await.change, 3);
}

async fn a_report_races_the_next_deploy_without_a_second_current_one(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    for deploy in 1..=8 {
        let (reported, shipped) = tokio::join!(
            fixture.report(deploy, Report::Deployed),
            fixture.ship(image('b'))
        );
        assert_eq!(number_of(&shipped), deploy + 1);
        let state = fixture.entry(deploy).await.deploy.state;
        match reported {
            Ok(_) => assert_eq!(state, DeployState::Deployed),
            Err(error) => {
                assert!(matches!(error, Error::StateFinal(_)), "{error:?}");
                assert_eq!(state, DeployState::Superseded);
            }
        }
    }
    let states = fixture.states().await;
    let ran = states
        .iter()
        .rposition(|state| *state == DeployState::Deployed);
    let current = fixture.deployment().await.history.current.get();
    assert_eq!(current, ran.map_or(0, |index| index as i64 + 1));
}

async fn a_rollback_is_shipped_by_whoever_ships(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    for deploy in 1..=2 {
        fixture
            .ship(image(if deploy == 1 { 'a' } else { 'b' }))
            .await;
        fixture.report(deploy, Report::Deployed).await.unwrap();
    }
    // It is on its way, and is overtaken.
    fixture.ship(image('c')).await;
    let write = fixture.rollback_to(1, 1, Scope::All).await;
    let entry = fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(entry.deploy.state, DeployState::Pending);
    assert_eq!(entry.deploy.deploy_time, None);
    assert_eq!(entry.history, history(4, 2, 1));
    let origin = entry.deploy.rollback.clone().unwrap();
    assert_eq!(origin.rollback, RollbackId::new(Uuid::from_u128(1)));
    assert_eq!(origin.replaced, number(2));
    assert_eq!(
        entry.deploy.revision,
        fixture.entry(1).await.deploy.revision
    );
    assert_eq!(fixture.entry(3).await.deploy.state, DeployState::Superseded);
    assert_eq!(fixture.entry(4).await, entry);

    let entry = fixture.report(4, Report::Deployed).await.unwrap();
    assert_eq!(entry.history, history(4, 4, 2));
    assert_eq!(fixture.entry(2).await.deploy.ceased_time, Some(time(9)));
}

async fn every_change_has_its_row_in_order(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship(image('a')).await;
    fixture.report(1, Report::RollingOut).await.unwrap();
    fixture.report(1, Report::RollingOut).await.unwrap();
    fixture.ship(image('b')).await;
    let mut connection = fixture.database.database.read().await.unwrap();
    let rows = connection
        .fetch_all::<(i64, String, Option<i64>, Option<String>)>(
            "SELECT change, kind, number, deploy_state FROM deploy_changes ORDER BY change",
            args![],
        )
        .await
        .unwrap();
    let rows = rows
        .iter()
        .map(|(change, kind, number, state)| (*change, kind.as_str(), *number, state.as_deref()))
        .collect::<Vec<_>>();
    assert_eq!(
        rows,
        [
            (1, "DEPLOYMENT_CREATED", None, None),
            (2, "DEPLOY_CREATED", Some(1), Some("PENDING")),
            (3, "DEPLOY_STATE_CHANGED", Some(1), Some("ROLLING_OUT")),
            (4, "DEPLOY_CREATED", Some(2), Some("PENDING")),
            (5, "DEPLOY_STATE_CHANGED", Some(1), Some("SUPERSEDED")),
        ]
    );
    assert_eq!(fixture.deployment().await.change, 5);
    let superseded = fixture.entry(1).await.deploy;
    assert_eq!(superseded.change, 5);
}
