use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::watch;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{until, within};

/// `reprise` itself. What is set around the tests is no setting of the services.
pub(crate) fn reprise() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprise"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A service in a process of its own. It is killed when this is dropped, and then its log is
/// shown if the case has failed.
pub(crate) struct Process {
    service: &'static str,
    arguments: Vec<OsString>,
    /// Where it listens, before as well as after a restart.
    pub(crate) address: SocketAddr,
    running: Option<Running>,
    past: Vec<String>,
}

struct Running {
    child: Child,
    log: watch::Receiver<Log>,
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

impl Process {
    /// Starts `reprise <service>` on a free port, and waits until it serves.
    pub(crate) async fn start(service: &'static str, arguments: Vec<OsString>) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self {
            service,
            arguments,
            address: any_port,
            running: None,
            past: Vec::new(),
        };
        process.restart().await;
        process
    }

    /// Another process of the same service, over the same database, on a port of its own.
    #[cfg(feature = "test-postgres")]
    pub(crate) async fn replica(&self) -> Self {
        Self::start(self.service, self.arguments.clone()).await
    }

    /// A replica that reaches the database elsewhere.
    #[cfg(feature = "test-postgres")]
    pub(crate) async fn replica_over(&self, database_url: &str) -> Self {
        self.replica_with(&[("--database-url", database_url.to_owned())])
            .await
    }

    /// A replica that reaches other services elsewhere.
    #[cfg(feature = "test-postgres")]
    pub(crate) async fn replica_that_asks(&self, services: &[(&str, SocketAddr)]) -> Self {
        let urls = services
            .iter()
            .map(|(flag, address)| (*flag, format!("http://{address}")));
        self.replica_with(&urls.collect::<Vec<_>>()).await
    }

    #[cfg(feature = "test-postgres")]
    async fn replica_with(&self, settings: &[(&str, String)]) -> Self {
        let mut arguments = self.arguments.clone();
        for (flag, value) in settings {
            let at = self.value_of(flag);
            arguments[at] = value.into();
        }
        Self::start(self.service, arguments).await
    }

    /// Where it keeps its records.
    #[cfg(feature = "test-postgres")]
    pub(crate) fn database_url(&self) -> &str {
        self.arguments[self.value_of("--database-url")]
            .to_str()
            .unwrap()
    }

    #[cfg(feature = "test-postgres")]
    fn value_of(&self, flag: &str) -> usize {
        let flag = |argument: &OsString| argument == flag;
        self.arguments.iter().position(flag).unwrap() + 1
    }

    /// Starts it again, on the port that it had, and waits until it serves.
    pub(crate) async fn restart(&mut self) {
        let running = self.spawn();
        let log = running.log.clone();
        self.address = running.listens().await.unwrap_or_else(|| {
            panic!(
                "{} ended instead of serving:\n{}",
                self.service,
                log.borrow().lines.join("\n")
            )
        });
        serves(self.address).await;
    }

    /// Starts it again, and waits until it has ended without having served. Returns what it said.
    pub(crate) async fn fail_to_restart(&mut self) -> String {
        let listens = self.spawn().listens().await;
        let mut running = self.running.take().unwrap();
        let lines = running.lines();
        self.past.extend(lines.iter().cloned());
        if listens.is_some() {
            running.child.kill().unwrap();
        }
        let status = running.child.wait().unwrap();
        assert_eq!((listens, status.code()), (None, Some(1)), "{lines:?}");
        lines.join("\n")
    }

    fn spawn(&mut self) -> &mut Running {
        assert!(self.running.is_none(), "{} runs already", self.service);
        let mut child = reprise()
            .arg(self.service)
            .args(&self.arguments)
            .args(["--listen", &self.address.to_string()])
            .args(["--log", "info", "--log-format", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = follow(child.stderr.take().unwrap());
        self.running.insert(Running { child, log })
    }

    /// Ends it as a crash of the machine would.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        self.past.extend(running.lines());
    }

    /// Makes it stand still, as a machine that is overwhelmed does.
    #[cfg(feature = "test-postgres")]
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    #[cfg(feature = "test-postgres")]
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    #[cfg(feature = "test-postgres")]
    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().unwrap();
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().unwrap();
        kill_process(Pid::from_child(&running.child), Signal::TERM).unwrap();
        let ended = within("the service to stop", async {
            let wait =
                tokio::task::spawn_blocking(move || (running.child.wait().unwrap(), running));
            wait.await.unwrap()
        });
        let (status, running) = ended.await;
        self.past.extend(running.lines());
        status
    }

    /// What it has logged so far, a JSON object a line.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = self.past.iter().cloned();
        let running = self.running.iter().flat_map(Running::lines);
        lines
            .chain(running)
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }
}

impl Running {
    /// The address that it has logged, unless it ends before it serves.
    async fn listens(&mut self) -> Option<SocketAddr> {
        let serving = self
            .log
            .wait_for(|log| log.ended || log.lines.iter().any(|line| address(line).is_some()));
        let log = within("the service to listen", serving).await.unwrap();
        log.lines.iter().find_map(|line| address(line))
    }

    fn lines(&self) -> Vec<String> {
        self.log.borrow().lines.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
            self.past.extend(running.lines());
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.service, self.past.join("\n"));
        }
    }
}

/// Reads the log as it comes, since a full pipe would stop the service.
fn follow(stderr: ChildStderr) -> watch::Receiver<Log> {
    let (log, follower) = watch::channel(Log::default());
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.send_modify(|log| log.lines.push(line));
        }
        log.send_modify(|log| log.ended = true);
    });
    follower
}

/// The address in the line that says that the service listens.
fn address(line: &str) -> Option<SocketAddr> {
    let line = serde_json::from_str::<Value>(line).ok()?;
    if line["message"] != "serving" {
        return None;
    }
    line["address"].as_str()?.parse().ok()
}

/// Waits until a service says of itself that it serves.
async fn serves(address: SocketAddr) {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    until("the service to be healthy", async || {
        let health = HealthClient::new(channel.clone())
            .check(HealthCheckRequest::default())
            .await
            .ok()?;
        (health.get_ref().status() == ServingStatus::Serving).then_some(())
    })
    .await;
}
