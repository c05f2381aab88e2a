//! How values stand in JSON: names as their text, times as whole seconds.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::Serializer;

pub(super) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: fmt::Display,
    S: Serializer,
{
    serializer.collect_str(value)
}

pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

/// A set of permissions, as the list of their names.
pub(super) mod permissions {
    use model::{Permission, PermissionSet};
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(in super::super) fn serialize<S: Serializer>(
        permissions: &PermissionSet,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(permissions.iter().map(Permission::as_str))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PermissionSet, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names
            .iter()
            .map(|name| name.parse::<Permission>().map_err(D::Error::custom))
            .collect()
    }
}

/// The number of a deploy, as a number.
pub(super) mod deploy_number {
    use model::DeployNumber;
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(in super::super) fn serialize<S: Serializer>(
        number: &DeployNumber,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(number.get())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DeployNumber, D::Error> {
        DeployNumber::new(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A time as seconds since 1970, as JWT has it.
pub(super) mod seconds {
    use chrono::{DateTime, Utc};
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(in super::super) fn serialize<S: Serializer>(
        time: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.timestamp())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| D::Error::custom("time out of range"))
    }
}

/// The same where it may be absent.
pub(super) mod optional_seconds {
    use chrono::{DateTime, Utc};
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_i64(time.timestamp()),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let Some(seconds) = Option::<i64>::deserialize(deserializer)? else {
            return Ok(None);
        };
        DateTime::from_timestamp(seconds, 0)
            .map(Some)
            .ok_or_else(|| D::Error::custom("time out of range"))
    }
}
