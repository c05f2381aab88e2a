//! Reading how a Deployment is configured.

use std::collections::BTreeMap;

use chassis::fields::Fields;
use chassis::mask::Mask;
use model::DagDeployMode;
use prost_types::FieldMask;
use proto::registry::v1 as pb;

use crate::domain::{Delivery, DeploymentChanges, ExecutionMode};

const MOST_LABELS: usize = 64;
const LONGEST_LABEL: usize = 63;
const MOST_SETTINGS: usize = 256;
const LONGEST_SETTING_KEY: usize = 128;
const LONGEST_SETTING: usize = 4_096;
const MOST_SETTING_BYTES: usize = 64 * 1024;

/// What a request says of how a Deployment is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) display_name: String,
    pub(super) description: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) dag_deploy_mode: DagDeployMode,
    pub(super) rollback_enabled: bool,
    pub(super) delivery: Delivery,
    pub(super) execution_mode: ExecutionMode,
    pub(super) settings: BTreeMap<String, String>,
}

const CHANGEABLE: [&str; 8] = [
    "display_name",
    "description",
    "labels",
    "dag_deploy_mode",
    "rollback_enabled",
    "settings",
    "delivery",
    "execution_mode",
];

/// Reads what is to be changed. What is wrong is left to `fields` to tell.
pub(super) fn changes(
    fields: &mut Fields,
    deployment: pb::Deployment,
    mask: Option<FieldMask>,
) -> DeploymentChanges {
    let mask = Mask::read(fields, mask, &CHANGEABLE);
    // Name and etag are the caller's to read, and what the service says is not read.
    let pb::Deployment {
        name: _,
        uid: _,
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        settings,
        latest_deploy: _,
        current_deploy: _,
        current_revision: _,
        etag: _,
        create_time: _,
        update_time: _,
        created_by: _,
        delivery,
        execution_mode,
        delete_time: _,
        hold: _,
        change: _,
    } = deployment;
    let mut changes = DeploymentChanges::default();
    if mask.has("display_name", display_name.is_empty()) {
        changes.display_name = decode_display_name(fields, display_name);
    }
    if mask.has("description", description.is_empty()) {
        changes.description = decode_description(fields, description);
    }
    if mask.has("labels", labels.is_empty()) {
        changes.labels = decode_labels(fields, labels);
    }
    if mask.has("dag_deploy_mode", dag_deploy_mode == 0) {
        changes.dag_deploy_mode = decode_mode(fields, dag_deploy_mode);
    }
    if mask.has("rollback_enabled", !rollback_enabled) {
        changes.rollback_enabled = Some(rollback_enabled);
    }
    if mask.has("settings", settings.is_empty()) {
        changes.settings = decode_settings(fields, settings);
    }
    if mask.has("delivery", delivery == 0) {
        changes.delivery = decode_delivery(fields, delivery);
    }
    if mask.has("execution_mode", execution_mode == 0) {
        changes.execution_mode = decode_execution_mode(fields, execution_mode);
    }
    changes
}

/// Reads the whole configuration of a Deployment.
pub(super) fn whole(fields: &mut Fields, deployment: pb::Deployment) -> Option<Parts> {
    // What the service says of a Deployment is not read.
    let pb::Deployment {
        name: _,
        uid: _,
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        settings,
        latest_deploy: _,
        current_deploy: _,
        current_revision: _,
        etag: _,
        create_time: _,
        update_time: _,
        created_by: _,
        delivery,
        execution_mode,
        delete_time: _,
        hold: _,
        change: _,
    } = deployment;
    let display_name = decode_display_name(fields, display_name);
    let description = decode_description(fields, description);
    let labels = decode_labels(fields, labels);
    let mode = decode_mode(fields, dag_deploy_mode);
    let settings = decode_settings(fields, settings);
    let delivery = decode_delivery(fields, delivery);
    let execution_mode = decode_execution_mode(fields, execution_mode);
    Some(Parts {
        display_name: display_name?,
        description: description?,
        labels: labels?,
        dag_deploy_mode: mode?,
        rollback_enabled,
        delivery: delivery?,
        execution_mode: execution_mode?,
        settings: settings?,
    })
}

fn decode_display_name(fields: &mut Fields, display_name: String) -> Option<String> {
    fields.text("deployment.display_name", display_name, 100)
}

fn decode_description(fields: &mut Fields, description: String) -> Option<String> {
    fields.text("deployment.description", description, 500)
}

fn decode_labels(
    fields: &mut Fields,
    labels: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let faults = label_faults(&labels);
    take(fields, "deployment.labels", labels, faults)
}

fn decode_settings(
    fields: &mut Fields,
    settings: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let faults = setting_faults(&settings);
    take(fields, "deployment.settings", settings, faults)
}

fn decode_mode(fields: &mut Fields, mode: i32) -> Option<DagDeployMode> {
    match pb::DagDeployMode::try_from(mode) {
        Ok(pb::DagDeployMode::Image) => Some(DagDeployMode::Image),
        Ok(pb::DagDeployMode::DagOnly) => Some(DagDeployMode::DagOnly),
        Ok(pb::DagDeployMode::GitSync) => Some(DagDeployMode::GitSync),
        Ok(pb::DagDeployMode::Nfs) => Some(DagDeployMode::Nfs),
        Ok(pb::DagDeployMode::Unspecified) | Err(_) => {
            fields.violation(
                "deployment.dag_deploy_mode",
                "must be DAG_DEPLOY_MODE_IMAGE, _DAG_ONLY, _GIT_SYNC or _NFS",
            );
            None
        }
    }
}

