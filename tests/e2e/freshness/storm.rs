//! A thousand changes through both replicas, while everything is asked of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::history::{Answer, Promise, Replica};
use super::world::{FIRST, PEOPLE, SECOND, World};

const CHANGES: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_older_than_promised_while_everything_changes() {
    let world = Arc::new(World::new().await);
    let over = Arc::new(AtomicBool::new(false));
    let mut asking = JoinSet::new();
    for at in [FIRST, SECOND] {
        for start in 0..2 {
            asking.spawn(ask_until(Arc::clone(&over), Arc::clone(&world), at, start));
        }
    }
    let changing = (0..PEOPLE).map(|person| give_and_take(Arc::clone(&world), person));
    changing.collect::<JoinSet<_>>().join_all().await;
    over.store(true, Ordering::SeqCst);
    asking.join_all().await;

    let history = world.history();
    assert_eq!(history.changes.len(), CHANGES);
    let (first, last) = (history.first_revision, world.newest());
    assert_eq!(last - first, CHANGES as i64, "each change is one revision");
    each_was_told_both(&history.answers);
    world.assert_promises_kept();
}

/// Changes what a person has, through one replica and the other, by one writer and another, and asks
/// the other replica at once what has become of it.
async fn give_and_take(world: Arc<World>, person: usize) {
    let mut rollback = world.new_rollback();
    let mut binding = String::new();
    for turn in 0..CHANGES / PEOPLE {
        // Each replica gives what the other takes, and what it takes itself.
        let at = (turn + turn / 2 + person) % 2;
        let gives = turn % 2 == 0;
        if gives {
            binding = world.give(person, turn, at).await;
            rollback = world.new_rollback();
        } else {
            world.take(person, &binding, turn, at).await;
        }
        let other = 1 - at;
        let told = match turn / 2 % 3 {
            0 => world.check(person, other, Promise::Newest).await,
            1 => {
                let answered = Promise::AtLeast(world.newest());
                world.check(person, other, answered).await
            }
            _ if gives => world.permit(person, other, &rollback).await,
            _ => world.permit_again(person, other, &rollback).await,
        };
        assert_eq!(told, Some(gives), "turn {turn} of {person}");
    }
}

/// Asks a replica everything about everybody.
async fn ask_until(over: Arc<AtomicBool>, world: Arc<World>, at: Replica, start: usize) {
    let mut granted = vec![None; PEOPLE];
    for turn in start.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let person = turn % PEOPLE;
        let heard_of = Promise::AtLeast(world.newest());
        for promise in [Promise::FewSecondsBehind, heard_of, Promise::Newest] {
            let told = world.check(person, at, promise).await;
            assert!(told.is_some(), "{promise:?}");
        }
        let rollback = world.new_rollback();
        if world.permit(person, at, &rollback).await == Some(true) {
            granted[person] = Some(rollback);
        }
        if let Some(rollback) = &granted[person] {
            let told = world.permit_again(person, at, rollback).await;
            assert!(told.is_some(), "by grant");
        }
    }
}

/// Nothing is shown by a promise of which only one side was seen.
fn each_was_told_both(answers: &[Answer]) {
    for call in ["check", "permit", "permit by grant"] {
        for allowed in [true, false] {
            let seen = |answer: &&Answer| answer.call == call && answer.allowed == allowed;
            let seen = answers.iter().filter(seen).count();
            assert!(seen >= 50, "{call} was {allowed} {seen} times");
        }
    }
}
