//! Pages of deploys.

use chassis::fields::Fields;
use chassis::paging::Page;
use model::{DeployNumber, NameError};

/// The deploy that the page before ended with, in a list of deploys from the newest down.
pub(super) fn before(fields: &mut Fields, page: &Page) -> Option<Option<DeployNumber>> {
    let before = page.after.as_deref().map(str::parse).transpose();
    before
        .map_err(|_: NameError| {
            fields.violation("page_token", "is not a next_page_token of this list");
        })
        .ok()
}
