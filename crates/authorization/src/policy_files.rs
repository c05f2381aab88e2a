//! Policy files that are applied when the service starts.
//!
//! They are configuration: whoever starts the service may grant what they like. All other rules hold
//! as they do for ApplyPolicy. Of several replicas that start at once with the same file one applies
//! it, and the others find nothing to do.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::backoff;
use chassis::environment::Environment;
use model::names::{PolicyFileName, Principal, ResourceName, RoleBindingId, ServiceName};
use thiserror::Error;

use crate::domain::policy_change::Author;
use crate::domain::policy_file::{LONGEST_FILE, Planned, PolicyFile, Refused, Violations, plan};
use crate::domain::tokens::Credential;
use crate::policy::{self, Policy};
use crate::store::{self, Changed, Store};

/// How often a file is tried while others change the policy: replicas that start together, and
/// calls.
const MOST_ATTEMPTS: u32 = 32;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

const REASON: &str = "the service was started with this file";

/// Why a policy file could not be applied at start.
#[derive(Debug, Error)]
#[error("cannot apply the policy file {}", path.display())]
pub struct PolicyFileError {
    path: PathBuf,
    source: Box<Failure>,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error(transparent)]
    Violations(#[from] Violations),
    #[error("another file has the same name, `{0}`: give each a name of its own")]
    SameName(PolicyFileName),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("a role that it binds on {0} holds what this release cannot read")]
    UnreadableRole(ResourceName),
    #[error(transparent)]
    Policy(#[from] policy::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Failure {
    fn of(self, path: &Path) -> PolicyFileError {
        PolicyFileError {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }
}

/// Applies the files, in their order. If one cannot be applied, those before it have been.
pub(crate) async fn apply(
    paths: &[PathBuf],
    store: &Store,
    policy: &Policy,
    environment: &Environment,
) -> Result<(), PolicyFileError> {
    let files = read(paths, environment)?;
    for (path, file) in files {
        apply_one(&file, store, policy, environment)
            .await
            .map_err(|failure| failure.of(path))?;
    }
    Ok(())
}

/// Reads all the files before any is applied.
fn read<'p>(
    paths: &'p [PathBuf],
    environment: &Environment,
) -> Result<Vec<(&'p Path, PolicyFile)>, PolicyFileError> {
    let mut files = Vec::<(&Path, PolicyFile)>::new();
    for path in paths {
        let file = read_one(path, environment).map_err(|failure| failure.of(path))?;
        if files.iter().any(|(_, other)| other.name == file.name) {
            return Err(Failure::SameName(file.name).of(path));
        }
        files.push((path, file));
    }
    Ok(files)
}

fn read_one(path: &Path, environment: &Environment) -> Result<PolicyFile, Failure> {
    let mut text = String::new();
    // One byte more than is allowed shows that the file is too long.
    let most = LONGEST_FILE as u64 + 1;
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(PolicyFile::read(&text, environment.now())?)
}

async fn apply_one(
    file: &PolicyFile,
    store: &Store,
    policy: &Policy,
    environment: &Environment,
) -> Result<(), Failure> {
    let author = Author {
        principal: Principal::Service(ServiceName::Authorization),
        time: environment.now(),
        reason: REASON.to_owned(),
        managed_by: Some(file.name.clone()),
    };
    let mut attempt = 1;
    let changed = loop {
        match attempt_one(file, &author, store, policy, environment).await {
            Err(Failure::Store(store::Error::PolicyMoved)) if attempt < MOST_ATTEMPTS => {
                tokio::time::sleep(backoff::pause(attempt, FIRST_PAUSE, LONGEST_PAUSE)).await;
                attempt += 1;
            }
            ended => break ended?,
        }
    };
    let Changed {
        value: changes,
        revision,
        made,
    } = changed;
    if made {
        policy.reach(revision).await?;
        tracing::info!(policy = %file.name, changes, "policy file applied");
    } else {
        tracing::info!(policy = %file.name, "all is as the policy file says");
    }
    Ok(())
}

/// Tells how many changes there were.
async fn attempt_one(
    file: &PolicyFile,
    author: &Author,
    store: &Store,
    policy: &Policy,
    environment: &Environment,
) -> Result<Changed<usize>, Failure> {
    let index = policy.newest(&Credential::Unrecorded).await?;
    let revision = index.revision();
    let current = store.concerning(file, revision).await?;
    let new_id = || RoleBindingId::new(environment.new_uuid());
    let plan = plan(file, &current, author, new_id);
    let planned = Planned {
        file,
        current: &current,
        index: &index,
        plan: &plan,
        now: author.time,
    };
    planned.check()?;
    if let Some(gain) = planned
        .gains()
        .into_iter()
        .find(|gain| gain.permissions.is_none())
    {
        return Err(Failure::UnreadableRole(gain.resource));
    }
    if plan.is_empty() {
        return Ok(Changed {
            value: 0,
            revision,
            made: false,
        });
    }
    let changes = plan.changes().len();
    let Changed {
        value: _,
        revision,
        made,
    } = store.apply(revision, plan, author).await?;
    Ok(Changed {
        value: changes,
        revision,
        made,
    })
}
