//! Declared faults of a route: failures that are played on purpose, for a share of its requests.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::partner::{milliseconds, optional_milliseconds};
use crate::invalid::Problems;
use crate::limits;
use crate::name::PartnerName;

/// A failure that is played on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Of 100 requests, how many get it. All faults of a route together: at most 100.
    pub percent: u8,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Whom it strikes; `None`: the target that is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerName>,
    /// When it may strike; `None`: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<FaultWindow>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum FaultKind {
    /// 200 and a ping each second, without a token for `delay`.
    StallFirstToken {
        /// How long.
        #[serde(rename = "delayMs", with = "milliseconds")]
        delay: Duration,
    },
    /// The end of the body, without the terminal event.
    CutAfterTokens {
        /// How many tokens come before.
        tokens: u32,
    },
    /// A frame that is not JSON.
    MalformedSse {
        /// How many tokens come before.
        tokens: u32,
    },
    /// A status, without asking the partner.
    Status {
        /// 400 to 599.
        status: u16,
        /// What `Retry-After` says, if it is there.
        #[serde(
            rename = "retryAfterMs",
            default,
            skip_serializing_if = "Option::is_none",
            with = "optional_milliseconds"
        )]
        retry_after: Option<Duration>,
    },
    /// The partner's answer with another count of tokens.
    WrongUsage {
        /// Which.
        usage: WrongUsage,
    },
    /// Nothing, not even a head, for `delay`.
    Delay {
        /// How long.
        #[serde(rename = "delayMs", with = "milliseconds")]
        delay: Duration,
    },
    /// A reset before the head, without asking the partner.
    Abort,
}

impl FaultKind {
    /// As in `x-chaperone-fault`, records and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::StallFirstToken { .. } => "StallFirstToken",
            Self::CutAfterTokens { .. } => "CutAfterTokens",
            Self::MalformedSse { .. } => "MalformedSse",
            Self::Status { .. } => "Status",
            Self::WrongUsage { .. } => "WrongUsage",
            Self::Delay { .. } => "Delay",
            Self::Abort => "Abort",
        }
    }
}

/// What becomes of a count of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WrongUsage {
    /// It is left out.
    Missing,
    /// All of it is 0.
    Zero,
    /// All of it is 2⁶³.
    Huge,
}

/// A span of time: `start` is in it, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultWindow {
    /// Since 1970.
    #[serde(rename = "startMs", with = "milliseconds")]
    pub start: Duration,
    /// Since 1970.
    #[serde(rename = "endMs", with = "milliseconds")]
    pub end: Duration,
}

impl FaultWindow {
    /// Whether `now` is in it.
    #[must_use]
    pub fn contains(&self, now: SystemTime) -> bool {
        now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|now| (self.start..self.end).contains(&now))
    }
}

/// Notes what is wrong with the faults of one route, whose partners are named by `is_asked`.
pub(crate) fn check(
    faults: &[Fault],
    is_asked: impl Fn(&PartnerName) -> bool,
    path: &str,
    problems: &mut Problems,
) {
    problems.bound(path, faults.len(), limits::FAULTS);
    let sum: u32 = faults.iter().map(|fault| u32::from(fault.percent)).sum();
    if sum > 100 {
        problems.add(path, format!("the percentages sum to {sum}; at most 100 is possible"));
    }
    for (index, fault) in faults.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if let FaultKind::Status { status, .. } = fault.kind
            && !(400..600).contains(&status)
        {
            problems.add(format!("{path}.status"), "is not from 400 to 599");
        }
        if let Some(partner) = fault.partner.as_ref().filter(|partner| !is_asked(partner)) {
            problems.add(
                format!("{path}.partner"),
                format!("names partner {:?}, which the route never asks", partner.as_str()),
            );
        }
        if fault.window.is_some_and(|window| window.start >= window.end) {
            problems.add(format!("{path}.window"), "ends before it starts");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(faults: &serde_json::Value) -> Vec<String> {
        let faults: Vec<Fault> = serde_json::from_value(faults.clone()).unwrap();
        let mut problems = Problems::default();
        check(&faults, |name| name.as_str() == "alpha", "f", &mut problems);
        problems.finish(()).err().into_iter().flatten().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn a_fault_that_no_sidecar_can_play_is_refused() {
        let good = serde_json::json!([
            {"percent": 50, "kind": "Delay", "delayMs": 6000, "partner": "alpha"},
            {"percent": 50, "kind": "Abort", "window": {"startMs": 1, "endMs": 2}},
        ]);
        assert_eq!(problems(&good), [""; 0]);
        let bad = serde_json::json!([
            {"percent": 100, "kind": "Status", "status": 200},
            {"percent": 1, "kind": "Abort", "partner": "beta", "window": {"startMs": 2, "endMs": 2}},
        ]);
        assert_eq!(
            problems(&bad),
            [
                "f: the percentages sum to 101; at most 100 is possible",
                "f[0].status: is not from 400 to 599",
                "f[1].partner: names partner \"beta\", which the route never asks",
                "f[1].window: ends before it starts",
            ]
        );
    }

    #[test]
    fn a_window_has_its_start_and_not_its_end() {
        let window = FaultWindow { start: Duration::from_secs(10), end: Duration::from_secs(20) };
        let at = |seconds| window.contains(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!([9, 10, 19, 20].map(at), [false, true, true, false]);
    }

    #[test]
    fn every_kind_survives_the_wire() {
        let delay = Duration::from_millis(1_500);
        let kinds = [
            FaultKind::StallFirstToken { delay },
            FaultKind::CutAfterTokens { tokens: 10 },
            FaultKind::MalformedSse { tokens: 0 },
            FaultKind::Status { status: 503, retry_after: Some(delay) },
            FaultKind::Status { status: 429, retry_after: None },
            FaultKind::WrongUsage { usage: WrongUsage::Huge },
            FaultKind::Delay { delay },
            FaultKind::Abort,
        ];
        for kind in kinds {
            let fault = Fault { percent: 7, kind, partner: None, window: None };
            let text = serde_json::to_string(&fault).unwrap();
            assert!(text.contains(&format!("\"kind\":\"{}\"", kind.code())), "{text}");
            assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        }
    }
}
