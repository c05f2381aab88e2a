use chassis::args;
use chassis::testing::TestDatabase;
use model::{DeployName, Scope, Sha256Digest};

use super::{Fixture, image, name, new_deploy, number, number_of, time};
use crate::domain::Report;
use crate::store::{Error, NewDeploy, Previous, RollbackPreviews};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    the_deploy_that_ran_at_a_time_is_found,
    a_deploy_ran_since_it_was_reported_as_deployed,
    the_last_known_good_deploy_is_found_with_its_settings,
    a_search_looks_at_a_thousand_deploys,
    previews_tell_of_each_deploy_and_what_is_gone,
    nothing_is_found_in_a_deployment_that_is_not_there,
);

impl Fixture {
    async fn ship_image_at(&self, second: i64, digit: char) {
        let new = NewDeploy {
            time: time(second),
            ..new_deploy(image(digit))
        };
        self.store.create_deploy(&new, None, false).await.unwrap();
    }

    async fn report_at(&self, second: i64, deploy: i64, report: Report) {
        let deploy = DeployName::new(name("etl"), number(deploy));
        let reported = self
            .store
            .report_deploy_state(&deploy, report, "", time(second));
        reported.await.unwrap();
    }

    /// The deploy that ran at a time; 0 for none.
    async fn as_of(&self, second: i64) -> i64 {
        let found = self
            .store
            .deploy_as_of(&name("etl"), time(second))
            .await
            .unwrap();
        if let Some(entry) = &found {
            let whole = self.store.deploy(&entry.deploy.name).await.unwrap();
            assert_eq!(whole.as_ref(), Some(entry));
        }
        found.map_or(0, |entry| number_of(&entry))
    }

    /// The last known good deploy; 0 for none, and -1 if none was found so far down.
    async fn previous(&self, scope: Scope) -> i64 {
        match self
            .store
            .previous_deploy(&name("etl"), scope)
            .await
            .unwrap()
        {
            Previous::Found(entry) => number_of(&entry),
            Previous::Nothing => 0,
            Previous::TooFar => -1,
        }
    }

    async fn previews(&self, before: Option<i64>, limit: usize) -> RollbackPreviews {
        let before = before.map(number);
        let etl = name("etl");
        let previews = self.store.rollback_previews(&etl, before, limit);
        previews.await.unwrap()
    }

    async fn lose(&self, digest: Sha256Digest) {
        let lose = "DELETE FROM dag_bundles WHERE sha256 = $1";
        self.set(lose, args![digest.to_string()]).await;
    }
}

async fn the_deploy_that_ran_at_a_time_is_found(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    assert_eq!(fixture.as_of(100).await, 0);
    for (second, digit) in [(1, 'a'), (5, 'b'), (5, 'c'), (9, 'd')] {
        fixture.ship_image_at(second, digit).await;
    }
    for (second, expected) in [
        (-9, 0),
        (0, 0),
        (1, 1),
        (4, 1),
        (5, 3),
        (8, 3),
        (9, 4),
        (99, 4),
    ] {
        assert_eq!(fixture.as_of(second).await, expected, "{second}");
    }
}

async fn a_deploy_ran_since_it_was_reported_as_deployed(database: TestDatabase) {
    let fixture = Fixture::with_agent(database).await;
    fixture.ship_image_at(1, 'a').await;
    fixture.report_at(3, 1, Report::Deployed).await;
    fixture.ship_image_at(4, 'b').await;
    fixture.report_at(5, 2, Report::Failed).await;
    fixture.ship_image_at(6, 'c').await;
    fixture.report_at(20, 3, Report::Deployed).await;
    fixture.ship_image_at(21, 'd').await;
    for (second, expected) in [(2, 0), (3, 1), (5, 1), (19, 1), (20, 3), (99, 3)] {
        assert_eq!(fixture.as_of(second).await, expected, "{second}");
    }
    assert_eq!(fixture.previous(Scope::All).await, 1);
}

