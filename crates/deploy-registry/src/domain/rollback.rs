use chrono::{DateTime, Utc};
use model::scope::{reach, required_permissions};
use model::{
    DagDeployMode, DeployName, DeployNumber, DeployState, DeploymentName, PermissionSet, Principal,
    RollbackId, RollbackName, Scope, ScopeBlocker,
};

use super::{
    Component, Deploy, DeployTrigger, DeployType, Deployment, Hold, PermitId, Revision,
    RollbackOrigin, Settings, changed_components,
};

/// The deploy that a rollback would write, but for what only its permit says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ComposedRollback {
    pub(crate) name: DeployName,
    pub(crate) deploy_type: DeployType,
    pub(crate) revision: Revision,
    /// The parts in which the revision differs from the current one.
    pub(crate) changed: Vec<Component>,
    /// The deploy that is rolled back to.
    pub(crate) source: DeployNumber,
    /// The current deploy.
    pub(crate) replaced: DeployNumber,
    pub(crate) scope: Scope,
    pub(crate) settings: Settings,
    /// The state that the deploy is written in.
    pub(crate) state: DeployState,
    /// What the person must be permitted.
    pub(crate) needed: PermissionSet,
}

/// What a permit and the request add to a composed rollback.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollbackAuthor {
    pub(crate) rollback: RollbackId,
    pub(crate) permit: PermitId,
    pub(crate) person: Principal,
    pub(crate) description: String,
}

impl RollbackAuthor {
    /// The reason of the hold that the rollback places: who finds it asks what it was for.
    pub(crate) fn hold_reason(&self, deployment: &DeploymentName) -> String {
        let Self {
            rollback,
            permit: _,
            person: _,
            description,
        } = self;
        let rollback = RollbackName::new(deployment.clone(), *rollback);
        let reason = format!("{rollback}: {description}");
        if reason.chars().count() <= Hold::LONGEST_REASON {
            return reason;
        }
        let begin = reason.chars().take(Hold::LONGEST_REASON - 1);
        begin.chain(['…']).collect()
    }
}

/// Composes the deploy of a rollback from the target, the current deploy and the scope. Whether it
/// places a hold counts for the permissions only.
pub(crate) fn compose(
    deployment: &Deployment,
    target: &Deploy,
    current: &Deploy,
    scope: Scope,
    hold: bool,
) -> Result<ComposedRollback, ScopeBlocker> {
    let mode_now = deployment.dag_deploy_mode;
    let has_dbt = has_dbt(&target.revision, &current.revision);
    let reach = reach(target.revision.mode, mode_now, scope, has_dbt)?;
    let revision = compose_revision(&target.revision, &current.revision, mode_now, scope);
    Ok(ComposedRollback {
        name: deployment.deploy(deployment.history.next()),
        deploy_type: DeployType::of(reach.image, reach.dag_bundle, revision.mode),
        changed: changed_components(Some(&current.revision), &revision),
        revision,
        source: target.name.number(),
        replaced: current.name.number(),
        scope,
        settings: deployment.settings.clone(),
        state: deployment.delivery.first_state(),
        needed: required_permissions(target.revision.mode, mode_now, scope, has_dbt, hold),
    })
}

/// Whether dbt bundles come into a rollback: either side has some.
fn has_dbt(target: &Revision, current: &Revision) -> bool {
    !target.dbt.is_empty() || !current.dbt.is_empty()
}

/// ALL is the target's whole revision, its mode included; IMAGE is the current one with the target's
/// image and versions; DAGS is the current one with the target's DAG and dbt bundles.
fn compose_revision(
    target: &Revision,
    current: &Revision,
    mode_now: DagDeployMode,
    scope: Scope,
) -> Revision {
    match scope {
        Scope::All => target.clone(),
        Scope::Image => Revision {
            image: target.image.clone(),
            runs_on: target.runs_on.clone(),
            dag_bundle: current.dag_bundle,
            dbt: current.dbt.clone(),
            mode: mode_now,
        },
        Scope::Dags => Revision {
            image: current.image.clone(),
            runs_on: current.runs_on.clone(),
            dag_bundle: target.dag_bundle,
            dbt: target.dbt.clone(),
            mode: mode_now,
        },
    }
}

