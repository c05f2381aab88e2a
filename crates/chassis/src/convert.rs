//! Conversions between protobuf types and the model's that more than one service needs.

use chrono::{DateTime, Utc};
use model::deploys::Scope;
use prost_types::Timestamp;
use proto::common::v1::RollbackScope;

use crate::fields::Fields;

/// A time as protobuf has it.
pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

/// A time that a client sent, in microseconds at the finest.
pub fn time(fields: &mut Fields, field: &str, timestamp: &Timestamp) -> Option<DateTime<Utc>> {
    let Timestamp { seconds, nanos } = *timestamp;
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    let time = nanos.and_then(|nanos| DateTime::from_timestamp(seconds, nanos / 1_000 * 1_000));
    if time.is_none() {
        fields.violation(
            field,
            "is no time: seconds since 1970, and nanos from 0 to 999999999",
        );
    }
    time
}

/// A scope as protobuf has it.
pub fn scope_to_proto(scope: Scope) -> RollbackScope {
    match scope {
        Scope::All => RollbackScope::All,
        Scope::Image => RollbackScope::Image,
        Scope::Dags => RollbackScope::Dags,
    }
}

/// A scope that a client sent.
pub fn scope(fields: &mut Fields, field: &str, scope: i32) -> Option<Scope> {
    match RollbackScope::try_from(scope) {
        Ok(RollbackScope::All) => Some(Scope::All),
        Ok(RollbackScope::Image) => Some(Scope::Image),
        Ok(RollbackScope::Dags) => Some(Scope::Dags),
        Ok(RollbackScope::Unspecified) | Err(_) => {
            fields.violation(field, "must be ROLLBACK_SCOPE_ALL, _IMAGE or _DAGS");
            None
        }
    }
}
