//! Whatever a caller of the authorization service was answered is there after `kill -9`, once; what
//! was not answered is there as a whole or not at all.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`ledger`] | what was asked, what was answered, and whether what is found fits to it |
//! | [`clients`] | who asks, and how often |
//! | [`found`] | what the service says there is |

mod clients;
mod found;
mod ledger;

use futures::future::join_all;

use self::clients::work;
use crate::harness::Setup;
use crate::harness::crashing::Book;

const KILLS: usize = 16;
const CLIENTS: usize = 4;
/// A process lives for at most so many calls.
const LONGEST_LIFE: usize = 24;

on_both_databases!(what_was_answered_is_there_and_what_was_not_is_whole_or_absent);

async fn what_was_answered_is_there_and_what_was_not_is_whole_or_absent(setup: Setup) {
    let mut stack = setup.start().await;
    let admin = stack.person("admin");
    let before = found::all(&admin).await;
    let book = Book::new(stack.environment.clone());
    // Each has a connection of its own.
    let clients = (0..CLIENTS).map(|client| (client, stack.person("admin")));
    let clients = clients.collect::<Vec<_>>();
    let working = clients
        .iter()
        .map(|(client, admin)| work(*client, admin, &book));
    let killing = book.kill_again_and_again(&mut stack.authorization, KILLS, LONGEST_LIFE);
    let (calls, ()) = tokio::join!(join_all(working), killing);
    let mut calls = calls.concat();

    let unanswered = calls.iter().filter(|call| call.answer.is_none()).count();
    assert!(unanswered > 0, "every call was answered: nothing is shown");
    let flaws = ledger::flaws(&before, &calls, &found::all(&admin).await);
    assert!(flaws.is_empty(), "{flaws:#?}");

    // Whoever was not answered repeats the request, and so does whoever lost the answer.
    for call in &mut calls {
        call.repeat(&admin).await;
    }
    let after = found::all(&admin).await;
    let flaws = ledger::flaws(&before, &calls, &after);
    assert!(flaws.is_empty(), "{flaws:#?}");
    found::assert_checks_say_what_is_listed(&stack, &after).await;
}
