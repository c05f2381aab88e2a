//! Filters of lists: a part of [AIP-160](https://google.aip.dev/160).
//!
//! A filter is comparisons joined by `AND`, such as `state = FAILED AND description : "late rows"`. A
//! value stands in double quotes, with `\"` and `\\` inside, or bare if it has no space. What the fields
//! and their values mean is for each list to say.

use chrono::{DateTime, Utc};
use model::comparison::{OrderTest, Same, TextTest};
use thiserror::Error;

const LONGEST: usize = 1_000;
const MOST_COMPARISONS: usize = 16;

/// A filter; without comparisons it lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// All of them must hold.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Such as `state` or `labels.team`.
    pub field: String,
    /// How the field is compared.
    pub operator: Operator,
    /// With what, without its quotes.
    pub value: String,
    /// Where the comparison begins: the number of its first character, from 1.
    pub position: usize,
}

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `:`, which is "contains" for text.
    Has,
}

/// Why a filter cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Longer than any filter needs to be.
    #[error("must have at most {LONGEST} characters")]
    TooLong,
    /// More comparisons than any filter needs.
    #[error("must have at most {MOST_COMPARISONS} comparisons")]
    TooMany,
    /// Something else was expected.
    #[error("at character {position}: expected {expected}")]
    Expected {
        /// The number of the character, from 1.
        position: usize,
        /// What was expected there.
        expected: &'static str,
    },
}

impl Filter {
    /// Reads a filter. An empty one lets everything through.
    ///
    /// # Errors
    ///
    /// If it is none, or too long.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.chars().count() > LONGEST {
            return Err(FilterError::TooLong);
        }
        let mut reader = Reader {
            rest: text,
            position: 1,
        };
        let mut comparisons = Vec::new();
        reader.skip_spaces();
        if reader.rest.is_empty() {
            return Ok(Self { comparisons });
        }
        loop {
            comparisons.push(reader.comparison()?);
            if comparisons.len() > MOST_COMPARISONS {
                return Err(FilterError::TooMany);
            }
            let spaces = reader.skip_spaces();
            if reader.rest.is_empty() {
                return Ok(Self { comparisons });
            }
            if spaces == 0 || reader.take_while(|c| c.is_ascii_alphabetic()) != "AND" {
                return Err(reader.expected("AND between comparisons, or the end"));
            }
            if reader.skip_spaces() == 0 {
                return Err(reader.expected("a space after AND"));
            }
        }
    }
}

/// Why a comparison means nothing in a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WrongComparison {
    /// The list has no such field.
    #[error("at character {position}: there is no field {field} to compare")]
    Field {
        /// Where the comparison begins.
        position: usize,
        /// The field.
        field: String,
    },
    /// The field is not compared like that.
    #[error("at character {position}: {field} cannot be compared like that, only with {operators}")]
    Operator {
        /// Where the comparison begins.
        position: usize,
        /// The field.
        field: String,
        /// How it is compared.
        operators: &'static str,
    },
    /// The field has no such values.
    #[error("at character {position}: {field} is compared with {values}")]
    Value {
        /// Where the comparison begins.
        position: usize,
        /// The field.
        field: String,
        /// The values that it has.
        values: &'static str,
    },
}

