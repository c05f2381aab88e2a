//! Facts that tests begin with: a Deployment with DAGs beside its image, that runs deploy 5 of 5, and
//! a rollback of everything to deploy 4, which differs in its image and its DAGs.

use std::collections::BTreeMap;

use chrono::DateTime;
use model::deploys::{DagDeployMode, DeployState, Scope};
use model::names::{DeployNumber, ImageDigest, Principal, Sha256Digest};
use model::permissions::{Permission, PermissionSet};
use uuid::Uuid;

use super::agents::Agent;
use super::history::{
    Composed, Current, DeployBetween, Deployment, DeploymentUid, ExecutionMode, GitSource, Preview,
    Target,
};
use super::options::Options;
use super::plan::Facts;
use super::revision::{Bundle, DbtBundle, Image, Revision};

pub(crate) fn number(number: i64) -> DeployNumber {
    DeployNumber::new(number).unwrap()
}

pub(crate) fn image(n: u8) -> Image {
    Image {
        repository: "registry.example.com/data/etl".to_owned(),
        tag: format!("v{n}"),
        digest: ImageDigest::new(Sha256Digest::new([n; 32])),
    }
}

pub(crate) fn bundle(n: u8) -> Bundle {
    Bundle {
        sha256: Sha256Digest::new([n; 32]),
        size_bytes: 1_000,
    }
}

pub(crate) fn dbt(mount_path: &str, n: u8) -> DbtBundle {
    DbtBundle {
        mount_path: mount_path.to_owned(),
        bundle: bundle(n),
    }
}

pub(crate) fn revision() -> Revision {
    Revision {
        image: Some(image(1)),
        runtime: Some("3.1-9".parse().unwrap()),
        airflow: Some("3.1.5".parse().unwrap()),
        dag_bundle: Some(bundle(1)),
        dbt_bundles: Vec::new(),
        mode: DagDeployMode::DagOnly,
    }
}

pub(crate) fn revision_on(runtime: &str) -> Revision {
    Revision {
        runtime: Some(runtime.parse().unwrap()),
        airflow: None,
        ..revision()
    }
}

pub(crate) fn git(commit: char) -> GitSource {
    GitSource {
        provider: "github".to_owned(),
        repository: "acme/etl".to_owned(),
        branch: "main".to_owned(),
        commit: commit.to_string().repeat(40),
        author: "Bob".to_owned(),
        commit_url: "https://github.com/acme/etl/commit/1".to_owned(),
    }
}

/// A deploy that bob shipped.
pub(crate) fn between_deploy(number: i64, git: Option<GitSource>) -> DeployBetween {
    DeployBetween {
        number: self::number(number),
        description: format!("change {number}"),
        created_by: Principal::user("bob@example.com").unwrap(),
        create_time: DateTime::UNIX_EPOCH,
        state: DeployState::Deployed,
        git,
    }
}

/// An agent that runs one task.
pub(crate) fn agent(id: &str, runtime: &str) -> Agent {
    Agent {
        id: id.to_owned(),
        runtime: runtime.to_owned(),
        running: 1,
        queued: 0,
        deferred: 0,
        report_time: DateTime::UNIX_EPOCH,
    }
}

pub(crate) fn all_push() -> PermissionSet {
    PermissionSet::of(&[
        Permission::DeploymentImagesPush,
        Permission::DeploymentDagsPush,
    ])
}

pub(crate) fn facts() -> Facts {
    let settings = BTreeMap::from([("executor".to_owned(), "celery".to_owned())]);
    let target = revision();
    let current = Revision {
        image: Some(image(2)),
        dag_bundle: Some(bundle(2)),
        ..revision()
    };
    Facts {
        deployment: Deployment {
            name: "workspaces/data/deployments/etl".parse().unwrap(),
            uid: DeploymentUid(Uuid::from_u128(7)),
            mode: DagDeployMode::DagOnly,
            execution: ExecutionMode::Hosted,
            settings: settings.clone(),
            held: false,
            latest: number(5),
            current: Some(Current {
                number: number(5),
                revision: current,
            }),
        },
        preview: Preview {
            composed: Some(Composed {
                revision: target.clone(),
                digest: "composed".to_owned(),
                number: number(6),
                replaced: number(5),
            }),
            blockers: Vec::new(),
        },
        target: Target {
            number: number(4),
            revision: target,
            settings,
            git: None,
            expire_time: None,
        },
        scope: Scope::All,
        options: Options::default(),
        in_progress: None,
        left_behind: Some(vec![between_deploy(5, None)]),
        agents: None,
        caller: Principal::user("alice@example.com").unwrap(),
        held: all_push(),
    }
}

/// Facts where what runs now and what would run are these.
pub(crate) fn between(now: Revision, then: Revision) -> Facts {
    let mut facts = facts();
    facts.deployment.mode = now.mode;
    facts.deployment.current.as_mut().unwrap().revision = now;
    facts.target.revision = then.clone();
    facts.preview.composed.as_mut().unwrap().revision = then;
    facts
}
