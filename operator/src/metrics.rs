//! Every metric of the operator. Labels are enums.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::compile::{Finding, Severity};
use crate::feed::Tally;

/// All metrics, registered once.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) leading: IntGauge,
    pub(crate) streams: IntGauge,
    pub(crate) findings: IntGaugeVec,
    pub(crate) behind: IntGaugeVec,
    pub(crate) compile: Histogram,
    pub(crate) certificate_expiry: IntGauge,
    pub(crate) injection: Histogram,
    pub(crate) refused: IntCounterVec,
    pub(crate) injections: IntCounterVec,
    pub(crate) uninjected: IntGaugeVec,
    pub(crate) evictions: IntCounterVec,
    pub(crate) unread: IntGauge,
    pub(crate) certificate_refused: IntGauge,
    pub(crate) bundle_differs: IntGauge,
    pub(crate) nacks: IntCounter,
    pub(crate) status_writes: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// Never, as long as names are unique and well formed.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let all = Register(Registry::new());
        let injections =
            all.counters("chaperone_injections_total", "Pods that the injector was asked about", "outcome")?;
        // A failure is seen by what it adds to what was there before.
        injections.with_label_values(&["failed"]).reset();
        Ok(Self {
            leading: all.gauge("chaperone_leading", "1 while this replica leads")?,
            streams: all.gauge("chaperone_feed_streams", "Streams of sidecars")?,
            findings: all.gauges(
                "chaperone_findings",
                "Mistakes found in the objects of users",
                "severity",
            )?,
            behind: all.gauges(
                "chaperone_objects_behind",
                "Objects that some sidecar refuses, or does not have yet",
                "state",
            )?,
            refused: all.counters(
                "chaperone_feed_refused_total",
                "Streams that were not admitted",
                "reason",
            )?,
            injections,
            evictions: all.counters(
                "chaperone_evictions_total",
                "Evictions of Pods without a sidecar",
                "outcome",
            )?,
            status_writes: all.counters(
                "chaperone_status_writes_total",
                "Statuses written, by outcome",
                "outcome",
            )?,
            compile: all.seconds("chaperone_compile_duration_seconds", "Compiling and publishing once")?,
            certificate_expiry: all.gauge(
                "chaperone_certificate_expiry_timestamp_seconds",
                "When the certificate of feed and webhook ends, in seconds since 1970",
            )?,
            injection: all.seconds(
                "chaperone_injection_duration_seconds",
                "From a question about a Pod to its answer",
            )?,
            uninjected: all.gauges(
                "chaperone_uninjected_pods",
                "Pods that should have a sidecar and have none",
                "reason",
            )?,
            unread: all.gauge(
                "chaperone_unread_namespaces",
                "Watched namespaces that are gone or may not be read: their Role is missing",
            )?,
            certificate_refused: all.gauge(
                "chaperone_certificate_refused",
                "1 while what the certificate's Secret holds cannot be used, so that the last is kept",
            )?,
            bundle_differs: all.gauge(
                "chaperone_webhook_authority_differs",
                "1 while the webhook's caBundle is not the authority of the certificate in use",
            )?,
            nacks: all.counter("chaperone_nacks_total", "Snapshots that sidecars refused")?,
            registry: all.0,
        })
    }

    /// What the compiler found in the objects of users.
    pub(crate) fn found(&self, findings: &[Finding]) {
        for (severity, code) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let count = findings.iter().filter(|finding| finding.severity == severity).count();
            self.findings.with_label_values(&[code]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// How objects stand with sidecars.
    pub(crate) fn stand<'t>(&self, tallies: impl Iterator<Item = &'t Tally>) {
        let (mut refused, mut stale) = (0, 0);
        for tally in tallies {
            refused += i64::from(tally.refused > 0);
            stale += i64::from(tally.stale > 0);
        }
        self.behind.with_label_values(&["refused"]).set(refused);
        self.behind.with_label_values(&["stale"]).set(stale);
    }

    /// Another leads: what was found and counted is for that one to say.
    pub(crate) fn forget(&self) {
        self.leading.set(0);
        self.streams.set(0);
        self.found(&[]);
        self.stand(std::iter::empty());
    }

    /// The Prometheus text format.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail; a family without series is left out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// Makes metrics that are written with all others.
struct Register(Registry);

impl Register {
    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        let buckets = vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }

    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
