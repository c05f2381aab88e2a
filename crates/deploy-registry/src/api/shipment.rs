//! Reading what a deploy ships.

use std::collections::BTreeMap;

use chassis::fields::Fields;
use model::compatibility::RunsOnError;
use model::{AirflowVersion, Catalog, RunsOn, RuntimeVersion, Sha256Digest};
use proto::registry::v1 as pb;

use crate::domain::{
    AskedImage, DeployTrigger, GitSource, ImageVersions, MOST_DBT_BUNDLES, MountPath, Shipment,
    VerificationMode,
};

const LONGEST_URL: usize = 1_024;

pub(super) const DIGEST: &str = "deploy.revision.image.digest";
pub(super) const RUNTIME: &str = "deploy.revision.runtime_version";
pub(super) const AIRFLOW: &str = "deploy.revision.airflow_version";

/// What a request says of a deploy.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) image: Option<AskedImage>,
    /// What is shipped beside the image.
    pub(super) shipment: Shipment,
    pub(super) description: String,
    pub(super) git: Option<GitSource>,
}

pub(super) fn deploy(
    fields: &mut Fields,
    deploy: pb::Deploy,
    catalog: &Catalog,
    verification: VerificationMode,
) -> Option<Parts> {
    // What the service says of a deploy is not read.
    let pb::Deploy {
        name: _,
        number: _,
        r#type: _,
        trigger,
        description,
        revision,
        changed_components: _,
        git,
        rollback: _,
        state: _,
        settings: _,
        artifacts_expire_time: _,
        created_by: _,
        create_time: _,
        deploy_time: _,
        etag: _,
        image_verification: _,
        image_verification_reason: _,
        state_reason: _,
        update_time: _,
        pinned: _,
        pinned_by: _,
        pin_time: _,
        mark: _,
        artifacts_gone: _,
    } = deploy;
    let description = fields.text("deploy.description", description, 500);
    let trigger = self::trigger(fields, trigger);
    let shipment = match trigger {
        Some(DeployTrigger::GitSync) => pulled(fields, revision),
        None | Some(DeployTrigger::Api | DeployTrigger::Github | DeployTrigger::Rollback) => fields
            .required("deploy.revision", revision)
            .and_then(|revision| shipment(fields, revision, catalog, verification)),
    };
    let git = match (git, trigger) {
        (Some(git), _) => git_source(fields, git).map(Some),
        (None, Some(trigger @ (DeployTrigger::Github | DeployTrigger::GitSync))) => {
            let trigger = trigger.as_str();
            fields.violation(
                "deploy.git",
                &format!(
                    "must be set: a deploy with the trigger {trigger} says of which commit it is"
                ),
            );
            None
        }
        (None, None | Some(DeployTrigger::Api | DeployTrigger::Rollback)) => Some(None),
    };
    let (image, shipment) = shipment?;
    Some(Parts {
        image,
        shipment: Shipment {
            trigger: trigger?,
            ..shipment
        },
        description: description?,
        git: git?,
    })
}

/// What made the deploy. A rollback makes its own by another call.
fn trigger(fields: &mut Fields, trigger: i32) -> Option<DeployTrigger> {
    const FIELD: &str = "deploy.trigger";

    match pb::DeployTrigger::try_from(trigger) {
        Ok(pb::DeployTrigger::Unspecified | pb::DeployTrigger::Api) => Some(DeployTrigger::Api),
        Ok(pb::DeployTrigger::Github) => Some(DeployTrigger::Github),
        Ok(pb::DeployTrigger::GitSync) => Some(DeployTrigger::GitSync),
        Ok(pb::DeployTrigger::Rollback) => {
            fields.violation(FIELD, "must not be ROLLBACK: roll back with CreateRollback");
            None
        }
        Err(_) => {
            fields.violation(FIELD, "must be API, GITHUB or GIT_SYNC");
            None
        }
    }
}

/// A deploy of a commit that the Deployment has pulled by itself. It ships nothing beside.
fn pulled(
    fields: &mut Fields,
    revision: Option<pb::Revision>,
) -> Option<(Option<AskedImage>, Shipment)> {
    let pb::Revision {
        image,
        runtime_version,
        airflow_version,
        dag_bundle,
        dbt_bundles,
        dag_deploy_mode: _,
    } = revision.unwrap_or_default();
    let is_empty = image.is_none()
        && runtime_version.is_empty()
        && airflow_version.is_empty()
        && dag_bundle.is_none()
        && dbt_bundles.is_empty();
    if !is_empty {
        fields.violation(
            "deploy.revision",
            "must be empty: with the trigger GIT_SYNC a deploy ships nothing",
        );
        return None;
    }
    Some((None, Shipment::default()))
}

