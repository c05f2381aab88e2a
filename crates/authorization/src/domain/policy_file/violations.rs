//! All that is wrong with a policy file, each with its place.

use std::fmt;

use super::yaml::Place;

/// How many violations are told; a file with more is wrong enough.
const MOST_VIOLATIONS: usize = 50;
/// How many characters of what a file says are repeated.
const MOST_REPEATED: usize = 60;

/// Something that is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which value, such as `roles[2].permissions[0]`; empty for the file.
    pub(crate) field: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// What is wrong with it.
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, place, what } = self;
        write!(f, "{place}: ")?;
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(what)
    }
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    /// Notes that something is wrong.
    pub(crate) fn add(&mut self, field: impl fmt::Display, place: Place, what: impl fmt::Display) {
        if self.0.len() < MOST_VIOLATIONS {
            self.0.push(Violation {
                field: field.to_string(),
                place,
                what: what.to_string(),
            });
        }
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations, in the order in which they were found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, violation) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Which value of a file: a step from the one around it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    /// The file.
    File,
    /// A member of a mapping.
    Member(&'a Field<'a>, &'a str),
    /// An item of a list, from 0.
    Item(&'a Field<'a>, usize),
    /// The value of a key that the file chose.
    Key(&'a Field<'a>, &'a str),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Member(Self::File, name) => f.write_str(name),
            Self::Member(of, name) => write!(f, "{of}.{name}"),
            Self::Item(of, number) => write!(f, "{of}[{number}]"),
            Self::Key(of, key) => write!(f, "{of}[{}]", Quoted(key)),
        }
    }
}

/// What a file says, between quotes, and shortened so that an error stays readable.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MOST_REPEATED) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}
