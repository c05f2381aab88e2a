//! Whom a check is about: the caller, the person whose token it brings, or a principal that it names.

use chassis::fields::Fields;
use chassis::identity::Caller;
use chassis::problem::Problem;
use model::names::{Principal, ResourceName};
use model::permissions::{Permission, PermissionSet};

use super::Authorization;
use super::asked::Asked;
use super::authorize::{administering, authorize};
use crate::domain::index::Index;
use crate::domain::subject::Subject;
use crate::domain::tokens::Credential;

/// More groups than a person is in.
const MOST_GROUPS: usize = 100;

/// The fields of a request that say whom it is about.
pub(super) struct WhoFields {
    pub(super) subject_token: String,
    pub(super) principal: String,
    pub(super) groups: Vec<String>,
}

/// Whom a check is about, and who asks.
#[derive(Debug)]
pub(super) struct Who {
    /// None if that cannot be read.
    subject: Option<Subject>,
    /// The token that must not have been revoked.
    pub(super) credential: Credential,
    /// The caller, if it must administer the resource that it asks about.
    administrator: Option<Subject>,
}

impl Who {
    /// Reads whom a request is about. With a token or a principal it needs
    /// `system.permissions.check`; with a principal it is also for those who administer the
    /// resource: [`Who::authorize`].
    pub(super) async fn read(
        service: &Authorization,
        caller: &Caller,
        fields: &mut Fields,
        about: WhoFields,
    ) -> Result<Self, Problem> {
        let WhoFields {
            subject_token,
            principal,
            groups,
        } = about;
        if principal.is_empty() && groups.is_empty() {
            let asked = Asked::person_or_caller(service, caller, &subject_token).await?;
            let Asked {
                subject,
                credential,
                token_id: _,
            } = asked;
            return Ok(Self {
                subject: Some(subject),
                credential,
                administrator: None,
            });
        }
        let Asked {
            subject: asking,
            credential,
            token_id: _,
        } = Asked::caller(caller, service.environment.now())?;
        let checks_everybody = asking
            .service_permissions
            .contains(Permission::SystemPermissionsCheck);
        if !subject_token.is_empty() {
            fields.violation("subject_token", "must be empty where a principal is named");
        }
        let groups = decode_groups(fields, &groups);
        let principal = decode_principal(fields, &principal, groups.as_deref());
        let subject = principal.zip(groups).map(|(principal, groups)| Subject {
            principal,
            groups,
            service_permissions: PermissionSet::EMPTY,
        });
        Ok(Self {
            subject,
            credential,
            administrator: (!checks_everybody).then_some(asking),
        })
    }

    /// Fails unless the caller may ask about this resource.
    pub(super) fn authorize(
        &self,
        service: &Authorization,
        index: &Index,
        resource: &ResourceName,
    ) -> Result<(), Problem> {
        match &self.administrator {
            None => Ok(()),
            Some(caller) => authorize(service, index, caller, administering(resource), resource),
        }
    }

    /// Whom it is about; none if a violation was told.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }
}

fn decode_principal(
    fields: &mut Fields,
    text: &str,
    groups: Option<&[Principal]>,
) -> Option<Principal> {
    let principal = fields.parse::<Principal>("principal", text)?;
    let has_groups = groups.is_none_or(|groups| !groups.is_empty());
    match &principal {
        Principal::User(_) => {}
        Principal::Group(_) | Principal::ServiceAccount(_) if has_groups => {
            fields.violation("groups", "must be empty unless the principal is a user");
            return None;
        }
        Principal::Group(_) | Principal::ServiceAccount(_) => {}
        Principal::Service(_) => {
            let reason = "must not be a service, which has its permissions by configuration";
            fields.violation("principal", reason);
            return None;
        }
    }
    Some(principal)
}

fn decode_groups(fields: &mut Fields, texts: &[String]) -> Option<Vec<Principal>> {
    if texts.len() > MOST_GROUPS {
        fields.violation("groups", "must have at most 100 entries");
        return None;
    }
    let mut groups = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let field = format!("groups[{number}]");
        let group = fields.parse::<Principal>(&field, text);
        groups.extend(group.and_then(|group| {
            fields.check(&field, group, |group| match group {
                Principal::Group(_) => Ok(()),
                Principal::User(_) | Principal::ServiceAccount(_) | Principal::Service(_) => {
                    Err("must be a group")
                }
            })
        }));
    }
    (groups.len() == texts.len()).then_some(groups)
}