fn shipment(
    fields: &mut Fields,
    revision: pb::Revision,
    catalog: &Catalog,
    verification: VerificationMode,
) -> Option<(Option<AskedImage>, Shipment)> {
    let pb::Revision {
        image,
        runtime_version,
        airflow_version,
        dag_bundle,
        dbt_bundles,
        dag_deploy_mode: _,
    } = revision;
    let image = asked_image(
        fields,
        image,
        &runtime_version,
        &airflow_version,
        catalog,
        verification,
    );
    let dag_bundle = match dag_bundle {
        None => Some(None),
        Some(pb::Bundle {
            sha256,
            size_bytes: _,
        }) => fields
            .parse("deploy.revision.dag_bundle.sha256", &sha256)
            .map(Some),
    };
    let dbt = dbt(fields, dbt_bundles);
    let image = image?;
    let shipment = Shipment {
        dag_bundle: dag_bundle?,
        dbt: dbt?,
        ..Shipment::default()
    };
    if image.is_none() && shipment.is_empty() {
        fields.violation(
            "deploy.revision",
            "must ship something: an image, a DAG or dbt bundle",
        );
        return None;
    }
    Some((image, shipment))
}

/// The image with the versions inside it. `Some(None)` if neither is given.
fn asked_image(
    fields: &mut Fields,
    image: Option<pb::Image>,
    runtime_version: &str,
    airflow_version: &str,
    catalog: &Catalog,
    verification: VerificationMode,
) -> Option<Option<AskedImage>> {
    let runtime = fields.parse_optional::<RuntimeVersion>(RUNTIME, runtime_version);
    let airflow = fields.parse_optional::<AirflowVersion>(AIRFLOW, airflow_version);
    let Some(image) = image else {
        let given = [(RUNTIME, runtime_version), (AIRFLOW, airflow_version)];
        for (field, _) in given.iter().filter(|(_, text)| !text.is_empty()) {
            fields.violation(
                field,
                "is the version of an image: set deploy.revision.image as well",
            );
        }
        return given
            .iter()
            .all(|(_, text)| text.is_empty())
            .then_some(None);
    };
    let asks = match verification {
        VerificationMode::Off => false,
        VerificationMode::Warn | VerificationMode::Require => true,
    };
    let pb::Image {
        repository,
        tag,
        digest,
    } = image;
    let is_named = !digest.is_empty() || asks && !tag.is_empty();
    let repository = fields.parse("deploy.revision.image.repository", &repository);
    let tag = fields.parse_optional("deploy.revision.image.tag", &tag);
    let digest = fields.parse_optional(DIGEST, &digest);
    if !is_named {
        let needed = if asks {
            "must be set, or the tag"
        } else {
            "must be set: this installation does not ask image registries what a tag points to"
        };
        fields.violation(DIGEST, needed);
    }
    let given = ImageVersions {
        runtime: runtime?,
        airflow: airflow?,
    };
    // The labels of the image tell the versions too.
    let runs_on = if asks && given == ImageVersions::default() {
        Some(None)
    } else {
        runs_on(fields, given.clone(), catalog).map(Some)
    };
    let asked = AskedImage {
        repository: repository?,
        tag: tag?,
        digest: digest?,
        runs_on: runs_on?,
        given,
    };
    is_named.then_some(Some(asked))
}

fn runs_on(fields: &mut Fields, given: ImageVersions, catalog: &Catalog) -> Option<RunsOn> {
    let ImageVersions { runtime, airflow } = given;
    let runs_on = RunsOn::new(runtime, airflow, catalog);
    let field = match &runs_on {
        Ok(_) | Err(RunsOnError::Missing) => RUNTIME,
        Err(
            RunsOnError::Disagrees {
                runtime: _,
                airflow: _,
                expected: _,
            }
            | RunsOnError::Unverifiable { runtime: _ },
        ) => AIRFLOW,
    };
    fields.ok(field, runs_on)
}

