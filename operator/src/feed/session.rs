//! One stream of one sidecar, from its greeting to its end: the shell around `stream.rs` and `hub.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::wire::feed::{Decoder, GoAway, GoAwayReason, LeaderFrame, SidecarFrame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::{Stalled, Writer};
use super::hub::{Connection, PodFate, Signal};
use super::learned::Hints;
use super::pace::Pace;
use super::server::Feed;
use super::stream::{OutOfTurn, Stream};
use crate::clock;
use crate::identity::{Identity, Unidentified};

/// After a stream that ended for a reason of ours.
const RETRY: Duration = Duration::from_millis(500);
/// After one that ended for a reason of the sidecar's.
const RETRY_LATER: Duration = Duration::from_secs(10);

/// A stream whose sidecar has not said in this time what it has is of no use to anybody.
const GREETING: Duration = Duration::from_secs(10);

/// Why a stream ends.
enum End {
    /// The sidecar has left, or does not read.
    Gone,
    /// We end it.
    Away(GoAwayReason),
}

impl From<Stalled> for End {
    fn from(_: Stalled) -> Self {
        Self::Gone
    }
}

impl From<OutOfTurn> for End {
    fn from(_: OutOfTurn) -> Self {
        Self::Away(GoAwayReason::Protocol)
    }
}

/// A stream whose sidecar is known.
pub(super) struct Session<'f> {
    pub(super) feed: &'f Feed,
    pub(super) epoch: u64,
    pub(super) identity: Identity,
    pub(super) connection: Connection,
    pub(super) writer: Writer,
    /// What the sidecar was last told of others.
    pub(super) hinted: Option<Arc<Hints>>,
    /// What it says it has learned.
    pub(super) pace: Pace,
}

