use proto::registry::v1::{Deploy, ListDeploysRequest};
use proto::rollback::v1::{
    AuditEvent, ListAuditEventsRequest, ListRollbacksRequest, Rollback, RollbackState,
};

use super::history::Records;
use crate::harness::Person;
use crate::harness::refusal::done;

const PAGE_SIZE: i32 = 100;

/// Everything that the services say of a Deployment.
pub(super) async fn records(admin: &Person, deployment: &str) -> Records {
    Records {
        latest: admin.deployment(deployment).await.latest_deploy,
        deploys: deploys(admin, deployment).await,
        rollbacks: rollbacks(admin, deployment).await,
        events: events(admin, deployment).await,
    }
}

/// Whether a rollback of the Deployment is neither written nor over.
pub(super) async fn is_busy(admin: &Person, deployment: &str) -> bool {
    let rollbacks = rollbacks(admin, deployment).await;
    rollbacks.iter().any(|rollback| match rollback.state() {
        RollbackState::Pending | RollbackState::Running => true,
        RollbackState::Unspecified
        | RollbackState::Succeeded
        | RollbackState::Failed
        | RollbackState::Cancelled => false,
    })
}

async fn deploys(admin: &Person, deployment: &str) -> Vec<Deploy> {
    let mut deploys = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDeploysRequest {
            parent: deployment.to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            ..ListDeploysRequest::default()
        };
        let page = done(admin.registry().list_deploys(request).await);
        deploys.extend(page.deploys);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            deploys.reverse();
            return deploys;
        }
    }
}

async fn rollbacks(admin: &Person, deployment: &str) -> Vec<Rollback> {
    let mut rollbacks = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRollbacksRequest {
            parent: deployment.to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            ..ListRollbacksRequest::default()
        };
        let page = done(admin.orchestrator().list_rollbacks(request).await);
        rollbacks.extend(page.rollbacks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return rollbacks;
        }
    }
}

async fn events(admin: &Person, deployment: &str) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAuditEventsRequest {
            parent: deployment.to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            ..ListAuditEventsRequest::default()
        };
        let page = done(admin.orchestrator().list_audit_events(request).await);
        events.extend(page.audit_events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return events;
        }
    }
}