fn dbt(
    fields: &mut Fields,
    bundles: Vec<pb::DbtBundle>,
) -> Option<BTreeMap<MountPath, Sha256Digest>> {
    const FIELD: &str = "deploy.revision.dbt_bundles";

    if bundles.len() > MOST_DBT_BUNDLES {
        fields.violation(
            FIELD,
            &format!("must have at most {MOST_DBT_BUNDLES} entries"),
        );
        return None;
    }
    let mut dbt = BTreeMap::new();
    let mut complete = true;
    for (index, bundle) in bundles.into_iter().enumerate() {
        let pb::DbtBundle {
            mount_path,
            sha256,
            size_bytes: _,
        } = bundle;
        let path_field = format!("{FIELD}[{index}].mount_path");
        let mount_path = fields.parse::<MountPath>(&path_field, &mount_path);
        let sha256 = fields.parse(&format!("{FIELD}[{index}].sha256"), &sha256);
        let (Some(mount_path), Some(sha256)) = (mount_path, sha256) else {
            complete = false;
            continue;
        };
        if dbt.insert(mount_path, sha256).is_some() {
            fields.violation(&path_field, "is there twice");
            complete = false;
        }
    }
    complete.then_some(dbt)
}

fn git_source(fields: &mut Fields, git: pb::GitSource) -> Option<GitSource> {
    let pb::GitSource {
        provider,
        repository,
        branch,
        commit_sha,
        author,
        commit_url,
    } = git;
    let provider = fields.text("deploy.git.provider", provider, 64);
    let repository = fields.required_text("deploy.git.repository", repository, 255);
    let branch = fields.text("deploy.git.branch", branch, 255);
    let commit_sha = fields.check("deploy.git.commit_sha", commit_sha, |text| {
        let hexadecimal = text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        let whole = hexadecimal && matches!(text.len(), 40 | 64);
        whole
            .then_some(())
            .ok_or("must be 40 or 64 lowercase hexadecimal digits")
    });
    let author = fields.text("deploy.git.author", author, 255);
    let commit_url = fields.check("deploy.git.commit_url", commit_url, |url| check_url(url));
    Some(GitSource {
        provider: provider?,
        repository: repository?,
        branch: branch?,
        commit_sha: commit_sha?,
        author: author?,
        commit_url: commit_url?,
    })
}

