use uuid::Uuid;

use super::super::*;
use super::{SHA256, UUID, accepted, refused};
use crate::roles::SystemRole;

#[test]
fn names_give_their_parts() {
    let deploy: DeployName = accepted("workspaces/w/deployments/d/deploys/7");
    assert_eq!(deploy.number().get(), 7);
    assert_eq!(deploy.deployment().id(), "d");
    assert_eq!(deploy.deployment().workspace().id(), "w");

    let rollback: RollbackName = accepted(&format!("workspaces/w/deployments/d/rollbacks/{UUID}"));
    assert_eq!(rollback.id().to_string(), UUID);

    let bundle: DagBundleName =
        accepted(&format!("workspaces/w/deployments/d/dagBundles/{SHA256}"));
    assert_eq!(bundle.digest().as_bytes()[..3], [0x01, 0x23, 0x45]);
    assert_eq!(bundle.deployment(), rollback.deployment());
}

#[test]
fn ids_have_one_to_63_lowercase_characters() {
    let longest = format!("a{}9", "-".repeat(61));
    for id in ["a", "a1", "a-b", "z9", longest.as_str()] {
        let name: WorkspaceName = accepted(&format!("workspaces/{id}"));
        assert_eq!(name.id(), id);
    }
    let too_long = format!("a{longest}");
    for id in [
        "", "1a", "-a", "a-", "A", "aB", "a_b", "a.b", "é", "a b", "a\n", &too_long,
    ] {
        assert_eq!(
            refused::<WorkspaceName>(&format!("workspaces/{id}")),
            NameError::Id,
            "{id:?}"
        );
    }
}

#[test]
fn a_name_has_exactly_its_form() {
    for text in [
        "",
        "w",
        "workspaces",
        "/workspaces/w",
        "Workspaces/w",
        "workspace/w",
        "workspaces/w/deployments",
        "workspaces/w/deployments/d/",
        "workspaces/w//deployments/d",
        "deployments/d",
        "/deployments/d",
        "x/workspaces/w/deployments/d",
        "workspaces/w/workspaces/w/deployments/d",
    ] {
        refused::<DeploymentName>(text);
    }
    assert_eq!(
        refused::<DeploymentName>("projects/w/deployments/d").to_string(),
        "expected a name of the form workspaces/{workspace}/deployments/{deployment}"
    );
    assert_eq!(
        refused::<DeploymentName>("workspaces/W/deployments/d"),
        NameError::Id
    );
}

#[test]
fn a_deploy_name_has_a_number_from_one() {
    accepted::<DeployName>("workspaces/w/deployments/d/deploys/9223372036854775807");
    for number in [
        "0",
        "01",
        "+1",
        "-1",
        "",
        "1.0",
        "9223372036854775808",
        "٣",
        "1 ",
    ] {
        let text = format!("workspaces/w/deployments/d/deploys/{number}");
        assert_eq!(
            refused::<DeployName>(&text),
            NameError::DeployNumber,
            "{number:?}"
        );
    }
}

#[test]
fn a_writer_can_expect_no_deploy_yet() {
    let text = "workspaces/w/deployments/d/deploys/0";
    let name = DeployName::parse_expected_latest(text).unwrap();
    assert!(name.number().is_none());
    assert_eq!(name.number(), DeployNumber::NONE);
    assert_eq!(name.to_string(), text);
    assert_eq!(
        DeployName::parse_expected_latest("workspaces/w/deployments/d/deploys/00"),
        Err(NameError::DeployNumberOrNone)
    );
    assert!(DeployNumber::new(-1).is_err());
    assert_eq!(DeployNumber::NONE.next(), DeployNumber::new(1).ok());
    assert_eq!(DeployNumber::new(i64::MAX).unwrap().next(), None);
}

#[test]
fn a_uuid_in_a_name_has_one_spelling() {
    let parent = "workspaces/w/deployments/d/rollbacks";
    let simple = UUID.replace('-', "");
    for id in [
        "",
        "1",
        &UUID.to_uppercase(),
        &simple,
        &format!("{{{UUID}}}"),
    ] {
        assert_eq!(
            refused::<RollbackName>(&format!("{parent}/{id}")),
            NameError::Uuid,
            "{id}"
        );
    }
}

