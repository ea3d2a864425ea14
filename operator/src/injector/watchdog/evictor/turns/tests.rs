use super::*;

/// When everything begins, by the time of day.
const MORNING: i64 = 1_800_000_000;
const ROUND: Duration = Duration::from_secs(2);

/// What becomes of a Pod that is made.
#[derive(Clone, Copy, PartialEq)]
enum Injector {
    Answers,
    /// And new Pods are refused: `failurePolicy: Fail`.
    Refuses,
    /// And new Pods come as they were: `failurePolicy: Ignore`.
    Ignored,
}

/// A cluster whose controllers replace Pods at once, seen by one leader after another.
struct Cluster {
    injector: Injector,
    start: Instant,
    now: Instant,
    turns: Turns,
    wanted: BTreeMap<&'static str, usize>,
    pods: Vec<(Candidate, Member)>,
    /// When the newest Pod was made that got its sidecar.
    newest_injected: Option<Timestamp>,
    /// A budget keeps their Pods.
    kept: Option<&'static str>,
    evicted: Vec<String>,
    stops: usize,
}

impl Cluster {
    fn of(injector: Injector, owners: &[(&'static str, usize)]) -> Self {
        let start = crate::clock::now();
        let mut cluster = Self {
            injector,
            start,
            now: start,
            turns: Turns::default(),
            wanted: owners.iter().copied().collect(),
            pods: Vec::new(),
            newest_injected: None,
            kept: None,
            evicted: Vec::new(),
            stops: 0,
        };
        for (owner, count) in owners {
            (0..*count).for_each(|_| cluster.make(owner, Injector::Ignored));
        }
        cluster.now += Duration::from_secs(60);
        cluster
    }

    fn wall(&self) -> Timestamp {
        let passed = i64::try_from((self.now - self.start).as_secs()).unwrap();
        Timestamp::from_second(MORNING + passed).unwrap()
    }

    fn make(&mut self, owner: &str, injector: Injector) {
        let uid = format!("{owner}-{:02}", self.pods.len());
        let reference = ObjectReference { uid: Some(owner.to_owned()), ..ObjectReference::default() };
        let (namespace, name, created) = ("shop".to_owned(), uid.clone(), self.wall());
        let candidate = Candidate { uid: uid.clone(), namespace, name, created, owner: reference };
        let is_injected = injector == Injector::Answers;
        self.pods.push((candidate, Member { uid, is_injected, phase: Phase::Ready }));
        if is_injected {
            self.prove();
        }
    }

    /// A new Pod of somebody gets its sidecar.
    fn prove(&mut self) {
        self.newest_injected = Some(self.wall());
    }

    fn standing(&self, owner: &str) -> Standing {
        let its =
            self.pods.iter().filter(|(pod, member)| pod.owner() == owner && member.phase != Phase::Ending);
        Standing { wanted: self.wanted[owner], pods: its.map(|(_, member)| member.clone()).collect() }
    }

    fn running(&self, owner: &str) -> usize {
        self.standing(owner).pods.len()
    }

    fn injected(&self, owner: &str) -> usize {
        self.standing(owner).pods.iter().filter(|pod| pod.is_injected).count()
    }

    /// Rounds as the evictor has them, of a watchdog that knows the first `known` Pods without a sidecar.
    fn run(&mut self, length: Duration, known: usize) {
        let end = self.now + length;
        while self.now < end {
            self.round(known);
            self.now += ROUND;
        }
    }

    fn round(&mut self, known: usize) {
        if !self.turns.is_due(self.now) {
            return;
        }
        if let Some(evicted) = self.turns.awaited().cloned() {
            let verdict = self.turns.judge(&self.standing(evicted.owner()), self.now);
            self.stops += usize::from(verdict == Verdict::Stopped);
            if verdict != Verdict::GoOn {
                return;
            }
        }
        let uninjected =
            self.pods.iter().filter(|(_, member)| !member.is_injected && member.phase != Phase::Ending);
        let candidates: Vec<Candidate> = uninjected.map(|(pod, _)| pod.clone()).take(known).collect();
        let Some(next) = self.turns.next(&candidates, self.now) else { return };
        let (standing, wall) = (self.standing(next.owner()), self.wall());
        let evidence = Evidence { standing: &standing, newest_injected: self.newest_injected };
        if self.turns.begin(&next, evidence, self.now, wall).is_ok() && self.kept != Some(next.owner()) {
            self.evict(&next);
        }
    }

    fn evict(&mut self, next: &Candidate) {
        self.evicted.push(next.uid.clone());
        let ending = self.pods.iter_mut().find(|(pod, _)| pod.uid == next.uid).unwrap();
        ending.1.phase = Phase::Ending;
        if self.injector != Injector::Refuses {
            self.make(next.owner(), self.injector);
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn all_get_their_sidecar_one_at_a_time_with_a_pause_between_two() {
    let mut cluster = Cluster::of(Injector::Answers, &[("api", 1), ("web", 2)]);
    cluster.run(PAUSE, usize::MAX);
    // The owner that misses a Pod least is the first to try.
    assert_eq!((cluster.injected("web"), cluster.injected("api")), (1, 0));
    cluster.run(PAUSE, usize::MAX);
    assert_eq!(cluster.evicted.len(), 2);
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.injected("api"), cluster.stops), (2, 1, 0));
    assert_eq!(cluster.evicted.len(), 3);
}

#[test]
fn an_owner_of_fifty_is_served_to_the_end_though_few_are_known_at_first() {
    let mut cluster = Cluster::of(Injector::Answers, &[("web", 50)]);
    cluster.run(PAUSE, 20);
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.evicted.len()), (50, 50));
}

#[test]
fn where_successors_are_refused_one_pod_goes_and_its_owner_is_told_once() {
    let mut cluster = Cluster::of(Injector::Refuses, &[("api", 1), ("web", 3)]);
    cluster.run(24 * HOUR, usize::MAX);
    assert_eq!((cluster.running("web"), cluster.running("api"), cluster.stops), (2, 1, 1));

    // It is all repaired: the owner makes its Pod, and the others follow.
    cluster.injector = Injector::Answers;
    cluster.make("web", Injector::Answers);
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.injected("api"), cluster.stops), (3, 1, 1));
}

