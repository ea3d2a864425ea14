//! Server-sent events.

/// One event of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) event: Option<&'a str>,
    pub(crate) data: &'a str,
}
