//! Policy as a file: what it says holds, once it was applied at a start or by a command, and what it
//! says no more is gone.
//!
//! | module | what it shows |
//! | --- | --- |
//! | [`start`] | a file that the authorization service is started with |
//! | [`command`] | `reprise policy apply` |
//! | [`crashes`] | `kill -9` while files are applied |

mod command;
mod crashes;
mod start;

use proto::authorization::v1::{ListPolicyChangesRequest, PolicyChange};

use crate::harness::Person;
use crate::harness::refusal::done;

/// The largest.
const PAGE_SIZE: i32 = 1_000;

/// Every change of the policy that was recorded, newest first.
async fn changes(admin: &Person) -> Vec<PolicyChange> {
    let mut changes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPolicyChangesRequest {
            parent: "system".to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            include_descendants: true,
        };
        let page = done(admin.authorization().list_policy_changes(request).await);
        changes.extend(page.policy_changes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return changes;
        }
    }
}