impl Session<'_> {
    /// Serves until either side ends it.
    pub(super) async fn run(mut self, incoming: Incoming) {
        if let End::Away(reason) = self.serve(incoming).await {
            let retry = match reason {
                GoAwayReason::NotLeader | GoAwayReason::ShuttingDown => RETRY,
                _ => RETRY_LATER,
            };
            // Whoever does not read it finds the stream closed.
            let _ = self.writer.write(&[go_away(reason, retry, self.epoch)]).await;
        }
        let fate = self.feed.fate(&self.identity.pod);
        let (pod, id) = (&self.identity.pod, self.connection.id);
        let ended = self.feed.desk.after(self.epoch, |hub| hub.disconnected(pod, id, fate, clock::now()));
        if ended == Some(true) {
            self.feed.desk.compile.notify_one();
        }
        self.feed.desk.report.notify_one();
    }

    async fn serve(&mut self, mut incoming: Incoming) -> End {
        let mut decoder = Decoder::new(limits::SIDECAR_FRAME_BYTES);
        let mut stream = Stream::Greeting;
        let greeted_by = clock::now() + GREETING;
        loop {
            let (remaining, due) = (self.remaining(), self.pace.due());
            let outcome = tokio::select! {
                received = incoming.frame() => match received {
                    Some(Ok(frame)) => {
                        decoder.push(frame.data_ref().map_or(&[], Bytes::as_ref));
                        self.hear_all(&mut decoder, &mut stream).await
                    }
                    Some(Err(_)) | None => Err(End::Gone),
                },
                changed = self.connection.signal.changed() => match changed {
                    Ok(()) => self.tell(&mut stream).await,
                    Err(_) => Err(self.farewell()),
                },
                () = tokio::time::sleep_until(due.unwrap_or(greeted_by)), if due.is_some() => self.learn(),
                () = tokio::time::sleep_until(greeted_by), if matches!(stream, Stream::Greeting) => {
                    Err(End::Away(GoAwayReason::Protocol))
                }
                () = tokio::time::sleep(remaining) => Err(End::Away(GoAwayReason::Unauthenticated)),
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// How long the token is good.
    fn remaining(&self) -> Duration {
        let left = self.identity.expires.duration_since(clock::wall());
        left.try_into().unwrap_or_default()
    }

    /// Why the hub let go of the stream.
    fn farewell(&self) -> End {
        End::Away(self.connection.signal.borrow().close.unwrap_or(GoAwayReason::NotLeader))
    }

    async fn hear_all(&mut self, decoder: &mut Decoder, stream: &mut Stream) -> Result<(), End> {
        let protocol = |_| End::Away(GoAwayReason::Protocol);
        while let Some(json) = decoder.next_frame().map_err(protocol)? {
            // What a later sidecar says besides is not for us.
            let Some(frame) = SidecarFrame::decode(&json).map_err(protocol)? else { continue };
            self.hear(frame, stream).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, frame: SidecarFrame, stream: &mut Stream) -> Result<(), End> {
        let now = clock::now();
        let (pod, id) = (self.identity.pod.clone(), self.connection.id);
        match frame {
            SidecarFrame::Hello(hello) => {
                if let Some(have) = &hello.have {
                    self.lead(now, |hub| hub.holds(&pod, id, have, now))?;
                }
                let offer = self.signal()?.offer;
                let frames = stream.hello(hello.have, offer.as_ref(), self.epoch)?;
                self.feed.desk.report.notify_one();
                self.write(&frames).await?;
                self.tell(stream).await
            }
            SidecarFrame::Ack(held) => {
                stream.ack(&held)?;
                self.lead(now, |hub| hub.holds(&pod, id, &held, now))?;
                self.feed.desk.report.notify_one();
                self.tell(stream).await
            }
            SidecarFrame::Nack(nack) => {
                stream.nack(&nack.version)?;
                self.feed.desk.metrics.nacks.inc();
                tracing::warn!(
                    pod = %format_args!("{}/{}", pod.namespace, pod.name),
                    path = nack.path,
                    problem = nack.problem,
                    "a sidecar refuses its snapshot"
                );
                if self.lead(now, |hub| hub.refuses(&pod, id, &nack))? {
                    self.feed.desk.compile.notify_one();
                }
                self.feed.desk.report.notify_one();
                self.tell(stream).await
            }
            SidecarFrame::Health(health) => {
                self.pace.add(health);
                self.learn()
            }
            SidecarFrame::Auth(token) => {
                let renewed = match self.feed.identifier.identify(&token).await {
                    Ok(renewed) => renewed,
                    // The last proof holds until it ends; the sidecar shows the new one when it connects again.
                    Err(Unidentified::Busy | Unidentified::Unavailable) => return Ok(()),
                    Err(_) => return Err(End::Away(GoAwayReason::Unauthenticated)),
                };
                if renewed.pod != self.identity.pod || renewed.scope != self.identity.scope {
                    return Err(End::Away(GoAwayReason::Unauthenticated));
                }
                self.identity.expires = renewed.expires;
                Ok(())
            }
        }
    }

    /// Works on what the sidecar has learned, if it is time.
    fn learn(&mut self) -> Result<(), End> {
        let now = clock::now();
        let Some(health) = self.pace.take(now) else { return Ok(()) };
        let (pod, id) = (&self.identity.pod, self.connection.id);
        if self.lead(now, |hub| hub.learns(pod, id, &health, now))? {
            self.feed.desk.report.notify_one();
        }
        Ok(())
    }

    /// Sends what is new, or ends.
    async fn tell(&mut self, stream: &mut Stream) -> Result<(), End> {
        let Signal { offer, hints, close: _ } = self.signal()?;
        // A leader that was paused beyond its Lease must not bring what others have replaced.
        let now = clock::now();
        self.lead(now, |_| ())?;
        let mut frames = stream.next(offer.as_ref(), self.epoch);
        if stream.serves() && self.hinted != hints {
            frames.extend(hints.as_ref().and_then(|hints| hints.frame(now, self.epoch)));
            self.hinted = hints;
        }
        self.write(&frames).await
    }

    fn signal(&mut self) -> Result<Signal, End> {
        let signal = self.connection.signal.borrow_and_update().clone();
        match signal.close {
            Some(reason) => Err(End::Away(reason)),
            None => Ok(signal),
        }
    }

    fn lead<T>(&self, now: Instant, work: impl FnOnce(&mut super::Hub) -> T) -> Result<T, End> {
        self.feed.desk.lead(now, work).ok_or(End::Away(GoAwayReason::NotLeader))
    }

    async fn write(&self, frames: &[Bytes]) -> Result<(), End> {
        Ok(self.writer.write(frames).await?)
    }
}

impl Feed {
    fn fate(&self, pod: &super::Pod) -> PodFate {
        if self.pods.exists(&pod.uid) { PodFate::Exists } else { PodFate::Gone }
    }
}

/// The frame that ends a stream.
pub(super) fn go_away(reason: GoAwayReason, retry: Duration, epoch: u64) -> Bytes {
    let retry_after_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    LeaderFrame::GoAway(GoAway { reason, retry_after_ms }).encode(epoch).into()
}
