//! PreviewRollbackDeploys shows what rollbacks to the deploys of a history would write, and what is
//! against them.

use std::collections::BTreeSet;

use chassis::convert::scope_to_proto;
use chassis::fields::Fields;
use chassis::identity::caller;
use chassis::paging::Page;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use model::{DeployNumber, DeploymentName, Scope, Sha256Digest};
use proto::registry::v1 as pb;
use tonic::Request;

use super::access::Sight;
use super::errors::About;
use super::{Registry, access, decode, encode, page};
use crate::domain::{Deploy, Deployment, Facts, Revision, blockers, compose};
use crate::store::{Entry, RollbackPreviews};

/// Each deploy comes with a revision for each scope.
const LARGEST_PAGE: i64 = 200;

pub(super) async fn handle(
    registry: &Registry,
    request: Request<pb::PreviewRollbackDeploysRequest>,
) -> Result<pb::PreviewRollbackDeploysResponse, Problem> {
    let caller = caller(&request)?;
    let pb::PreviewRollbackDeploysRequest {
        parent,
        page_size,
        page_token,
        allow_marked_bad,
    } = request.into_inner();
    let deployment: DeploymentName = decode::name("parent", &parent)?;
    let sight = access::require_rollback_writer(registry, &caller, &deployment).await?;
    let (page, before) = decode_page(&deployment, page_size, &page_token, allow_marked_bad)?;

    let found = registry
        .store
        .rollback_previews(&deployment, before, page.limit())
        .await;
    let RollbackPreviews {
        mut deployment,
        current,
        targets,
        missing,
    } = found.map_err(|error| About::deployment(&deployment).problem(error))?;
    let shown = encode::deployment(deployment.clone(), sight);
    // They would go into each composed deploy, and be shown in none.
    deployment.settings.clear();
    let basis = Basis {
        registry,
        deployment: &deployment,
        current: current.as_ref(),
        missing: &missing,
        allow_marked_bad,
        now: registry.environment.now(),
    };
    let (previews, next_page_token) = page.encode(
        targets,
        |target| target.name.number().to_string(),
        |target| Some(basis.preview(target)),
    );
    Ok(pb::PreviewRollbackDeploysResponse {
        previews,
        next_page_token,
        deployment: Some(shown),
    })
}

fn decode_page(
    deployment: &DeploymentName,
    page_size: i32,
    page_token: &str,
    allow_marked_bad: bool,
) -> Result<(Page, Option<DeployNumber>), Problem> {
    let mut fields = Fields::new();
    let query = format!("{deployment} {allow_marked_bad}");
    let page = Page::read(&mut fields, page_size, page_token, &query);
    let before = page
        .as_ref()
        .and_then(|page| page::before(&mut fields, page));
    match (page, before) {
        (Some(page), Some(before)) => Ok((page.at_most(LARGEST_PAGE), before)),
        (Some(_), None) | (None, _) => Err(fields.into_problem()),
    }
}

/// All that the rollbacks to every deploy of a page depend on.
struct Basis<'a> {
    registry: &'a Registry,
    deployment: &'a Deployment,
    /// None where nothing runs.
    current: Option<&'a Deploy>,
    missing: &'a BTreeSet<Sha256Digest>,
    allow_marked_bad: bool,
    now: DateTime<Utc>,
}

impl Basis<'_> {
    fn preview(&self, target: Deploy) -> pb::RollbackDeployPreview {
        let scopes = Scope::ALL
            .iter()
            .map(|scope| self.scope(&target, *scope))
            .collect();
        let entry = Entry {
            deploy: target,
            history: self.deployment.history,
        };
        let sight = Sight { settings: false };
        pb::RollbackDeployPreview {
            deploy: Some(encode::deploy(entry, self.registry.retention, sight)),
            scopes,
        }
    }

    fn scope(&self, target: &Deploy, scope: Scope) -> pb::ScopePreview {
        let composed = self
            .current
            .map(|current| compose(self.deployment, target, current, scope, false));
        let missing = match &composed {
            Some(Ok(composed)) => {
                let needed = composed.revision.bundles().into_keys();
                let gone = needed.filter(|sha256| self.missing.contains(sha256));
                gone.collect()
            }
            Some(Err(_)) | None => Vec::new(),
        };
        let blockers = blockers(Facts {
            installation_enabled: self.registry.rollbacks_enabled,
            retention: self.registry.retention,
            now: self.now,
            allow_marked_bad: self.allow_marked_bad,
            deployment: self.deployment,
            target,
            composed: composed.as_ref(),
            missing: &missing,
            missing_image: None,
        });
        let revision = composed.and_then(Result::ok).map(|it| it.revision);
        let digest = revision.as_ref().map(Revision::digest);
        pb::ScopePreview {
            scope: scope_to_proto(scope).into(),
            revision: revision.map(encode::revision),
            revision_digest: encode::text(digest.as_ref()),
            blockers: blockers.iter().map(encode::blocker).collect(),
        }
    }
}
