//! What a rollback leaves as it is, and why.

use model::deploys::{DagDeployMode, Scope};

use super::history::{Composed, Current};
use super::plan::Facts;
use super::revision::{Component, Revision};

/// Something that a rollback leaves as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// Such as `settings` or `image`.
    pub(crate) what: &'static str,
    pub(crate) text: String,
}

/// Everything that the rollback leaves alone and that somebody could expect to come back. `possible`
/// says that nothing is against it.
pub(super) fn unchanged(facts: &Facts, possible: bool) -> Vec<Unchanged> {
    let mut lines = Vec::new();
    let mut line = |what, text: String| lines.push(Unchanged { what, text });

    if let (Some(current), Some(composed)) = (&facts.deployment.current, &facts.preview.composed) {
        if let Some(text) = image(facts.scope, current, composed) {
            line("image", text);
        }
        if let Some(text) = dags(facts.scope, current, composed) {
            line("dags", text);
        }
        if let Some(text) = dbt(facts.scope, current, composed) {
            line("dbt_bundles", text);
        }
    }
    line(
        "settings",
        "resources, executor and environment variables are not part of a deploy: they stay as they \
         are today"
            .to_owned(),
    );
    line(
        "description",
        "display name, description and labels are not part of a deploy".to_owned(),
    );
    line("history", history(facts, possible));
    if let Some(text) = hold(facts) {
        line("hold", text.to_owned());
    }
    lines
}

fn image(scope: Scope, current: &Current, composed: &Composed) -> Option<String> {
    if changes(&current.revision, &composed.revision, Component::Image) {
        return None;
    }
    let text = match scope {
        Scope::Dags => "the scope DAGS leaves the image, and the runtime with it, as they are now",
        Scope::All | Scope::Image => "the target has the image that runs now",
    };
    Some(text.to_owned())
}

fn dags(scope: Scope, current: &Current, composed: &Composed) -> Option<String> {
    if changes(&current.revision, &composed.revision, Component::DagBundle) {
        return None;
    }
    let text = match (composed.revision.mode, scope) {
        (DagDeployMode::GitSync, _) => "the DAGs come from git and stay as they are there",
        (DagDeployMode::DagOnly, Scope::Image) => {
            "the scope IMAGE leaves the DAG bundle as it is now"
        }
        (DagDeployMode::DagOnly, Scope::All | Scope::Dags) => {
            "the target has the DAG bundle that runs now"
        }
        // They are part of the image.
        (DagDeployMode::Image, Scope::All | Scope::Image) => return None,
        (DagDeployMode::Image, Scope::Dags) => {
            "the DAGs are inside the image, which the scope DAGS leaves as it is now"
        }
        (DagDeployMode::Nfs, _) => "the DAGs lie on a volume that a rollback does not touch",
    };
    Some(text.to_owned())
}

fn dbt(scope: Scope, current: &Current, composed: &Composed) -> Option<String> {
    let none = current.revision.dbt_bundles.is_empty() && composed.revision.dbt_bundles.is_empty();
    if none || changes(&current.revision, &composed.revision, Component::DbtBundles) {
        return None;
    }
    let text = match scope {
        Scope::Image => "the scope IMAGE leaves the dbt projects as they are now",
        Scope::All | Scope::Dags => "the target has the dbt projects that run now",
    };
    Some(text.to_owned())
}

/// A rollback that cannot be done becomes no deploy.
fn history(facts: &Facts, possible: bool) -> String {
    let latest = facts.deployment.latest;
    let next = facts
        .preview
        .composed
        .as_ref()
        .map(|composed| composed.number);
    match next.filter(|_| possible) {
        Some(next) => format!(
            "history only grows: the rollback becomes deploy {next}, and deploys up to {latest} stay"
        ),
        None => format!("history only grows: deploys up to {latest} stay"),
    }
}

/// A rollback goes through a hold, and takes none off.
fn hold(facts: &Facts) -> Option<&'static str> {
    (facts.deployment.held && !facts.options.hold)
        .then_some("a hold is on: it does not stop the rollback, and stays on until it is released")
}

fn changes(from: &Revision, to: &Revision, component: Component) -> bool {
    from.changes(to)
        .iter()
        .any(|change| change.component == component)
}
