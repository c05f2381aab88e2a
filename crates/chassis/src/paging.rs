//! Page sizes and page tokens, as [AIP-158](https://google.aip.dev/158) has them.
//!
//! A token says where the next page begins, and is bound to the query that it came from. It grants
//! nothing: permission is checked on every page.

mod listing;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use sha2::{Digest, Sha256};

pub use self::listing::{Listing, Reading, STEP};
use crate::fields::Fields;

const DEFAULT_SIZE: i32 = 50;
const LARGEST_SIZE: i32 = 1_000;
const FINGERPRINT_BYTES: usize = 8;
const LONGEST_TOKEN: usize = 1_024;

/// A gRPC client takes messages of 4 MiB unless it is told otherwise: a page that would be larger is cut
/// short.
const MOST_BYTES: usize = 3 * 1024 * 1024;

/// Which page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items the page may have.
    pub size: i64,
    /// The last item of the page before, as the list orders them.
    pub after: Option<String>,
    query: String,
}

impl Page {
    /// Reads `page_size` and `page_token`. `query` is all that the list depends on, such as the
    /// parent: a token of another query is a violation.
    pub fn read(
        fields: &mut Fields,
        page_size: i32,
        page_token: &str,
        query: &impl fmt::Display,
    ) -> Option<Self> {
        let query = query.to_string();
        let size = match page_size {
            ..0 => {
                fields.violation("page_size", "must not be negative");
                None
            }
            0 => Some(DEFAULT_SIZE),
            1.. => Some(page_size.min(LARGEST_SIZE)),
        };
        let after = match page_token {
            "" => Some(None),
            token => {
                let position = position(token, &query);
                if position.is_none() {
                    fields.violation("page_token", "is not a next_page_token of this list");
                }
                position.map(Some)
            }
        };
        Some(Self {
            size: i64::from(size?),
            after: after?,
            query,
        })
    }

    /// The same page with at most `most` items, for a list whose items are large.
    pub fn at_most(mut self, most: i64) -> Self {
        self.size = self.size.min(most);
        self
    }

    /// The token of the next page, if `items` may have more after it; call with one item more than
    /// `size` fetched, which this takes off.
    pub fn cut<T>(&self, items: &mut Vec<T>, position: impl Fn(&T) -> String) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if items.len() <= size {
            return String::new();
        }
        items.truncate(size);
        items
            .last()
            .map(|item| self.token_after(&position(item)))
            .unwrap_or_default()
    }

    /// The most items that the page may have.
    pub fn limit(&self) -> usize {
        usize::try_from(self.size).unwrap_or_default()
    }

    /// Encodes a page, and returns it with the token of the next one, if there is more: after these
    /// items, or because they are more than a client takes at once. `encode` leaves out what is not to
    /// be shown.
    pub fn encode<T, M: Message>(
        &self,
        Listing { items, more }: Listing<T>,
        position: impl Fn(&T) -> String,
        mut encode: impl FnMut(T) -> Option<M>,
    ) -> (Vec<M>, String) {
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
                    return (messages, self.token_after(last));
                }
                messages.push(message);
            }
            last = Some(here);
        }
        let next = last.filter(|_| more).map(|last| self.token_after(&last));
        (messages, next.unwrap_or_default())
    }

    /// The token of the page that begins after `position`.
    pub fn token_after(&self, position: &str) -> String {
        let mut token = fingerprint(&self.query).to_vec();
        token.extend_from_slice(position.as_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }
}

fn position(token: &str, query: &str) -> Option<String> {
    if token.len() > LONGEST_TOKEN {
        return None;
    }
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, position) = token.split_first_chunk::<FINGERPRINT_BYTES>()?;
    if *found != fingerprint(query) {
        return None;
    }
    String::from_utf8(position.to_vec()).ok()
}

fn fingerprint(query: &str) -> [u8; FINGERPRINT_BYTES] {
    let digest = Sha256::digest(query.as_bytes());
    let mut fingerprint = [0; FINGERPRINT_BYTES];
    fingerprint
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(size: i32, token: &str, query: &str) -> Result<Page, String> {
        let mut fields = Fields::new();
        Page::read(&mut fields, size, token, &query)
            .ok_or_else(|| fields.into_problem().message().to_owned())
    }

    #[test]
    fn a_size_is_defaulted_clamped_and_never_negative() {
        assert_eq!(read(0, "", "q").unwrap().size, 50);
        assert_eq!(read(7, "", "q").unwrap().size, 7);
        assert_eq!(read(5_000, "", "q").unwrap().size, 1_000);
        assert_eq!(read(5_000, "", "q").unwrap().at_most(200).size, 200);
        assert_eq!(read(7, "", "q").unwrap().at_most(200).size, 7);
        assert!(read(-1, "", "q").is_err());
    }

    #[test]
    fn a_token_leads_to_the_item_after_the_last_one() {
        let page = read(2, "", "q").unwrap();
        let mut items = vec![9, 8, 7];
        let token = page.cut(&mut items, ToString::to_string);
        assert_eq!(items, [9, 8]);
        assert_eq!(read(2, &token, "q").unwrap().after.as_deref(), Some("8"));
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = read(2, "", "q").unwrap();
        assert_eq!(page.cut(&mut vec![9, 8], ToString::to_string), "");
    }

    #[test]
    fn a_token_of_another_list_or_of_nobody_is_refused() {
        let token = read(1, "", "q").unwrap().token_after("8");
        for (token, query) in [
            (token.as_str(), "other"),
            ("junk", "q"),
            ("!", "q"),
            ("AA", "q"),
        ] {
            assert!(read(1, token, query).is_err(), "{token}");
        }
        assert!(read(1, &"A".repeat(100_000), "q").is_err());
    }

    /// The messages of a page, and after which item the next one begins.
    fn encoded(items: &[String], more: bool) -> (Vec<String>, Option<String>) {
        let page = Page::read(&mut Fields::new(), 0, "", &"q").unwrap();
        let show = |item: String| Some(item).filter(|item| !item.starts_with("hidden"));
        let position = |item: &String| item.chars().take(8).collect();
        let items = items.to_vec();
        let (messages, token) = page.encode(Listing { items, more }, position, show);
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
