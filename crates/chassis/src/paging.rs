//! Page sizes and page tokens, as [AIP-158](https://google.aip.dev/158) has them.
//!
//! A token says where the next page begins, and is bound to the query that it came from. It grants
//! nothing: permission is checked on every page.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::fields::Fields;

const DEFAULT_SIZE: i32 = 50;
const LARGEST_SIZE: i32 = 1_000;
const FINGERPRINT_BYTES: usize = 8;
const LONGEST_TOKEN: usize = 1_024;

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
}
