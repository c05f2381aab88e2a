use chassis::on_both_databases;
use chassis::paging::Listing;
use chassis::testing::TestDatabase;
use model::comparison::{OrderTest, Same};

use super::*;
use crate::domain::filter::{RollbackFilter, RollbackTest};
use crate::domain::rollback::{Links, StateName};

on_both_databases!(crate::store::MIGRATIONS;
    pages_are_stable_also_among_rollbacks_of_one_moment,
    a_page_with_a_filter_passes_over_what_is_not_asked_for,
    a_rollback_knows_those_before_and_after_it,
    a_moment_is_a_rollback_and_what_was_told_since,
);

/// A rollback that failed, accepted at that second.
async fn old(store: &Store, second: i64) -> RollbackName {
    let new = new(1);
    let at = DateTime::from_timestamp_micros(second * 1_000_000).unwrap();
    let accepted = store.accept(&new, &lease(LONG), at).await.unwrap();
    let Acceptance::Accepted(job) = accepted else {
        panic!("{accepted:?}")
    };
    let ended = store.end_without_deploy(job.fence, &failed("no"), at).await;
    ended.unwrap();
    new.name
}

/// All pages of the list, and how many there were.
async fn pages(store: &Store, filter: &RollbackFilter, limit: usize) -> (Vec<RollbackName>, usize) {
    let deployment = name(1).deployment().clone();
    let (mut names, mut count, mut before) = (Vec::new(), 0, None::<Position>);
    loop {
        let page = store.list_rollbacks(&deployment, filter, before, limit);
        let Listing { items, more } = page.await.unwrap();
        assert!(items.len() <= limit);
        count += 1;
        // A position survives its text, as a page token has it.
        before = items
            .last()
            .map(|(position, _)| position.to_string().parse().unwrap());
        let found = items.into_iter().filter_map(|(_, rollback)| rollback);
        names.extend(found.map(|rollback| rollback.name));
        if !more {
            return (names, count);
        }
    }
}

async fn pages_are_stable_also_among_rollbacks_of_one_moment(db: TestDatabase) {
    let store = store(&db);
    let mut expected = Vec::new();
    for second in [1, 1, 1, 2, 2, 3, 3] {
        expected.push((second, old(&store, second).await.id(), ()));
    }
    accepted(&store, &new(2), LONG).await;
    expected.sort_by_key(|(second, id, ())| std::cmp::Reverse((*second, id.get())));
    let expected = expected.iter().map(|(_, id, ())| *id).collect::<Vec<_>>();
    for limit in [1, 2, 3, 7, 100] {
        let (names, _) = pages(&store, &RollbackFilter::default(), limit).await;
        let ids = names.iter().map(RollbackName::id).collect::<Vec<_>>();
        assert_eq!(ids, expected, "by {limit}");
    }
}

async fn a_page_with_a_filter_passes_over_what_is_not_asked_for(db: TestDatabase) {
    let store = store(&db);
    for second in 1..=130 {
        old(&store, second).await;
    }
    let good = accepted(&store, &new(1), LONG).await;
    let filter = |tests: Vec<RollbackTest>| RollbackFilter(tests);
    let state = |is, value| RollbackTest::State(Same { is, value });
    let pending = filter(vec![state(true, StateName::Pending)]);
    assert_eq!(pages(&store, &pending, 2).await, (vec![good.name], 1));
    let others = filter(vec![state(false, StateName::Pending)]);
    assert_eq!(pages(&store, &others, 50).await.0.len(), 130);
    let since = DateTime::from_timestamp_micros(121 * 1_000_000).unwrap();
    let since = RollbackTest::CreateTime(OrderTest::From(since));
    let late = filter(vec![state(false, StateName::Pending), since]);
    let (late, count) = pages(&store, &late, 50).await;
    assert_eq!((late.len(), count), (10, 1));
}

async fn a_rollback_knows_those_before_and_after_it(db: TestDatabase) {
    let store = store(&db);
    // Who rolls deploy `replaced` back to `target`, and so makes `deploy`.
    let roll_back = async |target: i64, replaced: i64, deploy: i64| {
        let mut new = new(1);
        new.order.target = number(target);
        new.order.replaced = number(replaced);
        let fence = accepted(&store, &new, LONG).await.fence;
        begin(&store, fence).await;
        let written = shipped(deploy);
        store
            .succeed(fence, &written, &FOLLOW, now())
            .await
            .unwrap();
        new.name
    };
    let first = roll_back(3, 5, 6).await;
    let undoes = roll_back(5, 6, 7).await;
    let again = roll_back(6, 7, 8).await;
    // Of two who replace one deploy the later one counts.
    let later = roll_back(5, 7, 9).await;
    // A failed one replaces nothing, and the deploys of another Deployment are others.
    let mut fails = new(1);
    fails.order.replaced = number(9);
    let fence = accepted(&store, &fails, LONG).await.fence;
    let ended = store.end_without_deploy(fence, &failed("no"), now()).await;
    ended.unwrap();
    let mut elsewhere = new(2);
    elsewhere.order.replaced = number(9);
    let fence = accepted(&store, &elsewhere, LONG).await.fence;
    begin(&store, fence).await;
    let written = shipped(10);
    let succeeded = store.succeed(fence, &written, &FOLLOW, now()).await;
    succeeded.unwrap();

    let links = async |name: &RollbackName| {
        let Links {
            target,
            replaced,
            replaced_by,
        } = read(&store, name).await.links;
        [target, replaced, replaced_by]
    };
    let id = |name: &RollbackName| Some(name.id());
    assert_eq!(links(&first).await, [None, None, id(&undoes)]);
    assert_eq!(links(&undoes).await, [None, id(&first), id(&later)]);
    assert_eq!(links(&again).await, [id(&first), id(&undoes), None]);
    assert_eq!(links(&later).await, [None, id(&undoes), None]);
    assert_eq!(links(&fails.name).await, [None, id(&later), None]);
    assert_eq!(links(&elsewhere.name).await, [None, None, None]);
}

async fn a_moment_is_a_rollback_and_what_was_told_since(db: TestDatabase) {
    let store = store(&db);
    let new = new(1);
    let fence = accepted(&store, &new, LONG).await.fence;
    begin(&store, fence).await;
    let Moment {
        rollback,
        events,
        last_event,
    } = store.moment(&new.name, 1, 2).await.unwrap().unwrap();
    assert_eq!(rollback, read(&store, &new.name).await);
    let numbers = events.iter().map(|event| event.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [2, 3]);
    assert_eq!(last_event, 4);
    assert!(store.moment(&name(1), 0, 9).await.unwrap().is_none());
    let counts = store.last_events().await.unwrap();
    assert_eq!(counts[&new.name.deployment().to_string()], 4);
}