async fn the_last_known_good_deploy_is_found_with_its_settings(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let found = fixture
        .store
        .previous_deploy(&name("etl"), Scope::All)
        .await;
    let Previous::Found(entry) = found.unwrap() else {
        panic!("there is one");
    };
    assert_eq!(*entry, fixture.history().await[1]);
    assert!(!entry.deploy.settings.is_empty());
    assert_eq!(fixture.previous(Scope::Image).await, 2);
    assert_eq!(fixture.previous(Scope::Dags).await, 3);

    let write = fixture.rollback_to(1, 2, Scope::All).await;
    fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(fixture.previous(Scope::All).await, 1);
    assert_eq!(fixture.previous(Scope::Image).await, 0);
    let write = fixture.rollback_to(2, 5, Scope::All).await;
    assert!(
        fixture.store.create_rollback_deploy(&write).await.is_err(),
        "nothing would change"
    );
    fixture.ship(image('c')).await;
    assert_eq!(fixture.previous(Scope::All).await, 5);
    let write = fixture.rollback_to(3, 5, Scope::All).await;
    fixture.store.create_rollback_deploy(&write).await.unwrap();
    assert_eq!(
        fixture.previous(Scope::All).await,
        1,
        "from 7 to 5, to 2, and below"
    );
}

async fn a_search_looks_at_a_thousand_deploys(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship(image('a')).await;
    fixture.ship(image('b')).await;
    // The same again and again, each as deploy 2.
    for (latest, expected) in [(2, 1), (12, 1), (112, 1), (1_000, 1), (1_001, -1)] {
        fixture
            .set(
                "WITH RECURSIVE n(i) AS
                     (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
                 INSERT INTO deploys (deployment_uid, number, deploy_type, deploy_trigger,
                     description, revision, revision_digest, changed_components, settings, state,
                     created_by, create_time, deploy_time, update_time, change)
                 SELECT deployment_uid, i, deploy_type, deploy_trigger, description, revision,
                     revision_digest, changed_components, settings, state, created_by, create_time,
                     deploy_time, update_time, change
                 FROM deploys, n WHERE number = 2
                 ON CONFLICT DO NOTHING",
                args![2_i64, latest],
            )
            .await;
        fixture
            .set(
                "UPDATE deployments SET latest_number = $1, current_number = $1",
                args![latest],
            )
            .await;
        assert_eq!(fixture.previous(Scope::All).await, expected, "{latest}");
    }
}

async fn previews_tell_of_each_deploy_and_what_is_gone(database: TestDatabase) {
    let fixture = Fixture::with_history(database).await;
    let history = fixture.history().await;
    let without_settings = |from: usize, to: usize| {
        let mut deploys = history
            .iter()
            .map(|entry| entry.deploy.clone())
            .collect::<Vec<_>>();
        deploys
            .iter_mut()
            .for_each(|deploy| deploy.settings.clear());
        deploys[from..to].to_vec()
    };
    let first = fixture.previews(None, 2).await;
    assert_eq!(first.deployment, fixture.deployment().await);
    assert_eq!(first.current.as_ref(), Some(&history[0].deploy));
    assert_eq!(first.targets.items, without_settings(0, 2));
    assert!(first.targets.more && first.missing.is_empty());
    let second = fixture.previews(Some(3), 2).await;
    assert_eq!(second.targets.items, without_settings(2, 4));
    assert!(!second.targets.more);
    assert_eq!(fixture.previews(Some(1), 2).await.targets.items, []);
    assert_eq!(
        fixture.previews(Some(i64::MAX), 1).await.targets.items,
        without_settings(0, 1)
    );

    // Deploys 2 and 3 need bundle `d`, deploy 4 needs `e`.
    let bundle = |entry: usize| history[entry].deploy.revision.dag_bundle.unwrap().sha256;
    let (of_current, of_others) = (bundle(0), bundle(1));
    fixture.lose(of_others).await;
    let missing = async |before, limit| {
        let missing = fixture.previews(before, limit).await.missing;
        missing.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(missing(None, 1).await, []);
    assert_eq!(missing(Some(4), 1).await, [of_others]);
    fixture.lose(of_current).await;
    assert_eq!(missing(Some(2), 1).await, [of_current], "of what runs now");
    assert_eq!(missing(None, 9).await.len(), 2);
}

async fn nothing_is_found_in_a_deployment_that_is_not_there(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    assert_eq!(fixture.previous(Scope::All).await, 0);
    let empty = fixture.previews(None, 9).await;
    assert_eq!((empty.current, empty.targets.items.len()), (None, 0));
    let missing = name("missing");
    let store = &fixture.store;
    let errors = [
        store.deploy_as_of(&missing, time(1)).await.unwrap_err(),
        store
            .previous_deploy(&missing, Scope::All)
            .await
            .unwrap_err(),
        store
            .rollback_previews(&missing, None, 9)
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::DeploymentMissing), "{error:?}");
    }
}
