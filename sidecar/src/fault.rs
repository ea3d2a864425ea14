//! Declared faults: which request gets one, and what becomes of a partner's bytes. Pure.
//!
//! Only a route's configuration causes one. Which requests it strikes depends on a seed that no app knows, so that no
//! app can choose a request id that is struck, or one that is spared. Where a fault is played between transport and
//! adapter is `pipeline/staged.rs`.

pub(crate) mod stream;
pub(crate) mod usage;

use std::time::SystemTime;

use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::snapshot::{Fault, Target};
use sha2::{Digest, Sha256};

use crate::adapter::error::classify;
use crate::dialect::error;
use crate::refusal::Refusal;

/// Draws faults. The same seed and the same id draw the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The fault of a request at `now`, if it gets one: at most one of the route's.
    pub(crate) fn draw<'r>(
        self,
        faults: &'r [Fault],
        request_id: &str,
        now: SystemTime,
    ) -> Option<&'r Fault> {
        if faults.is_empty() {
            return None;
        }
        let point = self.point(request_id);
        let mut above = 0_u64;
        let drawn = faults.iter().find(|fault| {
            above += u64::from(fault.percent);
            point < above
        });
        // A fault keeps its share outside its window too: the others must not grow into it.
        drawn.filter(|fault| fault.window.is_none_or(|window| window.contains(now)))
    }

    /// 0 to 99.
    fn point(self, request_id: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(request_id).finalize();
        digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte)) % 100
    }
}

/// Whether a request's fault strikes an attempt on `target`, where `first` is the target that the request began with.
pub(crate) fn strikes(fault: &Fault, target: &Target, first: &Target) -> bool {
    match &fault.partner {
        Some(partner) => *partner == target.partner.name,
        None => target.partner.name == first.partner.name && target.model_name == first.model_name,
    }
}

/// What a partner sends each second while it has no token.
pub(crate) fn ping(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenAi | Dialect::Neutral => b": ping\n\n",
        Dialect::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
    }
}

/// The body that goes with a status, as a partner of this dialect has it.
pub(crate) fn error_body(dialect: Dialect, status: u16) -> Vec<u8> {
    let reason = classify(Some(status), b"", None).reason;
    error::body(dialect, &Refusal::new(reason, "a declared fault"), "fault")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaperone_protocol::snapshot::{FaultKind, FaultWindow};

    use super::*;

    fn fault(percent: u8, kind: FaultKind) -> Fault {
        Fault { percent, kind, partner: None, window: None }
    }

    fn drawn(seed: u64, faults: &[Fault]) -> [usize; 3] {
        let mut counts = [0; 3];
        for number in 0..10_000 {
            let fault = Dice::new(seed).draw(faults, &format!("req_{number}"), SystemTime::UNIX_EPOCH);
            let at = fault.map_or(2, |fault| usize::from(fault.kind == FaultKind::Abort));
            counts[at] += 1;
        }
        counts
    }

    #[test]
    fn rule_11_2_every_seed_keeps_the_percentages_and_draws_others() {
        let faults = [fault(10, FaultKind::MalformedSse { tokens: 0 }), fault(30, FaultKind::Abort)];
        let seeds: Vec<_> = (0..8).map(|seed| drawn(seed, &faults)).collect();
        for [ten, thirty, none] in &seeds {
            // Five standard deviations.
            assert!((850..1_150).contains(ten), "{seeds:?}");
            assert!((2_770..3_230).contains(thirty), "{seeds:?}");
            assert_eq!(ten + thirty + none, 10_000);
        }
        assert_eq!(drawn(1, &faults), drawn(1, &faults));
        assert_ne!(drawn(1, &faults), drawn(2, &faults));
        assert_eq!(drawn(3, &[fault(100, FaultKind::Abort)]), [0, 10_000, 0]);
        assert_eq!(drawn(3, &[fault(0, FaultKind::Abort)]), [0, 0, 10_000]);
    }

    #[test]
    fn rule_11_6_outside_its_window_nothing_is_drawn_and_nobody_else_grows() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let window = FaultWindow { start: Duration::from_secs(10), end: Duration::from_secs(20) };
        let timed = Fault { window: Some(window), ..fault(50, FaultKind::Abort) };
        let faults = [timed, fault(20, FaultKind::MalformedSse { tokens: 0 })];
        for number in 0..1_000 {
            let id = format!("req_{number}");
            let draw = |seconds| Dice::new(7).draw(&faults, &id, at(seconds)).map(|fault| fault.kind);
            let (before, within, after) = (draw(9), draw(10), draw(20));
            assert_eq!(before, after);
            assert_ne!(before, Some(FaultKind::Abort));
            assert!(within == before || within == Some(FaultKind::Abort) && before.is_none());
        }
    }

    #[test]
    fn the_body_of_a_status_means_that_status_in_both_dialects() {
        for status in [400, 401, 402, 404, 408, 413, 429, 500, 503, 529] {
            for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
                let body = error_body(dialect, status);
                assert_eq!(
                    classify(Some(status), &body, None).reason,
                    classify(Some(status), b"", None).reason,
                    "{dialect:?} {status}"
                );
            }
        }
    }
}
