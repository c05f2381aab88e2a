//! Reading a request: every field is parsed, and all that is wrong is told at once.
//!
//! ```
//! # use chassis::{fields::Fields, problem::Problem};
//! # fn decode(parent: &str, number: i64) -> Result<(u16, i64), Problem> {
//! let mut fields = Fields::new();
//! let parent = fields.parse::<u16>("parent", parent);
//! let number = fields.check("number", number, |n| (*n > 0).then_some(()).ok_or("must be positive"));
//! let (Some(parent), Some(number)) = (parent, number) else {
//!     return Err(fields.into_problem());
//! };
//! # Ok((parent, number))
//! # }
//! # assert!(decode("7", 1).is_ok());
//! # assert!(decode("x", 0).is_err());
//! ```

use std::fmt;
use std::str::FromStr;

use proto::common::v1::ErrorReason;
use tonic::Code;

use crate::problem::Problem;

/// How many violations are told; a request with more is wrong enough.
const MOST_VIOLATIONS: usize = 50;

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// No violation yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a field that must be set.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.is_empty() {
            self.violation(field, "must be set");
            return None;
        }
        self.ok(field, text.parse())
    }

    /// Parses a field that may be empty: `None` if it is wrong, `Some(None)` if it is empty.
    pub fn parse_optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        field: &str,
        text: &str,
    ) -> Option<Option<T>> {
        if text.is_empty() {
            return Some(None);
        }
        self.ok(field, text.parse()).map(Some)
    }

    /// Takes the value of a result, and its error as a violation.
    pub fn ok<T>(&mut self, field: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result
            .map_err(|error| self.violation(field, &error.to_string()))
            .ok()
    }

    /// Takes a value if a check passes.
    pub fn check<T, E: fmt::Display>(
        &mut self,
        field: &str,
        value: T,
        check: impl FnOnce(&T) -> Result<(), E>,
    ) -> Option<T> {
        let checked = check(&value);
        self.ok(field, checked).map(|()| value)
    }

    /// Takes a message that must be set.
    pub fn required<T>(&mut self, field: &str, message: Option<T>) -> Option<T> {
        if message.is_none() {
            self.violation(field, "must be set");
        }
        message
    }

    /// Takes text for people of at most `most` characters, without control characters but line
    /// breaks and tabs.
    pub fn text(&mut self, field: &str, text: String, most: usize) -> Option<String> {
        self.check(field, text, |text| {
            if text.chars().count() > most {
                return Err(format!("must have at most {most} characters"));
            }
            if text
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t')
            {
                return Err("must not have control characters".to_owned());
            }
            Ok(())
        })
    }

    /// Takes text as [`Fields::text`] does, which must not be blank.
    pub fn required_text(&mut self, field: &str, text: String, most: usize) -> Option<String> {
        if text.trim().is_empty() {
            self.violation(field, "must be set");
            return None;
        }
        self.text(field, text, most)
    }

    /// Notes that a field is wrong, and why.
    pub fn violation(&mut self, field: &str, description: &str) {
        if self.0.len() < MOST_VIOLATIONS {
            self.0.push((field.to_owned(), description.to_owned()));
        }
    }

    /// Fails if any violation was found.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into_problem())
        }
    }

    /// All violations as one INVALID_ARGUMENT.
    pub fn into_problem(self) -> Problem {
        let list = self
            .0
            .iter()
            .map(|(field, description)| format!("{field}: {description}"));
        let message = list.collect::<Vec<_>>().join("; ");
        let problem = Problem::new(Code::InvalidArgument, ErrorReason::InvalidFields, message);
        self.0.iter().fold(problem, |problem, (field, text)| {
            problem.with_field(field, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut fields = Fields::new();
        assert_eq!(fields.parse::<u16>("a", ""), None);
        assert_eq!(fields.parse::<u16>("b", "x"), None);
        assert_eq!(fields.parse::<u16>("c", "7"), Some(7));
        assert_eq!(fields.required_text("d", "  ".to_owned(), 10), None);
        assert_eq!(fields.required::<()>("e", None), None);
        let status = Status::from(fields.finish().unwrap_err());
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let names = violations.iter().map(|violation| violation.field.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "d", "e"]);
    }

    #[test]
    fn text_is_counted_in_characters_and_has_no_control_characters() {
        let mut fields = Fields::new();
        assert!(fields.text("t", "é".repeat(10), 10).is_some());
        assert!(
            fields
                .text("t", "two\nlines\tand a tab".to_owned(), 50)
                .is_some()
        );
        assert!(fields.text("t", "é".repeat(11), 10).is_none());
        for wrong in ["nul\0", "bell\u{7}", "next line\u{85}"] {
            assert!(
                fields.text("t", wrong.to_owned(), 50).is_none(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn an_optional_field_may_be_empty_but_not_wrong() {
        let mut fields = Fields::new();
        assert_eq!(fields.parse_optional::<u16>("a", ""), Some(None));
        assert_eq!(fields.parse_optional::<u16>("a", "7"), Some(Some(7)));
        assert_eq!(fields.parse_optional::<u16>("a", "x"), None);
    }

    #[test]
    fn a_thousand_violations_do_not_make_a_thousand_lines() {
        let mut fields = Fields::new();
        for _ in 0..1_000 {
            fields.violation("f", "is wrong");
        }
        let status = Status::from(fields.into_problem());
        let told = status
            .get_details_bad_request()
            .unwrap()
            .field_violations
            .len();
        assert_eq!(told, MOST_VIOLATIONS);
    }
}
