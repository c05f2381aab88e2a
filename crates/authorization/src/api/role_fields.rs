//! What a caller says of a role.

use chassis::fields::Fields;
use model::names::ResourceName;
use model::permissions::{Permission, PermissionSet};

const LONGEST_DISPLAY_NAME: usize = 100;
const LONGEST_DESCRIPTION: usize = 500;
const MOST_PERMISSIONS: usize = 128;

pub(super) fn display_name(fields: &mut Fields, text: String) -> Option<String> {
    fields.text("role.display_name", text, LONGEST_DISPLAY_NAME)
}

pub(super) fn description(fields: &mut Fields, text: String) -> Option<String> {
    fields.text("role.description", text, LONGEST_DESCRIPTION)
}

/// What a role of `parent` shall hold.
pub(super) fn permissions(
    fields: &mut Fields,
    texts: &[String],
    parent: &ResourceName,
) -> Option<PermissionSet> {
    if !(1..=MOST_PERMISSIONS).contains(&texts.len()) {
        fields.violation("role.permissions", "must have 1 to 128 entries");
        return None;
    }
    let level = parent.level();
    let grantable = PermissionSet::grantable_at(level);
    let mut permissions = PermissionSet::EMPTY;
    let mut all_right = true;
    for (number, text) in texts.iter().enumerate() {
        let field = format!("role.permissions[{number}]");
        let checked = fields
            .parse::<Permission>(&field, text)
            .and_then(|permission| {
                fields.check(&field, permission, |permission| {
                    if permission.service_only() {
                        Err(format!("{permission} is for services only"))
                    } else if !grantable.contains(*permission) {
                        Err(format!(
                            "{permission} has no meaning in a role of a {level}"
                        ))
                    } else if permissions.contains(*permission) {
                        Err(format!("{permission} is there already"))
                    } else {
                        Ok(())
                    }
                })
            });
        match checked {
            Some(permission) => permissions.insert(permission),
            None => all_right = false,
        }
    }
    all_right.then_some(permissions)
}
