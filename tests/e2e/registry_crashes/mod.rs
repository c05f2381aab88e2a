//! Whatever a caller of the deploy-registry was answered is there after `kill -9`, once; what was not
//! answered is there as a whole or not at all; and no bundle is lost.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`ledger`] | what was asked, what was answered, and whether what is found fits to it |
//! | [`clients`] | who asks, and how often |
//! | [`found`] | what the service says there is |

mod clients;
mod found;
mod ledger;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use futures::future::join_all;
use proto::registry::v1::DagDeployMode;

use self::clients::{make, released, repeat, work};
use crate::harness::Setup;
use crate::harness::crashing::Book;
use crate::harness::orders::V1;
use crate::harness::requests::image;

const KILLS: usize = 12;
const CLIENTS: usize = 4;
/// A process lives for at most so many calls.
const LONGEST_LIFE: usize = 16;
const DEPLOYMENTS: [&str; 2] = [
    "workspaces/acme/deployments/orders",
    "workspaces/acme/deployments/stock",
];

on_both_databases!(what_was_answered_is_there_and_what_was_not_is_whole_or_absent);

async fn what_was_answered_is_there_and_what_was_not_is_whole_or_absent(setup: Setup) {
    let mut stack = setup.start().await;
    let admin = stack.person("admin");
    for deployment in DEPLOYMENTS {
        let mode = DagDeployMode::DagOnly;
        admin.create_deployment(deployment, mode).await;
        admin.ship_dags(deployment, V1, image('a', "3.1-9")).await;
    }
    let before = found::all(&admin, &DEPLOYMENTS, &[]).await;
    let book = Book::new(stack.environment.clone());
    // Each has a connection of its own.
    let clients = (0..CLIENTS).map(|client| (client, stack.person("admin")));
    let clients = clients.collect::<Vec<_>>();
    let working = clients
        .iter()
        .map(|(client, admin)| work(*client, admin, &book, &DEPLOYMENTS));
    let working = async {
        let mut calls = join_all(working).await.concat();
        for deployment in DEPLOYMENTS {
            calls.push(make(&admin, &book, released(deployment), &[], true).await);
        }
        calls
    };
    // Known once nobody works any more.
    let last_change = Cell::new(None);
    let watcher = stack.person("admin");
    let watching = found::follow(&watcher, DEPLOYMENTS[0], |change| {
        last_change.get() == Some(change)
    });
    let killing = book.kill_again_and_again(&mut stack.registry, KILLS, LONGEST_LIFE);
    let found = async {
        let (calls, ()) = tokio::join!(working, killing);
        let found = found::all(&admin, &DEPLOYMENTS, &calls).await;
        last_change.set(Some(found[DEPLOYMENTS[0]].change));
        (calls, found)
    };
    let ((mut calls, found), watched) = tokio::join!(found, watching);

    let unanswered = calls.iter().filter(|call| call.answer.is_none()).count();
    assert!(unanswered > 0, "every call was answered: nothing is shown");
    let flaws = ledger::flaws(&before, &calls, &found);
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert_eq!(watched, found[DEPLOYMENTS[0]].changes);

    // Whoever was not answered repeats the request, and so does whoever lost the answer.
    for call in &mut calls {
        repeat(&admin, call).await;
    }
    let found = found::all(&admin, &DEPLOYMENTS, &calls).await;
    let flaws = ledger::flaws(&before, &calls, &found);
    assert!(flaws.is_empty(), "{flaws:#?}");
}
