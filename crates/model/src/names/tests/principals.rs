use super::super::{ImageTag, NameError, Principal, ServiceName, WorkspaceName};
use super::{accepted, refused};

#[test]
fn a_principal_says_its_kind() {
    assert!(matches!(
        accepted("user:alice@example.com"),
        Principal::User(_)
    ));
    assert!(matches!(accepted("group:data-eng"), Principal::Group(_)));
    assert!(matches!(
        accepted("service-account:workspaces/w/serviceAccounts/ci"),
        Principal::ServiceAccount(_)
    ));
    for service in ServiceName::ALL {
        assert_eq!(
            accepted::<Principal>(&format!("service:{service}")),
            Principal::Service(*service)
        );
    }
    let Principal::User(id) = accepted("user:idp:a/b") else {
        panic!("not a user")
    };
    assert_eq!(id.as_str(), "idp:a/b");

    assert_eq!(refused::<Principal>("alice"), NameError::PrincipalKind);
    assert_eq!(refused::<Principal>("User:alice"), NameError::PrincipalKind);
    assert_eq!(
        refused::<Principal>("service:other"),
        NameError::ServiceName
    );
    refused::<Principal>("service-account:ci");
}

#[test]
fn the_id_of_a_user_has_no_white_space_and_at_most_256_bytes() {
    assert!(Principal::user(&"é".repeat(128)).is_ok());
    for id in [
        "",
        "a b",
        "a\n",
        "\u{a0}",
        "\0",
        "a\u{7f}",
        "a\u{85}",
        &"é".repeat(129),
    ] {
        assert_eq!(Principal::user(id), Err(NameError::PrincipalId), "{id:?}");
        assert_eq!(Principal::group(id), Err(NameError::PrincipalId), "{id:?}");
    }
}

#[test]
fn errors_repeat_nothing_of_the_input() {
    let marker = "MARKER";
    assert!(
        !refused::<WorkspaceName>(&format!("workspaces/{marker}"))
            .to_string()
            .contains(marker)
    );
    assert!(
        !refused::<Principal>(&format!("{marker}:x"))
            .to_string()
            .contains(marker)
    );
    assert!(
        !refused::<ImageTag>(&format!(".{marker}"))
            .to_string()
            .contains(marker)
    );
}
