//! Values of a Partner's spec -> values of a snapshot, one by one. The two enums do not know each other: matches join them.

use std::time::Duration;

use chaperone_crds::field::{self, DurationString};
use chaperone_crds::partner as written;
use chaperone_protocol::adapter::{Adapter, ApiVersion, Capability, DataClass};
use chaperone_protocol::snapshot::{Endpoint, HealthCheck, Mock, MockReply, Timeouts};
use chaperone_protocol::units::Tokens;

use crate::compile::finding::{Notes, Problem, Reason};

pub(super) fn adapter(written: written::Adapter) -> Adapter {
    match written {
        written::Adapter::OpenAI => Adapter::OpenAI,
        written::Adapter::Anthropic => Adapter::Anthropic,
        written::Adapter::Mock => Adapter::Mock,
    }
}

pub(super) fn api_version(written: written::ApiVersion) -> ApiVersion {
    match written {
        written::ApiVersion::V20230601 => ApiVersion::V20230601,
        written::ApiVersion::V20261021 => ApiVersion::V20261021,
    }
}

pub(in crate::compile) fn data_class(written: field::DataClass) -> DataClass {
    match written {
        field::DataClass::Public => DataClass::Public,
        field::DataClass::Internal => DataClass::Internal,
        field::DataClass::Confidential => DataClass::Confidential,
        field::DataClass::Restricted => DataClass::Restricted,
    }
}

pub(in crate::compile) fn capability(written: field::Capability) -> Capability {
    match written {
        field::Capability::Streaming => Capability::Streaming,
        field::Capability::Tools => Capability::Tools,
        field::Capability::ParallelTools => Capability::ParallelTools,
        field::Capability::Vision => Capability::Vision,
        field::Capability::JsonSchema => Capability::JsonSchema,
        field::Capability::Documents => Capability::Documents,
        field::Capability::Audio => Capability::Audio,
        field::Capability::Reasoning => Capability::Reasoning,
        field::Capability::ForcedToolChoice => Capability::ForcedToolChoice,
        field::Capability::Prefill => Capability::Prefill,
        field::Capability::Embeddings => Capability::Embeddings,
    }
}

/// A number of tokens. The schema keeps it above zero; what got past the schema is a finding, never a zero.
pub(in crate::compile) fn tokens(
    written: Option<i64>,
    path: impl Into<String>,
    notes: &mut Notes<'_>,
) -> Option<Tokens> {
    let written = written?;
    let tokens = u64::try_from(written).ok().filter(|tokens| *tokens > 0).map(Tokens);
    if tokens.is_none() {
        notes.add(path, out_of_range(written));
    }
    tokens
}

pub(super) fn out_of_range(written: impl std::fmt::Display) -> Problem {
    Problem::new(
        Reason::InvalidValue,
        format!("{written} is out of range"),
        "write a number that the schema admits",
    )
}

pub(super) fn timeouts(written: &written::Timeouts) -> Timeouts {
    let written::Timeouts { connect, first_token, whole, idle, total } = written;
    Timeouts {
        connect: connect.as_duration(),
        first_token: first_token.as_duration(),
        whole: whole.as_duration(),
        idle: idle.as_duration(),
        total: total.as_duration(),
    }
}

/// A limit inside a limit that ends sooner never does anything.
pub(super) fn check_timeouts(timeouts: &Timeouts, notes: &mut Notes<'_>) {
    let Timeouts { connect: _, first_token: _, whole, idle: _, total } = timeouts;
    if total <= whole {
        let message = format!(
            "total ({}) is not above whole ({}), so `whole` never applies",
            seconds(*total),
            seconds(*whole)
        );
        notes.add(
            "spec.timeouts.total",
            Problem::new(Reason::TimeoutOrder, message, "raise `total`, or lower `whole`"),
        );
    }
}

/// For a message: whole seconds where they are whole.
pub(in crate::compile) fn seconds(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    }
}

pub(in crate::compile) fn milliseconds(written: &DurationString) -> u64 {
    u64::try_from(written.as_duration().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn health_check(
    written: &written::HealthCheck,
    adapter: Adapter,
    endpoint: Option<&Endpoint>,
) -> HealthCheck {
    let written::HealthCheck { path, interval } = written;
    let path = path.clone().unwrap_or_else(|| default_probe(adapter, endpoint).to_owned());
    HealthCheck { path, interval: interval.as_duration() }
}

/// The adapter's list of models: cheap, and it needs the key.
fn default_probe(adapter: Adapter, endpoint: Option<&Endpoint>) -> &'static str {
    let is_versioned = endpoint.is_some_and(|endpoint| endpoint.path().ends_with("/v1"));
    match adapter {
        Adapter::Anthropic if !is_versioned => "/v1/models",
        Adapter::OpenAI | Adapter::Anthropic | Adapter::Mock => "/models",
    }
}

pub(super) fn mock(written: Option<&written::Mock>, notes: &mut Notes<'_>) -> Option<Mock> {
    let absent = written::Mock::default();
    let written::Mock { reply, text, first_token_delay, tokens_per_second, fail_percent, status } =
        written.unwrap_or(&absent);
    let reply = match (reply, text) {
        (written::MockReply::Echo, _) => MockReply::Echo,
        (written::MockReply::Text, text) => MockReply::Text(text.clone().unwrap_or_default()),
    };
    Some(Mock {
        reply,
        first_token_delay: first_token_delay.as_duration(),
        tokens_per_second: number(*tokens_per_second, "tokensPerSecond", notes)?,
        fail_percent: number(*fail_percent, "failPercent", notes)?,
        status: number(*status, "status", notes)?,
    })
}

fn number<T: TryFrom<i32>>(written: i32, field: &str, notes: &mut Notes<'_>) -> Option<T> {
    let converted = T::try_from(written).map_err(|_| out_of_range(written));
    notes.keep(format!("spec.mock.{field}"), converted)
}
