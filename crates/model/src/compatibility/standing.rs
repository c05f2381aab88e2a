//! Where one side of a rollback stands, whatever the other is.

use super::RunsOn;
use crate::runtime::{AirflowRelease, AirflowVersion, RuntimeRelease, Scheme};

/// A side that rollbacks may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supported {
    /// Airflow 2 before 2.10.
    EarlyAirflow2,
    /// Airflow 2.10 and 2.11, which a rollback from Airflow 3 can lead to.
    LateAirflow2,
    /// Airflow 3 since 3.1.
    Airflow3,
}

/// A side that no rollback may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    Unsupported { rule: &'static str },
    Unknown,
}

/// A bound, for Runtime and for plain Airflow. A pre-release lies below it.
struct Bound {
    runtime: RuntimeRelease,
    airflow: AirflowRelease,
}

const AIRFLOW_2_FROM: Bound = Bound {
    runtime: RuntimeRelease::old(5, 0, 0),
    airflow: AirflowRelease::new(2, 3, 0),
};
const LATE_AIRFLOW_2_FROM: Bound = Bound {
    runtime: RuntimeRelease::old(12, 0, 0),
    airflow: AirflowRelease::new(2, 10, 0),
};
const AIRFLOW_3_FROM: Bound = Bound {
    runtime: RuntimeRelease::new(3, 1, 2),
    airflow: AirflowRelease::new(3, 1, 0),
};

/// The last series of Airflow 2, as a Runtime major and as an Airflow minor.
const LAST_AIRFLOW_2_RUNTIME: u32 = 13;
const LAST_AIRFLOW_2_MINOR: u32 = 11;

const TOO_OLD: Outside = Outside::Unsupported {
    rule: "no rollback starts or ends below Runtime 5.0.0 (Airflow 2.3.0)",
};
const TOO_EARLY_AIRFLOW_3: Outside = Outside::Unsupported {
    rule: "with Airflow 3 no rollback starts or ends below Runtime 3.1-2 (Airflow 3.1.0)",
};

pub(super) fn standing(runs_on: &RunsOn) -> Result<Supported, Outside> {
    match (runs_on.runtime(), runs_on.airflow()) {
        (Some(runtime), _) => of_runtime(runtime.release()),
        (None, Some(airflow)) => of_airflow(airflow),
        (None, None) => Err(Outside::Unknown),
    }
}

fn of_runtime(release: RuntimeRelease) -> Result<Supported, Outside> {
    match (release.scheme, release.major) {
        (Scheme::Old, _) if release < AIRFLOW_2_FROM.runtime => Err(TOO_OLD),
        (Scheme::Old, _) if release < LATE_AIRFLOW_2_FROM.runtime => Ok(Supported::EarlyAirflow2),
        (Scheme::Old, major) if major <= LAST_AIRFLOW_2_RUNTIME => Ok(Supported::LateAirflow2),
        (Scheme::New, 3) if release < AIRFLOW_3_FROM.runtime => Err(TOO_EARLY_AIRFLOW_3),
        (Scheme::New, 3) => Ok(Supported::Airflow3),
        (Scheme::Old | Scheme::New, _) => Err(Outside::Unknown),
    }
}

fn of_airflow(version: &AirflowVersion) -> Result<Supported, Outside> {
    let AirflowRelease {
        major,
        minor,
        patch: _,
    } = version.release();
    match major {
        _ if !version.is_at_least(AIRFLOW_2_FROM.airflow) => Err(TOO_OLD),
        2 if !version.is_at_least(LATE_AIRFLOW_2_FROM.airflow) => Ok(Supported::EarlyAirflow2),
        2 if minor <= LAST_AIRFLOW_2_MINOR => Ok(Supported::LateAirflow2),
        3 if !version.is_at_least(AIRFLOW_3_FROM.airflow) => Err(TOO_EARLY_AIRFLOW_3),
        3 => Ok(Supported::Airflow3),
        _ => Err(Outside::Unknown),
    }
}
