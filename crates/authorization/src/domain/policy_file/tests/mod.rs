mod decode;
mod plan;
mod random;
mod world;

use chrono::{DateTime, Utc};

fn now() -> DateTime<Utc> {
    "2026-06-01T00:00:00Z".parse().unwrap()
}
