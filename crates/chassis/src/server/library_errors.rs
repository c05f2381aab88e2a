//! What the gRPC library answers by itself, before any handler is reached: it says nothing of why in
//! `ErrorInfo`, and speaks of its own insides. It is told here as every other error is.

use http::Response;
use proto::common::v1::ErrorReason;
use tonic::{Code, Status};

use crate::problem::Problem;

/// The largest message that the library takes, in bytes.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// The same answer, unless it is an error without details.
pub(super) fn explained<B: Default>(response: Response<B>) -> Response<B> {
    let status = Status::from_header_map(response.headers());
    match status.and_then(|status| problem(&status)) {
        Some(problem) => Status::from(problem).into_http(),
        None => response,
    }
}

fn problem(status: &Status) -> Option<Problem> {
    if !status.details().is_empty() {
        return None;
    }
    let code = status.code();
    if code == Code::OutOfRange {
        let message = format!("a message has at most {LARGEST_MESSAGE} bytes");
        let problem = Problem::new(Code::ResourceExhausted, ErrorReason::LimitExceeded, message);
        Some(problem.with("limit", LARGEST_MESSAGE))
    } else if code == Code::Internal {
        // A handler's own always has details: the bytes could not be decoded.
        let text = "the bytes are no message of this method";
        let problem = Problem::new(Code::InvalidArgument, ErrorReason::InvalidFields, text);
        Some(problem.with_field("", text))
    } else if code == Code::Unimplemented {
        let message = "there is no such method here, or the encoding of the call is not taken; \
                       reflection lists the methods";
        Some(Problem::new(
            Code::Unimplemented,
            ErrorReason::MethodUnknown,
            message,
        ))
    } else {
        None
    }
}
