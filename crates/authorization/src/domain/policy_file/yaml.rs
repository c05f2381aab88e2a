//! The part of YAML that a policy file is written in: mappings, lists and scalars, each with its
//! place.
//!
//! Left out is what makes one text mean more than it says: anchors and aliases, tags, directives,
//! several documents in a file, and keys that are no scalars. So a document is never larger than its
//! text.

use std::borrow::Cow;
use std::fmt;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, options};

/// How deep mappings and lists can lie in each other. A policy file needs three.
const DEEPEST: usize = 16;
/// How many mappings, lists and scalars a document can have.
const MOST_NODES: usize = 500_000;

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
}

impl Place {
    /// Where every text begins.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) place: Place,
    pub(super) value: Value<'t>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A text, and whether it stands there without quotes.
    Scalar { text: Cow<'t, str>, plain: bool },
    /// Values one after another.
    List(Vec<Node<'t>>),
    /// Values by their keys, as they stand there: a key can be repeated.
    Mapping(Vec<(Key<'t>, Node<'t>)>),
}

/// The key of a value.
#[derive(Debug)]
pub(super) struct Key<'t> {
    pub(super) place: Place,
    pub(super) text: Cow<'t, str>,
}

/// Why a text is no document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) place: Place,
    pub(super) why: String,
}

impl Unreadable {
    fn new(span: &Span, why: impl Into<String>) -> Self {
        Self {
            place: Place::from(&span.start),
            why: why.into(),
        }
    }
}

impl From<ScanError> for Unreadable {
    fn from(error: ScanError) -> Self {
        Self {
            place: Place::from(error.marker()),
            why: error.info(),
        }
    }
}

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> Result<Node<'_>, Unreadable> {
    let options = options! {
        disallow_directives: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        nodes: 0,
    };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        let begins = matches!(event, Event::DocumentStart(_, _));
        if begins && document.is_none() {
            let first = reader.next()?;
            document = Some(reader.node(first)?);
        } else if event == Event::StreamEnd {
            return document.ok_or_else(|| Unreadable::new(&span, "the file is empty"));
        } else if event != Event::StreamStart && event != Event::DocumentEnd {
            return Err(Unreadable::new(&span, "must be one document"));
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Unreadable> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Err(Unreadable {
                place: Place::START,
                why: "the file ends too early".to_owned(),
            }),
        }
    }

    /// The value that begins with this event. It goes no deeper than the parser lets it.
    fn node(&mut self, (event, span): (Event<'t>, Span)) -> Result<Node<'t>, Unreadable> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(Unreadable::new(&span, "the file has too many values"));
        }
        if event.tag().is_some() {
            return Err(Unreadable::new(&span, "tags have no meaning here"));
        }
        if event.anchor_id().is_some() || event.is_alias() {
            return Err(Unreadable::new(
                &span,
                "anchors and aliases are not read: write the value where it belongs",
            ));
        }
        let value = if let Event::Scalar(text, style, _, _) = event {
            scalar(text, style)
        } else if let Event::SequenceStart(_, _, _) = event {
            Value::List(self.items()?)
        } else if let Event::MappingStart(_, _, _) = event {
            Value::Mapping(self.entries()?)
        } else {
            return Err(Unreadable::new(&span, "a value is missing"));
        };
        Ok(Node {
            place: Place::from(&span.start),
            value,
        })
    }

    fn items(&mut self) -> Result<Vec<Node<'t>>, Unreadable> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if next.0 == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(next)?);
        }
    }

    fn entries(&mut self) -> Result<Vec<(Key<'t>, Node<'t>)>, Unreadable> {
        let mut entries = Vec::new();
        loop {
            let next = self.next()?;
            if next.0 == Event::MappingEnd {
                return Ok(entries);
            }
            let span = next.1;
            let Node { place, value } = self.node(next)?;
            let Value::Scalar { text, plain: _ } = value else {
                return Err(Unreadable::new(&span, "a key must be a text"));
            };
            let value = self.next()?;
            entries.push((Key { place, text }, self.node(value)?));
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value<'_> {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar { text, plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document in one line, without places.
    fn shown(node: &Node<'_>) -> String {
        match &node.value {
            Value::Null => "-".to_owned(),
            Value::Scalar { text, plain: true } => text.to_string(),
            Value::Scalar { text, plain: false } => format!("{text:?}"),
            Value::List(items) => {
                let items = items.iter().map(shown);
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Value::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", key.text, shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn mappings_lists_and_scalars_are_read() {
        for (text, expected) in [
            ("a: 1\nb: [x, 'y', \"z\"]\n", r#"{a: 1, b: [x, "y", "z"]}"#),
            (
                "- a: no\n  b:\n- ~\n- null\n- ''\n",
                r#"[{a: no, b: -}, -, -, ""]"#,
            ),
            (
                "# a comment\n---\na: >\n  two\n  lines\n",
                r#"{a: "two lines\n"}"#,
            ),
            ("{}", "{}"),
            ("a: 1\na: 2", "{a: 1, a: 2}"),
        ] {
            assert_eq!(shown(&read(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn every_value_has_its_place() {
        let node = read("a: 1\nlist:\n  - ä: first\n    b: second\n").unwrap();
        let Value::Mapping(entries) = node.value else {
            panic!("no mapping")
        };
        let (key, list) = &entries[1];
        assert_eq!((key.place.line, key.place.column), (2, 1));
        let Value::List(items) = &list.value else {
            panic!("no list")
        };
        let Value::Mapping(entries) = &items[0].value else {
            panic!("no mapping")
        };
        let places = entries
            .iter()
            .map(|(key, value)| (key.place.line, key.place.column, value.place.column));
        assert_eq!(places.collect::<Vec<_>>(), [(3, 5, 8), (4, 5, 8)]);
    }

    #[test]
    fn what_makes_a_text_mean_more_than_it_says_is_refused() {
        for (text, line, why) in [
            ("", 1, "empty"),
            ("# only a comment\n", 2, "empty"),
            ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
            ("a: *x\n", 1, "anchor"),
            ("a: !!binary aGVsbG8=\n", 1, "tags"),
            ("a: !secret {}\n", 1, "tags"),
            ("%YAML 1.1\n---\na: 1\n", 1, "irective"),
            ("a: 1\n---\nb: 1\n", 2, "one document"),
            ("? [a, b]\n: 1\n", 1, "key"),
            ("? ~\n: 1\n", 1, "key"),
            ("a: [1, 2\n", 1, "unclosed"),
            ("a: b: c\n", 1, ""),
            ("a: \"open\n", 2, ""),
        ] {
            let Unreadable { place, why: told } = read(text).unwrap_err();
            assert_eq!(place.line, line, "{text:?}: {told}");
            assert!(
                !told.is_empty() && told.contains(why),
                "{text:?} was told: {told}"
            );
        }
    }

    #[test]
    fn a_document_is_neither_deep_nor_larger_than_its_text() {
        for deep in [
            "[".repeat(100_000),
            "a: ".repeat(100_000),
            "- ".repeat(100_000),
            "{a: ".repeat(100_000),
        ] {
            assert!(read(&deep).is_err());
        }
        let wide = format!("[{}]", "1,".repeat(MOST_NODES));
        assert!(read(&wide).unwrap_err().why.contains("too many"));
        let laughs = "a: &a [lol, lol]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
        assert!(read(laughs).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-a-c:\\[\\]{}*&!|>'\"# \n\t~?%,é\\\\]{0,64}") {
            let _ = read(&text);
        }
    }
}
