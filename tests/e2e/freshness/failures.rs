//! A replica that stands still, one that loses its database, and policies that never come.

use std::time::Duration;

use proto::authorization::v1::consistency::Requirement;
use tonic::Code;

use super::asking::question;
use super::history::{MOST_BEHIND, Promise};
use super::world::{FIRST, SECOND, World};
use crate::harness::cable::Cable;
use crate::harness::{refused, until};

const ANN: usize = 0;
const BOB: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_does_not_answer_by_what_it_knew_before() {
    let world = World::new().await;
    let (binding, rollback) = may_everything_at_the_second(&world).await;
    world.other.pause();
    world.take(ANN, &binding, 0, FIRST).await;

    let others = async {
        world
            .longer_than_memory_counts(async |turn| {
                let binding = world.give(BOB, turn, FIRST).await;
                world.take(BOB, &binding, turn, FIRST).await;
            })
            .await;
        world.other.go_on();
    };
    // They are asked while it stands still, and answered when it goes on.
    let new_rollback = world.new_rollback();
    let (from_memory, newest, permit, permit_again, ()) = tokio::join!(
        world.check(ANN, SECOND, Promise::FewSecondsBehind),
        world.check(ANN, SECOND, Promise::Newest),
        world.permit(ANN, SECOND, &new_rollback),
        world.permit_again(ANN, SECOND, &rollback),
        others,
    );
    assert_ne!(from_memory, Some(true));
    assert_eq!([newest, permit, permit_again], [Some(false); 3]);
    knows_the_newest_policy_by_itself(&world).await;
    world.assert_promises_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_from_its_database_never_says_yes() {
    without_its_database(Cable::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_database_has_gone_without_a_word_never_says_yes() {
    without_its_database(Cable::silence).await;
}

async fn without_its_database(break_cable: impl FnOnce(&Cable)) {
    let mut cable = None;
    let world = World::with_other(async |first| {
        let (server, database) = split(first.database_url());
        let cable = cable.insert(Cable::to(server).await);
        let url = format!("postgres://postgres@{}/{database}", cable.address);
        first.replica_over(&url).await
    })
    .await;
    let cable = cable.unwrap();
    let (binding, rollback) = may_everything_at_the_second(&world).await;
    let asked = async {
        let newest = world.check(ANN, SECOND, Promise::Newest).await;
        assert_eq!(newest, Some(true));
    };
    let ((), fresh) = world.timed(asked).await;
    break_cable(&cable);
    let from_memory = world.check(ANN, SECOND, Promise::FewSecondsBehind);
    let (from_memory, span) = world.timed(from_memory).await;
    if span.ended - fresh.begun <= MOST_BEHIND {
        assert_eq!(from_memory, Some(true), "memory counts for a few seconds");
    }
    world.take(ANN, &binding, 0, FIRST).await;

    let new_rollback = world.new_rollback();
    let told = tokio::join!(
        world.check(ANN, SECOND, Promise::Newest),
        world.check(ANN, SECOND, Promise::AtLeast(world.newest())),
        world.permit(ANN, SECOND, &new_rollback),
        world.permit_again(ANN, SECOND, &rollback),
    );
    assert_eq!(told, (None, None, None, None), "it cannot know");
    until("memory to count no more", async || {
        let told = world.check(ANN, SECOND, Promise::FewSecondsBehind).await;
        told.is_none().then_some(())
    })
    .await;

    cable.mend();
    knows_the_newest_policy_by_itself(&world).await;
    let newest = world.check(ANN, SECOND, Promise::Newest).await;
    let permit = world.permit(ANN, SECOND, &world.new_rollback()).await;
    let permit_again = world.permit_again(ANN, SECOND, &rollback).await;
    assert_eq!([newest, permit, permit_again], [Some(false); 3]);
    world.assert_promises_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_comes_later_is_waited_for() {
    let world = World::new().await;
    let mut binding = String::new();
    for gives in [true, false] {
        let next = world.newest() + 1;
        let change = async {
            if gives {
                binding = world.give(ANN, 0, FIRST).await;
            } else {
                world.take(ANN, &binding, 0, FIRST).await;
            }
        };
        let asked = until("the policy to come", async || {
            world.check(ANN, SECOND, Promise::AtLeast(next)).await
        });
        let (told, ()) = tokio::join!(asked, change);
        assert_eq!(told, gives);
    }
    world.assert_promises_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_never_comes_is_waited_for_no_longer_than_the_caller_does() {
    let world = World::new().await;
    let (_, _) = may_everything_at_the_second(&world).await;
    let never = world.newest() + 1_000;
    let answer = world.ask(ANN, SECOND, Requirement::AtLeastAsFresh(never));
    let refusal = refused(answer.await).unavailable("policy");
    for revision in [never, world.newest()] {
        assert!(refusal.message.contains(&revision.to_string()), "{refusal}");
    }

    let mut request = question(Requirement::AtLeastAsFresh(never));
    request.set_timeout(Duration::from_millis(200));
    let mut ann = world.people[ANN][SECOND].authorization();
    let refusal = refused(ann.check_permission(request).await);
    let over = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(over.contains(&refusal.code), "{refusal}");
}

/// Ann gets her role and a permit. Returns the binding and the rollback of the permit.
async fn may_everything_at_the_second(world: &World) -> (String, String) {
    let binding = world.give(ANN, 0, FIRST).await;
    let rollback = world.new_rollback();
    assert_eq!(world.permit(ANN, SECOND, &rollback).await, Some(true));
    let from_memory = world.check(ANN, SECOND, Promise::FewSecondsBehind).await;
    assert_eq!(from_memory, Some(true));
    (binding, rollback)
}

/// Only memory is asked, which no call but this replica's own poll makes fresh.
async fn knows_the_newest_policy_by_itself(world: &World) {
    until("the replica to follow the policy again", async || {
        let told = world.check(ANN, SECOND, Promise::FewSecondsBehind).await;
        (told == Some(false)).then_some(())
    })
    .await;
}

/// Server and database of `postgres://user@server/database`.
fn split(url: &str) -> (String, &str) {
    let (rest, database) = url.rsplit_once('/').unwrap();
    let (_, server) = rest.rsplit_once('@').unwrap();
    (server.to_owned(), database)
}
