//! Which fields of a resource an update changes, as [AIP-134](https://google.aip.dev/134) has it.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use crate::fields::Fields;
use crate::problem::comma_separated;

const FIELD: &str = "update_mask";

/// The fields that an update changes.
#[derive(Debug)]
pub enum Mask {
    /// Those that are not empty in the resource.
    NotEmpty,
    /// All of them.
    All,
    /// These.
    Named(BTreeSet<String>),
}

impl Mask {
    /// Reads a mask, which may name fields of `known` only.
    pub fn read(fields: &mut Fields, mask: Option<FieldMask>, known: &[&str]) -> Self {
        let Some(FieldMask { paths }) = mask else {
            return Self::NotEmpty;
        };
        match paths.as_slice() {
            [] => return Self::NotEmpty,
            [star] if star == "*" => return Self::All,
            _ => {}
        }
        if !paths.iter().all(|path| known.contains(&path.as_str())) {
            let known = comma_separated(known.iter());
            fields.violation(FIELD, &format!("must name fields of {known}, or be *"));
        }
        Self::Named(paths.into_iter().collect())
    }

    /// Whether the update changes a field.
    pub fn has(&self, field: &str, is_empty: bool) -> bool {
        match self {
            Self::NotEmpty => !is_empty,
            Self::All => true,
            Self::Named(paths) => paths.contains(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(paths: &[&str]) -> Result<Mask, String> {
        let mut fields = Fields::new();
        let paths = paths.iter().map(ToString::to_string).collect();
        let mask = Mask::read(&mut fields, Some(FieldMask { paths }), &["a", "b"]);
        let told = fields.finish();
        told.map(|()| mask).map_err(|p| p.message().to_owned())
    }

    #[test]
    fn a_mask_says_what_is_changed() {
        for (paths, field, is_empty, expected) in [
            (&[][..], "a", false, true),
            (&[], "a", true, false),
            (&["*"], "a", true, true),
            (&["a"], "a", true, true),
            (&["a"], "b", false, false),
            (&["a", "b"], "b", true, true),
        ] {
            let mask = read(paths).unwrap();
            assert_eq!(mask.has(field, is_empty), expected, "{paths:?} {field}");
        }
    }

    #[test]
    fn a_mask_names_what_can_be_changed() {
        for paths in [&["c"][..], &["a", "c"], &["*", "a"], &[""], &["a.b"]] {
            let error = read(paths).unwrap_err();
            assert!(
                error.contains("update_mask: must name fields of a"),
                "{error}"
            );
        }
    }
}
