//! The one place that makes a [`tonic::Status`].
//!
//! Every error of Reprise is a `google.rpc.Status` with an `ErrorInfo` whose reason is a value of
//! [`ErrorReason`]. Text of drivers and of other services' insides never reaches a caller: it stays
//! in the [source](std::error::Error::source) and goes to the log, once, where the status is made.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use model::names::Principal;
use model::permissions::PermissionSet;
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "reprise.dev";

const REASON_PREFIX: &str = "ERROR_REASON_";

/// How long a caller should wait before it tries again when a dependency is down.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A status travels in one header block, of which many gRPC clients take no more than 8 KiB, all told,
/// and show a broken connection instead of the error if there is more. These bounds keep it below.
const MOST_MESSAGE_BYTES: usize = 1_000;
const MOST_METADATA_BYTES: usize = 500;
const MOST_VIOLATION_BYTES: usize = 2_500;

/// Why a call failed, as the caller is told.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    reason: ErrorReason,
    message: String,
    metadata: Vec<(&'static str, String)>,
    details: ErrorDetails,
    violation_bytes: usize,
    source: Option<Box<dyn Error + Send + Sync>>,
    relayed: Option<Status>,
}

impl Problem {
    /// A problem with a code, a reason and a message to the operator.
    pub fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            reason,
            message: message.into(),
            metadata: Vec::new(),
            details: ErrorDetails::new(),
            violation_bytes: 0,
            source: None,
            relayed: None,
        }))
    }

    /// No identity, or none that can be accepted. Which check failed is for the log only.
    pub fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            ErrorReason::Unauthenticated,
            "a valid token is needed in `authorization: Bearer …`",
        )
    }

    /// The principal may see the resource, but lacks these permissions on it.
    pub fn permission_missing(
        principal: &Principal,
        missing: PermissionSet,
        resource: &impl fmt::Display,
    ) -> Self {
        let permissions = comma_separated(missing.iter());
        Self::new(
            Code::PermissionDenied,
            ErrorReason::PermissionMissing,
            format!("{principal} lacks {permissions} on {resource}"),
        )
        .with("permissions", permissions)
        .with("resource", resource)
        .with("principal", principal)
    }

    /// The resource does not exist, or the caller may not know that it does.
    pub fn not_found(resource_type: &str, name: &impl fmt::Display) -> Self {
        let message = format!("{name} does not exist, or you may not see it");
        Self::new(Code::NotFound, ErrorReason::ResourceNotFound, message).about(resource_type, name)
    }

    /// The name is taken, and stays taken.
    pub fn already_exists(resource_type: &str, name: &impl fmt::Display) -> Self {
        let message = format!("{name} exists already, or did: names are never given again");
        Self::new(
            Code::AlreadyExists,
            ErrorReason::ResourceAlreadyExists,
            message,
        )
        .about(resource_type, name)
    }

    /// The `request_id` was used before for a request with other contents.
    pub fn request_id_reused(request_id: &impl fmt::Display) -> Self {
        Self::new(
            Code::InvalidArgument,
            ErrorReason::RequestIdReused,
            format!("request_id {request_id} was used before, for a request with other contents"),
        )
        .with("request_id", request_id)
    }

    /// A service or database that the answer depends on cannot be reached.
    pub fn unavailable(dependency: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Unavailable,
            ErrorReason::DependencyUnavailable,
            format!("{dependency} cannot be reached; try again"),
        )
        .with("dependency", dependency)
        .retry_after(RETRY_AFTER)
        .caused_by(source)
    }

    /// Something broke inside. The caller learns nothing but the trace id.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            ErrorReason::Internal,
            "something broke inside the service; its log tells what, under the trace id of this call",
        )
        .caused_by(source)
    }

    /// A problem that another service told, handed to the caller as it is.
    ///
    /// Only for a status that speaks about the caller's own request. What a dependency says about
    /// *our* request is [`Problem::from_dependency`].
    pub fn relay(status: Status) -> Self {
        let reason = reason_of(&status).unwrap_or(ErrorReason::Internal);
        let mut problem = Self::new(status.code(), reason, status.message());
        problem.0.relayed = Some(status);
        problem
    }

    /// What it means for the caller that a call to another service failed unexpectedly.
    pub fn from_dependency(dependency: &str, status: Status) -> Self {
        if is_outage(status.code()) {
            Self::unavailable(dependency, status)
        } else {
            Self::internal(status)
        }
    }

    /// Adds an entry to the metadata of the `ErrorInfo`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.metadata.push((key, value.to_string()));
        self
    }

    /// Adds `ResourceInfo`.
    #[must_use]
    pub fn about(mut self, resource_type: &str, name: &impl fmt::Display) -> Self {
        self.0
            .details
            .set_resource_info(resource_type, name.to_string(), "", "");
        self
    }

    /// Adds `RetryInfo`.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.details.set_retry_info(Some(delay));
        self
    }

    /// Adds a violation to `BadRequest`, if there is room for it.
    #[must_use]
    pub fn with_field(mut self, field: &str, description: &str) -> Self {
        if self.has_room_for(&[field, description]) {
            self.0.details.add_bad_request_violation(field, description);
        }
        self
    }

    /// Adds a violation to `PreconditionFailure`, if there is room for it.
    #[must_use]
    pub fn with_precondition(mut self, kind: &str, subject: &str, description: &str) -> Self {
        if self.has_room_for(&[kind, subject, description]) {
            self.0
                .details
                .add_precondition_failure_violation(kind, subject, description);
        }
        self
    }

    /// Takes room for another violation.
    fn has_room_for(&mut self, texts: &[&str]) -> bool {
        self.0.violation_bytes += texts.iter().map(|text| text.len()).sum::<usize>();
        self.0.violation_bytes <= MOST_VIOLATION_BYTES
    }

    /// Keeps what caused the problem, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The status code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The reason.
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// The message to the operator.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn log(&self) {
        let Some(source) = &self.0.source else { return };
        let cause = chain(source.as_ref());
        if self.0.code == Code::Internal {
            tracing::error!(cause, "call failed inside the service");
        } else {
            tracing::warn!(cause, reason = reason_name(self.0.reason), "call failed");
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        problem.log();
        let Inner {
            code,
            reason,
            message,
            mut metadata,
            mut details,
            violation_bytes: _,
            source: _,
            relayed,
        } = *problem.0;
        if let Some(status) = relayed {
            return status;
        }
        if reason == ErrorReason::Internal
            && let Some(trace_id) = crate::telemetry::current_trace_id()
        {
            metadata.push(("trace_id", trace_id));
        }
        let metadata = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), shortened(value, MOST_METADATA_BYTES)));
        details.set_error_info(
            reason_name(reason),
            ERROR_DOMAIN,
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        Status::with_error_details(code, shortened(message, MOST_MESSAGE_BYTES), details)
    }
}

