//! Logs, and the trace context of a call.
//!
//! Every call has a span with a trace id: the caller's, from `traceparent`
//! ([W3C Trace Context](https://www.w3.org/TR/trace-context/)), or a new one. It goes along with
//! every call that is made on its behalf, and stands in every line of the log.

use std::io::IsTerminal;
use std::str::FromStr;

use http::Request;
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Plain text, for people.
    Text,
}

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("`{0}` is no log filter; try `info` or `info,sqlx=debug`")]
    Filter(String),
    /// Something set up logging before.
    #[error("logging is set up already")]
    Twice,
}

/// Sets up logging to standard error and trace propagation for the whole process. `filter` is such
/// as `info` or `info,sqlx=debug`.
pub fn init(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    // The provider makes trace and span ids; it exports nothing.
    let tracer = SdkTracerProvider::builder().build().tracer("reprise");
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_opentelemetry::layer().with_tracer(tracer));
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        // A file has no colours.
        lines = lines.with_ansi(false);
    }
    match format {
        LogFormat::Json => {
            // The span of the call says all; a list of spans would repeat it in every line.
            let lines = lines.json().flatten_event(true).with_span_list(false);
            registry.with(lines).try_init()
        }
        LogFormat::Text => registry.with(lines).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

/// The span of an incoming call, which continues the caller's trace.
pub(crate) fn call_span<B>(service: &'static str, request: &Request<B>) -> Span {
    let span = tracing::info_span!(
        "call",
        otel.kind = "server",
        service,
        method = request.uri().path(),
        trace_id = tracing::field::Empty,
    );
    let parent = global::get_text_map_propagator(|propagator| {
        propagator.extract(&HeaderExtractor(request.headers()))
    });
    // Fails only if the span is disabled, and then has no parent to lose.
    let _ = span.set_parent(parent);
    if let Some(trace_id) = trace_id(&span) {
        span.record("trace_id", trace_id);
    }
    span
}

/// Puts the trace context of the current span into an outgoing call.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Span::current().context(), &mut MetadataInjector(metadata));
    });
}

/// The trace id of the current span.
pub fn current_trace_id() -> Option<String> {
    trace_id(&Span::current())
}

fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span_context = context.span().span_context().clone();
    span_context
        .is_valid()
        .then(|| span_context.trace_id().to_string())
}

struct HeaderExtractor<'a>(&'a http::HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct MetadataInjector<'a>(&'a mut MetadataMap);

impl Injector for MetadataInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_str(key), value.parse()) {
            self.0.insert(key, value);
        }
    }
}
