//! How long configuration takes to reach thousands of sidecars, and what it costs the operator: `make bench-feed`.
//!
//! One process plays all sidecars; the operators are the shipped ones, on a real API server that runs on the same
//! machine. Figures stand beside the targets; none fails the run, since a machine that does something else as well
//! decides them.
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chaperone_crds::Partner;
use chaperone_e2e::clock;
use chaperone_e2e::cluster::namespace::TestNamespace;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::platform::{Platform, mock, object, quota, route};
use chaperone_e2e::simulated::{Sidecars, token_for};
use chaperone_e2e::usage::Usage;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Namespaces that sidecars and objects are spread over. The last has one sidecar alone.
const NAMESPACES: usize = 21;
/// Of these, the first so many use the partner that all may use.
const SHARING: usize = 10;
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests to the API server at a time.
const AT_ONCE: usize = 32;
/// From one edit to the next, so that each is compiled by itself.
const QUIET: Duration = Duration::from_millis(1_200);
/// From the last stream to when nothing of its beginning is under way any more.
const SETTLED: Duration = Duration::from_secs(5);

/// Partners: one in each namespace, and one in the first that others may use.
const OWN: &str = "own";
const SHARED: &str = "shared";

#[tokio::main]
async fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let sidecars = numbers.next().transpose()?.unwrap_or(2_000);
    let objects = numbers.next().transpose()?.unwrap_or(1_000);
    let Some(platform) = Platform::for_test("bench-feed", 2, 0).await? else { return Ok(()) };
    let begun = clock::now();
    let bench = Box::pin(Bench::start(Arc::new(platform), sidecars, objects)).await?;
    Box::pin(bench.run()).await?;
    say(&format!("\nmeasured for {:.0} s", clock::since(begun).as_secs_f64()))
}

/// A running fleet.
struct Bench {
    platform: Arc<Platform>,
    namespaces: Vec<TestNamespace>,
    sidecars: Sidecars,
    count: usize,
    leader: PodView,
    edits: usize,
}

impl Bench {
    async fn start(platform: Arc<Platform>, count: usize, objects: usize) -> Result<Self> {
        let mut namespaces = Vec::new();
        for index in 0..NAMESPACES {
            let namespace = platform.cluster.namespace(&format!("fleet{index}"), &[]).await?;
            let shared = namespaces.first().map_or(namespace.name(), TestNamespace::name).to_owned();
            platform.apply(namespace.name(), &objects_of(index, &shared, objects / NAMESPACES)).await?;
            namespaces.push(namespace);
        }
        let leader = platform.operator(platform.leader().await?)?;
        let before = Look::of(&platform, &leader)?;
        // The last namespace has the last sidecar, the others share the rest.
        let place = |index: usize| if index + 1 == count { NAMESPACES - 1 } else { index % (NAMESPACES - 1) };
        let names: Vec<&str> = (0..count).map(|index| namespaces[place(index)].name()).collect();
        let pods = (0..count).map(|index| format!("pod-{index}"));
        let made = futures::stream::iter(names.iter().zip(pods))
            .map(|(namespace, pod)| async { token_for(&platform, namespace, &{ pod }).await })
            .buffered(AT_ONCE);
        let tokens: Vec<String> = made.try_collect().await?;
        say(&format!("{count} sidecars and {objects} objects in {NAMESPACES} namespaces\n"))?;
        say(&format!("{:<66} {:>12}   target", "", "measured"))?;

        let begun = clock::now();
        let sidecars = Sidecars::start(&platform, tokens, "edit-0.");
        let mut bench = Self { platform, namespaces, sidecars, count, leader, edits: 0 };
        let times = bench.in_step(count, begun).await?;
        row("all connect for the first time, to the last Ack", last(&times), "-")?;
        tokio::time::sleep(SETTLED).await;
        let idle = Look::of(&bench.platform, &bench.leader)?;
        let streams = u64::try_from(count)?;
        let grown = idle.resident().saturating_sub(before.resident());
        line("the leader's resident memory, no stream", &mebibytes(before.resident()), "-")?;
        line("the leader's resident memory, all streams idle", &mebibytes(idle.resident()), "<= 256 MiB")?;
        line(
            "  of it for each stream",
            &format!("{} KiB", grown / streams / 1_024),
            "<= 52 KiB (512 MiB for 10,000)",
        )?;
        Ok(bench)
    }

    async fn run(mut self) -> Result<()> {
        self.idle().await?;
        self.one().await?;
        self.thousand().await?;
        self.leader_killed().await
    }

    /// What streams cost that have nothing to say.
    async fn idle(&self) -> Result<()> {
        const IDLE: Duration = Duration::from_secs(35);
        let before = Look::of(&self.platform, &self.leader)?;
        // Longer than from one PING to the next.
        tokio::time::sleep(IDLE).await;
        let cores = before.cores_until(&Look::of(&self.platform, &self.leader)?);
        line("the leader's processor time, all streams idle", &format!("{cores:.2} cores"), "-")
    }

    /// Edits that concern one sidecar.
    async fn one(&mut self) -> Result<()> {
        const EDITS: usize = 50;
        let mut times = Vec::new();
        for _ in 0..EDITS {
            tokio::time::sleep(QUIET).await;
            let begun = self.edit(NAMESPACES - 1, OWN).await?;
            times.extend(self.in_step(1, begun).await?);
        }
        times.sort_unstable();
        say(&format!(
            "an edit that concerns one sidecar, from the API server's yes to its Ack, {EDITS} edits"
        ))?;
        row("  p50", percentile(&times, 50), "-")?;
        row("  p99", percentile(&times, 99), "<= 30 ms")
    }

