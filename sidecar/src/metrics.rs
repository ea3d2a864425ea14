//! Every metric of the sidecar. Labels are enums, or names from the snapshot, so their number is bounded.

mod analyzer;
mod answers;
mod gates;

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub(crate) use self::analyzer::AnalyzerMetrics;
pub(crate) use self::answers::AnswerMetrics;
pub(crate) use self::gates::GateMetrics;

/// Buckets of the GenAI conventions for durations, in seconds.
const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Buckets for scans, in seconds: a chat of usual length takes a fraction of a millisecond.
const SCAN_SECONDS: &[f64] = &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// Buckets of the GenAI conventions for numbers of tokens.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All metrics, registered once.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) accepted: IntCounter,
    pub(crate) requests: IntCounterVec,
    pub(crate) attempts: IntCounterVec,
    pub(crate) fallbacks: IntCounterVec,
    pub(crate) faults: IntCounterVec,
    pub(crate) http2_retired: IntCounterVec,
    pub(crate) cost: IntCounterVec,
    pub(crate) answers: AnswerMetrics,
    pub(crate) gates: GateMetrics,
    pub(crate) pii: Pii,
    pub(crate) histograms: Histograms,
    pub(crate) gauges: Gauges,
    pub(crate) records_dropped: IntCounter,
}

/// Personal data: counts, never values.
pub(crate) struct Pii {
    pub(crate) spans: IntCounterVec,
    pub(crate) restored: IntCounter,
    pub(crate) unrestored: IntCounterVec,
    pub(crate) foreign_tags: IntCounter,
    pub(crate) bound_hits: IntCounterVec,
    pub(crate) scan: Histogram,
    pub(crate) analyzers: AnalyzerMetrics,
}

impl Pii {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let single = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let scan =
            HistogramOpts::new("chaperone_pii_scan_seconds", "From the start of a request's scan to its end");
        let scan = Histogram::with_opts(scan.buckets(SCAN_SECONDS.to_vec()))?;
        registry.register(Box::new(scan.clone()))?;
        Ok(Self {
            spans: counter(
                registry,
                "chaperone_pii_spans_total",
                "Pieces of personal data found, by what was done to them and in which direction",
                &["entity", "action", "direction"],
            )?,
            restored: single("chaperone_pii_restored_total", "Placeholders put back in answers")?,
            unrestored: counter(
                registry,
                "chaperone_pii_unrestored_total",
                "Placeholders of the request that stayed in an answer",
                &["reason"],
            )?,
            foreign_tags: single(
                "chaperone_pii_foreign_tags_total",
                "Words in answers that look like placeholders and are none of the request",
            )?,
            bound_hits: counter(
                registry,
                "chaperone_pii_bound_hits_total",
                "Requests and answers that went beyond a bound of the search, and were refused",
                &["bound"],
            )?,
            scan,
            analyzers: AnalyzerMetrics::new(registry)?,
        })
    }
}

/// Distributions over requests.
pub(crate) struct Histograms {
    pub(crate) tokens: HistogramVec,
    pub(crate) duration: HistogramVec,
    pub(crate) first_token: HistogramVec,
}

/// What is the case now.
pub(crate) struct Gauges {
    pub(crate) in_flight: IntGauge,
    pub(crate) body_memory: IntGauge,
    pub(crate) routes: IntGauge,
    pub(crate) config_age: IntGauge,
    pub(crate) partner_healthy: IntGaugeVec,
}

impl Histograms {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            tokens: histogram(
                registry,
                HistogramOpts::new("gen_ai_client_token_usage", "Tokens used per request")
                    .buckets(TOKENS.to_vec()),
                &["alias", "partner", "model", "gen_ai_token_type"],
            )?,
            duration: histogram(
                registry,
                HistogramOpts::new(
                    "gen_ai_client_operation_duration_seconds",
                    "From accepting a request to its last byte",
                )
                .buckets(SECONDS.to_vec()),
                &["alias", "partner"],
            )?,
            first_token: histogram(
                registry,
                HistogramOpts::new(
                    "gen_ai_client_operation_time_to_first_chunk_seconds",
                    "From accepting a request to its commit point",
                )
                .buckets(SECONDS.to_vec()),
                &["alias", "partner"],
            )?,
        })
    }
}

impl Gauges {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let partner_healthy = IntGaugeVec::new(
            Opts::new("chaperone_partner_healthy", "1 if the partner's last health probe succeeded"),
            &["partner"],
        )?;
        registry.register(Box::new(partner_healthy.clone()))?;
        Ok(Self {
            in_flight: gauge("chaperone_in_flight_requests", "Requests accepted and not yet ended")?,
            body_memory: gauge("chaperone_body_memory_bytes", "Bytes of request bodies held")?,
            routes: gauge("chaperone_config_routes", "Routes of the current snapshot that can be used")?,
            config_age: gauge(
                "chaperone_config_age_seconds",
                "Since the operator last said that the configuration is current; 0 while it would say otherwise",
            )?,
            partner_healthy,
        })
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn histogram(
    registry: &Registry,
    options: HistogramOpts,
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    let histogram = HistogramVec::new(options, labels)?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

impl Metrics {
    /// # Errors
    /// Never, as long as names are unique and well formed.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            accepted: counter(
                &registry,
                "chaperone_requests_accepted_total",
                "Requests whose head was read",
                &[],
            )?
            .with_label_values::<&str>(&[]),
            gates: GateMetrics::new(&registry)?,
            requests: counter(
                &registry,
                "chaperone_requests_total",
                "Requests by outcome: served, refused or client_gone",
                &["alias", "partner", "outcome", "reason"],
            )?,
            attempts: counter(
                &registry,
                "chaperone_attempts_total",
                "Requests sent to partners: committed, why they failed, or injected where a declared fault was played",
                &["partner", "outcome"],
            )?,
            fallbacks: counter(
                &registry,
                "chaperone_fallbacks_total",
                "Requests that another target had to serve",
                &["alias", "from", "to", "reason"],
            )?,
            http2_retired: counter(
                &registry,
                "chaperone_h2_retired_total",
                "Connections over HTTP/2 that are used no more: after their share of answers, by a limit, or not spoken",
                &["partner", "cause"],
            )?,
            faults: counter(
                &registry,
                "chaperone_faults_injected_total",
                "Attempts on which a declared fault was played",
                &["alias", "partner", "kind"],
            )?,
            cost: counter(
                &registry,
                "chaperone_cost_micro_usd_total",
                "Cost by list price, in millionths of a US dollar",
                &["tenant", "alias", "partner", "model"],
            )?,
            answers: AnswerMetrics::new(&registry)?,
            pii: Pii::new(&registry)?,
            histograms: Histograms::new(&registry)?,
            gauges: Gauges::new(&registry)?,
            records_dropped: counter(
                &registry,
                "chaperone_telemetry_dropped_total",
                "What was dropped because its writer was behind",
                &["signal"],
            )?
            .with_label_values(&["records"]),
            registry,
        })
    }

    /// Notes how long a request took.
    pub(crate) fn took(&self, alias: &str, partner: &str, total: Duration, first_token: Option<Duration>) {
        self.histograms.duration.with_label_values(&[alias, partner]).observe(total.as_secs_f64());
        if let Some(first_token) = first_token {
            self.histograms
                .first_token
                .with_label_values(&[alias, partner])
                .observe(first_token.as_secs_f64());
        }
    }

    /// The Prometheus text format.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail; a family without series is left out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}