/// An http or https URL with a host and without user information, which could hide where it leads,
/// or carry a password.
fn check_url(text: &str) -> Result<(), String> {
    let wrong = || {
        Err(format!(
            "must be an http or https URL without user information, of at most {LONGEST_URL} \
             characters"
        ))
    };
    if text.is_empty() {
        return Ok(());
    }
    let visible = text
        .chars()
        .all(|c| !c.is_control() && !c.is_whitespace() && c != '\\');
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest.filter(|_| visible && text.chars().count() <= LONGEST_URL) else {
        return wrong();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') || authority.contains('@') {
        return wrong();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn image() -> Option<pb::Image> {
        Some(pb::Image {
            repository: "registry.example.com/data/etl".to_owned(),
            tag: String::new(),
            digest: format!("sha256:{}", sha256('a')),
        })
    }

    fn dbt_bundle(mount_path: &str, digit: char) -> pb::DbtBundle {
        let mount_path = mount_path.to_owned();
        pb::DbtBundle {
            mount_path,
            sha256: sha256(digit),
            size_bytes: 0,
        }
    }

    fn read(deploy: pb::Deploy) -> Result<Parts, String> {
        let mut fields = Fields::new();
        let off = VerificationMode::Off;
        super::deploy(&mut fields, deploy, &Catalog::built_in(), off)
            .ok_or_else(|| fields.into_problem().message().to_owned())
    }

    fn read_revision(revision: pb::Revision) -> Result<Shipment, String> {
        let deploy = pb::Deploy {
            revision: Some(revision),
            ..pb::Deploy::default()
        };
        read(deploy).map(|parts| parts.shipment)
    }

    fn versions(runtime: &str, airflow: &str) -> Result<AskedImage, String> {
        let revision = pb::Revision {
            image: image(),
            runtime_version: runtime.to_owned(),
            airflow_version: airflow.to_owned(),
            ..pb::Revision::default()
        };
        let deploy = pb::Deploy {
            revision: Some(revision),
            ..pb::Deploy::default()
        };
        read(deploy).map(|parts| parts.image.unwrap())
    }

    #[test]
    fn the_airflow_version_is_filled_in_from_the_catalog() {
        for (runtime, airflow, expected) in [
            ("3.1-9", "", Some("3.1.5")),
            ("3.1-9", "3.1.5", Some("3.1.5")),
            ("", "2.10.5", Some("2.10.5")),
            ("3.1-3", "", None),
        ] {
            let runs_on = versions(runtime, airflow).unwrap().runs_on.unwrap();
            let airflow = runs_on.airflow().map(ToString::to_string);
            assert_eq!(airflow.as_deref(), expected, "{runtime} {airflow:?}");
        }
    }

    #[test]
    fn versions_that_are_missing_wrong_or_disagree_are_refused() {
        for (runtime, airflow, field) in [
            ("", "", "runtime_version"),
            ("newest", "", "runtime_version"),
            ("3.1-9", "2.10.5", "airflow_version"),
            ("", "3", "airflow_version"),
        ] {
            let error = versions(runtime, airflow).unwrap_err();
            assert!(error.contains(field), "{runtime} {airflow}: {error}");
        }
    }

    #[test]
    fn what_names_an_image_depends_on_whether_registries_are_asked() {
        use VerificationMode::{Off, Require, Warn};

        let read = |mode, tag: &str, digest: &str, runtime: &str| {
            let mut fields = Fields::new();
            let image = pb::Image {
                repository: "registry.example.com/data/etl".to_owned(),
                tag: tag.to_owned(),
                digest: digest.to_owned(),
            };
            let catalog = Catalog::built_in();
            let asked = asked_image(&mut fields, Some(image), runtime, "", &catalog, mode);
            asked.map_or_else(
                || fields.into_problem().message().to_owned(),
                |_| String::new(),
            )
        };
        let sha256 = format!("sha256:{}", sha256('a'));
        for (mode, tag, digest, runtime, told) in [
            (Off, "1", sha256.as_str(), "3.1-9", ""),
            (
                Off,
                "1",
                "",
                "3.1-9",
                "image.digest: must be set: this installation",
            ),
            (Off, "1", &sha256, "", "runtime_version: a runtime version"),
            (Warn, "1", "", "", ""),
            (Require, "1", "", "", ""),
            (Require, "", &sha256, "", ""),
            (Require, "", "", "", "image.digest: must be set, or the tag"),
            (
                Warn,
                "",
                "",
                "3.1-9",
                "image.digest: must be set, or the tag",
            ),
            (Warn, ".", "", "", "image.tag: "),
        ] {
            let found = read(mode, tag, digest, runtime);
            assert!(found.contains(told), "{mode:?} {tag} {digest}: {found}");
            assert_eq!(
                found.is_empty(),
                told.is_empty(),
                "{mode:?} {tag} {digest}: {found}"
            );
        }
    }

    #[test]
    fn a_version_without_an_image_is_refused() {
        let revision = pb::Revision {
            runtime_version: "3.1-9".to_owned(),
            dag_bundle: Some(pb::Bundle {
                sha256: sha256('b'),
                size_bytes: 0,
            }),
            ..pb::Revision::default()
        };
        let error = read_revision(revision).unwrap_err();
        assert!(error.contains("deploy.revision.runtime_version: is the version of an image"));
    }

    #[test]
    fn a_deploy_ships_something() {
        let error = read_revision(pb::Revision::default()).unwrap_err();
        assert!(error.contains("must ship something"), "{error}");
        let error = read(pb::Deploy::default()).unwrap_err();
        assert!(error.contains("deploy.revision: must be set"), "{error}");
    }

    #[test]
    fn a_trigger_that_names_git_needs_a_commit_and_git_sync_ships_nothing_else() {
        use pb::DeployTrigger::{Api, GitSync, Github, Rollback, Unspecified};

        let shipped = || {
            Some(pb::Revision {
                image: image(),
                runtime_version: "3.1-9".to_owned(),
                ..pb::Revision::default()
            })
        };
        let nothing = || Some(pb::Revision::default());
        let commit = || {
            Some(pb::GitSource {
                repository: "acme/etl".to_owned(),
                commit_sha: "a".repeat(40),
                ..pb::GitSource::default()
            })
        };
        let of = |trigger: i32, revision, git| {
            let deploy = pb::Deploy {
                trigger,
                revision,
                git,
                ..pb::Deploy::default()
            };
            read(deploy).map(|parts| parts.shipment.trigger)
        };
        for (trigger, revision, git, expected) in [
            (Unspecified, shipped(), None, DeployTrigger::Api),
            (Api, shipped(), commit(), DeployTrigger::Api),
            (Github, shipped(), commit(), DeployTrigger::Github),
            (GitSync, nothing(), commit(), DeployTrigger::GitSync),
            (GitSync, None, commit(), DeployTrigger::GitSync),
        ] {
            assert_eq!(of(trigger.into(), revision, git), Ok(expected));
        }
        for (trigger, revision, git, fields) in [
            (Github.into(), shipped(), None, &["deploy.git"][..]),
            (Github.into(), nothing(), commit(), &["deploy.revision"]),
            (GitSync.into(), nothing(), None, &["deploy.git"]),
            (GitSync.into(), shipped(), commit(), &["deploy.revision"]),
            (
                GitSync.into(),
                shipped(),
                None,
                &["deploy.git", "deploy.revision"],
            ),
            (Rollback.into(), shipped(), commit(), &["deploy.trigger"]),
            (99, shipped(), None, &["deploy.trigger"]),
            (-1, nothing(), None, &["deploy.trigger", "deploy.revision"]),
        ] {
            let error = of(trigger, revision, git).unwrap_err();
            for field in fields {
                assert!(error.contains(&format!("{field}: ")), "{trigger}: {error}");
            }
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let deploy = pb::Deploy {
            description: "x".repeat(501),
            revision: Some(pb::Revision {
                image: Some(pb::Image {
                    repository: "UPPER".to_owned(),
                    tag: ".".to_owned(),
                    digest: "latest".to_owned(),
                }),
                runtime_version: "3".to_owned(),
                dag_bundle: Some(pb::Bundle {
                    sha256: sha256('B'),
                    size_bytes: 0,
                }),
                dbt_bundles: vec![dbt_bundle("relative", 'c'), dbt_bundle("/dbt", 'G')],
                ..pb::Revision::default()
            }),
            git: Some(pb::GitSource {
                provider: "x".repeat(65),
                branch: "a\0b".to_owned(),
                commit_sha: "abc".to_owned(),
                commit_url: "ftp://example.com".to_owned(),
                ..pb::GitSource::default()
            }),
            ..pb::Deploy::default()
        };
        let error = read(deploy).unwrap_err();
        for field in [
            "deploy.description",
            "deploy.revision.image.repository",
            "deploy.revision.image.tag",
            "deploy.revision.image.digest",
            "deploy.revision.runtime_version",
            "deploy.revision.dag_bundle.sha256",
            "deploy.revision.dbt_bundles[0].mount_path",
            "deploy.revision.dbt_bundles[1].sha256",
            "deploy.git.provider",
            "deploy.git.repository",
            "deploy.git.branch",
            "deploy.git.commit_sha",
            "deploy.git.commit_url",
        ] {
            assert!(error.contains(field), "{field} is not told: {error}");
        }
    }

    #[test]
    fn dbt_bundles_have_paths_of_their_own_and_are_few() {
        let read_dbt = |dbt_bundles| {
            read_revision(pb::Revision {
                dbt_bundles,
                ..pb::Revision::default()
            })
        };
        let two = read_dbt(vec![dbt_bundle("/b", 'b'), dbt_bundle("/a", 'b')]).unwrap();
        assert_eq!(two.dbt.len(), 2);
        let error = read_dbt(vec![dbt_bundle("/a", 'b'), dbt_bundle("/a", 'c')]).unwrap_err();
        assert!(
            error.contains("dbt_bundles[1].mount_path: is there twice"),
            "{error}"
        );
        let many = (0..17).map(|n| dbt_bundle(&format!("/{n}"), 'b')).collect();
        assert!(read_dbt(many).unwrap_err().contains("at most 16"));
    }

    #[test]
    fn a_commit_url_leads_where_it_says() {
        for good in [
            "",
            "https://github.com/acme/etl/commit/abc",
            "http://git.local:3000/a?b=@c",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        let long = format!("https://example.com/{}", "x".repeat(LONGEST_URL));
        for bad in [
            "github.com/acme",
            "ftp://example.com",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://:443/",
            "https://user:secret@example.com/",
            "https://user@example.com",
            "https://example.com\\@evil.com",
            "https://example.com/a b",
            "https://example.com/\0",
            &long,
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