    /// Edits that concern half of all.
    async fn thousand(&mut self) -> Result<()> {
        const EDITS: usize = 10;
        let concerned = (0..self.count - 1).filter(|index| index % (NAMESPACES - 1) < SHARING).count();
        let before = Look::of(&self.platform, &self.leader)?;
        let (mut times, mut most) = (Vec::new(), Duration::ZERO);
        for _ in 0..EDITS {
            tokio::time::sleep(QUIET).await;
            let begun = self.edit(0, SHARED).await?;
            let of_one = self.in_step(concerned, begun).await?;
            most = most.max(last(&of_one));
            times.extend(of_one);
        }
        let after = Look::of(&self.platform, &self.leader)?;
        times.sort_unstable();
        say(&format!("an edit that concerns {concerned} in {SHARING} scopes, canary on, {EDITS} edits"))?;
        row("  p50", percentile(&times, 50), "-")?;
        row("  p95", percentile(&times, 95), "<= 1 s")?;
        row("  p99", percentile(&times, 99), "-")?;
        row("  the last of all, in the slowest edit", most, "<= 3 s")?;
        let cores = before.cores_until(&after);
        line("  the leader's processor time", &format!("{cores:.2} cores"), "<= 0.5 cores")?;
        line("  the leader's resident memory", &mebibytes(after.resident()), "<= 256 MiB")
    }

    async fn leader_killed(&mut self) -> Result<()> {
        // Nothing changes: who greets the next leader and hears just that is in step.
        let marker = format!("edit-{}.", self.edits);
        self.sidecars.expect(&marker);
        let begun = clock::now();
        self.platform.signal(&self.leader, Signal::KILL)?;
        let times = self.in_step(self.count, begun).await?;
        say("the leader was killed; its Lease alone lasts 15 s")?;
        row("  the first stream on another", times[0], "<= 20 s")?;
        let whole = last(&times).saturating_sub(times[0]);
        row("  from the first to the last of all", whole, "<= 10 s (1,000), <= 60 s (10,000)")?;
        tokio::time::sleep(SETTLED).await;
        let leader = self.platform.operator(self.platform.leader().await?)?;
        let resident = Look::of(&self.platform, &leader)?.resident();
        line("  the next leader's resident memory", &mebibytes(resident), "<= 256 MiB")
    }

    /// Edits a partner; returns when the API server has said yes.
    async fn edit(&mut self, namespace: usize, partner: &str) -> Result<Instant> {
        self.edits += 1;
        let text = format!("edit-{}.", self.edits);
        self.sidecars.expect(&text);
        let kind = ApiResource::erase::<Partner>(&());
        let change = json!({"spec": {"mock": {"reply": "Text", "text": text}}});
        let namespace = self.namespaces[namespace].name();
        let partners: Api<DynamicObject> =
            Api::namespaced_with(self.platform.cluster.client(), namespace, &kind);
        partners.patch(partner, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(clock::now())
    }

    async fn in_step(&mut self, count: usize, begun: Instant) -> Result<Vec<Duration>> {
        self.sidecars.in_step(count, begun, PATIENCE).await
    }
}

/// What stands in a namespace: a partner of its own, a quota, and routes; the first of them to the shared partner.
fn objects_of(index: usize, shared_in: &str, count: usize) -> Vec<Value> {
    let mut all = vec![mock(OWN, "edit-0."), quota()];
    if index == 0 {
        let mut shared = mock(SHARED, "edit-0.");
        shared["spec"]["allowedNamespaces"] = json!({"from": "All"});
        all.push(shared);
    }
    if index < SHARING {
        let target = json!({"partner": SHARED, "namespace": shared_in});
        all.push(object("ModelRoute", SHARED, &json!({"alias": SHARED, "targets": [target]})));
    }
    let more = count.saturating_sub(all.len());
    all.extend((0..more).map(|route_index| route(&format!("route-{route_index}"), OWN, 100)));
    all
}

/// What the leader uses, and when that was.
struct Look {
    at: Instant,
    usage: Usage,
}

impl Look {
    fn of(platform: &Platform, pod: &PodView) -> Result<Self> {
        let process = platform.process(pod).context("the leader runs")?;
        Ok(Self { at: clock::now(), usage: Usage::of(process)? })
    }

    fn resident(&self) -> u64 {
        self.usage.resident
    }

    fn cores_until(&self, later: &Self) -> f64 {
        let used = Duration::from_millis(10 * later.usage.ticks.saturating_sub(self.usage.ticks));
        used.as_secs_f64() / later.at.saturating_duration_since(self.at).as_secs_f64()
    }
}

/// Of times in order.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent).div_ceil(100).saturating_sub(1)]
}

fn last(times: &[Duration]) -> Duration {
    times.last().copied().unwrap_or_default()
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn row(what: &str, measured: Duration, target: &str) -> Result<()> {
    line(what, &format!("{:.1} ms", measured.as_secs_f64() * 1_000.0), target)
}

fn line(what: &str, measured: &str, target: &str) -> Result<()> {
    say(&format!("{what:<66} {measured:>12}   {target}"))
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
