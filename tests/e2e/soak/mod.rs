//! Two of each service over one PostgreSQL database, which are killed and paused again and again while
//! clients roll back and ship: no acknowledged rollback is lost, none is doubled, none is stuck, and all
//! the records fit together.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`world`] | the processes, the Deployments and the people |
//! | [`clients`] | who asks for what, and asks again |
//! | [`faults`] | what is done to the processes, and when |
//! | [`random`] | the numbers that decide both, by a seed |
//! | [`book`] | how much was done |
//! | [`found`] | all that can be read afterwards |
//! | [`history`] | whether it is what must be |

mod book;
mod clients;
mod faults;
mod found;
mod history;
mod random;
mod world;

use std::time::Instant;

use futures::future::join_all;

use self::book::Book;
use self::clients::{Client, Ledger};
use self::faults::{inject, schedule};
use self::history::History;
use self::random::Random;
use self::world::{AT_FIRST, PEOPLE, World};
use crate::harness::{Person, until};

/// The seed of the faults, to have the same again.
const SEED: &str = "REPRISE_SOAK_SEED";

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// How many are answered with success.
    rollbacks: usize,
    deployments: usize,
    faults: usize,
    clients: usize,
}

#[tokio::test]
async fn no_rollback_is_lost_doubled_or_stuck_while_everything_is_killed_and_paused() {
    soak(Size {
        rollbacks: 40,
        deployments: 8,
        faults: 16,
        clients: 6,
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_long_soak() {
    soak(Size {
        rollbacks: 300,
        deployments: 50,
        faults: 72,
        clients: 9,
    })
    .await;
}

async fn soak(size: Size) {
    let mut world = World::new(size.deployments).await;
    let environment = world.stack.environment.clone();
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => environment.new_uuid().as_u64_pair().0,
    };
    eprintln!("soak: {SEED}={seed}, {size:?}");
    let random = Random::new(seed);
    let book = Book::new(environment, size.rollbacks, size.faults);
    let admin = world.everywhere("admin");

    let begin = Instant::now();
    let ledgers = work_through_faults(&mut world, &book, size, &random).await;
    let faults_ended = Instant::now();
    all_rollbacks_are_over(&admin[0], &world.deployments).await;
    let settled = faults_ended.elapsed();
    let history = read(&admin, &world.deployments, ledgers).await;
    let flaws = history.flaws();
    eprintln!(
        "soak: {book}; {history}; {:.0?} with faults, all over {settled:.1?} later; {} flaws",
        faults_ended - begin,
        flaws.len(),
    );
    assert!(flaws.is_empty(), "{SEED}={seed}: {flaws:#?}");
    assert!(book.lost() > 0, "every call was answered: nothing is shown");
}

async fn work_through_faults(
    world: &mut World,
    book: &Book,
    size: Size,
    random: &Random,
) -> Vec<Ledger> {
    let clients = (0..size.clients).map(|number| {
        let (name, scopes) = PEOPLE[number % PEOPLE.len()];
        let sides = world.everywhere(name);
        (number, sides, scopes)
    });
    let clients = clients.collect::<Vec<_>>();
    let World {
        stack,
        other: [authorization, registry, orchestrator],
        deployments,
    } = world;
    let working = clients.into_iter().map(|(number, sides, scopes)| {
        let client = Client {
            number,
            sides,
            scopes,
            deployments,
            random: random.fork(number),
            book,
        };
        client.work()
    });
    let here = [
        &mut stack.authorization,
        &mut stack.registry,
        &mut stack.orchestrator,
    ];
    let there = [authorization, registry, orchestrator];
    let plans = [size.clients, size.clients + 1]
        .map(|number| schedule(random.fork(number), size.faults / 2, size.rollbacks));
    let (ledgers, (), ()) = tokio::join!(
        join_all(working),
        inject(&plans[0], here, book),
        inject(&plans[1], there, book),
    );
    ledgers
}

async fn all_rollbacks_are_over(admin: &Person, deployments: &[String]) {
    until("all rollbacks to be over", async || {
        for deployment in deployments {
            if found::is_busy(admin, deployment).await {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// All there is, which both sides tell in the same way.
async fn read(admin: &[Person; 2], deployments: &[String], ledgers: Vec<Ledger>) -> History {
    let mut history = History {
        at_first: AT_FIRST,
        ..History::default()
    };
    for Ledger { asked, shipped } in ledgers {
        history.asked.extend(asked);
        history.shipped.extend(shipped);
    }
    for deployment in deployments {
        let records = found::records(&admin[0], deployment).await;
        assert_eq!(records, found::records(&admin[1], deployment).await);
        history.found.insert(deployment.clone(), records);
    }
    history
}
