//! `reprise policy`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chassis::config::TlsArgs;
use proto::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use proto::authorization::v1::{
    ApplyPolicyRequest, ApplyPolicyResponse, PolicyChange, PolicyChangeType,
};
use tonic::Status;
use tonic_types::StatusExt;

use crate::bearer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A large file takes its time.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// Make roles and bindings be as a policy file says
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Apply(ApplyArgs),
}

/// Apply a policy file, and print what has changed
///
/// Creates what is missing, changes what differs, and deletes what an earlier version of the file
/// brought and this one does not say any more; all at once or not at all. It takes somebody who
/// administers the roles of every resource in the file, and holds all that the file gives.
#[derive(Debug, clap::Args)]
struct ApplyArgs {
    /// The policy file
    file: PathBuf,

    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Why, for the list of policy changes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    /// Address of the authorization service
    #[arg(
        long,
        env = "REPRISE_AUTHORIZATION_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    address: String,

    /// File with the token to call with, such as the one that `reprise up` writes
    #[arg(long, env = "REPRISE_TOKEN_FILE", value_name = "FILE")]
    token_file: PathBuf,

    #[command(flatten)]
    tls: TlsArgs,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let Args {
        command: Command::Apply(args),
    } = args;
    apply(args).await
}

async fn apply(args: ApplyArgs) -> Result<()> {
    let ApplyArgs {
        file,
        dry_run,
        reason,
        address,
        token_file,
        tls,
    } = args;
    let policy = read(&file)?;
    let token = read(&token_file)?;
    let channel = tls
        .endpoint(&address)?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .connect()
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    let channel = bearer::with_token(channel, token.trim())?;
    let request = ApplyPolicyRequest {
        policy,
        validate_only: dry_run,
        reason,
    };
    let answer = AuthorizationServiceClient::new(channel)
        .apply_policy(request)
        .await
        .map_err(|status| refusal(&file, &status))?;
    print!("{}", shown(&answer.into_inner(), dry_run));
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the service does not like, one thing a line.
fn refusal(file: &Path, status: &Status) -> anyhow::Error {
    let violations = status
        .get_details_bad_request()
        .map(|details| details.field_violations)
        .unwrap_or_default();
    let reasons = if violations.is_empty() {
        format!(" {}", status.message())
    } else {
        let lines = violations
            .iter()
            .map(|violation| format!("\n  {}: {}", violation.field, violation.description));
        lines.collect()
    };
    anyhow!("{} was not applied:{reasons}", file.display())
}

/// The changes, one a line, and a line about all of them.
fn shown(answer: &ApplyPolicyResponse, dry_run: bool) -> String {
    let ApplyPolicyResponse {
        name,
        changes,
        policy_revision,
        change_count,
    } = answer;
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!("{}\n", Line(change)));
    }
    let left_out = usize::try_from(*change_count)
        .unwrap_or_default()
        .saturating_sub(changes.len());
    if left_out > 0 {
        text.push_str(&format!("… and {left_out} more\n"));
    }
    let changes = match change_count {
        0 => "no changes".to_owned(),
        1 => "1 change".to_owned(),
        more => format!("{more} changes"),
    };
    let outcome = match (change_count, dry_run) {
        (0, _) => "",
        (_, true) => ", not made",
        (_, false) => " made",
    };
    text.push_str(&format!(
        "{name}: {changes}{outcome} (policy revision {policy_revision})\n"
    ));
    text
}

/// A change in one line.
struct Line<'a>(&'a PolicyChange);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(change) = self;
        let name = &change.name;
        match change.r#type() {
            PolicyChangeType::RoleCreated => {
                write!(
                    f,
                    "+ role {name} with {}",
                    listed(&change.added_permissions)
                )
            }
            PolicyChangeType::RoleUpdated | PolicyChangeType::BuiltInRoleChanged => {
                write!(f, "~ role {name}")?;
                if !change.added_permissions.is_empty() {
                    write!(f, " gains {}", listed(&change.added_permissions))?;
                }
                if !change.removed_permissions.is_empty() {
                    write!(f, " loses {}", listed(&change.removed_permissions))?;
                }
                Ok(())
            }
            PolicyChangeType::RoleDeleted => write!(f, "- role {name}"),
            PolicyChangeType::RoleBindingCreated => self.binding(f, '+'),
            PolicyChangeType::RoleBindingUpdated => self.binding(f, '~'),
            PolicyChangeType::RoleBindingDeleted => self.binding(f, '-'),
            PolicyChangeType::TokenRevoked | PolicyChangeType::Unspecified => {
                write!(f, "~ {name}")
            }
        }
    }
}

impl Line<'_> {
    fn binding(&self, f: &mut fmt::Formatter<'_>, sign: char) -> fmt::Result {
        let PolicyChange {
            principal,
            role,
            resource,
            expire_time,
            policy_revision: _,
            number: _,
            r#type: _,
            name: _,
            changed_by: _,
            change_time: _,
            reason: _,
            managed_by: _,
            added_permissions: _,
            removed_permissions: _,
        } = self.0;
        write!(f, "{sign} binding of {role} to {principal} on {resource}")?;
        match expire_time {
            Some(time) => write!(f, " until {time}"),
            None => Ok(()),
        }
    }
}

fn listed(permissions: &[String]) -> String {
    permissions.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: PolicyChangeType, name: &str) -> PolicyChange {
        PolicyChange {
            r#type: kind.into(),
            name: name.to_owned(),
            ..PolicyChange::default()
        }
    }

    fn names(permissions: &[&str]) -> Vec<String> {
        permissions.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_change_is_a_line() {
        let binding = |kind| PolicyChange {
            principal: "user:bob".to_owned(),
            role: "roles/a".to_owned(),
            resource: "system".to_owned(),
            ..change(kind, "roleBindings/1")
        };
        let changes = vec![
            PolicyChange {
                added_permissions: names(&["a.b", "c.d"]),
                ..change(PolicyChangeType::RoleCreated, "roles/a")
            },
            PolicyChange {
                added_permissions: names(&["a.b"]),
                removed_permissions: names(&["c.d"]),
                ..change(PolicyChangeType::BuiltInRoleChanged, "roles/B")
            },
            change(PolicyChangeType::RoleUpdated, "roles/c"),
            change(PolicyChangeType::RoleDeleted, "roles/d"),
            PolicyChange {
                expire_time: Some("2027-01-01T00:00:00Z".parse().unwrap()),
                ..binding(PolicyChangeType::RoleBindingCreated)
            },
            binding(PolicyChangeType::RoleBindingUpdated),
            binding(PolicyChangeType::RoleBindingDeleted),
        ];
        let answer = ApplyPolicyResponse {
            name: "platform".to_owned(),
            change_count: 9,
            changes,
            policy_revision: 7,
        };
        assert_eq!(
            shown(&answer, false),
            "\
+ role roles/a with a.b, c.d
~ role roles/B gains a.b loses c.d
~ role roles/c
- role roles/d
+ binding of roles/a to user:bob on system until 2027-01-01T00:00:00Z
~ binding of roles/a to user:bob on system
- binding of roles/a to user:bob on system
… and 2 more
platform: 9 changes made (policy revision 7)
"
        );
    }

    #[test]
    fn no_change_is_told_too() {
        let answer = ApplyPolicyResponse {
            name: "platform".to_owned(),
            policy_revision: 7,
            ..ApplyPolicyResponse::default()
        };
        for dry_run in [true, false] {
            assert_eq!(
                shown(&answer, dry_run),
                "platform: no changes (policy revision 7)\n"
            );
        }
    }
}
