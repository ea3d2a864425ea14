//! Leave for one attempt. It ends in exactly one verdict, and without one says nothing about the partner.

use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::snapshot::CancelBilling;

use super::{Core, Gate, Taken};
use crate::breaker::{Ticket, Transition};
use crate::clock;
use crate::queue::Load;
use crate::rate::Spent;

/// What an attempt says about its partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Failure,
    /// A failure, because we send too much.
    Overload,
    /// We send too much, and otherwise nothing.
    Limited,
    Nothing,
}

/// What an attempt cost in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// It did not reach the partner.
    Nothing,
    Tokens(u64),
    /// What was reserved for it.
    Reserved,
}

/// Tokens that were seen of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    /// As the partner counted them, if it did.
    pub(crate) prompt: Option<u64>,
    pub(crate) output: u64,
}

impl Used {
    fn sum(self, load: Load) -> u64 {
        self.prompt.unwrap_or(load.prompt).saturating_add(self.output)
    }
}

impl Cost {
    /// Of an answer that was given up, at a partner that bills so, after `seen` tokens.
    pub(crate) fn of_cancelled(billing: CancelBilling, seen: u64) -> Self {
        match billing {
            CancelBilling::None => Self::Tokens(0),
            CancelBilling::Partial => Self::Tokens(seen),
            CancelBilling::Full | CancelBilling::Unknown => Self::Reserved,
        }
    }
}

/// Held from the gate to the last byte.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    /// `None` once the verdict is given.
    ticket: Option<Ticket>,
    spent: Option<Spent>,
    load: Load,
    was_sent: bool,
}

impl Permit {
    pub(super) fn new(gate: Arc<Gate>, taken: Taken, load: Load) -> Self {
        Self { gate, ticket: Some(taken.ticket), spent: Some(taken.spent), load, was_sent: false }
    }

    /// From now on the partner may have seen it, and what it used stays used.
    pub(crate) fn sent(&mut self) {
        self.was_sent = true;
    }

    /// The first token, or the whole answer, is there.
    pub(crate) fn committed(&mut self, took: Duration) {
        let now = clock::now();
        self.change(|core, ticket| {
            core.note_first_token(took);
            core.budget.earn();
            core.breaker.commit(ticket.as_mut()?, &core.protection.breaker, now)
        });
    }

    /// The attempt failed before it committed.
    pub(crate) fn failed(&mut self, said: Said, wait: Option<Duration>, cost: Cost) {
        self.change(|core, _| {
            core.budget.spend();
            None
        });
        self.say(said, wait);
        self.settle(cost);
    }

    /// The partner did not begin to work: it costs nothing, not even a retry.
    pub(crate) fn unprocessed(&mut self) {
        self.say(Said::Nothing, None);
        self.settle(Cost::Nothing);
    }

    /// The first token is late, and is waited for all the same: that is the verdict, whatever comes.
    pub(crate) fn late(&mut self) {
        self.say(Said::Failure, None);
    }

    /// The answer is over, as it should be.
    pub(crate) fn ended(mut self, used: Used) {
        self.change(|core, ticket| {
            core.note_answer(used.output);
            core.breaker.ended(ticket.take()?);
            None
        });
        self.settle(Cost::Tokens(used.sum(self.load)));
    }

    /// The answer broke off after it had committed.
    pub(crate) fn broke(mut self, used: Used) {
        let at = (clock::now(), clock::random_number());
        self.change(|core, ticket| core.breaker.broke(ticket.take()?, &core.protection.breaker, at));
        self.give_up(used);
    }

    /// We gave the answer up after it had committed: its partner did nothing wrong.
    pub(crate) fn left(mut self, used: Used) {
        self.say(Said::Nothing, None);
        self.give_up(used);
    }

    /// The same, but for that it was read to its end: what it cost is known.
    pub(crate) fn read_on(mut self, used: Used) {
        self.say(Said::Nothing, None);
        self.settle(Cost::Tokens(used.sum(self.load)));
    }

    /// What the partner bills of an answer that is cancelled.
    pub(crate) fn billing(&self) -> CancelBilling {
        self.gate.lock().protection.cancel_billing
    }

    fn give_up(&mut self, used: Used) {
        self.settle(Cost::of_cancelled(self.billing(), used.sum(self.load)));
    }

    fn say(&mut self, said: Said, wait: Option<Duration>) {
        let at = (clock::now(), clock::random_number());
        self.change(|core, ticket| {
            if matches!(said, Said::Overload | Said::Limited) {
                // How long a failing partner wants to rest is its breaker's matter.
                core.rate.limited(wait.filter(|_| said == Said::Limited), at.0);
            }
            let ticket = ticket.take()?;
            let policy = &core.protection.breaker;
            match said {
                Said::Failure | Said::Overload => core.breaker.fail(ticket, policy, wait, at),
                Said::Limited => core.breaker.limited(ticket, policy, wait, at),
                Said::Nothing => {
                    core.breaker.forget(ticket);
                    None
                }
            }
        });
        if said == Said::Limited && wait.is_some() {
            self.gate.news.notify_one();
        }
    }

    fn settle(&mut self, cost: Cost) {
        let now = clock::now();
        let Some(spent) = self.spent.take() else { return };
        self.gate.with(|core| match cost {
            Cost::Nothing => core.rate.release(spent, now),
            Cost::Tokens(tokens) => core.rate.settle(spent, tokens, now),
            Cost::Reserved => {}
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut Core, &mut Option<Ticket>) -> Option<Transition>) {
        let Self { gate, ticket, .. } = self;
        let (transition, stale) = gate.with(|core| {
            let before = core.breaker.stale();
            (change(core, ticket), core.breaker.stale() - before)
        });
        gate.metrics.stale(&gate.key, stale);
        gate.changed(transition);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.say(Said::Nothing, None);
        self.settle(if self.was_sent { Cost::Reserved } else { Cost::Nothing });
    }
}
