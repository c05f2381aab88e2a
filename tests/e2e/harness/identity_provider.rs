use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::process::reprise;
use super::{Person, Stack};

/// What tokens of the provider are for.
pub(crate) const AUDIENCE: &str = "https://reprise.example.com";
/// Under what its people and groups stand.
pub(crate) const PREFIX: &str = "acme:";

/// A real OpenID Connect provider: `oidc-provider` of npm, in a process of its own.
pub(crate) struct IdentityProvider {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) issuer: String,
}

impl IdentityProvider {
    pub(crate) fn start() -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let tools = here.join("../../target/tools");
        assert!(
            tools.join("node_modules/oidc-provider").is_dir(),
            "the identity provider is missing; tests/run installs it, and Node, which it needs"
        );
        let mut process = Command::new("node")
            .arg(here.join("../../tests/e2e/identity_provider.mjs"))
            .arg(tools)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be run; tests/run installs it: {error}"));
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut provider = Self {
            process,
            commands,
            answers,
            issuer: String::new(),
        };
        let started = provider.tell("start", &json!({}));
        provider.issuer = started["issuer"].as_str().unwrap().to_owned();
        provider
    }

    /// A new token of one of its clients, fetched from its token endpoint.
    pub(crate) fn token(&mut self, client: &str, audience: &str) -> String {
        let token = self.tell("token", &json!({"client": client, "audience": audience}));
        token["token"].as_str().unwrap().to_owned()
    }

    /// Signs with a new key from now on, and forgets the old one.
    pub(crate) fn rotate(&mut self) {
        self.tell("rotate", &json!({}));
    }

    /// Answers nobody any more.
    pub(crate) fn stop(&mut self) {
        self.tell("stop", &json!({}));
    }

    fn tell(&mut self, command: &str, parameters: &Value) -> Value {
        writeln!(self.commands, "{}", json!({command: parameters})).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer)
            .unwrap_or_else(|_| panic!("the identity provider answers {command} by {answer:?}"))
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stack {
    /// Trusts the provider, as an operator does while the services run.
    pub(crate) fn trust(&self, provider: &IdentityProvider) {
        let told = reprise()
            .args(["trust-issuer", &provider.issuer, "--audience", AUDIENCE])
            .args(["--subject-prefix", PREFIX, "--groups-claim", "groups"])
            .arg("--keys")
            .arg(self.keyring.folder())
            .output()
            .unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        let error = String::from_utf8(told.stderr).unwrap();
        assert!(told.status.success(), "{error}");
        for expected in ["user:acme:<sub>", "group:acme:<groups>", AUDIENCE] {
            assert!(text.contains(expected), "{text}");
        }
    }

    /// A client of the provider, with a new token.
    pub(crate) fn client_of(&self, provider: &mut IdentityProvider, name: &str) -> Person {
        let token = provider.token(name, AUDIENCE);
        Person::new(self.addresses(), &format!("user:{PREFIX}{name}"), &token)
    }
}
