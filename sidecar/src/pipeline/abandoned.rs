//! An answer whose app has left in the middle of it. Where its partner bills it anyway, it is read on and dropped, so that
//! its usage is known: within bounds, and never while the process ends.

use std::collections::VecDeque;

use chaperone_protocol::limits;
use chaperone_protocol::snapshot::CancelBilling;
use tokio::time::{Instant, timeout_at};

use super::attempt::Committed;
use super::relay::take;
use crate::clock;
use crate::sidecar::Shared;

/// How much is known of its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// All: it was read to its end.
    Whole,
    /// What had come by the time it was cancelled.
    Part,
}

/// Reads `committed` on where that can tell what it costs.
pub(super) async fn read_on(shared: &Shared, committed: &mut Committed, billing: CancelBilling) -> Seen {
    if committed.answer.progress().finished {
        return Seen::Whole;
    }
    match billing {
        // To be cancelled costs nothing more than has been seen.
        CancelBilling::None | CancelBilling::Partial => return Seen::Part,
        CancelBilling::Full | CancelBilling::Unknown => {}
    }
    let Ok(_place) = shared.abandoned.try_acquire() else {
        count(shared, committed, "no_room");
        return Seen::Part;
    };
    let seen = tokio::select! {
        biased;
        () = shared.draining.cancelled() => Seen::Part,
        seen = to_its_end(committed) => seen,
    };
    count(shared, committed, if seen == Seen::Whole { "read" } else { "given_up" });
    seen
}

async fn to_its_end(committed: &mut Committed) -> Seen {
    let last = committed.total.min(clock::now() + limits::ABANDONED);
    let (mut idle, mut tokens) = (clock::now() + committed.idle, committed.answer.progress().meaningful);
    let mut nobody = VecDeque::new();
    while !committed.answer.progress().finished {
        let until: Instant = last.min(idle);
        let Ok(piece) = timeout_at(until, committed.partner.next()).await else { return Seen::Part };
        let taken = take(&mut committed.answer, piece, &mut nobody).await;
        nobody.clear();
        match taken {
            Ok(true) => {}
            Ok(false) => return Seen::Whole,
            Err(_) => return Seen::Part,
        }
        let meaningful = committed.answer.progress().meaningful;
        if meaningful > tokens {
            (tokens, idle) = (meaningful, clock::now() + committed.idle);
        }
    }
    Seen::Whole
}

fn count(shared: &Shared, committed: &Committed, outcome: &str) {
    shared.metrics.answers.abandoned.with_label_values(&[committed.served_by.as_str(), outcome]).inc();
}
