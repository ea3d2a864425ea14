//! Every metric of the operator. Labels are enums.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// All metrics, registered once.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) leading: IntGauge,
    pub(crate) streams: IntGauge,
    pub(crate) findings: IntGauge,
    pub(crate) compile: Histogram,
    pub(crate) refused: IntCounterVec,
    pub(crate) injections: IntCounterVec,
    pub(crate) uninjected: IntGaugeVec,
    pub(crate) nacks: IntCounter,
    pub(crate) status_writes: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// Never, as long as names are unique and well formed.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counters = |name, help, label| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let compile = Histogram::with_opts(
            HistogramOpts::new("chaperone_compile_duration_seconds", "Compiling and publishing once")
                .buckets(vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
        )?;
        registry.register(Box::new(compile.clone()))?;
        let uninjected = IntGaugeVec::new(
            Opts::new("chaperone_uninjected_pods", "Pods that should have a sidecar and have none"),
            &["reason"],
        )?;
        registry.register(Box::new(uninjected.clone()))?;
        let nacks = IntCounter::new("chaperone_nacks_total", "Snapshots that sidecars refused")?;
        registry.register(Box::new(nacks.clone()))?;
        Ok(Self {
            leading: gauge("chaperone_leading", "1 while this replica leads")?,
            streams: gauge("chaperone_feed_streams", "Streams of sidecars")?,
            findings: gauge("chaperone_findings", "Mistakes found in the objects of users")?,
            refused: counters("chaperone_feed_refused_total", "Streams that were not admitted", "reason")?,
            injections: counters("chaperone_injections_total", "Pods that the injector was asked about", "outcome")?,
            status_writes: counters("chaperone_status_writes_total", "Statuses written, by outcome", "outcome")?,
            compile,
            uninjected,
            nacks,
            registry,
        })
    }

    /// The Prometheus text format.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail; a family without series is left out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}
