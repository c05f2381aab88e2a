//! From the domain to protobuf.

mod audit;
mod reports;
mod targets;

use chassis::convert::{scope_to_proto, timestamp};
use model::deploys::{DagDeployMode, Scope};
use model::names::{DeployName, DeployNumber, DeploymentName, RollbackId, RollbackName};
use model::permissions::PermissionSet;
use proto::common::v1 as common;
use proto::registry::v1 as registry;
use proto::rollback::v1 as wire;

pub(super) use self::audit::audit_event;
use crate::clients::failure;
use crate::domain::blocker::{Blocker, BlockerCode};
use crate::domain::history::Composed;
use crate::domain::options::Options;
use crate::domain::permissions::PermissionReport;
use crate::domain::plan::{Plan, SettingChange};
use crate::domain::revision::{Bundle, Change, Component, DbtBundle, Image, Revision};
use crate::domain::rollback::{
    Cancel, Links, Order, RollOut, RollOutEnd, Rollback, State, Step, StepKind,
};
use crate::domain::unchanged::Unchanged;
use crate::domain::warning::{Certainty, Migrations, Severity, Warning, WarningCode};

pub(super) use self::targets::targets;

pub(super) fn plan(plan: Plan) -> wire::Plan {
    let Plan {
        deployment,
        deployment_uid,
        target,
        latest,
        current,
        scope,
        options: Options {
            hold,
            allow_marked_bad,
        },
        changes,
        unchanged,
        settings_drift,
        blockers,
        in_progress: _,
        warnings,
        deploys_between,
        deploys_between_count,
        agents,
        tasks,
        permissions,
        composed,
        target_expire_time,
        rules_version,
        digest,
    } = plan;
    let (revision, revision_digest) = match composed {
        Some(Composed {
            revision,
            digest,
            number: _,
            replaced: _,
        }) => (Some(self::revision(revision)), digest),
        None => (None, String::new()),
    };
    wire::Plan {
        deploys_between: reports::deploys_between(&deployment, deploys_between),
        deploys_between_count,
        agents: agents.into_iter().map(reports::agent).collect(),
        tasks: tasks.map(reports::tasks),
        target_deploy: deploy_name(&deployment, target),
        latest_deploy: deploy_name(&deployment, latest),
        current_deploy: deploy_name(&deployment, current.unwrap_or(DeployNumber::NONE)),
        deployment: deployment.to_string(),
        deployment_uid: deployment_uid.0.to_string(),
        scope: scope_to_proto(scope).into(),
        changes: changes.into_iter().map(change).collect(),
        unchanged: unchanged.into_iter().map(self::unchanged).collect(),
        settings_drift: settings_drift.into_iter().map(setting_change).collect(),
        blockers: blockers.into_iter().map(blocker).collect(),
        warnings: warnings.into_iter().map(warning).collect(),
        permissions: Some(self::permissions(permissions)),
        revision,
        revision_digest,
        target_expire_time: target_expire_time.map(timestamp),
        rules_version: rules_version.to_string(),
        digest: digest.to_string(),
        hold,
        allow_marked_bad,
    }
}

