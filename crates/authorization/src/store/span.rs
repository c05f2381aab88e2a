//! Names that have a beginning in common: a range of texts, which an index can look up whatever the
//! database makes of `LIKE`.

use model::names::ResourceName;

/// Behind everything that a name is made of.
const BEHIND: char = '~';

/// All names from the first to the last, compared byte by byte.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) first: String,
    pub(super) last: String,
}

impl Span {
    fn one(name: String) -> Self {
        Self {
            first: name.clone(),
            last: name,
        }
    }

    fn beginning_with(prefix: String) -> Self {
        let last = format!("{prefix}{BEHIND}");
        Self {
            first: prefix,
            last,
        }
    }

    /// The names of the custom roles of a resource.
    pub(super) fn of_roles(resource: &ResourceName) -> Self {
        Self::beginning_with(match resource {
            ResourceName::System => "roles/".to_owned(),
            ResourceName::Workspace(_) | ResourceName::Deployment(_) => {
                format!("{resource}/roles/")
            }
        })
    }

    /// A resource, and with `descendants` all that is below it, in order.
    pub(super) fn of_resources(resource: &ResourceName, descendants: bool) -> Vec<Self> {
        let mut spans = vec![Self::one(resource.to_string())];
        if descendants {
            spans.push(Self::beginning_with(match resource {
                ResourceName::System => "workspaces/".to_owned(),
                ResourceName::Workspace(_) | ResourceName::Deployment(_) => {
                    format!("{resource}/")
                }
            }));
        }
        spans
    }
}