/// A text that takes at most so many bytes of a header, where all but ASCII is escaped.
fn shortened(mut text: String, most: usize) -> String {
    const ELLIPSIS: char = '…';

    let cost = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            1
        } else {
            3 * c.len_utf8()
        }
    };
    let mut bytes = 0;
    let too_long = text.char_indices().find(|(_, c)| {
        bytes += cost(*c);
        bytes > most
    });
    if let Some((end, _)) = too_long {
        text.truncate(end);
        text.push(ELLIPSIS);
    }
    text
}

/// The reason that a status of a Reprise service carries.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    if info.domain != ERROR_DOMAIN {
        return None;
    }
    ErrorReason::from_str_name(&format!("{REASON_PREFIX}{}", info.reason))
}

/// Whether a code says that the callee could not be reached or did not answer in time, so that the
/// same call may succeed later.
pub fn is_outage(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

/// The names of things, with commas between them, as they stand in the metadata of errors.
pub fn comma_separated<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(",")
}

/// An error and all its sources in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = own_text(error);
    let mut source = error.source();
    while let Some(error) = source {
        let cause = own_text(error);
        // Some drivers end their own text with that of their cause.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// A status shows its causes inside its own text, in the form for debuggers.
fn own_text(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<Status>() {
        Some(status) => format!("{}: {}", status.code(), status.message()),
        None => error.to_string(),
    }
}

fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}
