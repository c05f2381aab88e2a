//! What was decided and done, in protobuf.

use chassis::convert::{scope_to_proto, timestamp};
use model::names::{DeployNumber, DeploymentName, RollbackName};
use proto::rollback::v1 as wire;

use super::{deploy_name, names, roll_out, step_kind, warning_code};
use crate::clients::failure;
use crate::domain::audit::{Attempted, AuditEvent, AuditedRequest, Event, EventKind, Stage};
use crate::domain::rollback::{StateName, StoredError};

/// An event as callers see it.
pub(in crate::api) fn audit_event(event: AuditEvent) -> wire::AuditEvent {
    let AuditEvent {
        deployment,
        number,
        event_time,
        principal,
        rollback,
        event,
    } = event;
    let mut encoded = wire::AuditEvent {
        name: format!("{deployment}/auditEvents/{number}"),
        number,
        kind: kind(event.kind()).into(),
        event_time: Some(timestamp(event_time)),
        principal: principal.to_string(),
        ..wire::AuditEvent::default()
    };
    if let Some(Stage { rollback, state }) = rollback {
        encoded.rollback = RollbackName::new(deployment.clone(), rollback).to_string();
        encoded.state = self::state(state).into();
    }
    match event {
        Event::RollbackRefused { request, error } => {
            encoded.request = Some(self::request(&deployment, *request));
            set_error(&mut encoded, &error);
        }
        Event::RollbackAccepted { request } => {
            encoded.request = Some(self::request(&deployment, *request));
        }
        Event::StepStarted(attempted) | Event::StepSucceeded(attempted) => {
            set_attempted(&mut encoded, attempted);
        }
        Event::StepFailed { attempted, error } => {
            set_attempted(&mut encoded, attempted);
            set_error(&mut encoded, &error);
        }
        Event::GivenUp { error } | Event::CancelRefused { error } | Event::Failed { error } => {
            set_error(&mut encoded, &error);
        }
        Event::Succeeded { deploy } => encoded.deploy = deploy_name(&deployment, deploy),
        Event::RollOutEnded { deploy, roll_out } => {
            encoded.deploy = deploy_name(&deployment, deploy);
            encoded.roll_out = self::roll_out(roll_out).into();
        }
        Event::TakenUp
        | Event::CancelRequested
        | Event::AttentionNeeded
        | Event::AttentionCleared
        | Event::Cancelled => {}
    }
    encoded
}

fn set_attempted(encoded: &mut wire::AuditEvent, Attempted { step, attempt }: Attempted) {
    encoded.step = step_kind(step).into();
    encoded.attempt = attempt;
}

fn set_error(encoded: &mut wire::AuditEvent, error: &StoredError) {
    encoded.error = Some(failure::to_proto(error));
}

fn request(deployment: &DeploymentName, request: AuditedRequest) -> wire::AuditedRequest {
    let AuditedRequest {
        target,
        scope,
        description,
        expected_latest,
        permissions,
        plan_digest,
        acknowledged,
        hold,
        allow_marked_bad,
    } = request;
    let name = |number: Option<DeployNumber>| {
        deploy_name(deployment, number.unwrap_or(DeployNumber::NONE))
    };
    wire::AuditedRequest {
        target_deploy: name(target),
        scope: scope_to_proto(scope).into(),
        description,
        expected_latest_deploy: name(expected_latest),
        permissions: names(permissions),
        plan_digest: plan_digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
        acknowledged_warnings: acknowledged
            .into_iter()
            .map(|code| warning_code(code).into())
            .collect(),
        hold,
        allow_marked_bad,
    }
}

fn state(state: StateName) -> wire::RollbackState {
    match state {
        StateName::Pending => wire::RollbackState::Pending,
        StateName::Running => wire::RollbackState::Running,
        StateName::Succeeded => wire::RollbackState::Succeeded,
        StateName::Failed => wire::RollbackState::Failed,
        StateName::Cancelled => wire::RollbackState::Cancelled,
    }
}

fn kind(kind: EventKind) -> wire::AuditEventKind {
    match kind {
        EventKind::RollbackRefused => wire::AuditEventKind::RollbackRefused,
        EventKind::RollbackAccepted => wire::AuditEventKind::RollbackAccepted,
        EventKind::StepStarted => wire::AuditEventKind::StepStarted,
        EventKind::StepSucceeded => wire::AuditEventKind::StepSucceeded,
        EventKind::StepFailed => wire::AuditEventKind::StepFailed,
        EventKind::TakenUp => wire::AuditEventKind::RollbackTakenUp,
        EventKind::GivenUp => wire::AuditEventKind::RollbackGivenUp,
        EventKind::CancelRequested => wire::AuditEventKind::CancelRequested,
        EventKind::CancelRefused => wire::AuditEventKind::CancelRefused,
        EventKind::AttentionNeeded => wire::AuditEventKind::AttentionNeeded,
        EventKind::AttentionCleared => wire::AuditEventKind::AttentionCleared,
        EventKind::Succeeded => wire::AuditEventKind::RollbackSucceeded,
        EventKind::Failed => wire::AuditEventKind::RollbackFailed,
        EventKind::Cancelled => wire::AuditEventKind::RollbackCancelled,
        EventKind::RollOutEnded => wire::AuditEventKind::RollOutEnded,
    }
}
