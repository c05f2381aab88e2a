//! From the text of a policy file to what it says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Months, SubsecRound, Utc};
use model::names::{Principal, RoleName};
use model::permissions::{Permission, PermissionSet};
use model::roles::{RoleChanges, SystemRole};

use super::violations::{Field, Quoted, Violations};
use super::yaml::{self, Key, Node, Place, Unreadable, Value};
use super::{BindingKey, FileBinding, FileRole, LONGEST_FILE, PolicyFile};

/// The only version of the form.
const VERSION: &str = "1";
const MOST_ROLES: usize = 1_000;
const MOST_BINDINGS: usize = 10_000;
const MOST_PERMISSIONS: usize = 128;
const LONGEST_DISPLAY_NAME: usize = 100;
const LONGEST_DESCRIPTION: usize = 500;
const LONGEST_PRINCIPAL: usize = 256;
/// How far ahead a binding can expire: 10 years.
const LONGEST_EXPIRY: Months = Months::new(10 * 12);

const THERE_ALREADY: &str = "stands in the file already";

/// Reads a file, or tells all that is wrong with it.
pub(super) fn read(text: &str, now: DateTime<Utc>) -> Result<PolicyFile, Violations> {
    let mut decoder = Decoder {
        now,
        violations: Violations::default(),
    };
    let file = decoder.file(text);
    match file {
        Some(file) if decoder.violations.is_empty() => Ok(file),
        Some(_) | None => Err(decoder.violations),
    }
}

/// Decodes values, and notes what is wrong with them. What is wrong or missing becomes `None`, or is
/// left out.
struct Decoder {
    now: DateTime<Utc>,
    violations: Violations,
}

/// What was found of a field: null if it is not there.
struct Found<'f, 't> {
    field: Field<'f>,
    place: Place,
    value: Value<'t>,
}

impl Decoder {
    fn file(&mut self, text: &str) -> Option<PolicyFile> {
        if text.len() > LONGEST_FILE {
            self.wrong(&Field::File, Place::START, "must have at most 1 MiB");
            return None;
        }
        let Node { place, value } = yaml::read(text)
            .map_err(|Unreadable { place, why }| self.wrong(&Field::File, place, why))
            .ok()?;
        let [version, name, built_in_roles, roles, bindings] = self.members(
            &Field::File,
            place,
            value,
            [
                "version",
                "name",
                "built_in_roles",
                "roles",
                "role_bindings",
            ],
        )?;
        self.version(version);
        let name = self.parse(name);
        let built_in_roles = self.built_in_roles(built_in_roles);
        let roles = self.roles(roles);
        let bindings = self.bindings(bindings);
        Some(PolicyFile {
            name: name?,
            built_in_roles,
            roles,
            bindings,
        })
    }

    fn version(&mut self, found: Found<'_, '_>) {
        let (field, place) = (found.field, found.place);
        if self.text(found).is_some_and(|version| version != VERSION) {
            self.wrong(&field, place, "must be 1, the only version that there is");
        }
    }

    fn built_in_roles(&mut self, found: Found<'_, '_>) -> BTreeMap<(SystemRole, Permission), bool> {
        let list = found.field;
        let mut changes = BTreeMap::new();
        for (Key { place, text }, node) in self.entries(found) {
            let field = Field::Member(&list, &text);
            if let Some(role) = self.ok(&field, place, text.parse()) {
                self.built_in_role(&field, role, node, &mut changes);
            }
        }
        changes
    }

    fn built_in_role(
        &mut self,
        field: &Field<'_>,
        role: SystemRole,
        node: Node<'_>,
        changes: &mut BTreeMap<(SystemRole, Permission), bool>,
    ) {
        let Some([permissions]) = self.members(field, node.place, node.value, ["permissions"])
        else {
            return;
        };
        let list = permissions.field;
        for (Key { place, text }, node) in self.entries(permissions) {
            let field = Field::Key(&list, &text);
            let permission = self.ok(&field, place, text.parse::<Permission>());
            let held = self.truth(&field, node);
            let (Some(permission), Some(held)) = (permission, held) else {
                continue;
            };
            let possible = RoleChanges::default().set(role, permission, held);
            if self.ok(&field, place, possible).is_some() {
                self.insert(changes, (role, permission), held, &field, place);
            }
        }
    }

    fn roles(&mut self, found: Found<'_, '_>) -> BTreeMap<RoleName, FileRole> {
        let list = found.field;
        let mut roles = BTreeMap::new();
        for (number, node) in (0..).zip(self.items(found, 0..=MOST_ROLES)) {
            let field = Field::Item(&list, number);
            let place = node.place;
            if let Some((name, role)) = self.role(&field, node) {
                self.insert(&mut roles, name, role, &field, place);
            }
        }
        roles
    }

