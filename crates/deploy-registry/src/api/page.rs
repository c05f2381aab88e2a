//! Pages that a client can take in.

use chassis::paging::Page;
use prost::Message;

/// A gRPC client takes messages of 4 MiB unless it is told otherwise, and settings can be large: a
/// page that would be larger is cut short.
const MOST_BYTES: usize = 3 * 1024 * 1024;

/// Encodes a page of items, of which one more than the page has may be given, and returns it with the
/// token of the next one. `encode` leaves out what is not to be shown.
pub(super) fn fill<T, M: Message>(
    page: &Page,
    items: Vec<T>,
    position: impl Fn(&T) -> String,
    mut encode: impl FnMut(T) -> Option<M>,
) -> (Vec<M>, String) {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut last = None::<String>;
    for (index, item) in items.into_iter().enumerate() {
        let here = position(&item);
        let message = if index < size { encode(item) } else { None };
        bytes += message.as_ref().map_or(0, Message::encoded_len);
        let full = index >= size || (bytes > MOST_BYTES && !messages.is_empty());
        if let Some(last) = last.filter(|_| full) {
            return (messages, page.token_after(&last));
        }
        messages.extend(message);
        last = Some(here);
    }
    (messages, String::new())
}

#[cfg(test)]
mod tests {
    use chassis::fields::Fields;

    use super::*;

    fn page(size: i32) -> Page {
        Page::read(&mut Fields::new(), size, "", &"q").unwrap()
    }

    fn filled(size: i32, items: Vec<String>) -> (Vec<String>, Option<String>) {
        let page = page(size);
        let show = |item: String| Some(item).filter(|item| !item.starts_with("hidden"));
        let (messages, token) = fill(&page, items, |item| item.chars().take(9).collect(), show);
        let next = Page::read(&mut Fields::new(), size, &token, &"q").unwrap();
        (messages, next.after)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_goes_on_after_its_last_item_even_if_that_is_not_shown() {
        assert_eq!(filled(2, texts(&["a", "b"])), (texts(&["a", "b"]), None));
        assert_eq!(
            filled(2, texts(&["a", "b", "c"])),
            (texts(&["a", "b"]), Some("b".into()))
        );
        assert_eq!(
            filled(2, texts(&["hidden 1", "hidden 2", "c"])),
            (texts(&[]), Some("hidden 2".into()))
        );
        assert_eq!(filled(2, texts(&["hidden"])), (texts(&[]), None));
    }

    #[test]
    fn a_page_is_cut_short_before_it_is_too_large_to_take_in() {
        let large = |name: &str| format!("{name:9}{}", "x".repeat(MOST_BYTES / 2));
        let all = vec![large("a"), large("b"), large("c")];
        let (messages, next) = filled(3, all.clone());
        assert_eq!(messages, all[..1]);
        assert_eq!(next.as_deref(), Some("a        "));

        let huge = format!("{:9}{}", "a", "x".repeat(MOST_BYTES));
        let (messages, next) = filled(3, vec![huge.clone(), "b".to_owned()]);
        assert_eq!(messages, [huge]);
        assert_eq!(next.as_deref(), Some("a        "));
    }
}