pub(super) fn rollback(rollback: Rollback) -> wire::Rollback {
    let Rollback {
        name,
        order,
        state,
        needs_attention,
        steps,
        links,
        cancel,
        write_deadline,
        create_time,
        update_time,
        version,
    } = rollback;
    let deployment = name.deployment();
    let mut encoded = would_be(deployment, order);
    encoded.name = name.to_string();
    encoded.needs_attention = needs_attention;
    let Links {
        target,
        replaced,
        replaced_by,
    } = links;
    let linked = |rollback: Option<RollbackId>| {
        let name = rollback.map(|id| RollbackName::new(deployment.clone(), id));
        name.map(|name| name.to_string()).unwrap_or_default()
    };
    encoded.target_rollback = linked(target);
    encoded.replaced_rollback = linked(replaced);
    encoded.replaced_by = linked(replaced_by);
    encoded.steps = steps.into_iter().map(step).collect();
    encoded.write_deadline = Some(timestamp(write_deadline));
    encoded.create_time = Some(timestamp(create_time));
    encoded.update_time = Some(timestamp(update_time));
    encoded.etag = version.to_string();
    if let Some(Cancel { by, time }) = cancel {
        encoded.cancelled_by = by.to_string();
        encoded.cancel_time = Some(timestamp(time));
    }
    match state {
        State::Pending => {}
        State::Running => encoded.state = wire::RollbackState::Running.into(),
        State::Succeeded {
            deploy,
            roll_out,
            roll_out_deadline,
            end_time,
        } => {
            encoded.state = wire::RollbackState::Succeeded.into();
            encoded.deploy = deploy_name(deployment, deploy);
            if let Some(RollOutEnd { how, reason }) = roll_out {
                encoded.roll_out = self::roll_out(how).into();
                encoded.roll_out_reason = reason;
            }
            encoded.roll_out_deadline = roll_out_deadline.map(timestamp);
            encoded.end_time = Some(timestamp(end_time));
        }
        State::Failed { error, end_time } => {
            encoded.state = wire::RollbackState::Failed.into();
            encoded.error = Some(failure::to_proto(&error));
            encoded.end_time = Some(timestamp(end_time));
        }
        State::Cancelled { error, end_time } => {
            encoded.state = wire::RollbackState::Cancelled.into();
            encoded.error = Some(failure::to_proto(&error));
            encoded.end_time = Some(timestamp(end_time));
        }
    }
    encoded
}

/// A rollback as it would be accepted: it has no name and no times yet.
pub(super) fn would_be(deployment: &DeploymentName, order: Order) -> wire::Rollback {
    let Order {
        deployment_uid: _,
        target,
        expected_latest: _,
        replaced,
        scope,
        options: Options {
            hold,
            allow_marked_bad,
        },
        description,
        permissions: _,
        plan_digest,
        acknowledged,
        created_by,
    } = order;
    wire::Rollback {
        name: String::new(),
        target_deploy: deploy_name(deployment, target),
        replaced_deploy: deploy_name(deployment, replaced),
        scope: scope_to_proto(scope).into(),
        description,
        state: wire::RollbackState::Pending.into(),
        deploy: String::new(),
        roll_out: wire::RollOut::Unspecified.into(),
        created_by: created_by.to_string(),
        plan_digest: plan_digest.to_string(),
        acknowledged_warnings: acknowledged
            .into_iter()
            .map(|code| warning_code(code).into())
            .collect(),
        steps: Vec::new(),
        error: None,
        needs_attention: false,
        write_deadline: None,
        create_time: None,
        update_time: None,
        end_time: None,
        etag: String::new(),
        hold,
        allow_marked_bad,
        cancelled_by: String::new(),
        cancel_time: None,
        roll_out_reason: String::new(),
        roll_out_deadline: None,
        target_rollback: String::new(),
        replaced_rollback: String::new(),
        replaced_by: String::new(),
    }
}

fn step(
    Step {
        kind,
        attempts,
        start_time,
        end_time,
        error,
    }: Step,
) -> wire::RollbackStep {
    wire::RollbackStep {
        kind: step_kind(kind).into(),
        attempts,
        start_time: Some(timestamp(start_time)),
        end_time: end_time.map(timestamp),
        error: error.as_ref().map(failure::to_proto),
    }
}

fn step_kind(kind: StepKind) -> wire::StepKind {
    match kind {
        StepKind::Plan => wire::StepKind::Plan,
        StepKind::Authorize => wire::StepKind::Authorize,
        StepKind::Write => wire::StepKind::Write,
        StepKind::RollOut => wire::StepKind::RollOut,
    }
}

fn roll_out(roll_out: RollOut) -> wire::RollOut {
    match roll_out {
        RollOut::Deployed => wire::RollOut::Deployed,
        RollOut::Failed => wire::RollOut::Failed,
        RollOut::Superseded => wire::RollOut::Superseded,
        RollOut::TimedOut => wire::RollOut::TimedOut,
    }
}

