//! From the rows of the store to an index.
//!
//! Tens of thousands of bindings name the same few thousand principals, resources and roles: every
//! text is parsed once, and is a number from then on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use model::names::{NameError, Principal, ResourceName, RoleBindingId, RoleName};

use super::roles::Roles;
use super::rows::{BindingRow, Flaw, PolicyRows};
use super::{Bound, Index, Range, UNREADABLE};
use crate::domain::policy::check_bindable;

impl Index {
    /// Builds the index, and tells what it had to leave out.
    pub(crate) fn build(rows: PolicyRows) -> (Self, Vec<Flaw>) {
        let PolicyRows {
            revision,
            built_in_role_changes,
            roles,
            bindings: rows,
            revoked,
        } = rows;
        let mut flaws = Vec::new();
        let roles = Roles::read(&built_in_role_changes, roles, &mut flaws);
        let Bindings {
            principals,
            resources,
            bindings,
        } = Bindings::read(&rows, &roles, &mut flaws);
        let resource_numbers = (0..).zip(&resources);
        let index = Self {
            revision,
            roles,
            resource_numbers: resource_numbers
                .map(|(number, resource)| (resource.clone(), number))
                .collect(),
            resources,
            principals,
            bindings,
            revoked: revoked.into_iter().collect(),
        };
        (index, flaws)
    }
}

/// All bindings that somebody has.
struct Bindings {
    principals: HashMap<Principal, Range>,
    resources: Vec<ResourceName>,
    bindings: Box<[Bound]>,
}

impl Bindings {
    fn read(rows: &[BindingRow], roles: &Roles, flaws: &mut Vec<Flaw>) -> Self {
        let mut reader = Reader {
            principals: Numbered::new(),
            resources: Numbered::new(),
            roles: HashMap::new(),
            fitting: HashMap::new(),
            known: roles,
        };
        let mut bindings = Vec::with_capacity(rows.len());
        for row in rows {
            match reader.read(row, flaws) {
                Ok(binding) => bindings.push(binding),
                Err(flaw) => flaws.push(flaw),
            }
        }
        bindings.sort_unstable_by_key(|(principal, bound)| (*principal, bound.resource, bound.id));

        let mut principals = HashMap::with_capacity(reader.principals.values.len());
        let mut rest = bindings.as_slice();
        for (number, principal) in (0..).zip(reader.principals.values) {
            let start = bindings.len() - rest.len();
            let mine = rest.iter().take_while(|(of, _)| *of == number).count();
            rest = rest.get(mine..).unwrap_or_default();
            let end = start + mine;
            principals.insert(principal, Range { start, end });
        }
        Self {
            principals,
            resources: reader.resources.values,
            bindings: bindings.into_iter().map(|(_, bound)| bound).collect(),
        }
    }
}

struct Reader<'a> {
    principals: Numbered<'a, Principal>,
    resources: Numbered<'a, ResourceName>,
    /// None for a text that names no role that there is.
    roles: HashMap<&'a str, Option<u32>>,
    /// Whether a role can be bound on a resource.
    fitting: HashMap<(u32, u32), bool>,
    known: &'a Roles,
}

impl<'a> Reader<'a> {
    /// The number of the principal, and the binding. One of which only the role cannot be judged
    /// stays among the bindings of its principal, as [`UNREADABLE`].
    fn read(&mut self, row: &'a BindingRow, flaws: &mut Vec<Flaw>) -> Result<(u32, Bound), Flaw> {
        let BindingRow {
            id,
            resource,
            principal,
            role,
            expire_time,
        } = row;
        let id = *id;
        let invalid = |part| move |source| Flaw::Binding { id, part, source };
        let resource = self.resources.number(resource);
        let resource = resource.map_err(invalid("resource"))?;
        let principal = self.principals.number(principal);
        let principal = principal.map_err(invalid("principal"))?;
        if let Some(Principal::Service(_)) = self.principals.get(principal) {
            return Err(Flaw::Service { id });
        }
        let judged = self
            .role(id, role, resource)
            .and_then(|role| Ok((role, time(id, *expire_time)?)));
        let (role, expire_time) = judged.unwrap_or_else(|flaw| {
            flaws.push(flaw);
            (UNREADABLE, None)
        });
        Ok((
            principal,
            Bound {
                resource,
                id,
                role,
                expire_time,
            },
        ))
    }

    fn role(&mut self, id: RoleBindingId, text: &'a str, resource: u32) -> Result<u32, Flaw> {
        let known = self.known;
        let number = *self
            .roles
            .entry(text)
            .or_insert_with(|| known.number(&text.parse::<RoleName>().ok()?));
        let unknown = || Flaw::UnknownRole {
            id,
            role: text.to_owned(),
        };
        let number = number.ok_or_else(unknown)?;
        let check = || {
            let role = known.get(number).ok_or_else(unknown)?;
            let resource = self.resources.get(resource).ok_or_else(unknown)?;
            check_bindable(&role.name, role.permissions, resource)
                .map_err(|source| Flaw::Unbindable { id, source })
        };
        match self.fitting.entry((number, resource)) {
            Entry::Occupied(fits) if *fits.get() => {}
            Entry::Occupied(_) => check()?,
            Entry::Vacant(entry) => {
                let checked = check();
                entry.insert(checked.is_ok());
                checked?;
            }
        }
        Ok(number)
    }
}

fn time(id: RoleBindingId, micros: Option<i64>) -> Result<Option<DateTime<Utc>>, Flaw> {
    let Some(micros) = micros else {
        return Ok(None);
    };
    DateTime::from_timestamp_micros(micros)
        .map(Some)
        .ok_or(Flaw::ExpireTime { id, micros })
}

/// Names by number, and the number of each text that is one.
struct Numbered<'a, T> {
    values: Vec<T>,
    numbers: HashMap<&'a str, Result<u32, NameError>>,
}

impl<'a, T: FromStr<Err = NameError>> Numbered<'a, T> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn number(&mut self, text: &'a str) -> Result<u32, NameError> {
        let values = &mut self.values;
        let number = self.numbers.entry(text).or_insert_with(|| {
            let value = text.parse()?;
            values.push(value);
            Ok(number(values.len() - 1))
        });
        number.clone()
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }
}

/// What does not fit is [`UNREADABLE`], and so grants nothing. Memory ends long before.
pub(super) fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(UNREADABLE)
}
