//! `reprise up`: the same services in one process, over files that only one process has.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};

use proto::common::v1::RollbackScope;
use proto::registry::v1::DagDeployMode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::process::reprise;
use crate::harness::requests::{deploy, image, rollback};
use crate::harness::{Addresses, DEPLOYMENT, Person, within};

#[tokio::test]
async fn what_was_done_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder, "start").await;
    let admin = Person::new(up.addresses, "user:admin", &up.token);
    admin
        .create_deployment(DEPLOYMENT, DagDeployMode::Image)
        .await;
    for digit in ['a', 'b'] {
        admin.ship(DEPLOYMENT, image(digit, "3.1-9")).await;
    }
    let request = rollback(DEPLOYMENT, 1, RollbackScope::All);
    let rolled_back = admin.roll_back(request).await;
    assert_eq!(rolled_back.deploy, deploy(DEPLOYMENT, 3));
    let history = admin.history(DEPLOYMENT).await;
    for line in ["grpcurl -plaintext", "buf curl --protocol grpc"] {
        assert!(up.told.iter().any(|told| told.contains(line)), "{line}");
    }
    assert!(up.stop(Signal::TERM).await.success());

    let up = Up::start(&folder, "start again").await;
    let admin = Person::new(up.addresses, "user:admin", &up.token);
    assert_eq!(admin.history(DEPLOYMENT).await, history);
    assert_eq!(admin.rollback(&rolled_back.name).await, rolled_back);
    assert!(up.stop(Signal::INT).await.success());
}

#[tokio::test]
async fn a_second_one_over_the_same_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder, "start").await;
    let second = up_command(folder.path()).output().unwrap();
    assert!(!second.status.success());
    let told = String::from_utf8_lossy(&second.stderr);
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("reprise: "), "{told}");
    assert!(last.contains(".db"), "it says which file: {told}");
    assert!(up.stop(Signal::TERM).await.success());
}

#[tokio::test]
async fn an_operators_token_can_be_made_with_the_keys_and_is_shown_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder, "start").await;
    let mode = |file: &str| {
        let metadata = std::fs::metadata(folder.path().join(file)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("admin.token"), 0o600);
    assert_eq!(mode("trust.json"), 0o600);

    let made = reprise()
        .args(["admin-token", "--as", "user:alice", "--keys"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    let token = String::from_utf8(made.stdout).unwrap();
    let alice = Person::new(up.addresses, "user:alice", token.trim());
    let who = alice
        .authorization()
        .who_am_i(proto::authorization::v1::WhoAmIRequest {})
        .await
        .unwrap();
    assert_eq!(who.into_inner().principal, "user:alice");
    assert!(up.stop(Signal::TERM).await.success());
}

/// Needs buf, as the cases of an operator do.
#[cfg(feature = "test-postgres")]
#[tokio::test]
async fn the_line_that_it_prints_for_buf_works() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder, "start").await;
    let line = up.told.iter().find(|line| line.contains("buf curl"));
    let line = line.unwrap().clone();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &line])
        .env("PATH", crate::operator::path());
    let called = tokio::task::spawn_blocking(move || shell.output().unwrap());
    let called = called.await.unwrap();
    let complaint = String::from_utf8_lossy(&called.stderr);
    assert!(called.status.success(), "{line}: {complaint}");
    // Nobody has made a Deployment yet.
    assert_eq!(String::from_utf8_lossy(&called.stdout).trim(), "{}");
}

/// A running `reprise up`. It is killed when this is dropped.
struct Up {
    child: Option<Child>,
    /// What it has told the operator.
    told: Vec<String>,
    addresses: Addresses,
    token: String,
}

impl Up {
    async fn start(folder: &TempDir, what: &str) -> Self {
        let mut child = up_command(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let read = tokio::task::spawn_blocking(move || welcome(stdout));
        let told = within(what, read).await.unwrap();
        let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
        Self {
            child: Some(child),
            addresses: addresses(&told),
            told,
            token,
        }
    }

    async fn stop(mut self, signal: Signal) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        within("reprise up to stop", ended).await.unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn up_command(folder: &Path) -> std::process::Command {
    let mut command = reprise();
    command.arg("up").arg("--data-dir").arg(folder);
    for service in ["authorization", "registry", "orchestrator"] {
        command.args([&format!("--{service}-listen"), "127.0.0.1:0"]);
    }
    command.args(["--log", "warn"]);
    command
}

/// What an operator is told when the services have started.
fn welcome(stdout: ChildStdout) -> Vec<String> {
    let mut told = Vec::new();
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let is_last = line.starts_with("ctrl-c");
        told.push(line);
        if is_last {
            break;
        }
    }
    told
}

fn addresses(told: &[String]) -> Addresses {
    let address = |service: &str| -> SocketAddr {
        let line = told.iter().find(|line| line.trim().starts_with(service));
        let line = line.unwrap_or_else(|| panic!("nothing of {service} in {told:?}"));
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    Addresses {
        authorization: address("authorization"),
        registry: address("deploy-registry"),
        orchestrator: address("rollback-orchestrator"),
    }
}
