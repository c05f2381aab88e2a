use chassis::testing::TestDatabase;

use super::{Fixture, image, name, new_deploy, new_deployment, time};
use crate::domain::Standing;
use crate::store::{Error, KeptChanges, NewDeploy};

chassis::on_both_databases!(crate::store::MIGRATIONS;
    every_history_tells_how_far_it_has_come,
    changes_are_forgotten_from_the_oldest_on,
);

impl Fixture {
    /// Records deploys on `etl`, one a second.
    async fn ship_each_second(&self, seconds: std::ops::RangeInclusive<i64>) {
        for second in seconds {
            let new = NewDeploy {
                time: time(second),
                ..new_deploy(image('a'))
            };
            self.store.create_deploy(&new, None, false).await.unwrap();
        }
    }
}

async fn every_history_tells_how_far_it_has_come(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.create(&new_deployment("billing")).await;
    fixture.ship_each_second(1..=3).await;
    let uid = fixture.deployment().await.uid;
    let mut standings = fixture.store.standings().await.unwrap();
    standings.sort_by_key(|(_, standing)| standing.count);
    let [(billing, first), (etl, second)] = standings.as_slice() else {
        panic!("{standings:?}");
    };
    assert_eq!((billing, first.count), (&name("billing"), 1));
    assert_eq!((etl, *second), (&name("etl"), Standing { uid, count: 4 }));
    let long = async |more_than| fixture.store.long_histories(more_than).await.unwrap();
    assert_eq!(long(3).await, [(uid, 4)]);
    assert_eq!(long(4).await, []);
}

async fn changes_are_forgotten_from_the_oldest_on(database: TestDatabase) {
    let fixture = Fixture::with_deployment(database).await;
    fixture.ship_each_second(1..=4).await;
    let elsewhere = fixture.create(&new_deployment("billing")).await;
    let uid = fixture.deployment().await.uid;
    let kept = async || {
        let workspace = name("etl").workspace().clone();
        let mut kept = fixture.store.kept_changes(&workspace).await.unwrap();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        kept
    };
    let billing = KeptChanges {
        name: elsewhere.name,
        uid: elsewhere.uid,
        count: 1,
        oldest: Some(1),
    };
    let etl = |oldest| KeptChanges {
        name: name("etl"),
        uid,
        count: 5,
        oldest,
    };
    assert_eq!(kept().await, [billing.clone(), etl(Some(1))]);
    assert!(!etl(Some(1)).lacks_some_after(0));

    assert_eq!(fixture.store.trim_changes_to(uid, 2).await.unwrap(), 2);
    assert_eq!(fixture.store.trim_changes_to(uid, 2).await.unwrap(), 0);
    assert_eq!(kept().await, [billing.clone(), etl(Some(3))]);
    for (after, is_gone) in [(0, true), (1, true), (2, false), (4, false), (5, false)] {
        let changes = fixture.store.changes(uid, after, 10).await;
        match changes {
            Ok(_) => assert!(!is_gone, "{after}"),
            Err(Error::ChangesTrimmed) => assert!(is_gone, "{after}"),
            Err(error) => panic!("{after}: {error}"),
        }
        assert_eq!(etl(Some(3)).lacks_some_after(after), is_gone, "{after}");
    }

    // Of both Deployments, what is older than that.
    let trimmed = fixture.store.trim_changes_before(time(4)).await;
    assert_eq!(trimmed.unwrap(), 3);
    let nothing = KeptChanges {
        oldest: None,
        ..billing
    };
    assert!(nothing.lacks_some_after(0) && !nothing.lacks_some_after(1));
    assert_eq!(kept().await, [nothing, etl(Some(5))]);
}