impl ComposedRollback {
    /// The deploy, as it is written at `time` with this change of the Deployment.
    pub(crate) fn into_deploy(
        self,
        author: RollbackAuthor,
        time: DateTime<Utc>,
        change: i64,
    ) -> Deploy {
        let Self {
            name,
            deploy_type,
            revision,
            changed,
            source,
            replaced,
            scope,
            settings,
            state,
            needed: _,
        } = self;
        let RollbackAuthor {
            rollback,
            permit,
            person,
            description,
        } = author;
        Deploy {
            name,
            deploy_type,
            trigger: DeployTrigger::Rollback,
            description,
            revision_digest: revision.digest(),
            image_verification: None,
            artifacts_gone: false,
            revision,
            changed,
            git: None,
            rollback: Some(RollbackOrigin {
                source,
                replaced,
                scope,
                rollback,
                permit,
            }),
            settings,
            state,
            state_reason: String::new(),
            created_by: person,
            create_time: time,
            deploy_time: (state == DeployState::Deployed).then_some(time),
            ceased_time: None,
            update_time: time,
            change,
            pin: None,
            mark: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use DagDeployMode::{DagOnly, GitSync, Image, Nfs};
    use model::Permission;

    use super::*;
    use crate::domain::deploy::tests::deploy;
    use crate::domain::deployment::tests::deployment;
    use crate::domain::revision::tests::{bundle, image_only};

    fn with_dags(mode: DagDeployMode, digit: char, dags: Option<char>, dbt: &str) -> Revision {
        let dbt = dbt
            .chars()
            .map(|digit| (format!("/dbt/{digit}").parse().unwrap(), bundle(digit)));
        Revision {
            dag_bundle: dags.map(bundle),
            dbt: dbt.collect(),
            ..image_only(mode, digit, if digit == 'a' { "3.1-9" } else { "3.1-10" })
        }
    }

    fn composed(
        target: &Revision,
        current: &Revision,
        scope: Scope,
    ) -> Result<ComposedRollback, ScopeBlocker> {
        composed_with(target, current, scope, false)
    }

    fn composed_with(
        target: &Revision,
        current: &Revision,
        scope: Scope,
        hold: bool,
    ) -> Result<ComposedRollback, ScopeBlocker> {
        let mut deployment = deployment(8);
        deployment.dag_deploy_mode = current.mode;
        let target = Deploy {
            revision: target.clone(),
            ..deploy(3)
        };
        let current = Deploy {
            revision: current.clone(),
            ..deploy(8)
        };
        compose(&deployment, &target, &current, scope, hold)
    }

    #[test]
    fn a_scope_brings_back_its_part_and_leaves_the_rest() {
        let target = with_dags(DagOnly, 'a', Some('1'), "2");
        let current = with_dags(DagOnly, 'b', Some('3'), "45");
        let revision = |scope| composed(&target, &current, scope).unwrap().revision;

        assert_eq!(revision(Scope::All), target);
        let expected = Revision {
            image: target.image.clone(),
            runs_on: target.runs_on.clone(),
            ..current.clone()
        };
        assert_eq!(revision(Scope::Image), expected);
        let expected = Revision {
            dag_bundle: target.dag_bundle,
            dbt: target.dbt.clone(),
            ..current.clone()
        };
        assert_eq!(revision(Scope::Dags), expected);
    }

    #[test]
    fn the_whole_of_an_earlier_deploy_brings_its_mode_back() {
        let target = with_dags(Image, 'a', None, "");
        let current = with_dags(DagOnly, 'b', Some('3'), "");
        assert_eq!(
            composed(&target, &current, Scope::All).unwrap().revision,
            target
        );
        for scope in [Scope::Image, Scope::Dags] {
            assert_eq!(
                composed(&target, &current, scope),
                Err(ScopeBlocker::DagDeployModeChanged)
            );
        }
    }

    #[test]
    fn what_cannot_be_composed_is_told() {
        let image = with_dags(Image, 'a', None, "");
        let nfs = with_dags(Nfs, 'a', None, "");
        let git = with_dags(GitSync, 'a', None, "");
        for (target, current, scope, expected) in [
            (&image, &image, Scope::Dags, ScopeBlocker::DagsNotSeparate),
            (&git, &git, Scope::Dags, ScopeBlocker::DagsNotSeparate),
            (
                &nfs,
                &nfs,
                Scope::All,
                ScopeBlocker::DagDeployModeUnsupported,
            ),
            (
                &image,
                &nfs,
                Scope::All,
                ScopeBlocker::DagDeployModeUnsupported,
            ),
        ] {
            assert_eq!(composed(target, current, scope), Err(expected));
        }
    }

    #[test]
    fn type_and_permissions_follow_scope_and_mode() {
        let images = PermissionSet::of(&[Permission::DeploymentImagesPush]);
        let dags = PermissionSet::of(&[Permission::DeploymentDagsPush]);
        let both = images.union(dags);
        let image_a = with_dags(Image, 'a', None, "");
        let image_b = with_dags(Image, 'b', None, "");
        let image_dbt = with_dags(Image, 'b', None, "2");
        let dag_a = with_dags(DagOnly, 'a', Some('1'), "");
        let dag_b = with_dags(DagOnly, 'b', Some('2'), "");
        let git_a = with_dags(GitSync, 'a', None, "");
        let git_b = with_dags(GitSync, 'b', None, "");
        for (target, current, scope, deploy_type, needed) in [
            (
                &image_a,
                &image_b,
                Scope::All,
                DeployType::ImageAndDags,
                images,
            ),
            (
                &image_a,
                &image_b,
                Scope::Image,
                DeployType::ImageAndDags,
                images,
            ),
            (
                &image_a,
                &image_dbt,
                Scope::All,
                DeployType::ImageAndDags,
                both,
            ),
            (&image_a, &image_dbt, Scope::Dags, DeployType::Dbt, dags),
            (&dag_a, &dag_b, Scope::All, DeployType::ImageAndDags, both),
            (&dag_a, &dag_b, Scope::Image, DeployType::ImageOnly, images),
            (&dag_a, &dag_b, Scope::Dags, DeployType::DagsOnly, dags),
            (&git_a, &git_b, Scope::All, DeployType::ImageOnly, images),
            (&image_a, &dag_b, Scope::All, DeployType::ImageAndDags, both),
            (
                &image_a,
                &git_b,
                Scope::All,
                DeployType::ImageAndDags,
                images,
            ),
        ] {
            let composed = composed(target, current, scope).unwrap();
            assert_eq!(composed.deploy_type, deploy_type, "{scope}");
            assert_eq!(composed.needed, needed, "{scope}");
        }
    }

    #[test]
    fn a_hold_needs_what_the_whole_needs_and_changes_nothing_else() {
        let both = PermissionSet::of(&[
            Permission::DeploymentImagesPush,
            Permission::DeploymentDagsPush,
        ]);
        let target = with_dags(DagOnly, 'a', Some('1'), "");
        let current = with_dags(DagOnly, 'b', Some('2'), "");
        for scope in [Scope::All, Scope::Image, Scope::Dags] {
            let without = composed(&target, &current, scope).unwrap();
            let with = composed_with(&target, &current, scope, true).unwrap();
            assert_eq!(with.needed, both, "{scope}");
            let needed = without.needed;
            assert_eq!(ComposedRollback { needed, ..with }, without, "{scope}");
        }
    }

    #[test]
    fn the_reason_of_a_hold_names_the_rollback_and_is_bounded() {
        let author = |description: String| RollbackAuthor {
            rollback: "1e0d3c9b-9d2f-4a53-8a5b-3f0f1f1f1f1f".parse().unwrap(),
            permit: PermitId::new(uuid::Uuid::from_u128(7)),
            person: "user:alice@example.com".parse().unwrap(),
            description,
        };
        let deployment = "workspaces/data/deployments/etl".parse().unwrap();
        let name = "workspaces/data/deployments/etl/rollbacks/1e0d3c9b-9d2f-4a53-8a5b-3f0f1f1f1f1f";
        assert_eq!(
            author("bad DAGs".to_owned()).hold_reason(&deployment),
            format!("{name}: bad DAGs")
        );
        let longest = Hold::LONGEST_REASON - name.len() - 2;
        let fits = author("ü".repeat(longest)).hold_reason(&deployment);
        assert_eq!(fits, format!("{name}: {}", "ü".repeat(longest)));
        let cut = author("ü".repeat(longest + 1)).hold_reason(&deployment);
        assert_eq!(cut.chars().count(), Hold::LONGEST_REASON);
        assert_eq!(cut, format!("{name}: {}…", "ü".repeat(longest - 1)));
    }

    #[test]
    fn a_rollback_is_the_next_deploy_and_names_where_it_came_from() {
        let target = with_dags(DagOnly, 'a', Some('1'), "");
        let current = with_dags(DagOnly, 'b', Some('3'), "");
        let composed = composed(&target, &current, Scope::Dags).unwrap();
        assert_eq!(composed.changed, [Component::DagBundle]);
        let digest = composed.revision.digest();
        let author = RollbackAuthor {
            rollback: "1e0d3c9b-9d2f-4a53-8a5b-3f0f1f1f1f1f".parse().unwrap(),
            permit: PermitId::new(uuid::Uuid::from_u128(7)),
            person: "user:alice@example.com".parse().unwrap(),
            description: "bad DAGs".to_owned(),
        };
        let deploy = composed.into_deploy(author.clone(), deploy(1).create_time, 9);
        assert_eq!(
            deploy.name.to_string(),
            "workspaces/data/deployments/etl/deploys/9"
        );
        assert_eq!(deploy.revision_digest, digest);
        assert_eq!(deploy.created_by, author.person);
        assert_eq!(
            deploy.rollback,
            Some(RollbackOrigin {
                source: DeployNumber::new(3).unwrap(),
                replaced: DeployNumber::new(8).unwrap(),
                scope: Scope::Dags,
                rollback: author.rollback,
                permit: author.permit,
            })
        );
    }
}
