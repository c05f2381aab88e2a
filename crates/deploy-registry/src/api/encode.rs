//! From the domain to protobuf. Every field is named, so that a new one cannot be forgotten.

use chassis::convert::{scope_to_proto, timestamp};
use chrono::{DateTime, Utc};
use model::{
    DagDeployMode, DeployName, DeployNumber, DeployState, DeploymentName, RollbackId, RollbackName,
};
use proto::common::v1 as common;
use proto::registry::v1 as pb;

use super::access::Sight;
use crate::domain::{
    Agent, Blocker, BlockerCode, Bundle, Change, ChangeKind, Component, ComposedRollback, Delivery,
    Deploy, DeployTrigger, DeployType, Deployment, ExecutionMode, GitSource, Hold, Image,
    ImageVerification, Mark, Retention, Revision, RollbackOrigin, Settings, StoredBundle, Verdict,
};
use crate::store::Entry;

const BLOCKER_PREFIX: &str = "BLOCKER_CODE_";

pub(super) fn deployment(deployment: Deployment, sight: Sight) -> pb::Deployment {
    let etag = deployment.etag();
    let Deployment {
        name,
        uid,
        display_name,
        description,
        labels,
        dag_deploy_mode,
        rollback_enabled,
        delivery: delivered,
        execution_mode: executed,
        settings: all_settings,
        history,
        change,
        hold: held,
        delete_time,
        current_revision,
        created_by,
        create_time,
        update_time,
    } = deployment;
    pb::Deployment {
        uid: uid.to_string(),
        display_name,
        description,
        labels,
        dag_deploy_mode: mode(dag_deploy_mode).into(),
        rollback_enabled,
        settings: settings(all_settings, sight),
        latest_deploy: deploy_name(&name, history.latest),
        current_deploy: deploy_name(&name, history.current),
        name: name.to_string(),
        current_revision: current_revision.map(revision),
        etag,
        create_time: Some(timestamp(create_time)),
        update_time: Some(timestamp(update_time)),
        created_by: created_by.to_string(),
        delivery: delivery(delivered).into(),
        execution_mode: execution_mode(executed).into(),
        delete_time: delete_time.map(timestamp),
        hold: held.map(hold),
        change,
    }
}

/// What whoever sees only names is shown.
pub(super) fn names_only(deployment: Deployment) -> pb::Deployment {
    pb::Deployment {
        name: deployment.name.to_string(),
        uid: deployment.uid.to_string(),
        display_name: deployment.display_name,
        ..pb::Deployment::default()
    }
}

pub(super) fn deploy(entry: Entry, retention: Retention, sight: Sight) -> pb::Deploy {
    let Entry { deploy, history } = entry;
    let expire_time = retention.expire_time(&deploy, history);
    let etag = deploy.etag();
    let Deploy {
        name,
        deploy_type: shipped,
        trigger: made_by,
        description,
        revision: after,
        revision_digest: _,
        image_verification,
        artifacts_gone,
        changed,
        git,
        rollback,
        settings: all_settings,
        state: reached,
        state_reason,
        created_by,
        create_time,
        deploy_time,
        ceased_time: _,
        update_time,
        change: _,
        pin,
        mark: marked,
    } = deploy;
    let (image_verification, image_verification_reason) = verification(image_verification);
    pb::Deploy {
        image_verification: image_verification.into(),
        image_verification_reason,
        artifacts_gone,
        number: name.number().get(),
        r#type: deploy_type(shipped).into(),
        trigger: trigger(made_by).into(),
        description,
        revision: Some(revision(after)),
        changed_components: components(&changed),
        git: git.map(git_source),
        rollback: rollback.map(|origin| rollback_origin(name.deployment(), origin)),
        state: state(reached).into(),
        settings: settings(all_settings, sight),
        artifacts_expire_time: expire_time.map(timestamp),
        created_by: created_by.to_string(),
        create_time: Some(timestamp(create_time)),
        deploy_time: deploy_time.map(timestamp),
        etag,
        name: name.to_string(),
        state_reason,
        update_time: Some(timestamp(update_time)),
        pinned: pin.is_some(),
        pinned_by: pin
            .as_ref()
            .map(|pin| pin.by.to_string())
            .unwrap_or_default(),
        pin_time: pin.map(|pin| timestamp(pin.time)),
        mark: marked.map(mark),
    }
}

