//! The breaker of one partner's endpoint: whether it is asked at all. Pure: time and randomness are arguments.
//!
//! ```text
//!            runs or ratio trip                 timer ends
//! Admitting ---------------------> Refusing ---------------------> Probing
//!     ^                               ^         probe fails           |
//!     |                               +-------------------------------+
//!     +---------------------------- probe commits --------------------+
//! ```
//!
//! What is no verdict on the partner (refusals of ours, rate limits, the app's mistakes) is counted nowhere.

mod window;

use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::snapshot::BreakerPolicy;
use tokio::time::Instant;

use self::window::Window;
use crate::jitter;

/// How far the first wait may be from its mean: sidecars must not probe in step.
const JITTER_PERCENT: u32 = 20;

/// One breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Raised by every transition: a verdict counts only in the generation that admitted its attempt.
    generation: u64,
    window: Window,
    /// Failures in a row before a commit, and breaks in a row after one. With one run, a partner that cuts every stream
    /// after ten tokens would never trip.
    failures: u32,
    breaks: u32,
    /// How long it refuses next time; `None`: as configured.
    reset: Option<Duration>,
    stale: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Admitting,
    Refusing { until: Instant },
    Probing { probe: Option<u64> },
}

/// What an observer sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everybody is let through.
    Admitting,
    /// Nobody is.
    Refusing,
    /// One at a time is.
    Probing,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Admitting, Self::Refusing, Self::Probing];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Admitting => "admitting",
            Self::Refusing => "refusing",
            Self::Probing => "probing",
        }
    }
}

/// Why it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Failures in a row.
    Run,
    /// Broken streams in a row.
    Breaks,
    /// Too large a share of failures.
    Ratio,
    /// It has refused for long enough.
    Timer,
    ProbeCommitted,
    ProbeFailed,
    /// The probe was told to come later.
    ProbeLimited,
}

impl Cause {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Breaks => "breaks",
            Self::Ratio => "ratio",
            Self::Timer => "timer",
            Self::ProbeCommitted => "probe_committed",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeLimited => "probe_limited",
        }
    }
}

/// A change of state, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) from: Phase,
    pub(crate) to: Phase,
    pub(crate) cause: Cause,
}

/// Leave for one attempt. It is given back once, by a verdict or by [`Breaker::forget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u64,
    probe: Option<u64>,
    /// The bucket in which its success was counted.
    counted: Option<u64>,
}

/// Why an attempt is not let through: when it is worth asking again, `None` while somebody else probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) until: Option<Instant>,
}

