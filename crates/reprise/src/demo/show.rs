//! What the demo prints: the history as a table, a plan as a list, an error with its details.

use chrono::DateTime;
use proto::common::v1::RollbackScope;
use proto::registry::v1::{Bundle, Component, Deploy, DeployTrigger, DeployType, Image};
use proto::rollback::v1::{Plan, Severity, WarningCode};
use tonic::Status;
use tonic_types::StatusExt;

/// The deploys as a table, newest first as they come; the current one is marked.
pub(super) fn history(deploys: &[Deploy], current: &str) -> String {
    let header = [
        "",
        "#",
        "WHEN (UTC)",
        "BY",
        "WHAT",
        "RUNTIME",
        "IMAGE",
        "DAGS",
        "WHY",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(deploys.iter().map(|deploy| row(deploy, current)));
    table(&rows)
}

fn row(deploy: &Deploy, current: &str) -> Vec<String> {
    let revision = deploy.revision.clone().unwrap_or_default();
    let what = match (&deploy.rollback, deploy.trigger()) {
        (Some(origin), _) => format!("rollback to #{}", last(&origin.source_deploy)),
        (
            None,
            DeployTrigger::Api
            | DeployTrigger::Github
            | DeployTrigger::GitSync
            | DeployTrigger::Rollback
            | DeployTrigger::Unspecified,
        ) => deploy_type(deploy.r#type()).to_owned(),
    };
    vec![
        if deploy.name == current { "▶" } else { "" }.to_owned(),
        deploy.number.to_string(),
        deploy
            .create_time
            .and_then(|time| time_of_day(&time))
            .unwrap_or_default(),
        deploy.created_by.clone(),
        what,
        revision.runtime_version,
        revision
            .image
            .map(|image| tag_and_digest(&image))
            .unwrap_or_default(),
        revision
            .dag_bundle
            .map(|bundle| short(&bundle))
            .unwrap_or_default(),
        deploy.description.clone(),
    ]
}

fn time_of_day(time: &prost_types::Timestamp) -> Option<String> {
    let time = DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)?;
    Some(time.format("%H:%M:%S").to_string())
}

fn deploy_type(kind: DeployType) -> &'static str {
    match kind {
        DeployType::ImageAndDags => "image and DAGs",
        DeployType::ImageOnly => "image",
        DeployType::DagsOnly => "DAGs",
        DeployType::Dbt => "dbt",
        DeployType::Unspecified => "",
    }
}

fn tag_and_digest(image: &Image) -> String {
    let digest = image
        .digest
        .strip_prefix("sha256:")
        .unwrap_or(&image.digest);
    format!("{}@{}", image.tag, digest.get(..8).unwrap_or(digest))
}

fn short(bundle: &Bundle) -> String {
    bundle.sha256.get(..8).unwrap_or(&bundle.sha256).to_owned()
}

/// The last part of a resource name.
pub(super) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A plan, the way an operator reads it: what comes back, what does not, and what to know.
pub(super) fn plan(plan: &Plan) -> String {
    let mut lines = vec![format!(
        "roll back {} from #{} to #{}, scope {}",
        plan.deployment,
        last(&plan.current_deploy),
        last(&plan.target_deploy),
        scope(plan.scope())
    )];
    lines.push("comes back:".to_owned());
    lines.extend(plan.changes.iter().map(|change| {
        let component = component(change.component());
        format!(
            "  {component:<16} {} → {}",
            shorten(&change.from),
            shorten(&change.to)
        )
    }));
    lines.push("stays as it is:".to_owned());
    lines.extend(
        plan.unchanged
            .iter()
            .map(|unchanged| format!("  {:<16} {}", unchanged.what, unchanged.text)),
    );
    lines.push("know before:".to_owned());
    for warning in &plan.warnings {
        let severity = match warning.severity() {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info | Severity::Unspecified => "info",
        };
        let acknowledge = if warning.must_acknowledge {
            ", to be acknowledged"
        } else {
            ""
        };
        lines.push(format!(
            "  {} ({severity}{acknowledge})",
            code(warning.code())
        ));
        lines.push(format!("      {}", warning.text));
    }
    lines.extend(
        plan.blockers
            .iter()
            .map(|blocker| format!("  blocked: {}", blocker.text)),
    );
    lines.join("\n")
}

/// Full digests make a line unreadable; eight digits tell them apart.
fn shorten(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut shown = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (word, end) = match piece.char_indices().next_back() {
            Some((at, c)) if !c.is_ascii_alphanumeric() => piece.split_at(at),
            _ => (piece, ""),
        };
        shown.push_str(if is_digest(word) {
            word.get(..8).unwrap_or(word)
        } else {
            word
        });
        shown.push_str(end);
    }
    shown
}

fn component(component: Component) -> &'static str {
    match component {
        Component::Image => "image",
        Component::RuntimeVersion => "runtime",
        Component::AirflowVersion => "Airflow",
        Component::DagBundle => "DAG bundle",
        Component::DbtBundles => "dbt bundles",
        Component::DagDeployMode => "DAG deploy mode",
        Component::Unspecified => "",
    }
}

/// A scope, as operators write it.
pub(super) fn scope(scope: RollbackScope) -> &'static str {
    short_name(scope.as_str_name(), "ROLLBACK_SCOPE_")
}

/// The code of a warning, as operators write it.
pub(super) fn code(code: WarningCode) -> &'static str {
    short_name(code.as_str_name(), "WARNING_CODE_")
}

fn short_name(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// An error with its reason and what else it says.
pub(super) fn refusal(status: &Status) -> String {
    let Some(info) = status.get_details_error_info() else {
        return format!("{:?}: {}", status.code(), status.message());
    };
    let mut text = format!("{:?} {}: {}", status.code(), info.reason, status.message());
    let mut metadata = info.metadata.into_iter().collect::<Vec<_>>();
    metadata.sort();
    for (key, value) in metadata {
        text.push_str(&format!("\n  {key:<12} {value}"));
    }
    text
}

/// Columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect::<Vec<_>>();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
