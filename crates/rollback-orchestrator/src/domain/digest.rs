//! What stands for a plan: whoever gives a plan's digest agrees to that plan and to no other.

use std::fmt;
use std::str::FromStr;

use model::compatibility::RULES_VERSION;
use model::deploys::Scope;
use model::names::{DeployNumber, NameError, Sha256Digest};
use sha2::{Digest, Sha256};

use super::blocker::Blocker;
use super::history::DeploymentUid;
use super::warning::{Certainty, Migrations, Warning};

/// Begins what is hashed. It changes with the encoding, or with what is covered.
const ENCODING: &str = "reprise.rollback.plan.v2";

/// A plan's digest.
///
/// It is the SHA-256 over the version of the rules, the Deployment's uid, the latest and the current
/// deploy, the target, the scope, whether a hold is placed, the registry's digest of the revision, the
/// codes of the blockers, and the warnings that must be acknowledged with their migrations. A rollback
/// that is in progress is a blocker like any other: a plan that was made while there was none is not
/// the plan of now.
///
/// Not covered: who asks and when, settings, texts, and warnings that only inform. That a target may be
/// marked bad counts only where it is, by the blocker that is missing then. Order and repetition of
/// blockers and warnings do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanDigest(Sha256Digest);

impl PlanDigest {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a thing that the digest covers"
    )]
    pub(super) fn of(
        deployment: DeploymentUid,
        latest: DeployNumber,
        current: Option<DeployNumber>,
        target: DeployNumber,
        scope: Scope,
        hold: bool,
        revision: Option<&str>,
        blockers: &[Blocker],
        warnings: &[Warning],
    ) -> Self {
        let blockers = sorted(
            blockers
                .iter()
                .map(|blocker| blocker.code.as_str().to_owned()),
        );
        let warnings = sorted(
            warnings
                .iter()
                .filter(|warning| warning.code.must_acknowledge())
                .map(canonical),
        );
        let mut hasher = Canonical(Sha256::new());
        hasher.text(ENCODING);
        hasher.text(&RULES_VERSION.to_string());
        hasher.text(&deployment.0.to_string());
        hasher.text(&latest.to_string());
        hasher.text(&current.unwrap_or(DeployNumber::NONE).to_string());
        hasher.text(&target.to_string());
        hasher.text(scope.as_str());
        hasher.text(if hold { "hold" } else { "no hold" });
        // No digest is empty.
        hasher.text(revision.unwrap_or_default());
        hasher.list(&blockers);
        hasher.list(&warnings);
        Self(Sha256Digest::new(hasher.0.finalize().into()))
    }
}

/// A warning's code, certainty and migrations.
fn canonical(
    Warning {
        code,
        severity: _,
        text: _,
        migrations,
    }: &Warning,
) -> String {
    let Some(Migrations { certainty, heads }) = migrations else {
        return code.as_str().to_owned();
    };
    let certainty = match certainty {
        Certainty::Certain => "certain",
        Certainty::Possible => "possible",
    };
    let heads = heads
        .iter()
        .map(|head| head.revision)
        .collect::<Vec<_>>()
        .join(",");
    format!("{code}:{certainty}:{heads}")
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items = items.collect::<Vec<_>>();
    items.sort_unstable();
    items.dedup();
    items
}

/// Writes texts so that no two sequences of them are the same bytes: each after its length.
struct Canonical(Sha256);

impl Canonical {
    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    fn list(&mut self, items: &[String]) {
        self.length(items.len());
        for item in items {
            self.text(item);
        }
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_be_bytes());
    }
}

impl FromStr for PlanDigest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
