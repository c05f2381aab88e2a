//! Pages that a client can take in.

use chassis::fields::Fields;
use chassis::paging::Page;
use model::{DeployNumber, NameError};
use prost::Message;

use crate::store::Listing;

/// A gRPC client takes messages of 4 MiB unless it is told otherwise, and settings can be large: a
/// page that would be larger is cut short.
const MOST_BYTES: usize = 3 * 1024 * 1024;

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
    listing: Listing<T>,
    position: impl Fn(&T) -> String,
    mut encode: impl FnMut(T) -> Option<M>,
) -> (Vec<M>, String) {
    let Listing { items, more } = listing;
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut last = None::<String>;
    for item in items {
        let here = position(&item);
        if let Some(message) = encode(item) {
            bytes += message.encoded_len();
            if let Some(last) = &last
                && bytes > MOST_BYTES
            {
                return (messages, page.token_after(last));
            }
            messages.push(message);
        }
        last = Some(here);
    }
    let next = last.filter(|_| more).map(|last| page.token_after(&last));
    (messages, next.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a page, and after which item the next one begins.
    fn encoded(items: &[String], more: bool) -> (Vec<String>, Option<String>) {
        let page = Page::read(&mut Fields::new(), 0, "", &"q").unwrap();
        let show = |item: String| Some(item).filter(|item| !item.starts_with("hidden"));
        let listing = Listing {
            items: items.to_vec(),
            more,
        };
        let (messages, token) = encode(&page, listing, |item| item.chars().take(8).collect(), show);
        let next = Page::read(&mut Fields::new(), 0, &token, &"q").unwrap();
        (messages, next.after)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_goes_on_after_its_last_item_even_if_that_is_not_shown() {
        let two = texts(&["a", "b"]);
        assert_eq!(encoded(&two, false), (two.clone(), None));
        assert_eq!(encoded(&two, true), (two, Some("b".into())));
        let hidden = texts(&["a", "hidden 2"]);
        assert_eq!(
            encoded(&hidden, true),
            (texts(&["a"]), Some("hidden 2".into()))
        );
        assert_eq!(encoded(&hidden, false), (texts(&["a"]), None));
        assert_eq!(encoded(&[], false), (vec![], None));
    }

    #[test]
    fn a_page_is_cut_short_before_it_is_too_large_to_take_in() {
        let large = |name: &str| format!("{name:8}{}", "x".repeat(MOST_BYTES / 2));
        let all = [large("a"), large("b"), large("c")];
        assert_eq!(
            encoded(&all, false),
            (all[..1].to_vec(), Some("a       ".into()))
        );

        let huge = format!("{:8}{}", "a", "x".repeat(MOST_BYTES));
        let all = [huge, "b".to_owned()];
        assert_eq!(
            encoded(&all, false),
            (all[..1].to_vec(), Some("a       ".into()))
        );
    }
}
