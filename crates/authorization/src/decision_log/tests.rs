use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use model::names::Principal;
use model::permissions::{Permission, PermissionSet};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::domain::decision::{Denied, Granted};
use crate::domain::policy::PolicyRevision;

const DEADLINE: Duration = Duration::from_secs(20);

/// What the log of this thread has come to, a JSON object a line.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Sheet>);

#[derive(Default)]
struct Sheet {
    text: Mutex<Vec<u8>>,
    /// Whoever writes waits until nobody holds the pen.
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Paper {
    /// A log of everything, down to the last detail.
    pub(crate) fn new() -> (Self, DefaultGuard) {
        let paper = Self::default();
        let lines = tracing_subscriber::fmt().json().flatten_event(true);
        let lines = lines.with_max_level(LevelFilter::TRACE);
        let subscriber = lines.with_writer(paper.clone()).finish();
        (paper, tracing::subscriber::set_default(subscriber))
    }

    fn hold(&self, held: bool) {
        *self.0.held.lock().unwrap() = held;
        self.0.let_go.notify_all();
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.text.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn decisions(&self) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["target"] == "reprise::decisions");
        lines
    }

    /// Waits until there are so many lines.
    pub(crate) async fn has(&self, lines: usize) -> Vec<Value> {
        until(async || self.decisions().len() >= lines).await;
        let found = self.decisions();
        assert_eq!(found.len(), lines, "{found:?}");
        found
    }
}

