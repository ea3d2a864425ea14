//! The way of a line to its writer: bounded, and never waited for.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use prometheus::IntCounter;

/// Lines that may wait for the writer; beyond, a record is dropped and counted.
pub(crate) const WAITING: usize = 4_096;

/// Hands a line to the writer, or counts it as dropped: a request never waits for its record.
pub(crate) fn offer(records: &SyncSender<String>, line: String, dropped: &IntCounter) {
    match records.try_send(line) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => dropped.inc(),
    }
}

/// Writes lines until their last sender is gone.
pub(crate) fn write_all(lines: &Receiver<String>, mut records: Box<dyn Write + Send>) {
    while let Ok(line) = lines.recv() {
        // A closed pipe ends the records, not the service.
        let written = records.write_all(line.as_bytes()).and_then(|()| records.write_all(b"\n"));
        if written.and_then(|()| records.flush()).is_err() {
            tracing::warn!("records cannot be written any more");
            return;
        }
    }
}
