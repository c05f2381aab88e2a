//! What an event tells besides its kind, as JSON. A later release may add fields; a form that is read
//! otherwise has another version.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::database;
use model::names::DeployNumber;
use model::permissions::{Permission, PermissionSet};
use serde::{Deserialize, Serialize};

use crate::domain::audit::{Attempted, AuditedRequest, Event, EventKind};
use crate::domain::rollback::{RollOut, StateName, StepKind, StoredError};
use crate::domain::warning::WarningCode;
use crate::store::rollbacks::parse;

const VERSION: u32 = 1;

/// What an event tells besides its kind.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Detail {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deploy: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roll_out: Option<String>,
    /// An encoded google.rpc.Status, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<i64>,
    scope: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_latest: Option<i64>,
    permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_digest: Option<String>,
    acknowledged: Vec<String>,
    hold: bool,
    allow_marked_bad: bool,
}

impl Detail {
    pub(super) fn of(state: Option<&str>, event: &Event) -> Self {
        let mut detail = Self {
            version: VERSION,
            state: state.map(str::to_owned),
            ..Self::default()
        };
        match event {
            Event::RollbackRefused { request, error } => {
                detail.request = Some(Request::of(request));
                detail.set_error(error);
            }
            Event::RollbackAccepted { request } => detail.request = Some(Request::of(request)),
            Event::StepStarted(attempted) | Event::StepSucceeded(attempted) => {
                detail.set_attempted(*attempted);
            }
            Event::StepFailed { attempted, error } => {
                detail.set_attempted(*attempted);
                detail.set_error(error);
            }
            Event::GivenUp { error } | Event::CancelRefused { error } | Event::Failed { error } => {
                detail.set_error(error);
            }
            Event::Succeeded { deploy } => detail.deploy = Some(deploy.get()),
            Event::RollOutEnded { deploy, roll_out } => {
                detail.deploy = Some(deploy.get());
                detail.roll_out = Some(roll_out.as_str().to_owned());
            }
            Event::TakenUp
            | Event::CancelRequested
            | Event::AttentionNeeded
            | Event::AttentionCleared
            | Event::Cancelled => {}
        }
        detail
    }

    fn set_attempted(&mut self, Attempted { step, attempt }: Attempted) {
        self.step = Some(step.as_str().to_owned());
        self.attempt = Some(attempt);
    }

    fn set_error(&mut self, StoredError(error): &StoredError) {
        self.error = Some(STANDARD.encode(error));
    }

    pub(super) fn write(&self) -> Result<String, database::Error> {
        serde_json::to_string(self).map_err(database::Error::corrupt)
    }

    pub(super) fn read(text: &str) -> Result<Self, database::Error> {
        let detail = serde_json::from_str::<Self>(text).map_err(database::Error::corrupt)?;
        if detail.version == VERSION {
            Ok(detail)
        } else {
            let version = detail.version;
            Err(database::Error::corrupt(format!(
                "an event of version {version}"
            )))
        }
    }

    /// The event, and the state of the rollback after it.
    pub(super) fn event(
        self,
        kind: EventKind,
    ) -> Result<(Option<StateName>, Event), database::Error> {
        let Self {
            version: _,
            state,
            request,
            step,
            attempt,
            deploy,
            roll_out,
            error,
        } = self;
        let state = state.map(|name| known("state", &name, StateName::from_name));
        let request = || {
            let request = request.ok_or_else(|| missing("request"))?;
            Ok::<_, database::Error>(Box::new(request.read()?))
        };
        let attempted = || {
            Ok::<_, database::Error>(Attempted {
                step: known("step", &present("step", step)?, StepKind::from_name)?,
                attempt: present("attempt", attempt)?,
            })
        };
        let error = || {
            let error = STANDARD.decode(present("error", error)?);
            error.map(StoredError).map_err(database::Error::corrupt)
        };
        let deploy = || number(present("deploy", deploy)?);
        let event = match kind {
            EventKind::RollbackRefused => Event::RollbackRefused {
                request: request()?,
                error: error()?,
            },
            EventKind::RollbackAccepted => Event::RollbackAccepted {
                request: request()?,
            },
            EventKind::StepStarted => Event::StepStarted(attempted()?),
            EventKind::StepSucceeded => Event::StepSucceeded(attempted()?),
            EventKind::StepFailed => Event::StepFailed {
                attempted: attempted()?,
                error: error()?,
            },
            EventKind::TakenUp => Event::TakenUp,
            EventKind::GivenUp => Event::GivenUp { error: error()? },
            EventKind::CancelRequested => Event::CancelRequested,
            EventKind::CancelRefused => Event::CancelRefused { error: error()? },
            EventKind::AttentionNeeded => Event::AttentionNeeded,
            EventKind::AttentionCleared => Event::AttentionCleared,
            EventKind::Succeeded => Event::Succeeded { deploy: deploy()? },
            EventKind::Failed => Event::Failed { error: error()? },
            EventKind::Cancelled => Event::Cancelled,
            EventKind::RollOutEnded => Event::RollOutEnded {
                deploy: deploy()?,
                roll_out: known(
                    "roll_out",
                    &present("roll_out", roll_out)?,
                    RollOut::from_name,
                )?,
            },
        };
        Ok((state.transpose()?, event))
    }
}

impl Request {
    fn of(request: &AuditedRequest) -> Self {
        let AuditedRequest {
            target,
            scope,
            description,
            expected_latest,
            permissions,
            plan_digest,
            acknowledged,
            hold,
            allow_marked_bad,
        } = request;
        Self {
            target: target.map(DeployNumber::get),
            scope: scope.as_str().to_owned(),
            description: description.clone(),
            expected_latest: expected_latest.map(DeployNumber::get),
            permissions: permissions.iter().map(|name| name.to_string()).collect(),
            plan_digest: plan_digest.map(|digest| digest.to_string()),
            acknowledged: acknowledged.iter().map(ToString::to_string).collect(),
            hold: *hold,
            allow_marked_bad: *allow_marked_bad,
        }
    }

    fn read(self) -> Result<AuditedRequest, database::Error> {
        let Self {
            target,
            scope,
            description,
            expected_latest,
            permissions,
            plan_digest,
            acknowledged,
            hold,
            allow_marked_bad,
        } = self;
        Ok(AuditedRequest {
            target: target.map(number).transpose()?,
            scope: parse("scope", &scope)?,
            description,
            expected_latest: expected_latest.map(number).transpose()?,
            permissions: permissions
                .iter()
                .map(|name| parse::<Permission>("permissions", name))
                .collect::<Result<PermissionSet, _>>()?,
            plan_digest: plan_digest
                .map(|digest| parse("plan_digest", &digest))
                .transpose()?,
            acknowledged: acknowledged
                .iter()
                .map(|name| known("acknowledged", name, WarningCode::from_name))
                .collect::<Result<_, _>>()?,
            hold,
            allow_marked_bad,
        })
    }
}

fn number(number: i64) -> Result<DeployNumber, database::Error> {
    DeployNumber::new(number).map_err(database::Error::corrupt)
}

fn known<T>(
    field: &str,
    name: &str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, database::Error> {
    from_name(name)
        .ok_or_else(|| database::Error::corrupt(format!("{field} of an event is `{name}`")))
}

fn present<T>(field: &str, value: Option<T>) -> Result<T, database::Error> {
    value.ok_or_else(|| missing(field))
}

fn missing(field: &str) -> database::Error {
    database::Error::corrupt(format!("an event has no {field}"))
}
