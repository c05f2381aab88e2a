//! What a list is filtered by: tests of one value each.

/// Whether something is this, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Same<T> {
    /// Whether it is to be this.
    pub is: bool,
    /// What it is compared with.
    pub value: T,
}

impl<T: PartialEq> Same<T> {
    /// Whether the test holds.
    pub fn holds(&self, found: &T) -> bool {
        (self.value == *found) == self.is
    }
}

/// Whether a text is this, is not, or has it inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// It is exactly this.
    Is(String),
    /// It is something else.
    IsNot(String),
    /// It has this inside, without regard to case. In lowercase.
    Has(String),
}

impl TextTest {
    /// Whether the test holds.
    #[must_use]
    pub fn holds(&self, found: &str) -> bool {
        match self {
            Self::Is(text) => found == text,
            Self::IsNot(text) => found != text,
            Self::Has(text) => found.to_lowercase().contains(text),
        }
    }
}

/// Whether a value, such as a time, lies on this side of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderTest<T> {
    /// It is less.
    Before(T),
    /// It is not greater.
    UpTo(T),
    /// It is greater.
    After(T),
    /// It is not less.
    From(T),
}

impl<T: PartialOrd> OrderTest<T> {
    /// Whether the test holds.
    pub fn holds(&self, found: &T) -> bool {
        match self {
            Self::Before(value) => found < value,
            Self::UpTo(value) => found <= value,
            Self::After(value) => found > value,
            Self::From(value) => found >= value,
        }
    }

    /// Whether no value up to this one can hold.
    pub fn is_past(&self, found: &T) -> bool {
        match self {
            Self::Before(_) | Self::UpTo(_) => false,
            Self::After(_) | Self::From(_) => !self.holds(found),
        }
    }
}