/// The name of a deploy; empty if there is none.
fn deploy_name(deployment: &DeploymentName, number: DeployNumber) -> String {
    if number.is_none() {
        String::new()
    } else {
        DeployName::new(deployment.clone(), number).to_string()
    }
}

fn change(
    Change {
        component,
        from,
        to,
    }: Change,
) -> wire::ComponentChange {
    wire::ComponentChange {
        component: self::component(component).into(),
        from,
        to,
    }
}

fn component(component: Component) -> registry::Component {
    match component {
        Component::Image => registry::Component::Image,
        Component::RuntimeVersion => registry::Component::RuntimeVersion,
        Component::AirflowVersion => registry::Component::AirflowVersion,
        Component::DagBundle => registry::Component::DagBundle,
        Component::DbtBundles => registry::Component::DbtBundles,
        Component::DagDeployMode => registry::Component::DagDeployMode,
    }
}

fn unchanged(Unchanged { what, text }: Unchanged) -> wire::Unchanged {
    wire::Unchanged {
        what: what.to_owned(),
        text,
    }
}

fn setting_change(SettingChange { key, then, now }: SettingChange) -> wire::SettingChange {
    wire::SettingChange { key, then, now }
}

fn blocker(
    Blocker {
        code,
        subject,
        text,
    }: Blocker,
) -> common::Blocker {
    common::Blocker {
        code: blocker_code(code).into(),
        subject,
        text,
    }
}

fn blocker_code(code: BlockerCode) -> common::BlockerCode {
    match code {
        BlockerCode::RollbackDisabledInstallation => {
            common::BlockerCode::RollbackDisabledInstallation
        }
        BlockerCode::RollbackDisabledDeployment => common::BlockerCode::RollbackDisabledDeployment,
        BlockerCode::TargetIsCurrent => common::BlockerCode::TargetIsCurrent,
        BlockerCode::NoChange => common::BlockerCode::NoChange,
        BlockerCode::TargetNotDeployed => common::BlockerCode::TargetNotDeployed,
        BlockerCode::TargetExpired => common::BlockerCode::TargetExpired,
        BlockerCode::ArtifactMissing => common::BlockerCode::ArtifactMissing,
        BlockerCode::DagsNotSeparate => common::BlockerCode::DagsNotSeparate,
        BlockerCode::DagDeployModeUnsupported => common::BlockerCode::DagDeployModeUnsupported,
        BlockerCode::DagDeployModeChanged => common::BlockerCode::DagDeployModeChanged,
        BlockerCode::NothingDeployed => common::BlockerCode::NothingDeployed,
        BlockerCode::DeploymentDeleted => common::BlockerCode::DeploymentDeleted,
        BlockerCode::TargetMarkedBad => common::BlockerCode::TargetMarkedBad,
        BlockerCode::RuntimeUnsupported => common::BlockerCode::RuntimeUnsupported,
        BlockerCode::RuntimePathUnsupported => common::BlockerCode::RuntimePathUnsupported,
        BlockerCode::RuntimeUnknownVersion => common::BlockerCode::RuntimeUnknownVersion,
        BlockerCode::AgentTooNew => common::BlockerCode::AgentTooNew,
        BlockerCode::RollbackInProgress => common::BlockerCode::RollbackInProgress,
    }
}

fn warning(
    Warning {
        code,
        severity,
        text,
        migrations,
    }: Warning,
) -> wire::Warning {
    let (certainty, heads) = match migrations {
        None => (wire::Certainty::Unspecified, Vec::new()),
        Some(Migrations {
            certainty: Certainty::Certain,
            heads,
        }) => (wire::Certainty::Certain, heads),
        Some(Migrations {
            certainty: Certainty::Possible,
            heads,
        }) => (wire::Certainty::Possible, heads),
    };
    let migrations = heads.into_iter().map(|head| wire::Migration {
        revision: head.revision.to_owned(),
        airflow_version: head.airflow_from.to_string(),
        loses: head.loses.to_owned(),
    });
    wire::Warning {
        code: warning_code(code).into(),
        severity: self::severity(severity).into(),
        text,
        must_acknowledge: code.must_acknowledge(),
        migrations: migrations.collect(),
        certainty: certainty.into(),
    }
}

