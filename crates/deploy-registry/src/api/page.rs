//! Pages that a client can take in.

use chassis::fields::Fields;
use chassis::paging::Page;
use model::{DeployNumber, NameError};
use prost::Message;

use crate::store::Listing;

/// The most items that a page may have.
pub(super) fn size(page: &Page) -> usize {
    usize::try_from(page.size).unwrap_or_default()
}

/// The deploy that the page before ended with, in a list of deploys from the newest down.
pub(super) fn before(fields: &mut Fields, page: &Page) -> Option<Option<DeployNumber>> {
    let before = page.after.as_deref().map(str::parse).transpose();
    before
        .map_err(|_: NameError| {
            fields.violation("page_token", "is not a next_page_token of this list");
        })
        .ok()
}

/// Encodes a page, and returns it with the token of the next one. `encode` leaves out what is not to
/// be shown.
pub(super) fn encode<T, M: Message>(
    page: &Page,
    Listing { items, more }: Listing<T>,
    position: impl Fn(&T) -> String,
    encode: impl FnMut(T) -> Option<M>,
) -> (Vec<M>, String) {
    page.encode(items, more, position, encode)
}