impl Breaker {
    /// One that admits.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Admitting,
            generation: 0,
            window: Window::default(),
            failures: 0,
            breaks: 0,
            reset: None,
            stale: 0,
        }
    }

    /// What it does with traffic now. Its timer ends without an event.
    pub(crate) fn phase(&self, now: Instant) -> Phase {
        match self.state {
            State::Refusing { until } if until <= now => Phase::Probing,
            _ => self.entered(),
        }
    }

    /// What the last event made of it.
    fn entered(&self) -> Phase {
        match self.state {
            State::Admitting => Phase::Admitting,
            State::Refusing { .. } => Phase::Refusing,
            State::Probing { .. } => Phase::Probing,
        }
    }

    /// Verdicts and failures in the window, for the debug page.
    pub(crate) fn counts(&mut self, policy: &BreakerPolicy, now: Instant) -> (u64, u64) {
        self.window.counts(policy.window, now)
    }

    /// Verdicts that came too late to count.
    pub(crate) fn stale(&self) -> u64 {
        self.stale
    }

    /// Whether an attempt would be let through, without taking the place of a probe.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Refused> {
        match self.state {
            State::Admitting | State::Probing { probe: None } => Ok(()),
            State::Refusing { until } if until <= now => Ok(()),
            State::Refusing { until } => Err(Refused { until: Some(until) }),
            State::Probing { probe: Some(_) } => Err(Refused { until: None }),
        }
    }

    /// Lets an attempt through. Where the timer has ended, it is the probe.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(Ticket, Option<Transition>), Refused> {
        self.check(now)?;
        let transition = match self.state {
            State::Refusing { .. } => Some(self.enter(State::Probing { probe: None }, Cause::Timer)),
            State::Admitting | State::Probing { .. } => None,
        };
        let mut ticket = Ticket { generation: self.generation, probe: None, counted: None };
        if let State::Probing { probe } = &mut self.state {
            self.generation += 1; // Each probe is told apart from the one before.
            *probe = Some(self.generation);
            (ticket.generation, ticket.probe) = (self.generation, *probe);
        }
        Ok((ticket, transition))
    }

    /// The attempt committed: a success, which a break can still take back.
    pub(crate) fn commit(
        &mut self,
        ticket: &mut Ticket,
        policy: &BreakerPolicy,
        now: Instant,
    ) -> Option<Transition> {
        self.in_time(ticket)?;
        if ticket.probe.is_some() {
            return Some(self.recover());
        }
        self.failures = 0;
        ticket.counted = Some(self.window.add(policy.window, now, 0));
        None
    }

    /// The attempt failed before it committed.
    pub(crate) fn fail(
        &mut self,
        ticket: Ticket,
        policy: &BreakerPolicy,
        wait: Option<Duration>,
        (now, random): (Instant, u64),
    ) -> Option<Transition> {
        self.in_time(&ticket)?;
        if ticket.probe.is_some() {
            let doubled = self.reset.unwrap_or(policy.reset_timeout).saturating_mul(2);
            self.reset = Some(doubled.min(limits::BREAKER_RESET));
            return Some(self.refuse(policy, wait, Cause::ProbeFailed, (now, random)));
        }
        self.window.add(policy.window, now, 1);
        self.failures = self.failures.saturating_add(1);
        let cause = if self.failures >= policy.consecutive_failures.get() { Some(Cause::Run) } else { None };
        let cause = cause.or_else(|| self.ratio(policy, now))?;
        Some(self.refuse(policy, wait, cause, (now, random)))
    }

    /// The answer broke off after it had committed.
    pub(crate) fn broke(
        &mut self,
        ticket: Ticket,
        policy: &BreakerPolicy,
        (now, random): (Instant, u64),
    ) -> Option<Transition> {
        self.in_time(&ticket)?;
        self.window.turn(policy.window, now, ticket.counted);
        self.breaks = self.breaks.saturating_add(1);
        let cause = if self.breaks >= policy.consecutive_failures.get() { Some(Cause::Breaks) } else { None };
        let cause = cause.or_else(|| self.ratio(policy, now))?;
        Some(self.refuse(policy, None, cause, (now, random)))
    }

    /// The answer ended as it should.
    pub(crate) fn ended(&mut self, ticket: Ticket) {
        if ticket.probe.is_none() && ticket.generation == self.generation {
            self.breaks = 0;
        }
    }

    /// The partner asks for patience: no verdict, but no recovery either.
    pub(crate) fn limited(
        &mut self,
        ticket: Ticket,
        policy: &BreakerPolicy,
        wait: Option<Duration>,
        (now, random): (Instant, u64),
    ) -> Option<Transition> {
        self.in_time(&ticket)?;
        ticket.probe?;
        Some(self.refuse(policy, wait, Cause::ProbeLimited, (now, random)))
    }

    /// The attempt says nothing about the partner.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        if let State::Probing { probe } = &mut self.state
            && ticket.probe.is_some()
            && *probe == ticket.probe
        {
            *probe = None;
        }
    }

    /// Whether the ticket belongs to the present generation. One of an older is counted and dropped.
    fn in_time(&mut self, ticket: &Ticket) -> Option<()> {
        if ticket.generation == self.generation {
            return Some(());
        }
        self.stale = self.stale.saturating_add(1);
        None
    }

    fn ratio(&mut self, policy: &BreakerPolicy, now: Instant) -> Option<Cause> {
        let (completed, failures) = self.window.counts(policy.window, now);
        let is_enough = completed >= policy.minimum_requests.get().into();
        let is_bad = failures * 100 > u64::from(policy.error_threshold_percent) * completed;
        (is_enough && is_bad).then_some(Cause::Ratio)
    }

    fn refuse(
        &mut self,
        policy: &BreakerPolicy,
        wait: Option<Duration>,
        cause: Cause,
        (now, random): (Instant, u64),
    ) -> Transition {
        let reset = self.reset.unwrap_or(policy.reset_timeout);
        let own = jitter::around(reset, JITTER_PERCENT, random);
        let asked = wait.unwrap_or_default().min(limits::RETRY_AFTER);
        self.enter(State::Refusing { until: now + own.max(asked) }, cause)
    }

    fn recover(&mut self) -> Transition {
        self.window = Window::default();
        (self.failures, self.breaks, self.reset) = (0, 0, None);
        self.enter(State::Admitting, Cause::ProbeCommitted)
    }

    fn enter(&mut self, state: State, cause: Cause) -> Transition {
        let from = self.entered();
        self.state = state;
        self.generation += 1;
        Transition { from, to: self.entered(), cause }
    }
}

#[cfg(test)]
mod tests;
