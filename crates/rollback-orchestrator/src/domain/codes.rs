//! Enums that are known by a name: in the database, in digests, in errors.

/// Defines an enum and its names both ways: `ALL`, `as_str` and `from_name`. A name, once stored,
/// never changes.
macro_rules! codes {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$( Self::$variant, )+];

            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
