//! Long work in turns: the data runtime has one thread, and whoever waits for it beside us gets it in between.

use chaperone_redact::{Engine, Progress, Redacted, Refused, Rules};

/// Bytes of one turn where names are looked for, and where they are not: about 0.2 ms each.
const WITH_NAMES: usize = 512;
const WITHOUT_NAMES: usize = 64 << 10;
/// Bytes of a text that is read as a stream is: its pieces cost more.
pub(crate) const PIECE: usize = 1024;

/// Brings `engine`, which was made by these `rules`, to its end.
///
/// # Errors
/// As [`Engine::finish`].
pub(crate) async fn finish<B: AsRef<[u8]>>(
    mut engine: Engine<'_, B>,
    rules: &Rules<'_>,
) -> Result<Redacted<B>, Refused> {
    let budget = if rules.names.is_some() { WITH_NAMES } else { WITHOUT_NAMES };
    while engine.step(budget)? == Progress::More {
        next().await;
    }
    engine.finish()
}

/// Ends one turn.
pub(crate) async fn next() {
    tokio::task::yield_now().await;
}
