//! The answer to one question, and why.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use model::names::{Principal, ResourceName, RoleBindingName, RoleName};
use model::permissions::Permission;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Yes, and by what.
    Allowed(Granted),
    /// No.
    Denied(Denied),
}

/// What brings somebody a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// A role, bound to the subject or to one of its groups.
    ByBinding {
        /// The one that is bound.
        principal: Principal,
        /// The role.
        role: RoleName,
        /// The binding, whose name says the resource.
        binding: RoleBindingName,
        /// From when on the binding gives nothing, if ever.
        expire_time: Option<DateTime<Utc>>,
    },
    /// What a service may do everywhere.
    ByConfiguration {
        /// The service.
        principal: Principal,
    },
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByBinding {
                principal,
                role,
                binding,
                expire_time: _,
            } => {
                write!(f, "{role} is bound to {principal} on {}", binding.parent())
            }
            Self::ByConfiguration { principal } => {
                write!(f, "{principal} has it everywhere by configuration")
            }
        }
    }
}

/// What somebody lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// Who lacks it.
    pub(crate) principal: Principal,
    /// In how many groups they are; their bindings were looked at, too.
    pub(crate) groups: usize,
    /// What is missing.
    pub(crate) permission: Permission,
    /// Where.
    pub(crate) resource: ResourceName,
    /// What brought it until it expired.
    pub(crate) expired: Option<Expired>,
    /// Roles that would bring it if they were bound there, those that hold the least first.
    pub(crate) roles: Vec<RoleName>,
}

/// A binding that gives nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    /// The one that is bound.
    pub(crate) principal: Principal,
    /// The role.
    pub(crate) role: RoleName,
    /// The binding, whose name says the resource.
    pub(crate) binding: RoleBindingName,
    /// Since when it gives nothing.
    pub(crate) expire_time: DateTime<Utc>,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            principal,
            role,
            binding,
            expire_time,
        } = self;
        let resource = binding.parent();
        let until = expire_time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        write!(
            f,
            "{role} was bound to {principal} on {resource} until {until}"
        )
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            principal,
            groups,
            permission,
            resource,
            expired,
            roles: _,
        } = self;
        if let Principal::Service(_) = principal {
            return write!(f, "{principal} does not have {permission} by configuration");
        }
        write!(f, "no role with {permission} is bound to {principal}")?;
        match groups {
            0 => {}
            1 => f.write_str(" or to a group of theirs")?,
            _ => write!(f, " or to one of {groups} groups of theirs")?,
        }
        match resource {
            ResourceName::System => f.write_str(" on system")?,
            ResourceName::Workspace(_) | ResourceName::Deployment(_) => {
                write!(f, " on {resource} or above it")?;
            }
        }
        expired
            .as_ref()
            .map_or(Ok(()), |expired| write!(f, "; {expired}"))
    }
}
