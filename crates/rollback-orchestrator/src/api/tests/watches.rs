use futures::StreamExt;
use proto::rollback::v1::AuditEventKind as Kind;
use tonic::Streaming;

use super::*;
use crate::testing::Act;

impl Service {
    async fn watch(&self, name: &str, after_event: i64) -> Result<Watched, Status> {
        self.watch_by(self.call(watch_request(name, after_event)))
            .await
    }

    async fn watch_by(&self, request: Request<WatchRollbackRequest>) -> Result<Watched, Status> {
        let response = self.client.clone().watch_rollback(request).await?;
        Ok(Watched(response.into_inner()))
    }

    /// A rollback whose write does not get through, until it is told to.
    async fn stuck(&self) -> String {
        self.registry.state().every_write = Some(Act::Fail(Status::unavailable("down")));
        let call = self.call(create_request());
        let mut client = self.client.clone();
        tokio::spawn(async move { client.create_rollback(call).await });
        eventually(async || {
            let plan = self.plan(plan_request()).await.unwrap();
            let blocker = plan.blockers.into_iter().next()?;
            (blocker.code() == BlockerCode::RollbackInProgress).then_some(blocker.subject)
        })
        .await
    }

    fn let_through(&self) {
        self.registry.state().every_write = None;
    }
}

fn watch_request(name: &str, after_event: i64) -> WatchRollbackRequest {
    WatchRollbackRequest {
        name: name.to_owned(),
        after_event,
    }
}

struct Watched(Streaming<WatchRollbackResponse>);

impl Watched {
    async fn next(&mut self) -> Option<Result<WatchRollbackResponse, Status>> {
        tokio::time::timeout(SOON, self.0.next()).await.unwrap()
    }

    /// The messages up to the end of the stream, and how it ended.
    async fn rest(&mut self) -> (Vec<WatchRollbackResponse>, Option<Status>) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Some(Ok(message)) => messages.push(message),
                Some(Err(status)) => return (messages, Some(status)),
                None => return (messages, None),
            }
        }
    }
}

fn numbers(messages: &[WatchRollbackResponse]) -> Vec<i64> {
    let events = messages.iter().flat_map(|message| &message.events);
    events.map(|event| event.number).collect()
}

