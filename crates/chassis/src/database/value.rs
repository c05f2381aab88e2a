use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A parameter of a statement. Made by [`args!`](crate::args).
#[derive(Clone, Debug)]
pub enum Value {
    /// `TEXT`.
    Text(Option<String>),
    /// `BIGINT`; `INTEGER` in SQLite.
    Integer(Option<i64>),
    /// `BOOLEAN`; `INTEGER` in SQLite.
    Boolean(bool),
    /// `BYTEA`; `BLOB` in SQLite.
    Bytes(Option<Vec<u8>>),
    /// `UUID`; `BLOB` in SQLite.
    Uuid(Option<Uuid>),
}

/// The parameters of a statement, in order.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$($crate::database::Value::from($value)),*]
    };
}

macro_rules! from {
    ($($type:ty => $variant:ident($convert:expr)),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some($convert(value)))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )*};
}

from! {
    String => Text(std::convert::identity),
    &str => Text(str::to_owned),
    &String => Text(String::clone),
    i64 => Integer(std::convert::identity),
    i32 => Integer(i64::from),
    DateTime<Utc> => Integer(|time: DateTime<Utc>| time.timestamp_micros()),
    Vec<u8> => Bytes(std::convert::identity),
    &[u8] => Bytes(<[u8]>::to_vec),
    Uuid => Uuid(std::convert::identity),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}
