//! Watch -> debounce -> gather -> compile -> publish -> report, as one task while this process leads.

mod absent;
mod debounce;
mod gather;
mod stores;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::feed::GoAwayReason;
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use self::debounce::Debounce;
pub(crate) use self::gather::Found;
use self::gather::Gathered;
use self::stores::Stores;
use crate::clock;
use crate::compile::{Finding, compile};
use crate::desk::Desk;
use crate::feed::Hub;
use crate::health::{Outcomes, Probes};
use crate::leader::Leadership;
use crate::pods::Pods;
use crate::report::writer::Assignment;
use crate::report::{self, DrillAge, Election, Subject};
use crate::root::Root;
use crate::vital::Vital;
use crate::watched::Watched;
use crate::world::Unlabelled;

/// Sidecars have this long to return to a new leader before those that are missing count.
const SETTLING: Duration = Duration::from_secs(30);
/// How long a new leader waits for its own Secrets before it works without.
const COMPLETE: Duration = Duration::from_secs(3);
/// From hearing of a sidecar to saying so: acknowledgements of one wave arrive together.
const GATHERING: Duration = Duration::from_millis(50);
/// What nobody announces (a Pod that never connects) shows after this long.
const ROUND: Duration = Duration::from_secs(5);

/// The task, and what it hands to others.
pub(crate) struct Controller {
    desk: Arc<Desk>,
    pods: Arc<Pods>,
    stores: Stores,
    changed: Arc<Notify>,
    missing: watch::Sender<BTreeSet<Unlabelled>>,
    unlabelled: watch::Receiver<BTreeSet<Unlabelled>>,
    probes: watch::Sender<Arc<Probes>>,
    outcomes: Arc<Outcomes>,
    root: watch::Receiver<Option<Root>>,
    authority: watch::Receiver<Option<String>>,
    assignment: watch::Sender<Arc<Assignment>>,
    drill_age: DrillAge,
    is_known: watch::Sender<bool>,
}

/// What the controller works with, besides what it watches itself.
pub(crate) struct Sources {
    pub(crate) desk: Arc<Desk>,
    pub(crate) watched: Arc<Watched>,
    pub(crate) pods: Arc<Pods>,
    pub(crate) outcomes: Arc<Outcomes>,
    pub(crate) root: watch::Receiver<Option<Root>>,
    /// The authorities that sidecars should trust.
    pub(crate) authority: watch::Receiver<Option<String>>,
}

/// Where others get what the controller hands out.
pub(crate) struct Handed {
    pub(crate) probes: watch::Receiver<Arc<Probes>>,
    pub(crate) assignment: watch::Receiver<Arc<Assignment>>,
    /// Whether all kinds have been listed once.
    pub(crate) is_known: watch::Receiver<bool>,
}

impl Controller {
    /// Begins to watch.
    pub(crate) fn new(client: &Client, sources: Sources, vital: &Vital) -> (Self, Handed) {
        let Sources { desk, watched, pods, outcomes, root, authority } = sources;
        let changed = Arc::new(Notify::new());
        let (missing, wanted) = watch::channel(BTreeSet::new());
        let (found, unlabelled) = watch::channel(BTreeSet::new());
        let (asking, knock) = (client.clone(), Arc::clone(&changed));
        // Ends when the controller, which holds the other end, is dropped.
        vital.spawn("absent", async move { absent::run(&asking, wanted, found, &knock).await });
        let (probes, (assignment, assigned)) =
            (watch::channel(Arc::default()), watch::channel(Arc::default()));
        let (is_known, known) = watch::channel(false);
        let handed = Handed { probes: probes.1, assignment: assigned, is_known: known };
        let stores = Stores::watch(client, &watched, vital, &changed);
        let probes = probes.0;
        (
            Self {
                desk,
                pods,
                stores,
                changed,
                missing,
                unlabelled,
                probes,
                outcomes,
                root,
                authority,
                assignment,
                drill_age: DrillAge::default(),
                is_known,
            },
            handed,
        )
    }

    /// The same, where drills may be so many hours old.
    pub(crate) fn with_drills_of(mut self, hours: Option<u32>) -> Self {
        let age = |hours: u32| DrillAge::AtMost(Duration::from_secs(u64::from(hours) * 3_600));
        self.drill_age = hours.map_or(DrillAge::Unlimited, age);
        self
    }

    /// Works whenever this process leads. Ends when it is dropped.
    pub(crate) async fn run(self, mut leadership: watch::Receiver<Leadership>) {
        self.stores.ready().await;
        tracing::info!("all kinds are known");
        self.is_known.send_replace(true);
        loop {
            let now = clock::now();
            let epoch = leadership.borrow_and_update().epoch(now);
            if let Some(epoch) = epoch {
                self.desk.replace(Some(Hub::new(epoch)));
                self.desk.metrics.leading.set(1);
                self.lead(epoch, now, &mut leadership).await;
                self.desk.metrics.forget();
                self.assignment.send_replace(Arc::default());
                if let Some(mut hub) = self.desk.replace(None) {
                    hub.close_all(GoAwayReason::NotLeader);
                }
            } else if leadership.changed().await.is_err() {
                return;
            }
        }
    }

