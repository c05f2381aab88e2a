use thiserror::Error;

/// A text that is no name, or no part of one. The message says what is allowed, and repeats
/// nothing of the input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The collections or their number are wrong.
    #[error("expected a name of the form {expected}")]
    Form {
        /// The form, with its variable parts in braces.
        expected: &'static str,
    },
    /// The id of a workspace, Deployment, service account, custom role or policy file.
    #[error(
        "an id has 1 to 63 characters: lowercase letters, digits and hyphens, \
         a letter first and no hyphen last"
    )]
    Id,
    /// The id of a role is neither a custom one nor, at the system level, a built-in one.
    #[error(
        "a role id is either a built-in role such as DEPLOYMENT_EDITOR, without a parent, or has \
         1 to 63 characters: lowercase letters, digits and hyphens, a letter first and no hyphen \
         last"
    )]
    RoleId,
    /// The number of a deploy in its name.
    #[error("a deploy number is decimal, at least 1, with no sign and no leading zero")]
    DeployNumber,
    /// The number of the latest deploy, where there may be none.
    #[error(
        "a deploy number is decimal, with no sign and no leading zero, \
         and 0 says that there is no deploy yet"
    )]
    DeployNumberOrNone,
    /// The id of a rollback or a role binding.
    #[error("expected a UUID of 36 characters with lowercase hexadecimal digits")]
    Uuid,
    /// The id of a request.
    #[error("a request id is a UUID of 36 characters, and not all zeros")]
    RequestId,
    /// A SHA-256 digest.
    #[error("a digest is 64 lowercase hexadecimal digits")]
    Sha256,
    /// The digest of an image.
    #[error("an image digest is sha256: and 64 lowercase hexadecimal digits")]
    ImageDigest,
    /// The repository of an image.
    #[error(
        "an image repository is an optional registry host with an optional port, and a path of \
         lowercase letters, digits and single separators as in registry.example.com:5000/team/airflow, \
         without tag and digest, of at most 255 characters"
    )]
    ImageRepository,
    /// The tag of an image.
    #[error(
        "an image tag has 1 to 128 characters: letters, digits, underscores, periods and hyphens, \
         with no period or hyphen first"
    )]
    ImageTag,
    /// The kind of a principal.
    #[error(
        "a principal is such as user:alice@example.com, group:data-eng, \
         service-account:workspaces/ops/serviceAccounts/ci or service:deploy-registry"
    )]
    PrincipalKind,
    /// The id of a user or a group.
    #[error(
        "the id of a user or group has 1 to 256 bytes, no white space and no control character"
    )]
    PrincipalId,
    /// The name of a service.
    #[error("a service is authorization, deploy-registry or rollback-orchestrator")]
    ServiceName,
}

impl NameError {
    /// Says of a parent's wrong form what form the whole name has.
    pub(super) fn of_form(self, expected: &'static str) -> Self {
        if let Self::Form { expected: _ } = self {
            Self::Form { expected }
        } else {
            self
        }
    }
}