/// The deploy that a rollback would write, as far as it is known before there is a permit: not who
/// will have written it.
pub(super) fn rollback_preview(
    composed: ComposedRollback,
    description: String,
    rollback: Option<RollbackId>,
    time: DateTime<Utc>,
    sight: Sight,
) -> pb::Deploy {
    let ComposedRollback {
        name,
        deploy_type: shipped,
        revision: after,
        changed,
        source,
        replaced,
        scope,
        settings: all_settings,
        state: written_in,
        needed: _,
    } = composed;
    let deployment = name.deployment();
    let rollback = rollback.map(|id| RollbackName::new(deployment.clone(), id).to_string());
    pb::Deploy {
        number: name.number().get(),
        r#type: deploy_type(shipped).into(),
        trigger: pb::DeployTrigger::Rollback.into(),
        description,
        revision: Some(revision(after)),
        changed_components: components(&changed),
        git: None,
        rollback: Some(pb::RollbackOrigin {
            source_deploy: deploy_name(deployment, source),
            replaced_deploy: deploy_name(deployment, replaced),
            scope: scope_to_proto(scope).into(),
            rollback: rollback.unwrap_or_default(),
            permit_id: String::new(),
        }),
        state: state(written_in).into(),
        settings: settings(all_settings, sight),
        artifacts_expire_time: None,
        created_by: String::new(),
        create_time: Some(timestamp(time)),
        deploy_time: (written_in == DeployState::Deployed).then(|| timestamp(time)),
        etag: String::new(),
        image_verification: pb::ImageVerification::Unspecified.into(),
        image_verification_reason: String::new(),
        artifacts_gone: false,
        name: name.to_string(),
        state_reason: String::new(),
        update_time: Some(timestamp(time)),
        pinned: false,
        pinned_by: String::new(),
        pin_time: None,
        mark: None,
    }
}

pub(super) fn dag_bundle(bundle: &StoredBundle) -> pb::DagBundle {
    let StoredBundle {
        name,
        size,
        object: _,
        created_by,
        create_time,
    } = bundle;
    pb::DagBundle {
        name: name.to_string(),
        sha256: name.digest().to_string(),
        size_bytes: size.get(),
        created_by: created_by.to_string(),
        create_time: Some(timestamp(*create_time)),
    }
}

pub(super) fn blocker(blocker: &Blocker) -> common::Blocker {
    common::Blocker {
        code: blocker_code(blocker.code()).into(),
        subject: blocker.subject(),
        text: blocker.to_string(),
    }
}

/// The name of a blocker, as it stands in errors.
pub(super) fn blocker_name(code: BlockerCode) -> &'static str {
    let name = blocker_code(code).as_str_name();
    name.strip_prefix(BLOCKER_PREFIX).unwrap_or(name)
}

fn blocker_code(code: BlockerCode) -> common::BlockerCode {
    match code {
        BlockerCode::RollbackDisabledInstallation => {
            common::BlockerCode::RollbackDisabledInstallation
        }
        BlockerCode::RollbackDisabledDeployment => common::BlockerCode::RollbackDisabledDeployment,
        BlockerCode::DeploymentDeleted => common::BlockerCode::DeploymentDeleted,
        BlockerCode::TargetMarkedBad => common::BlockerCode::TargetMarkedBad,
        BlockerCode::NothingDeployed => common::BlockerCode::NothingDeployed,
        BlockerCode::TargetIsCurrent => common::BlockerCode::TargetIsCurrent,
        BlockerCode::NoChange => common::BlockerCode::NoChange,
        BlockerCode::TargetNotDeployed => common::BlockerCode::TargetNotDeployed,
        BlockerCode::TargetExpired => common::BlockerCode::TargetExpired,
        BlockerCode::ArtifactMissing => common::BlockerCode::ArtifactMissing,
        BlockerCode::DagsNotSeparate => common::BlockerCode::DagsNotSeparate,
        BlockerCode::DagDeployModeUnsupported => common::BlockerCode::DagDeployModeUnsupported,
        BlockerCode::DagDeployModeChanged => common::BlockerCode::DagDeployModeChanged,
    }
}

