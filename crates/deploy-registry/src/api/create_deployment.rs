//! CreateDeployment registers an Airflow environment.

use std::collections::BTreeMap;

use chassis::access::{Freshness, judge};
use chassis::fields::Fields;
use chassis::identity::{Caller, caller};
use chassis::problem::Problem;
use chassis::requests;
use model::{
    DagDeployMode, DeploymentName, Permission, PermissionSet, RequestId, ResourceName,
    WorkspaceName,
};
use proto::registry::v1 as pb;
use tonic::Request;

use super::access::{SHOWS_SETTINGS, Sight};
use super::errors::About;
use super::{Registry, decode, encode};
use crate::domain::{DeploymentUid, NewDeployment};

const METHOD: &str = "CreateDeployment";

/// Whoever holds one of these may know that the workspace exists.
const WORKSPACE_VISIBLE_BY: PermissionSet = PermissionSet::of(&[
    Permission::WorkspaceConfigGet,
    Permission::WorkspaceDeploymentsGet,
]);

const MOST_LABELS: usize = 64;
const LONGEST_LABEL: usize = 63;
const MOST_SETTINGS: usize = 256;
const LONGEST_SETTING_KEY: usize = 128;
const LONGEST_SETTING: usize = 4_096;
const MOST_SETTING_BYTES: usize = 64 * 1024;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::CreateDeploymentRequest>,
) -> Result<pb::CreateDeploymentResponse, Problem> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let workspace = decode::name("parent", &request.parent)?;
    let sight = authorize(registry, &caller, &workspace).await?;

    let (new, request_id) = decode_new(registry, &caller, &workspace, &request)?;
    let replayable = request_id
        .map(|id| requests::Request::new(caller.principal(), METHOD, &workspace, id, &request));
    let deployment = registry
        .store
        .create_deployment(&new, replayable.as_ref(), request.validate_only)
        .await
        .map_err(|error| About::deployment(&new.name).problem(error))?;
    if !request.validate_only {
        let created_by = &deployment.created_by;
        tracing::info!(deployment = %deployment.name, %created_by, "Deployment created");
    }
    Ok(pb::CreateDeploymentResponse {
        deployment: Some(encode::deployment(deployment, sight)),
    })
}

async fn authorize(
    registry: &Registry,
    caller: &Caller,
    workspace: &WorkspaceName,
) -> Result<Sight, Problem> {
    let needed = PermissionSet::of(&[Permission::WorkspaceDeploymentsCreate]);
    let asked = needed.union(WORKSPACE_VISIBLE_BY);
    let shows_settings = PermissionSet::of(&[SHOWS_SETTINGS]);
    let resource = ResourceName::from(workspace.clone());
    let held = registry
        .access
        .held(
            caller,
            &resource,
            asked.union(shows_settings),
            Freshness::FullyConsistent,
        )
        .await?;
    judge(caller, &resource, needed, held.difference(shows_settings))?;
    Ok(Sight {
        settings: held.contains(SHOWS_SETTINGS),
    })
}

fn decode_new(
    registry: &Registry,
    caller: &Caller,
    workspace: &WorkspaceName,
    request: &pb::CreateDeploymentRequest,
) -> Result<(NewDeployment, Option<RequestId>), Problem> {
    let mut fields = Fields::new();
    let name = fields.ok(
        "deployment_id",
        DeploymentName::new(workspace, &request.deployment_id),
    );
    let request_id = fields.parse_optional("request_id", &request.request_id);
    let deployment = fields.required("deployment", request.deployment.clone());
    let parts = deployment.and_then(|deployment| decode_parts(&mut fields, deployment));
    let (Some(name), Some(request_id), Some(parts)) = (name, request_id, parts) else {
        return Err(fields.into_problem());
    };
    let Parts {
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        settings,
    } = parts;
    let new = NewDeployment {
        name,
        uid: DeploymentUid::new(registry.environment.new_uuid()),
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        settings,
        created_by: caller.principal().clone(),
        create_time: registry.environment.now(),
    };
    Ok((new, request_id))
}

struct Parts {
    display_name: String,
    description: String,
    labels: BTreeMap<String, String>,
    dag_deploy_mode: DagDeployMode,
    rollback_enabled: bool,
    settings: BTreeMap<String, String>,
}

fn decode_parts(fields: &mut Fields, deployment: pb::Deployment) -> Option<Parts> {
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
    } = deployment;
    let display_name = fields.text("deployment.display_name", display_name, 100);
    let description = fields.text("deployment.description", description, 500);
    let labels = fields.check("deployment.labels", labels, check_labels);
    let mode = decode_mode(fields, dag_deploy_mode);
    let settings = fields.check("deployment.settings", settings, check_settings);
    Some(Parts {
        display_name: display_name?,
        description: description?,
        labels: labels?,
        dag_deploy_mode: mode?,
        rollback_enabled,
        settings: settings?,
    })
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

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), String> {
    if labels.len() > MOST_LABELS {
        return Err(format!("must have at most {MOST_LABELS} entries"));
    }
    for (key, value) in labels {
        if !is_label_key(key) {
            return Err("every key must match [a-z][a-z0-9_.-]{0,62}".to_owned());
        }
        if value.chars().count() > LONGEST_LABEL || value.chars().any(char::is_control) {
            return Err(format!(
                "the value of {key} must have at most {LONGEST_LABEL} characters, none of them a \
                 control character"
            ));
        }
    }
    Ok(())
}

fn is_label_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    key.len() <= 63 && key.starts_with(|c: char| c.is_ascii_lowercase()) && key.chars().all(allowed)
}

fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), String> {
    if settings.len() > MOST_SETTINGS {
        return Err(format!("must have at most {MOST_SETTINGS} entries"));
    }
    let bytes = settings
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum::<usize>();
    if bytes > MOST_SETTING_BYTES {
        return Err(format!(
            "must have at most {MOST_SETTING_BYTES} bytes together"
        ));
    }
    for (key, value) in settings {
        let length = key.chars().count();
        if length == 0 || length > LONGEST_SETTING_KEY || key.chars().any(char::is_control) {
            return Err(format!(
                "every key must have 1 to {LONGEST_SETTING_KEY} characters, none of them a control \
                 character"
            ));
        }
        let in_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if value.chars().count() > LONGEST_SETTING || !value.chars().all(in_text) {
            return Err(format!(
                "the value of {key} must have at most {LONGEST_SETTING} characters, none of them a \
                 control character but tabs and line breaks"
            ));
        }
    }
    Ok(())
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
            assert_eq!(check_labels(&labels), Ok(()));
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
            assert!(check_labels(&labels).is_err(), "{labels:?}");
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
            assert_eq!(check_settings(&settings), Ok(()));
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
            assert!(check_settings(&settings).is_err());
        }
    }
}