    async fn lead(&self, epoch: u64, elected: Instant, leadership: &mut watch::Receiver<Leadership>) {
        // What sidecars are sent first should not change a moment later.
        let (mut root, mut authority) = (self.root.clone(), self.authority.clone());
        let complete = async {
            // An error means that the process ends.
            let _ = root.wait_for(Option::is_some).await;
            let _ = authority.wait_for(Option::is_some).await;
        };
        if timeout(COMPLETE, complete).await.is_err() {
            tracing::warn!(
                "root secret or certificate are not known; sidecars go on with what they have of them"
            );
        }
        let mut debounce = Debounce::default();
        debounce.changed(elected);
        let mut gathered = Gathered::default();
        let mut findings = Vec::new();
        let mut report_at = elected + ROUND;
        loop {
            let wave = self.desk.after(epoch, |hub| hub.deadline()).flatten();
            let Leadership::Leading { until, .. } = *leadership.borrow_and_update() else { return };
            tokio::select! {
                biased;
                () = sleep_until(until) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                () = at(debounce.due()) => {
                    debounce.taken();
                    let Some(passed) = self.pass(&mut findings) else { return };
                    gathered = passed;
                    report_at = clock::now();
                }
                () = at(wave) => drop(self.desk.lead(clock::now(), |hub| hub.tick(clock::now()))),
                () = sleep_until(report_at) => {
                    self.report(&gathered, &findings, elected);
                    report_at = clock::now() + ROUND;
                }
                Ok(()) = root.changed() => debounce.changed(clock::now()),
                Ok(()) = authority.changed() => debounce.changed(clock::now()),
                () = self.changed.notified() => debounce.changed(clock::now()),
                () = self.desk.compile.notified() => debounce.changed(clock::now()),
                () = self.desk.report.notified() => report_at = report_at.min(clock::now() + GATHERING),
            }
            if leadership.borrow().epoch(clock::now()) != Some(epoch) {
                return;
            }
        }
    }

    /// Gathers, compiles and publishes once. `None`: the leadership is over.
    fn pass(&self, findings: &mut Vec<Finding>) -> Option<Gathered> {
        let begun = clock::now();
        let mut scopes: BTreeSet<Scope> = self.desk.lead(begun, |hub| hub.scopes())?;
        let unseen = self.desk.lead(begun, |hub| self.pods.unseen(begun, |uid| hub.knows(uid)))?;
        scopes.extend(unseen.into_keys());
        let mut gathered = gather::gather(
            &self.stores,
            scopes,
            self.unlabelled.borrow().clone(),
            self.authority.borrow().clone(),
        );
        gathered.pass.secrets.root.clone_from(&self.root.borrow());
        let compiled = compile(&gathered.pass.world);
        self.desk.lead(clock::now(), |hub| hub.publish(&gathered.pass, &compiled, clock::now()))?;
        *findings = compiled.findings;
        findings.extend(gathered.unreadable.iter().cloned());
        self.desk.metrics.found(findings);
        let missing = gather::missing(&gathered.pass.world);
        self.missing.send_if_modified(|before| std::mem::replace(before, missing.clone()) != missing);
        self.probes.send_replace(Arc::new(Probes {
            partners: compiled.partners,
            keys: gathered.pass.secrets.keys.clone(),
        }));
        self.desk.metrics.compile.observe((clock::now() - begun).as_secs_f64());
        Some(gathered)
    }

    /// Says what every status should be, and hands it to whoever writes.
    fn report(&self, gathered: &Gathered, findings: &[Finding], elected: Instant) {
        let now = clock::now();
        let generations = &gathered.pass.generations;
        let unseen = |hub: &Hub| self.pods.unseen(now, |uid| hub.knows(uid));
        let tallies = self.desk.lead(now, |hub| {
            self.desk.metrics.streams.set(i64::try_from(hub.streams()).unwrap_or(i64::MAX));
            (hub.tallies(generations, &unseen(hub)), hub.standings(now))
        });
        let Some((tallies, standings)) = tallies else { return };
        self.desk.metrics.stand(tallies.values());
        let election = if now < elected + SETTLING { Election::Recent } else { Election::Past };
        let mut assignment = Assignment { findings: findings.to_vec(), ..Assignment::default() };
        for (object, found) in gather::found_all(&self.stores) {
            let Some(generation) = generations.get(&object).map(|generation| generation.number) else {
                continue;
            };
            let subject = Subject {
                kind: object.kind,
                generation,
                findings: findings.iter().filter(|finding| finding.object == object).collect(),
                tally: tallies.get(&object),
                health: self.outcomes.of(&object),
                standing: standings.get(&object.key).copied(),
                last_drill: found.last_drill.as_ref(),
                drill_age: self.drill_age,
                secret_resource_version: gather::secret_in_use(gathered, &object),
            };
            let before = self.assignment.borrow().before(&object, &found);
            let wanted = report::wanted(&subject, &before, election, clock::wall());
            assignment.wanted.insert(object.clone(), wanted);
            assignment.found.insert(object, found);
        }
        self.assignment.send_replace(Arc::new(assignment));
    }
}

/// At that time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
