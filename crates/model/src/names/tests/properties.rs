use std::fmt::Display;
use std::str::FromStr;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::{SHA256, UUID};

/// Texts of all kinds: anything, what looks like a name, and names with one piece replaced.
fn any_text() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "workspaces",
        "deployments",
        "deploys",
        "rollbacks",
        "dagBundles",
        "serviceAccounts",
        "roles",
        "roleBindings",
        "w",
        "d",
        "7",
        "0",
        UUID,
        SHA256,
        "SYSTEM_ADMIN",
        "system",
        "user:a",
        "service-account:workspaces",
        "sha256:",
        "quay.io:5000",
        "[::1]",
        "",
    ]);
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9/:._@+\\[\\] -]{0,80}",
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.join("/")),
        (
            proptest::sample::select(vec![
                "workspaces/w/deployments/d/deploys/7",
                "workspaces/w/roles/on-call",
                "roles/SYSTEM_ADMIN",
                "registry.example.com:5000/team/airflow",
                "service:rollback-orchestrator",
            ]),
            any::<proptest::sample::Index>(),
            any::<char>()
        )
            .prop_map(|(text, at, c)| {
                let mut chars: Vec<_> = text.chars().collect();
                let at = at.index(chars.len());
                chars[at] = c;
                chars.into_iter().collect()
            }),
    ]
}

/// What parses prints as it was: no name has two spellings.
fn one_spelling<T: FromStr + Display>(text: &str) -> Result<(), TestCaseError> {
    if let Ok(value) = text.parse::<T>() {
        prop_assert_eq!(value.to_string(), text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics_and_no_name_has_two_spellings(text in any_text()) {
        one_spelling::<WorkspaceName>(&text)?;
        one_spelling::<DeploymentName>(&text)?;
        one_spelling::<DeployName>(&text)?;
        one_spelling::<DeployNumber>(&text)?;
        one_spelling::<RollbackName>(&text)?;
        one_spelling::<DagBundleName>(&text)?;
        one_spelling::<ServiceAccountName>(&text)?;
        one_spelling::<RoleName>(&text)?;
        one_spelling::<RoleBindingName>(&text)?;
        one_spelling::<ResourceName>(&text)?;
        one_spelling::<Principal>(&text)?;
        one_spelling::<ImageRepository>(&text)?;
        one_spelling::<ImageTag>(&text)?;
        one_spelling::<ImageDigest>(&text)?;
        one_spelling::<Sha256Digest>(&text)?;
        one_spelling::<RollbackId>(&text)?;
        one_spelling::<RoleBindingId>(&text)?;
        let _ = text.parse::<RequestId>();
    }

    #[test]
    fn what_is_built_from_parts_parses_back(
        ids in ["[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"],
        number in 1..=i64::MAX,
        uuid in any::<u128>(),
        digest in any::<[u8; 32]>(),
    ) {
        let [w, d] = &ids;
        let workspace = WorkspaceName::new(w).unwrap();
        let deployment = DeploymentName::new(&workspace, d).unwrap();
        let deploy = DeployName::new(deployment.clone(), DeployNumber::new(number).unwrap());
        let rollback = RollbackName::new(deployment.clone(), RollbackId::new(Uuid::from_u128(uuid)));
        let bundle = DagBundleName::new(deployment.clone(), Sha256Digest::new(digest));
        prop_assert_eq!(deploy.to_string().parse(), Ok(deploy));
        prop_assert_eq!(rollback.to_string().parse(), Ok(rollback));
        prop_assert_eq!(bundle.to_string().parse(), Ok(bundle));
        for parent in ResourceName::from(deployment).ancestors() {
            let role = RoleName::custom(parent.clone(), d).unwrap();
            let binding = RoleBindingName::new(parent.clone(), RoleBindingId::new(Uuid::from_u128(uuid)));
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
            prop_assert_eq!(role.to_string().parse(), Ok(role));
            prop_assert_eq!(binding.to_string().parse(), Ok(binding));
        }
    }
}