    fn role(&mut self, field: &Field<'_>, node: Node<'_>) -> Option<(RoleName, FileRole)> {
        let [name, display_name, description, permissions] = self.members(
            field,
            node.place,
            node.value,
            ["name", "display_name", "description", "permissions"],
        )?;
        let (field, place) = (name.field, name.place);
        let name = self.parse::<RoleName>(name);
        let name = name.filter(|name| {
            let built_in = name.system_role().is_some();
            if built_in {
                let what = "is built in: say under built_in_roles what it holds here";
                self.wrong(&field, place, what);
            }
            !built_in
        });
        let display_name = self.prose(display_name, LONGEST_DISPLAY_NAME);
        let description = self.prose(description, LONGEST_DESCRIPTION);
        let permissions = self.permissions(permissions, name.as_ref());
        Some((
            name?,
            FileRole {
                display_name: display_name?,
                description: description?,
                permissions,
            },
        ))
    }

    /// The permissions of a role, if its name is known: on it depends which ones it can hold.
    fn permissions(&mut self, found: Found<'_, '_>, role: Option<&RoleName>) -> PermissionSet {
        let list = found.field;
        let level = role.map(|role| role.parent().level());
        let mut permissions = PermissionSet::EMPTY;
        for (number, node) in (0..).zip(self.items(found, 1..=MOST_PERMISSIONS)) {
            let field = Field::Item(&list, number);
            let place = node.place;
            let found = Found {
                field,
                place,
                value: node.value,
            };
            let Some(permission) = self.parse::<Permission>(found) else {
                continue;
            };
            if permission.service_only() {
                self.wrong(&field, place, format!("{permission} is for services only"));
            } else if let Some(level) = level
                && !PermissionSet::grantable_at(level).contains(permission)
            {
                let what = format!("{permission} has no meaning in a role of a {level}");
                self.wrong(&field, place, what);
            } else if permissions.contains(permission) {
                self.wrong(&field, place, format!("{permission} is there already"));
            } else {
                permissions.insert(permission);
            }
        }
        permissions
    }

    fn bindings(&mut self, found: Found<'_, '_>) -> BTreeMap<BindingKey, FileBinding> {
        let list = found.field;
        let mut bindings = BTreeMap::new();
        for (number, node) in (0..).zip(self.items(found, 0..=MOST_BINDINGS)) {
            let field = Field::Item(&list, number);
            let place = node.place;
            if let Some((key, expire_time)) = self.binding(&field, node) {
                let binding = FileBinding {
                    expire_time,
                    number,
                    place,
                };
                self.insert(&mut bindings, key, binding, &field, place);
            }
        }
        bindings
    }

    fn binding(
        &mut self,
        field: &Field<'_>,
        node: Node<'_>,
    ) -> Option<(BindingKey, Option<DateTime<Utc>>)> {
        let [resource, principal, role, expire_time] = self.members(
            field,
            node.place,
            node.value,
            ["resource", "principal", "role", "expire_time"],
        )?;
        let resource = self.parse(resource);
        let principal = self.principal(principal);
        let role = self.parse(role);
        let expire_time = self.expire_time(expire_time);
        let key = BindingKey {
            resource: resource?,
            principal: principal?,
            role: role?,
        };
        Some((key, expire_time?))
    }

    fn principal(&mut self, found: Found<'_, '_>) -> Option<Principal> {
        let (field, place) = (found.field, found.place);
        let text = self.text(found)?;
        if text.chars().count() > LONGEST_PRINCIPAL {
            self.wrong(&field, place, "must have at most 256 characters");
            return None;
        }
        let principal = self.ok(&field, place, text.parse())?;
        match principal {
            Principal::User(_) | Principal::Group(_) | Principal::ServiceAccount(_) => {
                Some(principal)
            }
            Principal::Service(_) => {
                let what = "a service has its permissions by configuration, never by a binding";
                self.wrong(&field, place, what);
                None
            }
        }
    }

    /// A time, which may have gone by: a file must not start to be wrong by the clock.
    fn expire_time(&mut self, found: Found<'_, '_>) -> Option<Option<DateTime<Utc>>> {
        let Found {
            field,
            place,
            value: Value::Scalar { text, plain: _ },
        } = found
        else {
            return self.unset(found).then_some(None);
        };
        let Ok(time) = DateTime::parse_from_rfc3339(&text) else {
            self.wrong(&field, place, "must be a time such as 2027-01-31T18:00:00Z");
            return None;
        };
        let time = time.to_utc().trunc_subsecs(6);
        if self
            .now
            .checked_add_months(LONGEST_EXPIRY)
            .is_some_and(|latest| time > latest)
        {
            self.wrong(&field, place, "must be at most 10 years ahead");
            return None;
        }
        Some(Some(time))
    }

