use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// The error that a call ended with, and all that it says.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The reason in its `ErrorInfo`.
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The fields that its `BadRequest` names.
    pub(crate) fields: BTreeSet<String>,
    /// The kinds of its `PreconditionFailure`.
    pub(crate) preconditions: BTreeSet<String>,
    pub(crate) message: String,
    /// Which of many the case was about.
    case: String,
}

impl Refusal {
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        if let Some(info) = info {
            assert_eq!(info.domain, "reprise.dev");
        }
        let fields = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()))
            .into_iter()
            .flatten();
        let preconditions = details
            .precondition_failure()
            .map(|failure| failure.violations.iter().map(|v| v.r#type.clone()))
            .into_iter()
            .flatten();
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            metadata: info
                .into_iter()
                .flat_map(|info| info.metadata.clone())
                .collect(),
            fields: fields.collect(),
            preconditions: preconditions.collect(),
            message: status.message().to_owned(),
            case: String::new(),
        }
    }

    /// Says which of many it was, in case that it is not as it should be.
    pub(crate) fn when(mut self, case: &str) -> Self {
        self.case = case.chars().take(80).collect();
        self
    }

    /// Fails unless it is this error.
    #[track_caller]
    pub(crate) fn is(self, code: Code, reason: &str) -> Self {
        assert_eq!((self.code, self.reason.as_str()), (code, reason), "{self}");
        self
    }

    /// An entry of the metadata.
    #[track_caller]
    pub(crate) fn about(&self, key: &str) -> &str {
        self.metadata
            .get(key)
            .unwrap_or_else(|| panic!("nothing of {key}: {self}"))
    }

    #[track_caller]
    pub(crate) fn not_found(self) -> Self {
        self.is(Code::NotFound, "RESOURCE_NOT_FOUND")
    }

    #[track_caller]
    pub(crate) fn unavailable(self, dependency: &str) -> Self {
        let refusal = self.is(Code::Unavailable, "DEPENDENCY_UNAVAILABLE");
        assert_eq!(refusal.about("dependency"), dependency);
        refusal
    }

    /// A permit that is none, or none for this; the caller is not told why.
    #[track_caller]
    pub(crate) fn invalid_permit(self) -> Self {
        let refusal = self.is(Code::PermissionDenied, "PERMIT_INVALID");
        assert!(refusal.metadata.is_empty(), "{refusal}");
        refusal
    }

    #[track_caller]
    pub(crate) fn unauthenticated(self) -> Self {
        let refusal = self.is(Code::Unauthenticated, "UNAUTHENTICATED");
        assert!(
            refusal.metadata.is_empty(),
            "which check failed is for the log: {refusal}"
        );
        refusal
    }

    #[track_caller]
    pub(crate) fn lacks(self, permissions: &str) -> Self {
        let refusal = self.is(Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(refusal.about("permissions"), permissions, "{refusal}");
        refusal
    }

    /// Fails unless exactly these blockers are told.
    #[track_caller]
    pub(crate) fn blocked_by(self, blockers: &[&str]) -> Self {
        let refusal = self.is(Code::FailedPrecondition, "ROLLBACK_BLOCKED");
        assert_eq!(refusal.about("blockers"), blockers.join(","), "{refusal}");
        let expected = blockers.iter().map(|blocker| (*blocker).to_owned());
        assert_eq!(refusal.preconditions, expected.collect(), "{refusal}");
        refusal
    }

    /// Fails unless exactly these fields are said to be wrong.
    #[track_caller]
    pub(crate) fn names_fields(self, fields: &[&str]) -> Self {
        let refusal = self.is(Code::InvalidArgument, "INVALID_FIELDS");
        let expected = fields.iter().map(|field| (*field).to_owned());
        assert_eq!(refusal.fields, expected.collect(), "{refusal}");
        refusal
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            reason,
            metadata,
            fields,
            preconditions,
            message,
            case,
        } = self;
        write!(
            f,
            "{case}: {code:?} {reason} {metadata:?} {fields:?} {preconditions:?}: {message}"
        )
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error that a call must have ended with.
#[track_caller]
pub(crate) fn refused<T>(outcome: Result<Response<T>, Status>) -> Refusal {
    match outcome {
        Ok(_) => panic!("the call went through, and must not"),
        Err(status) => Refusal::of(&status),
    }
}

/// The answer that a call must have got.
#[track_caller]
pub(crate) fn done<T>(outcome: Result<Response<T>, Status>) -> T {
    match outcome {
        Ok(response) => response.into_inner(),
        Err(status) => panic!("{}", Refusal::of(&status)),
    }
}
