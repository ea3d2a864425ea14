//! How much memory questions take, however many ask at a time: strangers too, since anybody may reach the webhook.

use std::sync::Arc;

use bytes::Bytes;
use chaperone_protocol::limits::{REVIEW_OBJECTS, REVIEW_VALUES};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a question: an object of 1.5 MB, as large as etcd takes one, in JSON.
const QUESTION_BYTES: usize = 4 << 20;
/// Bytes that every question has room for, whatever others hold: most Pods need fewer.
const SMALL_BYTES: usize = 64 << 10;
/// Larger questions at a time. Beyond, they wait.
const LARGE: usize = 8;

/// Room for questions.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A question, in the room that it takes.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) bytes: Vec<u8>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LARGE)))
    }

    /// Reads a question, once there is room for it. `None`: it is too large, or breaks off.
    pub(super) async fn read(&self, mut body: impl Body<Data = Bytes> + Unpin) -> Option<Question> {
        let (mut bytes, mut place) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let data = frame.ok()?.into_data().unwrap_or_default();
            let length = bytes.len() + data.len();
            if length > QUESTION_BYTES {
                return None;
            }
            // Whoever has a place needs no other: nobody waits for somebody who waits.
            if length > SMALL_BYTES && place.is_none() {
                place = Some(Arc::clone(&self.0).acquire_owned().await.ok()?);
            }
            bytes.extend_from_slice(&data);
        }
        Some(Question { bytes, _place: place })
    }
}

impl Question {
    /// Says why it has more parts than any Pod has: what two bytes of JSON become may take kilobytes.
    pub(super) fn within_bounds(&self) -> Result<(), &'static str> {
        let (mut objects, mut values) = (0, 0);
        let (mut is_text, mut is_escaped) = (false, false);
        for byte in &self.bytes {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_text,
                b'"' => is_text = !is_text,
                b'{' | b'[' | b',' if !is_text => {
                    values += 1;
                    objects += usize::from(*byte == b'{');
                }
                _ => {}
            }
        }
        if objects > REVIEW_OBJECTS {
            return Err("the Pod has more parts (JSON objects) than Chaperone reads\n");
        }
        if values > REVIEW_VALUES {
            return Err("the Pod has more fields (JSON values) than Chaperone reads\n");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use tokio::time::timeout;

    use super::*;
    use crate::clock;

    const SOON: std::time::Duration = std::time::Duration::from_secs(5);

    fn of(length: usize) -> Full<Bytes> {
        Full::from(vec![b'x'; length])
    }

    /// Says so much, and then nothing more.
    fn stalled(length: usize) -> impl Body<Data = Bytes> + Unpin {
        let said = Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; length])));
        StreamBody::new(futures::stream::iter([said]).chain(futures::stream::pending()).boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn small_questions_are_read_whatever_large_ones_hold() {
        let room = Room::new();
        let mut large = Vec::new();
        for _ in 0..LARGE {
            large.push(room.read(of(QUESTION_BYTES)).await.unwrap());
        }
        assert_eq!(room.read(of(SMALL_BYTES)).await.unwrap().bytes.len(), SMALL_BYTES);
        assert!(timeout(SOON, room.read(of(SMALL_BYTES + 1))).await.is_err(), "there is no room for it");
        large.pop();
        assert!(timeout(SOON, room.read(of(SMALL_BYTES + 1))).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_stalls_gives_its_room_back_with_its_time() {
        let room = Room::new();
        let stalling = futures::future::join_all((0..LARGE).map(|_| room.read(stalled(SMALL_BYTES + 1))));
        let begun = clock::now();
        let (stalled, read) = tokio::join!(timeout(SOON, stalling), room.read(of(QUESTION_BYTES)));
        assert!(stalled.is_err() && read.is_some());
        assert_eq!(clock::now() - begun, SOON);
    }

    fn within_bounds(json: &str) -> Result<(), &'static str> {
        Question { bytes: json.into(), _place: None }.within_bounds()
    }

    #[test]
    fn parts_are_counted_before_they_take_memory() {
        let of = |part: &str, count: usize| format!("[{}]", vec![part; count].join(","));
        assert!(within_bounds(&of("{}", REVIEW_OBJECTS)).is_ok());
        assert!(within_bounds(&of("{}", REVIEW_OBJECTS + 1)).unwrap_err().contains("objects"));
        for part in ["[]", "0", "\"\"", r#""\"","#] {
            assert!(within_bounds(&of(part, REVIEW_VALUES + 1)).unwrap_err().contains("values"), "{part}");
        }
        // Each thread of the process turns one question into a Pod at a time.
        let most = size_of::<k8s_openapi::api::core::v1::Volume>() * REVIEW_OBJECTS * 2;
        assert!(most < 128 << 20, "{most} bytes of volumes, where 512 MiB are all there is by default");
    }

    #[test]
    fn text_is_counted_as_one_whatever_is_in_it() {
        let text = r#"{[,\"\\"#.repeat(REVIEW_VALUES);
        assert!(within_bounds(&format!(r#"{{"a":"{text}"}}"#)).is_ok());
    }

    #[tokio::test]
    async fn a_question_that_no_object_can_be_is_not_kept() {
        assert!(Room::new().read(of(QUESTION_BYTES + 1)).await.is_none());
    }
}
