use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

use crate::catalog::Catalog;
use crate::runtime::{AirflowSeries, AirflowVersion, RuntimeVersion};

/// What a revision runs: a Runtime version, an Airflow version, or both. At least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunsOn {
    runtime: Option<RuntimeVersion>,
    airflow: Option<AirflowVersion>,
}

/// Two versions that say nothing, or not the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunsOnError {
    /// Neither version.
    #[error("a runtime version or an airflow version is required")]
    Missing,
    /// The catalog knows better.
    #[error(
        "Runtime {runtime} carries Airflow {expected}, not {airflow}: give one of the two, or both as they are"
    )]
    Disagrees {
        /// The Runtime version that was given.
        runtime: RuntimeVersion,
        /// The Airflow version that was given.
        airflow: AirflowVersion,
        /// The Airflow version, or its series, that the Runtime version carries.
        expected: String,
    },
    /// There is nothing to compare by.
    #[error(
        "Runtime {runtime} is neither in the catalog nor in a known series, so that its Airflow \
         version cannot be checked: leave the airflow version out, or use a catalog that lists it"
    )]
    Unverifiable {
        /// The Runtime version that was given.
        runtime: RuntimeVersion,
    },
}

impl RunsOn {
    /// What a new revision says that it runs.
    ///
    /// If both versions are given, the catalog must agree, or, where it does not know the Runtime
    /// version, its series. If the Airflow version is not given, it is taken from the catalog.
    ///
    /// # Errors
    ///
    /// If neither is given, or both are and are not known to agree.
    pub fn new(
        runtime: Option<RuntimeVersion>,
        airflow: Option<AirflowVersion>,
        catalog: &Catalog,
    ) -> Result<Self, RunsOnError> {
        if let (Some(runtime), Some(airflow)) = (&runtime, &airflow) {
            check_agreement(runtime, airflow, catalog)?;
        }
        Self::recorded(runtime, airflow, catalog)
    }

    /// What the history says that a revision runs. It was checked when it was recorded, and is not
    /// checked again, since the catalog may have changed. An unknown Airflow version is taken from
    /// the catalog here too.
    ///
    /// # Errors
    ///
    /// If neither is given.
    pub fn recorded(
        runtime: Option<RuntimeVersion>,
        airflow: Option<AirflowVersion>,
        catalog: &Catalog,
    ) -> Result<Self, RunsOnError> {
        let listed = || catalog.lookup(runtime.as_ref()?).map(|entry| entry.airflow);
        let airflow = airflow.or_else(listed);
        Self::exactly(runtime, airflow)
    }

    /// These and nothing that a catalog would add: for whoever keeps the history, which must not
    /// change with the catalog.
    ///
    /// # Errors
    ///
    /// If neither is given.
    pub fn exactly(
        runtime: Option<RuntimeVersion>,
        airflow: Option<AirflowVersion>,
    ) -> Result<Self, RunsOnError> {
        if runtime.is_none() && airflow.is_none() {
            return Err(RunsOnError::Missing);
        }
        Ok(Self { runtime, airflow })
    }

    /// The Runtime version; none for plain Airflow.
    #[must_use]
    pub const fn runtime(&self) -> Option<&RuntimeVersion> {
        self.runtime.as_ref()
    }

    /// The Airflow version; none if neither the caller nor the catalog knew its patch.
    #[must_use]
    pub const fn airflow(&self) -> Option<&AirflowVersion> {
        self.airflow.as_ref()
    }

    /// The series of Airflow; none for a Runtime version of an unknown series.
    #[must_use]
    pub fn airflow_series(&self) -> Option<AirflowSeries> {
        match (&self.airflow, &self.runtime) {
            (Some(airflow), _) => Some(airflow.series()),
            (None, Some(runtime)) => runtime.airflow_series(),
            (None, None) => None,
        }
    }

    /// The major version of Airflow, which the scheme of a Runtime version also says for a series
    /// that is not known.
    pub(super) fn airflow_major(&self) -> Option<u32> {
        match (&self.airflow, &self.runtime) {
            (Some(airflow), _) => Some(airflow.series().major),
            (None, Some(runtime)) => Some(runtime.airflow_major()),
            (None, None) => None,
        }
    }
}

impl fmt::Display for RunsOn {
    /// `Runtime 3.1-2 (Airflow 3.1.0)`, or what is known of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.runtime, &self.airflow) {
            (Some(runtime), Some(airflow)) => write!(f, "Runtime {runtime} (Airflow {airflow})"),
            (Some(runtime), None) => write!(f, "Runtime {runtime}"),
            (None, Some(airflow)) => write!(f, "Airflow {airflow}"),
            (None, None) => f.write_str("an unknown version"),
        }
    }
}

fn check_agreement(
    runtime: &RuntimeVersion,
    airflow: &AirflowVersion,
    catalog: &Catalog,
) -> Result<(), RunsOnError> {
    let (agrees, expected) = match (catalog.lookup(runtime), runtime.airflow_series()) {
        (Some(entry), _) => (
            entry.airflow.release_cmp(airflow) == Ordering::Equal,
            entry.airflow.to_string(),
        ),
        (None, Some(series)) => (series == airflow.series(), series.to_string()),
        (None, None) => {
            return Err(RunsOnError::Unverifiable {
                runtime: runtime.clone(),
            });
        }
    };
    if agrees {
        return Ok(());
    }
    let (runtime, airflow) = (runtime.clone(), airflow.clone());
    Err(RunsOnError::Disagrees {
        runtime,
        airflow,
        expected,
    })
}
