use std::path::PathBuf;

use tempfile::TempDir;

use super::changes;
use crate::harness::process::reprise;
use crate::harness::{DEPLOYMENT, Setup, Stack};

on_both_databases!(
    a_file_is_applied_by_a_command_and_a_second_time_changes_nothing,
    a_file_that_is_refused_changes_nothing_and_the_command_fails,
);

const POLICY: &str = "\
version: 1
name: acme
roles:
- {name: workspaces/acme/roles/pusher, permissions: [deployment.dags.push]}
role_bindings:
- {resource: workspaces/acme, principal: 'group:night', role: workspaces/acme/roles/pusher}
- {resource: workspaces/acme/deployments/orders, principal: 'user:ed', role: roles/DEPLOYMENT_VIEWER}
";

/// The machine of somebody who has the command, and files.
struct Desk {
    folder: TempDir,
    address: String,
}

/// What the command has said, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new(stack: &Stack) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: format!("http://{}", stack.authorization.address),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn apply(&self, policy: &str, token: &str, flags: &[&str]) -> Said {
        let mut command = reprise();
        command
            .current_dir(self.folder.path())
            .args(["policy", "apply", "policy.yaml"])
            .args(["--address", &self.address])
            .arg("--token-file")
            .arg(self.write("token", token))
            .args(flags);
        self.write("policy.yaml", policy);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    #[track_caller]
    fn done(self, stdout: &str) {
        let expected = Self {
            code: Some(0),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        assert_eq!(self, expected);
    }

    #[track_caller]
    fn failed(self, stderr: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        for expected in stderr {
            assert!(self.stderr.contains(expected), "{self:?}");
        }
    }
}

async fn a_file_is_applied_by_a_command_and_a_second_time_changes_nothing(setup: Setup) {
    let stack = setup.start().await;
    let desk = Desk::new(&stack);
    let admin = stack.person("admin");
    let before = changes(&admin).await;
    let revision = before[0].policy_revision;
    let token = &admin.token;
    let lines = "\
+ role workspaces/acme/roles/pusher with deployment.dags.push
+ binding of workspaces/acme/roles/pusher to group:night on workspaces/acme
+ binding of roles/DEPLOYMENT_VIEWER to user:ed on workspaces/acme/deployments/orders
";

    let would = desk.apply(POLICY, token, &["--dry-run"]).await;
    would.done(&format!(
        "{lines}acme: 3 changes, not made (policy revision {revision})\n"
    ));
    assert_eq!(changes(&admin).await, before);

    let next = revision + 1;
    let reason = "the night shift ships DAGs";
    let made = desk.apply(POLICY, token, &["--reason", reason]).await;
    made.done(&format!(
        "{lines}acme: 3 changes made (policy revision {next})\n"
    ));
    let after = changes(&admin).await;
    let news = &after[..after.len() - before.len()];
    assert_eq!(news.len(), 3, "{news:?}");
    for change in news {
        assert_eq!(change.policy_revision, next);
        assert_eq!(change.changed_by, "user:admin");
        assert_eq!(change.reason, reason);
        assert_eq!(change.managed_by, "acme");
    }

    for flags in [&["--dry-run"][..], &[]] {
        let again = desk.apply(POLICY, token, flags).await;
        again.done(&format!("acme: no changes (policy revision {next})\n"));
    }
    assert_eq!(changes(&admin).await, after);

    let less = "version: 1\nname: acme\n";
    let last = next + 1;
    desk.apply(less, token, &[]).await.done(&format!(
        "\
- binding of workspaces/acme/roles/pusher to group:night on workspaces/acme
- binding of roles/DEPLOYMENT_VIEWER to user:ed on workspaces/acme/deployments/orders
- role workspaces/acme/roles/pusher
acme: 3 changes made (policy revision {last})
"
    ));
}

async fn a_file_that_is_refused_changes_nothing_and_the_command_fails(setup: Setup) {
    let stack = setup.start().await;
    let desk = Desk::new(&stack);
    let admin = stack.person("admin");
    let (wendy, ed) = (stack.person("wendy"), stack.person("ed"));
    admin
        .bind(
            "workspaces/other",
            &wendy.principal,
            "roles/WORKSPACE_ADMIN",
        )
        .await;
    admin
        .bind(DEPLOYMENT, &ed.principal, "roles/DEPLOYMENT_VIEWER")
        .await;
    let before = changes(&admin).await;
    let refused = "policy.yaml was not applied:";

    for flags in [&["--dry-run"][..], &[]] {
        // All that is wrong is told, each with its place.
        let wrong = POLICY
            .replace("deployment.dags.push", "fly")
            .replace("user:ed", "ed");
        let said = desk.apply(&wrong, &admin.token, flags).await;
        said.failed(&[
            refused,
            "\n  policy.roles[0].permissions[0]: line 4, column 54: ",
            "\n  policy.role_bindings[1].principal: line 7, column 61: ",
        ]);

        // One who administers nothing, one who administers another workspace, and nobody.
        let said = desk.apply(POLICY, &ed.token, flags).await;
        said.failed(&[refused, "system.iam.update"]);
        let said = desk.apply(POLICY, &wendy.token, flags).await;
        said.failed(&[refused]);
        let said = desk.apply(POLICY, "no token", flags).await;
        said.failed(&["policy.yaml"]);
    }
    assert_eq!(changes(&admin).await, before);

    let said = desk.apply(POLICY, &admin.token, &["--fast"]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(changes(&admin).await, before);
}