fn decode_delivery(fields: &mut Fields, delivery: i32) -> Option<Delivery> {
    match pb::Delivery::try_from(delivery) {
        Ok(pb::Delivery::Unspecified | pb::Delivery::Record) => Some(Delivery::Record),
        Ok(pb::Delivery::Agent) => Some(Delivery::Agent),
        Err(_) => {
            fields.violation(
                "deployment.delivery",
                "must be DELIVERY_RECORD or DELIVERY_AGENT",
            );
            None
        }
    }
}

fn decode_execution_mode(fields: &mut Fields, mode: i32) -> Option<ExecutionMode> {
    match pb::ExecutionMode::try_from(mode) {
        Ok(pb::ExecutionMode::Unspecified | pb::ExecutionMode::Hosted) => {
            Some(ExecutionMode::Hosted)
        }
        Ok(pb::ExecutionMode::Remote) => Some(ExecutionMode::Remote),
        Err(_) => {
            fields.violation(
                "deployment.execution_mode",
                "must be EXECUTION_MODE_HOSTED or EXECUTION_MODE_REMOTE",
            );
            None
        }
    }
}

/// Takes a map, and all that is wrong with it as violations.
fn take(
    fields: &mut Fields,
    field: &str,
    map: BTreeMap<String, String>,
    faults: Vec<String>,
) -> Option<BTreeMap<String, String>> {
    for fault in &faults {
        fields.violation(field, fault);
    }
    faults.is_empty().then_some(map)
}

/// All that is wrong with labels.
fn label_faults(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    if labels.len() > MOST_LABELS {
        faults.push(format!("must have at most {MOST_LABELS} entries"));
    }
    if !labels.keys().all(|key| is_label_key(key)) {
        faults.push("every key must match [a-z][a-z0-9_.-]{0,62}".to_owned());
    }
    for (key, value) in labels.iter().filter(|(key, _)| is_label_key(key)) {
        if value.chars().count() > LONGEST_LABEL || value.chars().any(char::is_control) {
            faults.push(format!(
                "the value of {key} must have at most {LONGEST_LABEL} characters, none of them a \
                 control character"
            ));
        }
    }
    faults
}

fn is_label_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    key.len() <= 63 && key.starts_with(|c: char| c.is_ascii_lowercase()) && key.chars().all(allowed)
}

/// All that is wrong with settings.
fn setting_faults(settings: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    if settings.len() > MOST_SETTINGS {
        faults.push(format!("must have at most {MOST_SETTINGS} entries"));
    }
    let bytes = settings
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum::<usize>();
    if bytes > MOST_SETTING_BYTES {
        faults.push(format!(
            "must have at most {MOST_SETTING_BYTES} bytes together"
        ));
    }
    if !settings.keys().all(|key| is_setting_key(key)) {
        faults.push(format!(
            "every key must have 1 to {LONGEST_SETTING_KEY} characters, none of them a control \
             character"
        ));
    }
    let in_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    for (key, value) in settings.iter().filter(|(key, _)| is_setting_key(key)) {
        if value.chars().count() > LONGEST_SETTING || !value.chars().all(in_text) {
            faults.push(format!(
                "the value of {key} must have at most {LONGEST_SETTING} characters, none of them a \
                 control character but tabs and line breaks"
            ));
        }
    }
    faults
}

fn is_setting_key(key: &str) -> bool {
    let length = key.chars().count();
    (1..=LONGEST_SETTING_KEY).contains(&length) && !key.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    }

    fn numbered(count: usize, value: &str) -> BTreeMap<String, String> {
        (0..count)
            .map(|n| (format!("k{n}"), value.to_owned()))
            .collect()
    }

    #[test]
    fn labels_are_bounded() {
        let long_key = format!("k{}", "x".repeat(62));
        let good = [
            map(&[]),
            map(&[
                ("team", "data"),
                ("a.b_c-d", ""),
                (&long_key, &"é".repeat(63)),
            ]),
            numbered(64, ""),
        ];
        for labels in good {
            assert_eq!(label_faults(&labels), [""; 0]);
        }
        let too_long = format!("{long_key}x");
        let bad = [
            map(&[("", "")]),
            map(&[("Team", "")]),
            map(&[("1a", "")]),
            map(&[("é", "")]),
            map(&[(&too_long, "")]),
            map(&[("team", &"x".repeat(64))]),
            map(&[("team", "a\0b")]),
            numbered(65, ""),
        ];
        for labels in bad {
            assert_eq!(label_faults(&labels).len(), 1, "{labels:?}");
        }
    }

    #[test]
    fn settings_are_bounded() {
        let good = [
            map(&[
                ("AIRFLOW__CORE__PARALLELISM", "32"),
                ("note", "two\nlines\tof text"),
            ]),
            map(&[(&"k".repeat(128), &"é".repeat(4_096))]),
            numbered(256, "v"),
        ];
        for settings in good {
            assert_eq!(setting_faults(&settings), [""; 0]);
        }
        let bad = [
            map(&[("", "v")]),
            map(&[(&"k".repeat(129), "v")]),
            map(&[("k", &"x".repeat(4_097))]),
            map(&[("k\0", "v")]),
            map(&[("k", "a\0b")]),
            map(&[("k", "\u{1b}[31m")]),
            numbered(257, "v"),
            numbered(17, &"x".repeat(4_096)),
        ];
        for settings in bad {
            assert_eq!(setting_faults(&settings).len(), 1);
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_map_is_told_at_once() {
        let labels = map(&[
            ("Team", ""),
            ("a", "\0"),
            ("b", &"x".repeat(64)),
            ("c", "fine"),
        ]);
        let faults = label_faults(&labels);
        assert_eq!(faults.len(), 3, "{faults:?}");
        let settings = map(&[
            ("", ""),
            ("a", "\0"),
            ("b", &"x".repeat(4_097)),
            ("c", "fine"),
        ]);
        let faults = setting_faults(&settings);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
