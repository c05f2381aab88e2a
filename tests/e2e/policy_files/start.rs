use std::path::{Path, PathBuf};

use proto::authorization::v1::PolicyChange;
use proto::registry::v1::{DagDeployMode, Revision};
use tempfile::TempDir;

use super::changes;
use crate::harness::orders::{V1, V2};
use crate::harness::requests::{self, image};
use crate::harness::{DEPLOYMENT, Person, Refusal, Setup, Stack, refused};

on_both_databases!(
    what_a_file_says_holds_from_the_start_until_it_says_so_no_more,
    a_file_that_cannot_be_applied_keeps_the_service_from_starting,
);

/// The group `night` ships DAGs, and so do viewers.
const FIRST: &str = "\
version: 1
name: platform
built_in_roles:
  DEPLOYMENT_VIEWER:
    permissions:
      deployment.dags.push: true
roles:
- name: workspaces/acme/roles/on-call
  display_name: On call
  permissions: [deployment.dags.push, deployment.config.get, deployment.deployRevisions.get]
role_bindings:
- resource: workspaces/acme
  principal: group:night
  role: workspaces/acme/roles/on-call
- resource: workspaces/acme/deployments/orders
  principal: user:ed
  role: roles/DEPLOYMENT_VIEWER
";

/// All that is left is that `ed` is a viewer.
const SECOND: &str = "\
version: 1
name: platform
role_bindings:
- resource: workspaces/acme/deployments/orders
  principal: user:ed
  role: roles/DEPLOYMENT_VIEWER
";

/// A policy file of a case.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let file = Self {
            _folder: folder,
            path,
        };
        file.write(policy);
        file
    }

    fn write(&self, policy: &str) {
        std::fs::write(&self.path, policy).unwrap();
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn on_call(stack: &Stack) -> Person {
    stack.somebody(&stack.token_of("nina", &["night"]))
}

/// Why somebody may not upload DAGs.
async fn refused_dags(person: &Person) -> Refusal {
    let upload = tokio_stream::iter(requests::upload(DEPLOYMENT, V2));
    refused(person.registry().upload_dag_bundle(upload).await)
}

async fn what_a_file_says_holds_from_the_start_until_it_says_so_no_more(setup: Setup) {
    let file = File::new(FIRST);
    let mut stack = setup.policy_file(file.path()).start().await;
    let (nina, ed) = (on_call(&stack), stack.person("ed"));
    let admin = stack.person("admin");
    admin
        .create_deployment(DEPLOYMENT, DagDeployMode::DagOnly)
        .await;
    admin.ship(DEPLOYMENT, image('a', "3.1-9")).await;
    // What a call has made is none of the file's business.
    let pam = stack.person("pam");
    admin
        .bind(DEPLOYMENT, &pam.principal, "roles/DEPLOYMENT_EDITOR")
        .await;
    for person in [&nina, &ed, &pam] {
        let dags = Revision::default();
        person.ship_dags(DEPLOYMENT, V1, dags).await;
    }

    file.write(SECOND);
    assert!(stack.authorization.terminate().await.success());
    stack.authorization.restart().await;
    refused_dags(&nina).await.not_found();
    refused_dags(&ed).await.lacks("deployment.dags.push");
    ed.deployment(DEPLOYMENT).await;
    pam.ship_dags(DEPLOYMENT, V2, Revision::default()).await;

    let recorded = changes(&admin).await;
    stack.authorization.kill();
    stack.authorization.restart().await;
    assert_eq!(changes(&admin).await, recorded);
    let by = |change: &PolicyChange| (change.managed_by.clone(), change.changed_by.clone());
    let by_file = ("platform".to_owned(), "service:authorization".to_owned());
    assert_eq!(by(&recorded[0]), by_file);
}

async fn a_file_that_cannot_be_applied_keeps_the_service_from_starting(setup: Setup) {
    let file = File::new(SECOND);
    let mut stack = setup.policy_file(file.path()).start().await;
    let admin = stack.person("admin");
    let before = changes(&admin).await;
    stack.authorization.kill();

    let path = file.path().display().to_string();
    for (policy, expected) in [
        (
            FIRST.replace("deployment.dags.push", "deployment.dags.drop"),
            "line 10, column 17: roles[0].permissions[0]: ",
        ),
        (
            FIRST.replace("role: roles/DEPLOYMENT_VIEWER", "role: roles/none"),
            "role_bindings[1].role: roles/none does not exist",
        ),
        (
            format!("{FIRST}  expires: never\n"),
            "line 18, column 3: role_bindings[1]",
        ),
    ] {
        file.write(&policy);
        let said = stack.authorization.fail_to_restart().await;
        assert!(said.contains(&path) && said.contains(expected), "{said}");
    }
    std::fs::remove_file(file.path()).unwrap();
    let said = stack.authorization.fail_to_restart().await;
    assert!(said.contains(&path), "{said}");

    file.write(SECOND);
    stack.authorization.restart().await;
    assert_eq!(changes(&admin).await, before);
}

#[cfg(feature = "test-postgres")]
#[tokio::test]
async fn of_replicas_that_start_at_once_with_the_same_file_one_applies_it() {
    const ROUNDS: usize = 4;

    let file = File::new(SECOND);
    let setup = Setup::postgres().await.policy_file(file.path());
    let mut stack = setup.start().await;
    let mut other = stack.authorization.replica().await;
    let admin = stack.person("admin");
    for round in 0..ROUNDS {
        let before = changes(&admin).await;
        stack.authorization.kill();
        other.kill();
        // Each has a binding that comes and one that goes.
        let principal = format!("user:ed-{round}");
        file.write(&SECOND.replace("user:ed", &principal));
        tokio::join!(stack.authorization.restart(), other.restart());

        let after = changes(&admin).await;
        let (news, known) = after.split_at(after.len() - before.len());
        assert_eq!(known, before);
        assert_eq!(news.len(), 2, "{news:?}");
        for change in news {
            assert_eq!(change.policy_revision, before[0].policy_revision + 1);
            assert_eq!(change.managed_by, "platform");
        }
        assert_eq!(news[0].principal, principal);
        let told = |process: &crate::harness::process::Process, message: &str| {
            let log = process.log();
            log.iter().filter(|line| line["message"] == message).count()
        };
        let both = [&stack.authorization, &other];
        let applied = both.map(|process| told(process, "policy file applied"));
        let found = both.map(|process| told(process, "all is as the policy file says"));
        // The first start of all applied the first file, and its replica had nothing to do.
        assert_eq!(applied.iter().sum::<usize>(), round + 2);
        assert_eq!(found.iter().sum::<usize>(), round + 2);
    }
}
