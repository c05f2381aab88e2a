mod principals;
mod properties;
mod references;
mod resources;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::NameError;

const UUID: &str = "0198f1a2-7b3c-7def-8123-456789abcdef";
const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Parses, prints, and demands the same text.
fn accepted<T: FromStr<Err = NameError> + Display>(text: &str) -> T {
    let value = text
        .parse::<T>()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(value.to_string(), text);
    value
}

fn refused<T: FromStr<Err = NameError> + Debug>(text: &str) -> NameError {
    text.parse::<T>().expect_err(text)
}