#[tokio::test]
async fn a_rollback_is_watched_from_its_acceptance_to_its_end() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let name = service.stuck().await;
    let mut watched = service.watch(&name, 0).await.unwrap();
    let first = watched.next().await.unwrap().unwrap();
    let kinds = first.events.iter().map(AuditEvent::kind);
    let accepted = [
        Kind::RollbackAccepted,
        Kind::StepSucceeded,
        Kind::StepSucceeded,
    ];
    assert_eq!(kinds.take(3).collect::<Vec<_>>(), accepted);
    let record = first.rollback.as_ref().unwrap();
    assert_eq!(record.name, name);
    assert!(
        [RollbackState::Pending, RollbackState::Running].contains(&record.state()),
        "{record:?}"
    );

    service.let_through();
    let (mut messages, ended) = watched.rest().await;
    assert!(ended.is_none(), "{ended:?}");
    let last = messages.last().unwrap();
    assert_eq!(
        last.rollback.as_ref(),
        Some(&service.get(&name).await.unwrap())
    );
    let event = last.events.last().unwrap();
    assert_eq!(event.kind(), Kind::RollOutEnded);

    // Each event came once, in order, and each message says where to go on.
    messages.insert(0, first);
    let all = numbers(&messages);
    assert_eq!(
        all,
        (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>()
    );
    for message in &messages {
        assert!(message.events.len() <= 3, "{message:?}");
        if let Some(event) = message.events.last() {
            assert_eq!(event.number, message.last_event);
        }
    }
    // Whoever comes back goes on where the stream broke off.
    for after in [0, 2, all.len() - 1, all.len()] {
        let after_event = i64::try_from(after).unwrap();
        let mut again = service.watch(&name, after_event).await.unwrap();
        let (messages, ended) = again.rest().await;
        assert!(ended.is_none());
        assert_eq!(numbers(&messages), all[after..]);
        let last_event = messages.last().map(|message| message.last_event);
        assert_eq!(last_event, i64::try_from(all.len()).ok(), "after {after}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_watch_goes_on_until_the_roll_out_has_ended() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().roll_out = Some((registry::DeployState::RollingOut, ""));
    let rollback = service.create(create_request()).await.unwrap();
    assert_eq!(rollback.roll_out(), RollOut::Unspecified);
    let mut watched = service.watch(&rollback.name, 0).await.unwrap();
    let first = watched.next().await.unwrap().unwrap();
    assert_eq!(first.rollback.unwrap().state(), RollbackState::Succeeded);

    service.registry.state().roll_out = Some((registry::DeployState::Failed, "no room"));
    let (messages, ended) = watched.rest().await;
    assert!(ended.is_none(), "{ended:?}");
    let last = messages.last().unwrap();
    let record = last.rollback.as_ref().unwrap();
    assert_eq!(record.roll_out(), RollOut::Failed);
    assert_eq!(record.roll_out_reason, "no room");
    let event = last.events.last().unwrap();
    assert_eq!(event.kind(), Kind::RollOutEnded);
    assert_eq!(event.roll_out(), RollOut::Failed);
    assert_eq!(event.deploy, deploy_name(6));
    service.stop().await;
}

#[tokio::test]
async fn a_watch_stays_alive_while_nothing_happens() {
    let service = Service::start("3.1-9", "3.1-9").await;
    service.registry.state().every_write = Some(Act::Hang);
    let name = service.stuck().await;
    service.registry.state().every_write = Some(Act::Hang);
    let mut watched = service.watch(&name, 0).await.unwrap();
    let mut quiet = 0;
    while quiet < 3 {
        let message = watched.next().await.unwrap().unwrap();
        assert!(message.rollback.is_some());
        quiet += u32::from(message.events.is_empty());
    }
    service.let_through();
    service.stop().await;
}

#[tokio::test]
async fn a_watch_ends_with_the_permission_and_with_the_token() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let name = service.stuck().await;
    let short = service.call_for(
        "alice@example.com",
        TimeDelta::seconds(2),
        watch_request(&name, 0),
    );
    let mut expiring = service.watch_by(short).await.unwrap();
    let (_, ended) = expiring.rest().await;
    let unauthenticated = (Code::Unauthenticated, ErrorReason::Unauthenticated);
    assert_eq!(reason(Err::<(), _>(ended.unwrap())), unauthenticated);

    let mut watched = service.watch(&name, 0).await.unwrap();
    watched.next().await.unwrap().unwrap();
    service.authorization.state().held = PermissionSet::EMPTY;
    let (_, ended) = watched.rest().await;
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(reason(Err::<(), _>(ended.unwrap())), not_found);
    service.let_through();
    service.stop().await;
}

#[tokio::test]
async fn a_watch_that_means_nothing_is_refused() {
    let service = Service::start("3.1-9", "3.1-9").await;
    let rollback = service.create(create_request()).await.unwrap();
    for (name, after_event, field) in [
        ("", 0, "name"),
        ("workspaces/data/rollbacks/7", 0, "name"),
        (rollback.name.as_str(), -1, "after_event"),
        (rollback.name.as_str(), 1_000, "after_event"),
    ] {
        let status = service.watch(name, after_event).await.err().unwrap();
        assert_eq!(violations(&status), [field]);
    }
    let unknown = format!("{DEPLOYMENT}/rollbacks/{}", uuid::Uuid::from_u128(1));
    let not_found = (Code::NotFound, ErrorReason::ResourceNotFound);
    let missing = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    let refused = async |name: &str| {
        let status = service.watch(name, 0).await.err().unwrap();
        (status.code(), reason_of(&status).unwrap())
    };
    assert_eq!(refused(&unknown).await, not_found);
    service.authorization.state().held = PermissionSet::of(&[Permission::DeploymentConfigGet]);
    assert_eq!(refused(&rollback.name).await, missing);
    service.authorization.state().held = PermissionSet::EMPTY;
    assert_eq!(refused(&rollback.name).await, not_found);
    let mut client = service.client.clone();
    let nobody = client
        .watch_rollback(watch_request(&rollback.name, 0))
        .await;
    assert_eq!(nobody.err().unwrap().code(), Code::Unauthenticated);
    service.stop().await;
}

#[tokio::test]
async fn open_watches_do_not_keep_a_service_that_stops() {
    let mut service = Service::start("3.1-9", "3.1-9").await;
    let name = service.stuck().await;
    let mut watched = service.watch(&name, 0).await.unwrap();
    let mut unread = service.watch(&name, 0).await.unwrap();
    watched.next().await.unwrap().unwrap();
    service.stop.take().unwrap().send(()).unwrap();
    let (_, ended) = watched.rest().await;
    assert_eq!(ended.unwrap().code(), Code::Unavailable);
    let (_, ended) = unread.rest().await;
    assert_eq!(ended.unwrap().code(), Code::Unavailable);
    let served = tokio::time::timeout(SOON, service.served).await;
    served.unwrap().unwrap().unwrap();
}
