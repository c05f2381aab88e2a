use std::fmt;
use std::str::FromStr;

use super::NameError;

/// The number of a deploy in its Deployment's history.
///
/// Deploys count from 1, without gaps. [`DeployNumber::NONE`] stands before the first one and is
/// meant for "the latest deploy" of an empty history only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeployNumber(i64);

impl DeployNumber {
    /// No deploy yet.
    pub const NONE: Self = Self(0);

    /// Wraps a number; 0 is [`DeployNumber::NONE`].
    ///
    /// # Errors
    ///
    /// If the number is negative.
    pub const fn new(number: i64) -> Result<Self, NameError> {
        if number < 0 {
            Err(NameError::DeployNumberOrNone)
        } else {
            Ok(Self(number))
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this stands before the first deploy.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The number of the deploy after this one; none after the greatest number.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl FromStr for DeployNumber {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = text.len() > 1 && text.starts_with('0');
        if !digits || leading_zero {
            return Err(NameError::DeployNumberOrNone);
        }
        text.parse()
            .map(Self)
            .map_err(|_| NameError::DeployNumberOrNone)
    }
}

impl fmt::Display for DeployNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