impl Comparison {
    /// Reads a comparison with a value that `parse` knows; `values` says which there are.
    ///
    /// # Errors
    ///
    /// If it is compared otherwise.
    pub fn same<T>(
        self,
        values: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Same<T>, WrongComparison> {
        let Self {
            field,
            operator,
            value,
            position,
        } = self;
        let is = match operator {
            Operator::Equal => true,
            Operator::NotEqual => false,
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Has => {
                return Err(WrongComparison::Operator {
                    position,
                    field,
                    operators: "= and !=",
                });
            }
        };
        let value = parse(&value).ok_or(WrongComparison::Value {
            position,
            field,
            values,
        })?;
        Ok(Same { is, value })
    }

    /// Reads a comparison of a text.
    ///
    /// # Errors
    ///
    /// If it is compared otherwise.
    pub fn text(self) -> Result<TextTest, WrongComparison> {
        let Self {
            field,
            operator,
            value,
            position,
        } = self;
        match operator {
            Operator::Equal => Ok(TextTest::Is(value)),
            Operator::NotEqual => Ok(TextTest::IsNot(value)),
            Operator::Has => Ok(TextTest::Has(value.to_lowercase())),
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => Err(WrongComparison::Operator {
                position,
                field,
                operators: "=, != and :",
            }),
        }
    }

    /// Reads a comparison of a time.
    ///
    /// # Errors
    ///
    /// If it is compared otherwise.
    pub fn time(self) -> Result<OrderTest<DateTime<Utc>>, WrongComparison> {
        let Self {
            field,
            operator,
            value,
            position,
        } = self;
        let side = match operator {
            Operator::Less => OrderTest::Before,
            Operator::LessOrEqual => OrderTest::UpTo,
            Operator::Greater => OrderTest::After,
            Operator::GreaterOrEqual => OrderTest::From,
            Operator::Equal | Operator::NotEqual | Operator::Has => {
                return Err(WrongComparison::Operator {
                    position,
                    field,
                    operators: "<, <=, > and >=",
                });
            }
        };
        let read = DateTime::parse_from_rfc3339(&value);
        let read = read.map_err(|_| WrongComparison::Value {
            position,
            field,
            values: "a time such as 2026-01-01T00:00:00Z",
        })?;
        Ok(side(read.to_utc()))
    }

    /// The list has no such field.
    pub fn unknown(self) -> WrongComparison {
        let Self {
            field,
            operator: _,
            value: _,
            position,
        } = self;
        WrongComparison::Field { position, field }
    }
}

/// Reads a text from its beginning to its end.
struct Reader<'a> {
    rest: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        let position = self.position;
        let in_field = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let field = self.take_while(in_field).to_owned();
        if !field.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(self.expected("the name of a field"));
        }
        self.skip_spaces();
        let operator = self.operator()?;
        self.skip_spaces();
        let value = self.value()?;
        Ok(Comparison {
            field,
            operator,
            value,
            position,
        })
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        // The longer ones come first.
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
            (":", Operator::Has),
        ];
        for (text, operator) in operators {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                self.position += text.len();
                return Ok(operator);
            }
        }
        Err(self.expected("=, !=, <, <=, >, >= or :"))
    }

    fn value(&mut self) -> Result<String, FilterError> {
        if self.next_if('"') {
            return self.quoted();
        }
        let value = self.take_while(|c| !c.is_whitespace() && !"\"()".contains(c));
        if value.is_empty() {
            return Err(self.expected("a value; put one with spaces into double quotes"));
        }
        Ok(value.to_owned())
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let mut value = String::new();
        loop {
            value.push_str(self.take_while(|c| c != '"' && c != '\\'));
            if self.next_if('"') {
                return Ok(value);
            }
            if !self.next_if('\\') {
                return Err(self.expected("a closing double quote"));
            }
            if self.next_if('"') {
                value.push('"');
            } else if self.next_if('\\') {
                value.push('\\');
            } else {
                return Err(self.expected("a double quote or a backslash after a backslash"));
            }
        }
    }

    fn skip_spaces(&mut self) -> usize {
        self.take_while(char::is_whitespace).len()
    }

    fn next_if(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                self.position += 1;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, take: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !take(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.position += taken.chars().count();
        taken
    }

    const fn expected(&self, expected: &'static str) -> FilterError {
        FilterError::Expected {
            position: self.position,
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, Operator, String)>, FilterError> {
        let filter = Filter::parse(text)?;
        let comparisons = filter.comparisons.into_iter();
        Ok(comparisons
            .map(|c| (c.field, c.operator, c.value))
            .collect())
    }

    #[test]
    fn comparisons_are_joined_by_and() {
        let read = parse(
            "state = FAILED AND create_time>=2026-01-01T00:00:00Z AND labels.team!=\"\" \
             AND description : \"a \\\"b\\\" \\\\ ü\"  AND created_by=user:alice@example.com",
        );
        let expected = [
            ("state", Operator::Equal, "FAILED"),
            (
                "create_time",
                Operator::GreaterOrEqual,
                "2026-01-01T00:00:00Z",
            ),
            ("labels.team", Operator::NotEqual, ""),
            ("description", Operator::Has, "a \"b\" \\ ü"),
            ("created_by", Operator::Equal, "user:alice@example.com"),
        ];
        let expected = expected.map(|(f, o, v)| (f.to_owned(), o, v.to_owned()));
        assert_eq!(read.unwrap(), expected);
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("  "), Ok(vec![]));
        for (text, operator) in [
            ("a<1", Operator::Less),
            ("a<=1", Operator::LessOrEqual),
            ("a>1", Operator::Greater),
        ] {
            assert_eq!(parse(text).unwrap()[0].1, operator);
        }
    }

    #[test]
    fn an_error_says_where_it_is() {
        for (text, position) in [
            ("=", 1),
            ("A = 1", 2),
            ("a", 2),
            ("a ~ 1", 3),
            ("a =", 4),
            ("a = (1)", 5),
            ("a = \"é", 7),
            ("a = \"\\n\"", 7),
            ("a = 1 OR b = 2", 9),
            ("a = 1 b = 2", 8),
            ("a = 1 AND", 10),
            ("a = 1 AND AND", 14),
            ("a = \"1\"AND b = 2", 8),
            ("NOT a = 1", 4),
            ("\0", 1),
        ] {
            match Filter::parse(text) {
                Err(FilterError::Expected {
                    position: found,
                    expected: _,
                }) => assert_eq!(found, position, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_filter_is_bounded() {
        let comparisons = |count| vec!["a=1"; count].join(" AND ");
        assert_eq!(parse(&comparisons(16)).unwrap().len(), 16);
        assert_eq!(parse(&comparisons(17)), Err(FilterError::TooMany));
        let long = format!("a = \"{}\"", "é".repeat(993));
        assert!(parse(&format!("{long} ")).is_ok() || long.chars().count() == 1_000);
        assert_eq!(parse(&format!("{long}    ")), Err(FilterError::TooLong));
    }
}