#[test]
fn no_leader_takes_a_second_pod_from_an_owner_that_misses_one() {
    let mut cluster = Cluster::of(Injector::Refuses, &[("web", 3)]);
    for _ in 0..20 {
        cluster.turns = Turns::default();
        cluster.run(HOUR, usize::MAX);
    }
    assert_eq!(cluster.running("web"), 2);
}

#[test]
fn successors_that_come_as_they_were_are_left_alone() {
    let mut cluster = Cluster::of(Injector::Ignored, &[("api", 1), ("web", 2)]);
    cluster.run(24 * HOUR, usize::MAX);
    assert_eq!((cluster.evicted.len(), cluster.running("web"), cluster.stops), (1, 2, 1));
    // Though one with a sidecar allows others to go, a successor is none of them.
    cluster.wanted.insert("web", 3);
    cluster.make("web", Injector::Answers);
    cluster.injector = Injector::Answers;
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.running("web"), cluster.injected("api")), (2, 3, 1));
}

#[test]
fn a_successor_that_does_not_serve_holds_the_others() {
    let mut cluster = Cluster::of(Injector::Answers, &[("web", 2)]);
    cluster.round(usize::MAX);
    cluster.pods.last_mut().unwrap().1.phase = Phase::Unready;
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.evicted.len(), cluster.stops), (1, 1));
    cluster.pods.last_mut().unwrap().1.phase = Phase::Ready;
    cluster.run(HOUR, usize::MAX);
    assert_eq!(cluster.injected("web"), 2);
}

#[test]
fn who_is_kept_by_a_budget_lets_others_go_first_and_is_tried_again() {
    let mut cluster = Cluster::of(Injector::Answers, &[("api", 1), ("web", 2)]);
    cluster.kept = Some("web");
    cluster.prove();
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.injected("api"), cluster.stops), (0, 1, 0));
    cluster.kept = None;
    cluster.run(HOUR, usize::MAX);
    assert_eq!(cluster.injected("web"), 2);
}

#[test]
fn an_owner_that_misses_a_pod_is_left_alone_and_the_others_are_not() {
    let mut cluster = Cluster::of(Injector::Answers, &[("api", 1), ("web", 2)]);
    cluster.wanted.insert("web", 3);
    cluster.prove();
    cluster.run(HOUR, usize::MAX);
    assert_eq!((cluster.injected("web"), cluster.injected("api")), (0, 1));
}

#[test]
fn nothing_is_awaited_of_an_owner_that_wants_fewer_or_is_gone() {
    for wanted in [0, 2] {
        let mut cluster = Cluster::of(Injector::Refuses, &[("api", 1), ("web", 3)]);
        cluster.round(usize::MAX);
        cluster.injector = Injector::Answers;
        cluster.wanted.insert("web", wanted);
        cluster.prove();
        cluster.run(HOUR, usize::MAX);
        assert_eq!((cluster.injected("api"), cluster.stops), (1, 0), "{wanted}");
    }
}

#[test]
fn the_only_pod_of_an_owner_goes_only_when_new_pods_lately_got_their_sidecar() {
    let mut cluster = Cluster::of(Injector::Answers, &[("api", 1)]);
    cluster.run(HOUR, usize::MAX);
    assert_eq!(cluster.evicted.len(), 0);
    cluster.prove();
    cluster.now += PROOF;
    cluster.run(HOUR, usize::MAX);
    assert_eq!(cluster.evicted.len(), 0);
    cluster.prove();
    cluster.run(HOUR, usize::MAX);
    assert_eq!(cluster.injected("api"), 1);
}

#[test]
fn an_owner_begins_anew_once_none_of_its_pods_was_without_a_sidecar_for_a_while() {
    for (gap, evicted) in [(FORGOTTEN - LOOK, 1), (FORGOTTEN + LOOK, 2)] {
        let mut cluster = Cluster::of(Injector::Answers, &[("web", 1)]);
        cluster.prove();
        cluster.run(PAUSE, usize::MAX);
        assert_eq!((cluster.injected("web"), cluster.evicted.len()), (1, 1));
        cluster.make("web", Injector::Ignored);
        cluster.wanted.insert("web", 2);
        cluster.run(HOUR, usize::MAX);
        assert_eq!(cluster.evicted.len(), 1, "it is a successor");
        cluster.pods.last_mut().unwrap().1.phase = Phase::Ending;
        cluster.wanted.insert("web", 1);
        cluster.run(gap, usize::MAX);
        cluster.make("web", Injector::Ignored);
        cluster.wanted.insert("web", 2);
        cluster.run(HOUR, usize::MAX);
        assert_eq!(cluster.evicted.len(), evicted, "after {gap:?}");
    }
}
