//! A policy as a file: what it looks like, and what has to change so that all is as it says.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`yaml`] | the part of YAML that a file is written in |
//! | [`violations`] | all that is wrong with a file, each with its place |
//! | [`decode`] | from the text to a [`PolicyFile`] |
//! | [`plan`] | from a [`PolicyFile`] to changes |
//! | [`check`] | whether the changes may be made, and what somebody gains by them |
//!
//! A file says what it brings; it is silent about all else. What it has brought carries its name, so
//! that what it no longer says can be taken away again.

mod check;
mod decode;
mod plan;
mod violations;
mod yaml;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::names::{PolicyFileName, Principal, ResourceName, RoleName};
use model::permissions::{Permission, PermissionSet};
use model::roles::SystemRole;

pub(crate) use self::check::{Gain, Planned, Refused};
pub(crate) use self::plan::{BuiltInEntry, Current, Plan, Step, plan};
pub(crate) use self::violations::{Violation, Violations};
pub(crate) use self::yaml::Place;

/// The length of the longest file, in bytes.
pub(crate) const LONGEST_FILE: usize = 1 << 20;

/// What a policy file says. A value that exists is valid, but for what depends on roles that stand
/// elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyFile {
    /// What marks all that the file brings.
    pub(crate) name: PolicyFileName,
    /// Whether a built-in role holds a permission.
    pub(crate) built_in_roles: BTreeMap<(SystemRole, Permission), bool>,
    /// The custom roles.
    pub(crate) roles: BTreeMap<RoleName, FileRole>,
    /// Who has which role where.
    pub(crate) bindings: BTreeMap<BindingKey, FileBinding>,
}

/// What a policy file says of a custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRole {
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) permissions: PermissionSet,
}

/// What there is one binding of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BindingKey {
    pub(crate) resource: ResourceName,
    pub(crate) principal: Principal,
    pub(crate) role: RoleName,
}

/// What else a policy file says of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileBinding {
    /// From when on it gives nothing.
    pub(crate) expire_time: Option<DateTime<Utc>>,
    /// Which one of the file it is, from 0.
    pub(crate) number: usize,
    /// Where it stands.
    pub(crate) place: Place,
}

impl PolicyFile {
    /// Reads a file, or tells all that is wrong with it.
    pub(crate) fn read(text: &str, now: DateTime<Utc>) -> Result<Self, Violations> {
        decode::read(text, now)
    }
}

#[cfg(test)]
mod tests;
