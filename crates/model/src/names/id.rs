use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use super::NameError;

/// One id inside a name: `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(Arc<str>);

impl Id {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let letter_first = text.starts_with(|first: char| first.is_ascii_lowercase());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid =
            text.len() <= 63 && letter_first && !text.ends_with('-') && text.bytes().all(allowed);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Id)
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Splits `{parent}/{collection}/{id}` into the parent and the id. The parent is empty at the top.
pub(super) fn split<'a>(text: &'a str, collection: &str) -> Option<(&'a str, &'a str)> {
    let (rest, id) = text.rsplit_once('/')?;
    if rest == collection {
        return Some(("", id));
    }
    let parent = rest.strip_suffix(collection)?.strip_suffix('/')?;
    if parent.is_empty() {
        None
    } else {
        Some((parent, id))
    }
}

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident, $parse:path) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps what the environment or the store has given.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn get(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id! {
    /// The id of a rollback, made when its request is accepted.
    RollbackId, canonical
}

uuid_id! {
    /// The id of a role binding.
    RoleBindingId, canonical
}

uuid_id! {
    /// The id that a client gives to a request, so that a repetition is known as one (AIP-155).
    ///
    /// Parsing takes uppercase digits too and refuses the nil UUID, which is what a client sends
    /// that forgot to make one.
    RequestId, request
}

/// A UUID in a name has one spelling.
fn canonical(text: &str) -> Result<Uuid, NameError> {
    let lowercase = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hyphenated(text)
        .filter(|_| lowercase)
        .ok_or(NameError::Uuid)
}

fn request(text: &str) -> Result<Uuid, NameError> {
    hyphenated(text)
        .filter(|id| !id.is_nil())
        .ok_or(NameError::RequestId)
}

/// Of the spellings that `Uuid` takes, only the hyphenated one has 36 characters.
fn hyphenated(text: &str) -> Option<Uuid> {
    if text.len() == 36 {
        Uuid::try_parse(text).ok()
    } else {
        None
    }
}
