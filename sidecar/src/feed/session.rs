//! What is said on one stream: greeting, what comes, what to answer. Sans I/O.

use std::time::Duration;

use chaperone_protocol::wire::PROTOCOL;
use chaperone_protocol::wire::feed::{GoAwayReason, Hello, LeaderFrame, SidecarFrame};

use super::applied::Applied;
use super::reconnect::Epochs;
use crate::clock;

/// What to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Say this.
    Say(SidecarFrame),
    /// Wait for more.
    Listen,
    /// The operator ends the stream.
    Leave { reason: GoAwayReason, retry_after: Duration },
    /// It is a leader of the past.
    Distrust,
}

/// The first frame.
pub(super) fn greeting(applied: &Applied) -> SidecarFrame {
    let sidecar = env!("CARGO_PKG_VERSION").to_owned();
    SidecarFrame::Hello(Hello { protocol: PROTOCOL, sidecar, have: applied.held() })
}

/// Obeys one frame.
pub(super) fn obey(epoch: u64, frame: LeaderFrame, applied: &mut Applied, epochs: &mut Epochs) -> Next {
    let now = clock::now();
    if let LeaderFrame::GoAway(away) = &frame {
        let retry_after = Duration::from_millis(away.retry_after_ms);
        return Next::Leave { reason: away.reason, retry_after };
    }
    if !epochs.admit(epoch, now) {
        return Next::Distrust;
    }
    let freshness = &applied.shared.freshness;
    match frame {
        LeaderFrame::Unchanged | LeaderFrame::GoAway(_) => {
            freshness.confirmed();
            Next::Listen
        }
        LeaderFrame::Hint(hint) => {
            applied.heed(&hint, now);
            Next::Listen
        }
        LeaderFrame::Keys(keys) => match applied.keys(keys) {
            Some(answer) => {
                applied.shared.freshness.confirmed();
                Next::Say(answer)
            }
            None => Next::Listen,
        },
        LeaderFrame::Snapshot(document) => {
            let answer = applied.snapshot(document);
            let freshness = &applied.shared.freshness;
            match answer {
                SidecarFrame::Nack(_) => freshness.lost(now),
                _ => freshness.confirmed(),
            }
            Next::Say(answer)
        }
    }
}
