//! What a defect of ours may do: end one request, and say where it is. Never end the process, never tell content.

#[cfg(test)]
pub(crate) mod process;

use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::task::Poll;
use std::thread;

use chaperone_protocol::sensitive::tellable;

/// A future panicked. The panic hook has said where.
#[derive(Debug)]
pub(crate) struct Defect;

/// Drives `future` to its end, or to its panic.
///
/// What it borrows may be half changed then: the caller uses only what is whole after every statement. The caller pins
/// it, because an argument that is moved to be pinned is stored twice in the caller's own future.
pub(crate) async fn caught<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Result<T, Defect> {
    std::future::poll_fn(|context| {
        match panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Defect)),
        }
    })
    .await
}

/// From now on a panic tells its place, and its message as far as it is [`tellable`].
pub(crate) fn keep_content_out_of_panics() {
    panic::set_hook(Box::new(|info| {
        let (thread, place) = (thread::current(), info.location());
        let place = place.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let name = thread.name().unwrap_or("unnamed");
        // Nothing can be done for a line that cannot be written.
        let _ =
            writeln!(std::io::stderr(), "thread {name} panicked at {place}: {}", tellable(info.payload()));
    }));
}