impl io::Write for Paper {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let held = self.0.held.lock().unwrap();
        let _held = self.0.let_go.wait_while(held, |held| *held).unwrap();
        self.0.text.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Paper {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A log whose writer runs until it is ended.
struct Running {
    log: DecisionLog,
    stop: oneshot::Sender<()>,
    written: JoinHandle<()>,
}

impl Running {
    fn start(allowed: &str) -> Self {
        let (log, writer) = open(allowed.parse().unwrap());
        let (stop, stopped) = oneshot::channel();
        let written = tokio::spawn(writer.run(async {
            let _ = stopped.await;
        }));
        Self { log, stop, written }
    }

    fn deny(&self, principal: &str) {
        let principal = principal.parse::<Principal>().unwrap();
        let permission = Permission::DeploymentDagsPush;
        let denied = Denied {
            principal: principal.clone(),
            groups: 0,
            permission,
            resource: "workspaces/w".parse().unwrap(),
            expired: None,
            roles: Vec::new(),
        };
        let question = Question {
            caller: &Principal::Service(model::names::ServiceName::DeployRegistry),
            principal: &principal,
            permissions: PermissionSet::of(&[permission]),
            resource: &denied.resource,
            policy_revision: Some(PolicyRevision(7)),
        };
        self.log
            .checked(question, &Decision::Denied(denied.clone()));
    }

    /// Waits until the writer has taken all that is in the queue.
    async fn taken(&self) {
        until(async || self.log.queue.capacity() == QUEUE).await;
    }

    async fn end(self) -> Counts {
        let Self { log, stop, written } = self;
        stop.send(()).unwrap();
        written.await.unwrap();
        log.counters.snapshot()
    }
}

async fn until(reached: impl AsyncFn() -> bool) {
    let reached = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.unwrap();
}

#[tokio::test]
async fn an_event_says_who_what_where_why_and_by_which_policy() {
    let (paper, _guard) = Paper::new();
    let running = Running::start("0");
    running.deny("user:bob");
    running.end().await;
    let lines = paper.decisions();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for (field, expected) in [
        ("decision", "denied"),
        ("principal", "user:bob"),
        ("permissions", "deployment.dags.push"),
        ("resource", "workspaces/w"),
        ("caller", "service:deploy-registry"),
    ] {
        assert_eq!(lines[0][field], expected, "{field}");
    }
    assert_eq!(lines[0]["policy_revision"], 7);
    let reason = lines[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("no role with deployment.dags.push"),
        "{reason}"
    );
    assert_eq!(lines[0].get("suppressed"), None);
}

#[tokio::test]
async fn a_log_that_stands_still_keeps_no_call_waiting_and_tells_what_it_lost() {
    let (paper, _guard) = Paper::new();
    let running = Running::start("0");
    paper.hold(true);
    running.deny("user:first");
    running.taken().await;
    for number in 0..QUEUE + 100 {
        running.deny(&format!("user:u{number}"));
    }
    assert_eq!(running.log.counters.snapshot().dropped, 100);
    paper.hold(false);

    let counts = running.end().await;
    assert_eq!((counts.dropped, counts.held_back), (100, 0));
    assert_eq!(counts.denied, u64::try_from(QUEUE).unwrap() + 101);
    let mut lines = paper.decisions();
    let told = lines.pop().unwrap();
    assert_eq!(
        (&told["level"], &told["dropped"]),
        (&"WARN".into(), &100.into())
    );
    let principals = lines.iter().map(|line| line["principal"].as_str().unwrap());
    assert_eq!(principals.collect::<BTreeSet<_>>().len(), QUEUE + 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_principal_has_too_much_of_is_counted_to_the_last_event() {
    let (paper, _guard) = Paper::new();
    let running = Running::start("0");
    for _ in 0..75 {
        running.deny("user:bob");
    }
    running.deny("user:eve");
    paper.has(51).await;
    tokio::time::advance(Duration::from_millis(100)).await;
    running.deny("user:bob");
    running.deny("user:bob");
    let lines = paper.has(52).await;
    assert_eq!(lines[50]["principal"], "user:eve");
    assert_eq!(lines[51]["suppressed"], 25);

    tokio::time::advance(Duration::from_mins(1)).await;
    let lines = paper.has(53).await;
    assert_eq!(lines[52]["principal"], "user:bob");
    assert_eq!(lines[52]["suppressed"], 1);

    for _ in 0..51 {
        running.deny("user:bob");
    }
    let counts = running.end().await;
    assert_eq!(
        (counts.held_back, counts.dropped, counts.denied),
        (27, 0, 129)
    );
    let lines = paper.decisions();
    assert_eq!(lines.len(), 53 + 51);
    assert_eq!(lines[103]["suppressed"], 1);
}

#[tokio::test]
async fn all_that_was_decided_before_the_end_is_written() {
    let (paper, _guard) = Paper::new();
    let running = Running::start("0");
    for number in 0..3_000 {
        running.deny(&format!("user:u{number}"));
    }
    let counts = running.end().await;
    assert_eq!((counts.dropped, counts.held_back), (0, 0));
    assert_eq!(paper.decisions().len(), 3_000);
}

#[tokio::test]
async fn so_many_of_the_allowed_checks_are_written_as_was_asked_for() {
    for (rate, written) in [("0", 0..=0), ("0.5", 600..=1_400), ("1", 2_000..=2_000)] {
        let (paper, _guard) = Paper::new();
        let running = Running::start(rate);
        for number in 0..2_000 {
            let principal = Principal::user(&format!("u{number}")).unwrap();
            let granted = Granted::ByBinding {
                principal: principal.clone(),
                role: "roles/DEPLOYMENT_VIEWER".parse().unwrap(),
                binding: "workspaces/w/roleBindings/11111111-1111-4111-8111-111111111111"
                    .parse()
                    .unwrap(),
                expire_time: None,
            };
            let question = Question {
                caller: &principal,
                principal: &principal,
                permissions: PermissionSet::of(&[Permission::DeploymentConfigGet]),
                resource: &"workspaces/w/deployments/d".parse().unwrap(),
                policy_revision: Some(PolicyRevision(7)),
            };
            running.log.checked(question, &Decision::Allowed(granted));
        }
        assert_eq!(running.end().await.allowed, 2_000);
        let lines = paper.decisions();
        assert!(written.contains(&lines.len()), "{rate}: {}", lines.len());
        for line in lines {
            assert_eq!(line["decision"], "allowed");
            let binding = line["role_binding"].as_str().unwrap();
            assert!(binding.starts_with("workspaces/w/roleBindings/"));
        }
    }
}

#[test]
fn a_rate_is_from_none_to_all() {
    for text in ["0", "0.0", "1", "0.001"] {
        assert!(text.parse::<SampleRate>().is_ok(), "{text}");
    }
    for text in ["", "x", "-0.1", "1.1", "NaN", "inf", "50%"] {
        assert!(text.parse::<SampleRate>().is_err(), "{text}");
    }
}
