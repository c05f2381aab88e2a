//! Documents in columns of text: JSON with a version, so that a later release can tell what it reads.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use super::error::corrupt;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    document: T,
}

/// The text of a document.
pub(super) fn write<T: Serialize>(document: &T) -> Result<String, Error> {
    serde_json::to_string(&Versioned {
        version: VERSION,
        document,
    })
    .map_err(corrupt)
}

/// Reads a document of the version that this release writes.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let Versioned { version, document } = serde_json::from_str(text).map_err(corrupt)?;
    if version == VERSION {
        Ok(document)
    } else {
        Err(corrupt(format!("a document of version {version}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Groups {
        groups: Vec<String>,
    }

    #[test]
    fn a_document_reads_back_and_carries_its_version() {
        let groups = Groups {
            groups: vec!["group:a".to_owned()],
        };
        let text = write(&groups).unwrap();
        assert_eq!(text, r#"{"version":1,"groups":["group:a"]}"#);
        assert_eq!(read::<Groups>(&text).unwrap(), groups);
    }

    #[test]
    fn a_document_of_another_version_or_form_is_an_error() {
        for text in [
            "",
            "{}",
            r#"{"groups":[]}"#,
            r#"{"version":2,"groups":[]}"#,
            r#"{"version":1}"#,
        ] {
            assert!(read::<Groups>(text).is_err(), "{text}");
        }
    }
}
