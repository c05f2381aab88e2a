//! Faults, one after the other on each side, and on both sides at once.

use std::time::Duration;

use super::book::Book;
use super::random::Random;
use crate::harness::process::Process;
use crate::harness::until;

/// Authorization, registry and orchestrator; the orchestrator more often, since it has most to recover.
const SERVICES: [usize; 4] = [2, 1, 2, 0];
/// How long a process is away.
const AWAY: [u64; 5] = [0, 100, 400, 1_000, 2_000];
/// How long a process stands still: from a hiccup to longer than leases and calls last.
const STILL: [u64; 5] = [200, 600, 1_500, 3_000, 6_000];

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// `kill -9`, and a new process after that time.
    Kill(Duration),
    /// SIGSTOP, and SIGCONT after that time.
    Pause(Duration),
}

/// A fault of one of the three services of a side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// How many rollbacks are done when it happens.
    after: usize,
    service: usize,
    fault: Fault,
}

/// What is done to one side while `rollbacks` rollbacks are done: its services are killed and paused, in
/// an order and for times that the seed decides.
pub(super) fn schedule(mut random: Random, faults: usize, rollbacks: usize) -> Vec<Planned> {
    let mut kinds = (0..faults)
        .map(|number| (SERVICES[number / 2 % SERVICES.len()], number % 2 == 0))
        .collect::<Vec<_>>();
    for index in (1..kinds.len()).rev() {
        kinds.swap(index, random.below(index + 1));
    }
    let planned = kinds
        .into_iter()
        .enumerate()
        .map(|(number, (service, kills))| {
            let times = if kills { AWAY } else { STILL };
            let time = Duration::from_millis(*random.one_of(&times));
            // Somewhere in its own part of the time.
            let (begin, end) = (
                number * rollbacks / faults,
                (number + 1) * rollbacks / faults,
            );
            Planned {
                after: begin + random.below((end - begin).max(1)),
                service,
                fault: if kills {
                    Fault::Kill(time)
                } else {
                    Fault::Pause(time)
                },
            }
        });
    planned.collect()
}

/// Does it to the services of one side.
pub(super) async fn inject(plan: &[Planned], mut services: [&mut Process; 3], book: &Book) {
    for Planned {
        after,
        service,
        fault,
    } in plan
    {
        until("enough rollbacks before the next fault", async || {
            (book.succeeded() >= *after).then_some(())
        })
        .await;
        let process = &mut services[*service];
        match fault {
            Fault::Kill(away) => {
                process.kill();
                tokio::time::sleep(*away).await;
                process.restart().await;
            }
            Fault::Pause(still) => {
                process.pause();
                tokio::time::sleep(*still).await;
                process.go_on();
            }
        }
        book.injected(*fault);
    }
}
