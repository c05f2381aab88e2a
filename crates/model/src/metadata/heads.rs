//! The heads as data, each with what its migrations lose when they are reverted.
//!
//! Source: the `downgrade` functions in `airflow/migrations/versions` of apache-airflow 2.10.5 (heads
//! up to 2.10.3) and of apache-airflow-core 3.3.2 (those after it). A head stands for all migrations
//! after the head before it.

use std::fmt;

use crate::runtime::AirflowRelease;

/// The last migration of an Airflow version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetadataHead {
    /// The first release with this head.
    pub airflow_from: AirflowRelease,
    /// The revision, as Alembic and `airflow db downgrade --to-revision` name it.
    pub revision: &'static str,
    /// Which tables lose what when this head and the migrations after the one before it are
    /// reverted; empty if only indexes, constraints and types of columns change.
    pub loses: &'static str,
}

impl fmt::Display for MetadataHead {
    /// `cc92b33c6709 (Airflow 3.1.0)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            airflow_from,
            revision,
            loses: _,
        } = self;
        write!(f, "{revision} (Airflow {airflow_from})")
    }
}

const fn head(
    (major, minor, patch): (u32, u32, u32),
    revision: &'static str,
    loses: &'static str,
) -> MetadataHead {
    MetadataHead {
        airflow_from: AirflowRelease::new(major, minor, patch),
        revision,
        loses,
    }
}

/// The last release whose head is known.
pub const KNOWN_TO: AirflowRelease = AirflowRelease::new(3, 3, 2);

/// Every head, from the oldest.
pub const HEADS: &[MetadataHead] = &[
    head(
        (2, 3, 0),
        "b1b348e02d07",
        // 0097 to 0108.
        "mapped task instances and their XComs are deleted; log_template, task_map and \
         callback_request are dropped",
    ),
    head((2, 3, 1), "1de7bc13c950", ""),
    head((2, 3, 2), "3c94c427fdf6", ""),
    head((2, 3, 3), "f5fcbda3e651", ""),
    head(
        (2, 4, 0),
        "ecb43d2a1842",
        // 0112 to 0117.
        "datasets with their events, queues and references, DAG warnings and owner attributes are \
         dropped",
    ),
    head((2, 4, 2), "b0d31815b5a6", ""),
    head((2, 4, 3), "e07f49787c9d", ""),
    head(
        (2, 5, 0),
        "290244fb8b83",
        // 0120 to 0122.
        "notes on DAG runs and task instances are dropped; dag_run and task_instance lose updated_at, \
         dataset loses is_orphaned",
    ),
    head((2, 6, 0), "98ae134e6fff", ""),
    head((2, 6, 2), "c804e5c76e3e", ""),
    head(
        (2, 7, 0),
        "405de8318b3a",
        // 0126 to 0128.
        "task_instance loses custom_operator_name, slot_pool loses include_deferred",
    ),
    head(
        (2, 8, 0),
        "10b52ebd31f7",
        // 0129 to 0132.
        "dag_run loses clear_number, log loses owner_display_name, import_error loses \
         processor_subdir",
    ),
    head((2, 8, 1), "88344c1d9134", ""),
    head(
        (2, 9, 0),
        "1949afb29106",
        // 0134 to 0140.
        "task_instance loses rendered_map_index and task_display_name, log loses run_id, dag loses \
         dataset_expression, max_consecutive_failed_dag_runs and dag_display_name",
    ),
    head((2, 9, 2), "686269002441", ""),
    head(
        (2, 10, 0),
        "22ed7efa9da2",
        // 0143 to 0151.
        "the history of earlier tries (task_instance_history), dataset aliases with their references \
         and events, and dag_priority_parsing_request are dropped; task_instance loses executor, log \
         loses try_number",
    ),
    head((2, 10, 3), "5f2621c13b39", ""),
    head(
        (3, 0, 0),
        "29ce7909c52b",
        // 0028 to 0068. The run that is moved, and what goes with it: seen with Airflow 3.1.8 and
        // 3.3.2, taken down to 2.10.5.
        "serialized_dag and dag_code are emptied, and come back by reserializing; DAG runs with no \
         logical date are moved to _airflow_moved__3_0_0__offending_dag_run, and their task \
         instances, XComs and rendered fields are deleted; backfills, DAG versions and bundles, \
         deadlines, asset triggers and asset references by name and URI are dropped, \
         dag_priority_parsing_request is emptied; dag_run loses run_after, triggered_by and \
         backfill_id, task_instance loses scheduled_dttm and last_heartbeat_at; runs with a logical \
         date stay, with their task instances and XComs",
    ),
    head((3, 0, 3), "fe199e1abd77", ""),
    head(
        (3, 1, 0),
        "cc92b33c6709",
        // 0070 to 0085.
        "human-in-the-loop details, favourite DAGs, teams and the inlets of tasks are dropped; \
         dag_run and backfill lose triggering_user_name, deadline loses trigger_id and \
         callback_state, dag_bundle loses its URL template, dag loses deadline and \
         last_parse_duration",
    ),
    head((3, 1, 8), "509b94a1042d", ""),
    head(
        (3, 2, 0),
        "1d6611b6ab7c",
        // 0088 to 0109.
        "callbacks that wait are deleted; asset watchers, the history of human-in-the-loop details, \
         deadline alerts, partition runs and keys of assets, and the list of revoked tokens are \
         dropped; backfill runs with no logical date are deleted; dag_run loses its partition and \
         created_at, dag loses fail_fast, allowed_run_types, its partition and its timetable's kind, \
         trigger loses queue",
    ),
    head(
        (3, 3, 0),
        "d2f4e1b3c5a7",
        // 0110 to 0123.
        "states that tasks and assets stored (task_state_store, asset_state_store) and connection \
         tests are dropped; xcom loses dag_result, task_instance loses retry_reason and \
         retry_delay_override, dag_version loses version_data, trigger loses team_name, references \
         of assets lose who may produce and consume",
    ),
];