#[test]
fn a_request_id_is_a_uuid_in_any_case_and_not_nil() {
    let id: RequestId = UUID.to_uppercase().parse().unwrap();
    assert_eq!(id.to_string(), UUID);
    for text in ["", &Uuid::nil().to_string(), &UUID.replace('-', ""), "x"] {
        assert_eq!(refused::<RequestId>(text), NameError::RequestId, "{text}");
    }
}

#[test]
fn a_service_account_belongs_to_a_workspace_or_a_deployment() {
    let account: ServiceAccountName = accepted("workspaces/w/serviceAccounts/ci");
    assert_eq!(account.parent(), accepted("workspaces/w"));
    assert_eq!(account.id(), "ci");
    let account: ServiceAccountName = accepted("workspaces/w/deployments/d/serviceAccounts/ci");
    assert_eq!(account.parent(), accepted("workspaces/w/deployments/d"));

    for text in [
        "serviceAccounts/ci",
        "system/serviceAccounts/ci",
        "/serviceAccounts/ci",
    ] {
        let error = refused::<ServiceAccountName>(text);
        assert!(matches!(error, NameError::Form { .. }), "{text}: {error}");
    }
    assert!(ServiceAccountName::new(ResourceName::System, "ci").is_err());
}

#[test]
fn a_role_is_built_in_or_custom() {
    let role: RoleName = accepted("roles/DEPLOYMENT_EDITOR");
    assert_eq!(role.system_role(), Some(SystemRole::DeploymentEditor));
    assert_eq!(
        (role.parent(), role.id()),
        (ResourceName::System, "DEPLOYMENT_EDITOR")
    );

    let role: RoleName = accepted("roles/on-call");
    assert_eq!(
        (role.parent(), role.system_role()),
        (ResourceName::System, None)
    );
    let role: RoleName = accepted("workspaces/w/roles/on-call");
    assert_eq!(
        (role.parent(), role.id()),
        (accepted("workspaces/w"), "on-call")
    );
    let role: RoleName = accepted("workspaces/w/deployments/d/roles/on-call");
    assert_eq!(role.parent().level(), Level::Deployment);

    for text in [
        "workspaces/w/roles/DEPLOYMENT_EDITOR",
        "roles/DEPLOYMENT_OWNER",
        "roles/",
    ] {
        assert_eq!(refused::<RoleName>(text), NameError::RoleId, "{text}");
    }
    for text in [
        "system/roles/on-call",
        "/roles/on-call",
        "on-call",
        "workspaces/w/x/on-call",
    ] {
        let error = refused::<RoleName>(text);
        assert!(matches!(error, NameError::Form { .. }), "{text}: {error}");
    }
}

#[test]
fn a_role_binding_lies_on_a_resource() {
    for (prefix, level) in [
        ("", Level::System),
        ("workspaces/w/", Level::Workspace),
        ("workspaces/w/deployments/d/", Level::Deployment),
    ] {
        let name: RoleBindingName = accepted(&format!("{prefix}roleBindings/{UUID}"));
        assert_eq!(name.parent().level(), level);
        assert_eq!(name.id().to_string(), UUID);
    }
    refused::<RoleBindingName>(&format!("system/roleBindings/{UUID}"));
}

#[test]
fn a_resource_lies_below_its_workspace_and_the_system() {
    let ancestors = |text| {
        let name: ResourceName = accepted(text);
        name.ancestors()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ancestors("system"), ["system"]);
    assert_eq!(ancestors("workspaces/w"), ["workspaces/w", "system"]);
    assert_eq!(
        ancestors("workspaces/w/deployments/d"),
        ["workspaces/w/deployments/d", "workspaces/w", "system"]
    );
    for text in ["", "System", "workspaces/w/deployments/d/deploys/1"] {
        refused::<ResourceName>(text);
    }
}