pub(super) fn revision(revision: Revision) -> pb::Revision {
    let Revision {
        image,
        runs_on,
        dag_bundle,
        dbt,
        mode: dag_deploy_mode,
    } = revision;
    let Image {
        repository,
        tag,
        digest,
    } = image;
    let dbt_bundle = |(mount_path, bundle): (crate::domain::MountPath, Bundle)| {
        let Bundle { sha256, size } = bundle;
        pb::DbtBundle {
            mount_path: mount_path.to_string(),
            sha256: sha256.to_string(),
            size_bytes: size.get(),
        }
    };
    pb::Revision {
        image: Some(pb::Image {
            repository: repository.to_string(),
            tag: text(tag.as_ref()),
            digest: digest.to_string(),
        }),
        runtime_version: text(runs_on.runtime()),
        airflow_version: text(runs_on.airflow()),
        dag_bundle: dag_bundle.map(bundle),
        dbt_bundles: dbt.into_iter().map(dbt_bundle).collect(),
        dag_deploy_mode: mode(dag_deploy_mode).into(),
    }
}

fn bundle(bundle: Bundle) -> pb::Bundle {
    let Bundle { sha256, size } = bundle;
    pb::Bundle {
        sha256: sha256.to_string(),
        size_bytes: size.get(),
    }
}

fn rollback_origin(deployment: &DeploymentName, origin: RollbackOrigin) -> pb::RollbackOrigin {
    let RollbackOrigin {
        source,
        replaced,
        scope,
        rollback,
        permit,
    } = origin;
    pb::RollbackOrigin {
        source_deploy: deploy_name(deployment, source),
        replaced_deploy: deploy_name(deployment, replaced),
        scope: scope_to_proto(scope).into(),
        rollback: RollbackName::new(deployment.clone(), rollback).to_string(),
        permit_id: permit.get().to_string(),
    }
}

fn git_source(git: GitSource) -> pb::GitSource {
    let GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    } = git;
    pb::GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    }
}

fn components(components: &[Component]) -> Vec<i32> {
    let component = |component: &Component| match component {
        Component::Image => pb::Component::Image,
        Component::RuntimeVersion => pb::Component::RuntimeVersion,
        Component::AirflowVersion => pb::Component::AirflowVersion,
        Component::DagBundle => pb::Component::DagBundle,
        Component::DbtBundles => pb::Component::DbtBundles,
        Component::DagDeployMode => pb::Component::DagDeployMode,
    };
    components.iter().map(component).map(i32::from).collect()
}

fn mode(mode: DagDeployMode) -> pb::DagDeployMode {
    match mode {
        DagDeployMode::Image => pb::DagDeployMode::Image,
        DagDeployMode::DagOnly => pb::DagDeployMode::DagOnly,
        DagDeployMode::GitSync => pb::DagDeployMode::GitSync,
        DagDeployMode::Nfs => pb::DagDeployMode::Nfs,
    }
}

pub(super) fn change(deployment: &DeploymentName, change: &Change) -> pb::Change {
    let Change {
        change,
        kind,
        deploy,
        time,
    } = change;
    let (deploy, reached) = match *deploy {
        Some((number, reached)) => (deploy_name(deployment, number), state(reached)),
        None => (String::new(), pb::DeployState::Unspecified),
    };
    pb::Change {
        change: *change,
        kind: change_kind(*kind).into(),
        deploy,
        state: reached.into(),
        change_time: Some(timestamp(*time)),
        deployment: deployment.to_string(),
    }
}

const fn change_kind(kind: ChangeKind) -> pb::ChangeKind {
    match kind {
        ChangeKind::DeploymentCreated => pb::ChangeKind::DeploymentCreated,
        ChangeKind::DeploymentUpdated => pb::ChangeKind::DeploymentUpdated,
        ChangeKind::DeploymentDeleted => pb::ChangeKind::DeploymentDeleted,
        ChangeKind::HoldPlaced => pb::ChangeKind::HoldPlaced,
        ChangeKind::HoldReleased => pb::ChangeKind::HoldReleased,
        ChangeKind::DeployCreated => pb::ChangeKind::DeployCreated,
        ChangeKind::DeployStateChanged => pb::ChangeKind::DeployStateChanged,
        ChangeKind::DeployUpdated => pb::ChangeKind::DeployUpdated,
        ChangeKind::DeployMarked => pb::ChangeKind::DeployMarked,
    }
}

