//! What the cases share: processes, people, and the steps that lead to the point of a case.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`setup`] | on which database, with which flags |
//! | [`stack`] | the three services of a case |
//! | [`process`] | one `reprise` process: start, log, signals |
//! | [`cable`] | what can be cut between a service and its database |
//! | [`crashing`] | a service that is killed again and again while clients work |
//! | [`person`] | somebody who calls the services with a token |
//! | [`identity_provider`] | where people come from who are not ours |
//! | [`orders`] | the Deployment of most cases, its people and its history |
//! | [`rolling_back`] | a rollback that is under way while the case goes on |
//! | [`requests`] | the messages that cases send |
//! | [`refusal`] | an error, and all that it says |
//! | [`permit`] | permits, made as the authorization service makes them, or almost |

#[macro_use]
pub(crate) mod setup;

#[cfg(feature = "test-postgres")]
pub(crate) mod cable;
pub(crate) mod crashing;
#[cfg(feature = "test-postgres")]
pub(crate) mod identity_provider;
pub(crate) mod orders;
pub(crate) mod permit;
pub(crate) mod person;
pub(crate) mod process;
pub(crate) mod refusal;
pub(crate) mod requests;
pub(crate) mod rolling_back;
pub(crate) mod stack;

use std::time::Duration;

pub(crate) use orders::{DEPLOYMENT, Orders};
pub(crate) use person::{Addresses, Person};
pub(crate) use refusal::{Refusal, refused};
pub(crate) use setup::Setup;
pub(crate) use stack::Stack;

/// How long anything may take that a case waits for. It is long, since only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen soon.
pub(crate) async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}