    /// Text for people, which may be missing: at most `most` characters, without control characters
    /// but line breaks and tabs.
    fn prose(&mut self, found: Found<'_, '_>, most: usize) -> Option<String> {
        let Found {
            field,
            place,
            value: Value::Scalar { text, plain: _ },
        } = found
        else {
            return self.unset(found).then(String::new);
        };
        let refused = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.chars().count() > most {
            self.wrong(
                &field,
                place,
                format!("must have at most {most} characters"),
            );
        } else if text.contains(refused) {
            self.wrong(&field, place, "must not have control characters");
        } else {
            return Some(text.into_owned());
        }
        None
    }

    /// Whether a value that is no text is not there at all.
    fn unset(&mut self, found: Found<'_, '_>) -> bool {
        let unset = matches!(found.value, Value::Null);
        if !unset {
            self.wrong(&found.field, found.place, "must be a text");
        }
        unset
    }

    /// A value that must be there, and is written as a text.
    fn parse<T: FromStr<Err: Display>>(&mut self, found: Found<'_, '_>) -> Option<T> {
        let (field, place) = (found.field, found.place);
        let text = self.text(found)?;
        self.ok(&field, place, text.parse())
    }

    /// A text that must be there.
    fn text<'t>(&mut self, found: Found<'_, 't>) -> Option<Cow<'t, str>> {
        let Found {
            field,
            place,
            value,
        } = found;
        let what = match value {
            Value::Scalar { text, plain: _ } => return Some(text),
            Value::Null => "must be set",
            Value::List(_) | Value::Mapping(_) => "must be a text",
        };
        self.wrong(&field, place, what);
        None
    }

    fn truth(&mut self, field: &Field<'_>, node: Node<'_>) -> Option<bool> {
        if let Value::Scalar { text, plain: true } = node.value {
            match &*text {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => {}
            }
        }
        self.wrong(field, node.place, "must be true or false");
        None
    }

    /// The members of a mapping that can have these and no others.
    fn members<'f, 't, const N: usize>(
        &mut self,
        field: &'f Field<'f>,
        place: Place,
        value: Value<'t>,
        names: [&'static str; N],
    ) -> Option<[Found<'f, 't>; N]> {
        let Value::Mapping(entries) = value else {
            let what = format!("must be a mapping, with {}", names.join(", "));
            self.wrong(field, place, what);
            return None;
        };
        let mut members = names.map(|name| {
            let missing = Found {
                field: Field::Member(field, name),
                place,
                value: Value::Null,
            };
            (name, false, missing)
        });
        for (key, node) in entries {
            match members.iter_mut().find(|(name, _, _)| *name == key.text) {
                Some((_, there @ false, member)) => {
                    *there = true;
                    member.place = node.place;
                    member.value = node.value;
                }
                Some((name, true, _)) => {
                    self.wrong(&Field::Member(field, name), key.place, THERE_ALREADY);
                }
                None => {
                    let known = names.join(", ");
                    let what = format!("there is no {}, only {known}", Quoted(&key.text));
                    self.wrong(field, key.place, what);
                }
            }
        }
        Some(members.map(|(_, _, member)| member))
    }

    /// The entries of a mapping whose keys the file chooses.
    fn entries<'t>(&mut self, found: Found<'_, 't>) -> Vec<(Key<'t>, Node<'t>)> {
        match found.value {
            Value::Mapping(entries) => return entries,
            Value::Null => {}
            Value::Scalar { text: _, plain: _ } | Value::List(_) => {
                self.wrong(&found.field, found.place, "must be a mapping");
            }
        }
        Vec::new()
    }

    /// The items of a list that has so many.
    fn items<'t>(
        &mut self,
        found: Found<'_, 't>,
        length: std::ops::RangeInclusive<usize>,
    ) -> Vec<Node<'t>> {
        let items = match found.value {
            Value::List(items) => items,
            Value::Null => Vec::new(),
            Value::Scalar { text: _, plain: _ } | Value::Mapping(_) => {
                self.wrong(&found.field, found.place, "must be a list");
                return Vec::new();
            }
        };
        if length.contains(&items.len()) {
            return items;
        }
        let (least, most) = length.into_inner();
        let what = format!("must have {least} to {most} entries");
        self.wrong(&found.field, found.place, what);
        Vec::new()
    }

    fn insert<K: Ord, V>(
        &mut self,
        map: &mut BTreeMap<K, V>,
        key: K,
        value: V,
        field: &Field<'_>,
        place: Place,
    ) {
        match map.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(_) => self.wrong(field, place, THERE_ALREADY),
        }
    }

    fn ok<T>(
        &mut self,
        field: &Field<'_>,
        place: Place,
        result: Result<T, impl Display>,
    ) -> Option<T> {
        result.map_err(|error| self.wrong(field, place, error)).ok()
    }

    fn wrong(&mut self, field: &Field<'_>, place: Place, what: impl Display) {
        self.violations.add(field, place, what);
    }
}