pub(super) fn agent(agent: &Agent) -> pb::Agent {
    let expire_time = agent.expire_time();
    let Agent {
        id,
        runtime_version,
        running_tasks,
        queued_tasks,
        deferred_tasks,
        report_time,
    } = agent;
    pb::Agent {
        agent_id: id.clone(),
        runtime_version: runtime_version.to_string(),
        running_tasks: *running_tasks,
        queued_tasks: *queued_tasks,
        deferred_tasks: *deferred_tasks,
        report_time: Some(timestamp(*report_time)),
        expire_time: Some(timestamp(expire_time)),
    }
}

fn hold(hold: Hold) -> pb::Hold {
    let Hold { reason, by, time } = hold;
    pb::Hold {
        reason,
        placed_by: by.to_string(),
        place_time: Some(timestamp(time)),
    }
}

fn mark(mark: Mark) -> pb::Mark {
    let Mark {
        verdict,
        reason,
        by,
        time,
    } = mark;
    let verdict = match verdict {
        Verdict::Good => pb::Verdict::Good,
        Verdict::Bad => pb::Verdict::Bad,
    };
    pb::Mark {
        verdict: verdict.into(),
        reason,
        marked_by: by.to_string(),
        mark_time: Some(timestamp(time)),
    }
}

const fn delivery(delivery: Delivery) -> pb::Delivery {
    match delivery {
        Delivery::Record => pb::Delivery::Record,
        Delivery::Agent => pb::Delivery::Agent,
    }
}

const fn execution_mode(mode: ExecutionMode) -> pb::ExecutionMode {
    match mode {
        ExecutionMode::Hosted => pb::ExecutionMode::Hosted,
        ExecutionMode::Remote => pb::ExecutionMode::Remote,
    }
}

fn deploy_type(deploy_type: DeployType) -> pb::DeployType {
    match deploy_type {
        DeployType::ImageAndDags => pb::DeployType::ImageAndDags,
        DeployType::ImageOnly => pb::DeployType::ImageOnly,
        DeployType::DagsOnly => pb::DeployType::DagsOnly,
        DeployType::Dbt => pb::DeployType::Dbt,
    }
}

fn trigger(trigger: DeployTrigger) -> pb::DeployTrigger {
    match trigger {
        DeployTrigger::Api => pb::DeployTrigger::Api,
        DeployTrigger::Rollback => pb::DeployTrigger::Rollback,
        DeployTrigger::Github => pb::DeployTrigger::Github,
        DeployTrigger::GitSync => pb::DeployTrigger::GitSync,
    }
}

fn state(state: DeployState) -> pb::DeployState {
    match state {
        DeployState::Pending => pb::DeployState::Pending,
        DeployState::RollingOut => pb::DeployState::RollingOut,
        DeployState::Deployed => pb::DeployState::Deployed,
        DeployState::Failed => pb::DeployState::Failed,
        DeployState::Superseded => pb::DeployState::Superseded,
    }
}

fn verification(verification: Option<ImageVerification>) -> (pb::ImageVerification, String) {
    match verification {
        None => (pb::ImageVerification::Unspecified, String::new()),
        Some(ImageVerification::Verified) => (pb::ImageVerification::Verified, String::new()),
        Some(ImageVerification::Unverified(reason)) => (pb::ImageVerification::Unverified, reason),
    }
}

fn settings(settings: Settings, sight: Sight) -> Settings {
    if sight.settings {
        settings
    } else {
        Settings::new()
    }
}

/// The name of a deploy; empty for none.
pub(super) fn deploy_name(deployment: &DeploymentName, number: DeployNumber) -> String {
    if number.is_none() {
        String::new()
    } else {
        DeployName::new(deployment.clone(), number).to_string()
    }
}

pub(super) fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
