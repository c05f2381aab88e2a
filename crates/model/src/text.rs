//! Enums that are written as text: in the database, in tokens, in logs.

use std::fmt;

use thiserror::Error;

/// Defines an enum, and its text both ways: `ALL`, `as_str`, `Display` and `FromStr`.
///
/// The text is stored by the services, so that a text, once published, never changes.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $kind:literal {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = ""]
                #[doc = concat!("Written `", $text, "`.")]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            const TEXTS: &'static [&'static str] = &[$( $text, )+];

            /// The text of this value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    _ => Err($crate::text::UnknownValue::new($kind, Self::TEXTS)),
                }
            }
        }
    };
}

/// A text that is none of an enum's values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown {kind}, expected {}", OneOf(allowed))]
pub struct UnknownValue {
    kind: &'static str,
    allowed: &'static [&'static str],
}

impl UnknownValue {
    pub(crate) const fn new(kind: &'static str, allowed: &'static [&'static str]) -> Self {
        Self { kind, allowed }
    }

    /// What was expected, in words: `scope`, `permission`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Every text that would have been accepted.
    #[must_use]
    pub const fn allowed(&self) -> &'static [&'static str] {
        self.allowed
    }
}

/// Longer lists are cut: a request can have many violations, and all of them travel in one header.
const LISTED_AT_MOST: usize = 12;

struct OneOf(&'static [&'static str]);

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(texts) = self;
        if texts.len() > LISTED_AT_MOST {
            write!(f, "one of {} values such as ", texts.len())?;
        } else {
            f.write_str("one of ")?;
        }
        for (index, text) in texts.iter().take(LISTED_AT_MOST).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{text}")?;
        }
        Ok(())
    }
}
