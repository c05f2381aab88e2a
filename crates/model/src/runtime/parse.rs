use super::VersionError;

/// How far a version is from its release, from the farthest to the release itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    Nightly,
    Dev,
    Alpha,
    Beta,
    Candidate,
    Release,
}

/// A stage and its number: the `rc` and the `1` of `rc1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Maturity {
    stage: Stage,
    number: u32,
}

impl Maturity {
    pub(crate) const RELEASE: Self = Self {
        stage: Stage::Release,
        number: 0,
    };
}

/// The words of a pre-release, in any case.
pub(super) const WORDS: &[(&str, Stage)] = &[
    ("nightly", Stage::Nightly),
    ("dev", Stage::Dev),
    ("alpha", Stage::Alpha),
    ("beta", Stage::Beta),
    ("rc", Stage::Candidate),
];

/// [`WORDS`], and the short ones of Python's version specifiers (PEP 440).
pub(super) const PYTHON_WORDS: &[(&str, Stage)] = &[
    ("nightly", Stage::Nightly),
    ("dev", Stage::Dev),
    ("alpha", Stage::Alpha),
    ("a", Stage::Alpha),
    ("beta", Stage::Beta),
    ("b", Stage::Beta),
    ("rc", Stage::Candidate),
];

const SEPARATORS: [char; 3] = ['.', '-', '_'];

/// The text without a leading `v`, if it is short enough to be a version.
pub(super) fn trimmed(text: &str) -> Result<&str, VersionError> {
    if text.len() > 64 {
        return Err(VersionError::TooLong);
    }
    Ok(text.strip_prefix('v').unwrap_or(text))
}

/// Takes a decimal number off the front; `otherwise` is the error if there is none.
pub(super) fn number(text: &str, otherwise: VersionError) -> Result<(u32, &str), VersionError> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(otherwise);
    }
    let number = digits.parse().map_err(|_| VersionError::Number)?;
    Ok((number, rest))
}

/// Reads a suffix, without the separator before it: the first pre-release that it names counts.
pub(super) fn suffix(text: &str, words: &[(&str, Stage)]) -> Result<Maturity, VersionError> {
    let starts_with_letter = text.starts_with(|first: char| first.is_ascii_alphabetic());
    if !starts_with_letter || !is_list_of_words(text) {
        return Err(VersionError::Suffix);
    }
    let mut parts = text.split(SEPARATORS).peekable();
    while let Some(part) = parts.next() {
        let digits_at = part
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(part.len());
        let (word, digits) = part.split_at(digits_at);
        let Some((_, stage)) = words
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
        else {
            continue;
        };
        let digits = match parts.peek() {
            Some(next) if digits.is_empty() && is_number(next) => next,
            Some(_) | None => digits,
        };
        if digits.is_empty() {
            return Ok(Maturity {
                stage: *stage,
                number: 0,
            });
        }
        if is_number(digits) {
            let number = digits.parse().map_err(|_| VersionError::Number)?;
            return Ok(Maturity {
                stage: *stage,
                number,
            });
        }
    }
    Ok(Maturity::RELEASE)
}

/// Letters and digits, with single separators between them.
pub(super) fn is_list_of_words(text: &str) -> bool {
    text.split(SEPARATORS)
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
