//! What every service of Reprise needs and no domain has.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`access`] | asking the authorization service what a caller may do |
//! | [`backoff`] | how long to wait before trying again |
//! | [`client`] | calling another service: identity, deadline, retry, trace context |
//! | [`config`] | the settings that the services share |
//! | [`convert`] | conversions between protobuf types and the model |
//! | [`database`] | one store on two databases |
//! | [`environment`] | time and new ids, as parameters |
//! | [`fields`] | reading a request, and telling all that is wrong with it at once |
//! | [`filter`] | the filters of lists |
//! | [`identity`] | who calls: tokens, keys, permits |
//! | [`mask`] | which fields an update changes |
//! | [`paging`] | page sizes and page tokens |
//! | [`problem`] | the one place that makes a `tonic::Status` |
//! | [`requests`] | the `request_id` of a mutating call |
//! | [`server`] | serving gRPC: listener, layers, health, reflection, drain |
//! | [`telemetry`] | logs, and the trace context of a call |
//!
//! Invariants: a call reaches a handler only with an identity ([`identity`]); an error reaches a
//! caller only through [`problem`]; nothing else asks for the time ([`environment`]).

pub mod access;
pub mod backoff;
pub mod client;
pub mod config;
pub mod convert;
pub mod database;
pub mod environment;
pub mod fields;
pub mod filter;
pub mod identity;
pub mod mask;
pub mod paging;
pub mod problem;
pub mod requests;
pub mod server;
pub mod telemetry;
#[cfg(feature = "test-support")]
pub mod testing;