fn severity(severity: Severity) -> wire::Severity {
    match severity {
        Severity::Info => wire::Severity::Info,
        Severity::Warning => wire::Severity::Warning,
        Severity::Critical => wire::Severity::Critical,
    }
}

fn warning_code(code: WarningCode) -> wire::WarningCode {
    match code {
        WarningCode::RuntimeDowngrade => wire::WarningCode::RuntimeDowngrade,
        WarningCode::MetadataLoss => wire::WarningCode::MetadataLoss,
        WarningCode::MajorVersionChange => wire::WarningCode::MajorVersionChange,
        WarningCode::DagsMayNotFit => wire::WarningCode::DagsMayNotFit,
        WarningCode::RuntimeRestricted => wire::WarningCode::RuntimeRestricted,
        WarningCode::SettingsDrift => wire::WarningCode::SettingsDrift,
        WarningCode::DagsStayInGit => wire::WarningCode::DagsStayInGit,
        WarningCode::GitNotReverted => wire::WarningCode::GitNotReverted,
        WarningCode::DeploysSkipped => wire::WarningCode::DeploysSkipped,
        WarningCode::AgentUnknown => wire::WarningCode::AgentUnknown,
        WarningCode::TasksRunning => wire::WarningCode::TasksRunning,
    }
}

/// A code that a client sent; none for UNSPECIFIED.
pub(super) fn warning_code_from_proto(code: wire::WarningCode) -> Option<WarningCode> {
    WarningCode::ALL
        .iter()
        .copied()
        .find(|known| warning_code(*known) == code)
}

fn permissions(report: PermissionReport) -> wire::PermissionReport {
    let PermissionReport {
        principal,
        needed,
        held,
        missing,
        open_scopes,
        open_without_hold: _,
    } = report;
    wire::PermissionReport {
        principal: principal.to_string(),
        needed: names(needed),
        held: names(held),
        missing: names(missing),
        open_scopes: open_scopes
            .into_iter()
            .map(|scope: Scope| scope_to_proto(scope).into())
            .collect(),
    }
}

fn names(permissions: PermissionSet) -> Vec<String> {
    permissions
        .iter()
        .map(|permission| permission.to_string())
        .collect()
}

fn revision(revision: Revision) -> registry::Revision {
    let Revision {
        image,
        runtime,
        airflow,
        dag_bundle,
        dbt_bundles,
        mode,
    } = revision;
    registry::Revision {
        image: image.map(
            |Image {
                 repository,
                 tag,
                 digest,
             }| registry::Image {
                repository,
                tag,
                digest: digest.to_string(),
            },
        ),
        runtime_version: text(runtime.as_ref()),
        airflow_version: text(airflow.as_ref()),
        dag_bundle: dag_bundle.map(|Bundle { sha256, size_bytes }| registry::Bundle {
            sha256: sha256.to_string(),
            size_bytes,
        }),
        dbt_bundles: dbt_bundles
            .into_iter()
            .map(
                |DbtBundle {
                     mount_path,
                     bundle: Bundle { sha256, size_bytes },
                 }| {
                    registry::DbtBundle {
                        mount_path,
                        sha256: sha256.to_string(),
                        size_bytes,
                    }
                },
            )
            .collect(),
        dag_deploy_mode: self::mode(mode).into(),
    }
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn mode(mode: DagDeployMode) -> registry::DagDeployMode {
    match mode {
        DagDeployMode::Image => registry::DagDeployMode::Image,
        DagDeployMode::DagOnly => registry::DagDeployMode::DagOnly,
        DagDeployMode::GitSync => registry::DagDeployMode::GitSync,
        DagDeployMode::Nfs => registry::DagDeployMode::Nfs,
    }
}
