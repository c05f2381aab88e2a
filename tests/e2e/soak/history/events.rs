use proto::rollback::v1::{AuditEvent, AuditEventKind, Rollback, RollbackState};

use super::{Flaw, Records};

/// The events tell of each rollback how it came and how it ended, each once.
pub(super) fn check(deployment: &str, records: &Records, flaws: &mut Vec<Flaw>) {
    let numbers = records.events.iter().map(|event| event.number);
    if !numbers.eq((1..).take(records.events.len())) {
        flaws.push(Flaw::EventNumbers(deployment.to_owned()));
    }
    for rollback in &records.rollbacks {
        let events = records.events.iter();
        let events = events.filter(|event| event.rollback == rollback.name);
        if !tell(&events.collect::<Vec<_>>(), rollback) {
            flaws.push(Flaw::Events(rollback.name.clone()));
        }
    }
    let known = |event: &&AuditEvent| {
        event.rollback.is_empty() || records.rollback(&event.rollback).is_some()
    };
    if let Some(event) = records.events.iter().find(|event| !known(event)) {
        flaws.push(Flaw::Events(event.rollback.clone()));
    }
}

fn tell(events: &[&AuditEvent], rollback: &Rollback) -> bool {
    let ends = |event: &&&AuditEvent| {
        [
            AuditEventKind::RollbackSucceeded,
            AuditEventKind::RollbackFailed,
            AuditEventKind::RollbackCancelled,
        ]
        .contains(&event.kind())
    };
    let accepted = |event: &&&AuditEvent| event.kind() == AuditEventKind::RollbackAccepted;
    let end = match rollback.state() {
        RollbackState::Succeeded => AuditEventKind::RollbackSucceeded,
        RollbackState::Failed => AuditEventKind::RollbackFailed,
        RollbackState::Cancelled => AuditEventKind::RollbackCancelled,
        RollbackState::Unspecified | RollbackState::Pending | RollbackState::Running => {
            return events.iter().filter(ends).count() == 0;
        }
    };
    let ended = events.iter().filter(ends).collect::<Vec<_>>();
    let first = events.first();
    events.iter().filter(accepted).count() == 1
        && first.is_some_and(|event| accepted(&event) && event.principal == rollback.created_by)
        && matches!(ended[..], [event] if event.kind() == end && event.deploy == rollback.deploy)
        && events
            .last()
            .is_some_and(|event| event.state() == rollback.state())
}
