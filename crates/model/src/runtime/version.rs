use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::parse::{self, Maturity};
use super::{AirflowSeries, VersionError};

/// The two schemes, the older one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    /// `MAJOR.MINOR.PATCH`, Airflow 2.
    Old,
    /// `X.Y-Z`, Airflow 3.
    New,
}

/// A Runtime version without its text and variant: what rules compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuntimeRelease {
    pub(crate) scheme: Scheme,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
    maturity: Maturity,
}

impl RuntimeRelease {
    /// `MAJOR.MINOR.PATCH`
    pub(crate) const fn old(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            scheme: Scheme::Old,
            major,
            minor,
            patch,
            maturity: Maturity::RELEASE,
        }
    }

    /// `X.Y-Z`
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            scheme: Scheme::New,
            major,
            minor,
            patch,
            maturity: Maturity::RELEASE,
        }
    }
}

/// A version of Astro Runtime, such as `12.1.0`, `3.1-2` or `3.1-2-base`.
///
/// See the [module](super) for its forms and its order. `Display` gives back the text that was
/// parsed, without a leading `v`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RuntimeVersion {
    release: RuntimeRelease,
    text: Arc<str>,
}

impl RuntimeVersion {
    /// The series of Airflow that the version carries; none if the scheme does not say, as for
    /// `99.0.0` or `2.0-1`.
    #[must_use]
    pub fn airflow_series(&self) -> Option<AirflowSeries> {
        let RuntimeRelease {
            scheme,
            major,
            minor,
            patch: _,
            maturity: _,
        } = self.release;
        match scheme {
            Scheme::Old if (3..=13).contains(&major) => Some(AirflowSeries {
                major: 2,
                minor: major.checked_sub(2)?,
            }),
            Scheme::New if major >= 3 => Some(AirflowSeries { major, minor }),
            Scheme::Old | Scheme::New => None,
        }
    }

    /// The major version of Airflow, which the scheme says.
    pub(crate) const fn airflow_major(&self) -> u32 {
        match self.release.scheme {
            Scheme::Old => 2,
            Scheme::New => self.release.major,
        }
    }

    /// Compares by rank and ignores variants: `3.1-2` and `3.1-2-base` are equal here.
    #[must_use]
    pub fn release_cmp(&self, other: &Self) -> Ordering {
        self.release.cmp(&other.release)
    }

    /// The text that was parsed, without a leading `v`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) const fn release(&self) -> RuntimeRelease {
        self.release
    }
}

impl FromStr for RuntimeVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = parse::trimmed(text)?;
        let (major, rest) = parse::number(text, VersionError::Runtime)?;
        let rest = rest.strip_prefix('.').ok_or(VersionError::Runtime)?;
        let (minor, rest) = parse::number(rest, VersionError::Runtime)?;
        let (scheme, rest) = match (rest.strip_prefix('.'), rest.strip_prefix('-')) {
            (Some(rest), _) => (Scheme::Old, rest),
            (None, Some(rest)) => (Scheme::New, rest),
            (None, None) => return Err(VersionError::Runtime),
        };
        let (patch, rest) = parse::number(rest, VersionError::Runtime)?;
        let maturity = if rest.is_empty() {
            Maturity::RELEASE
        } else {
            let suffix = rest.strip_prefix(['.', '-']).ok_or(VersionError::Suffix)?;
            parse::suffix(suffix, parse::WORDS)?
        };
        let release = RuntimeRelease {
            scheme,
            major,
            minor,
            patch,
            maturity,
        };
        Ok(Self {
            release,
            text: text.into(),
        })
    }
}

impl Ord for RuntimeVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.release_cmp(other)
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for RuntimeVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RuntimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for RuntimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuntimeVersion({})", self.text)
    }
}
