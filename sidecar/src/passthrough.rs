//! The same dialect on both sides: the app's bytes leave as they came, but for a few edits by byte range.
//!
//! The edits are the model's name, the token limit, the wish for usage, and the names that a compatible server knows.
//! Whatever else the app sends passes, so a provider's new feature works on the day it ships.

mod edit;
mod fit;
pub(crate) mod headers;
mod thought;

use chaperone_protocol::pair::ClientApi;

use crate::adapter;
use crate::exchange::codec;
use crate::exchange::forward::StreamUsage;
use crate::exchange::{Answer, Ask, Exchange, Exchanged, Mode, Outgoing};
use crate::json::{self, ROOT};
use crate::refusal::Refusal;

/// Edits a request for its target.
///
/// # Errors
/// The target cannot carry a part of it.
pub(crate) fn exchange(ask: &Ask<'_>) -> Result<Exchanged, Refusal> {
    let mode = if is_assembled(ask) { Mode::Stream } else { ask.prompt.mode() };
    let render = ask.render(mode);
    fit::check(ask, &render)?;
    let mut edited = edit::edits(ask, &render);
    thought::cut(ask.prompt, &mut edited)?;
    let outgoing = Outgoing {
        path: adapter::path(&ask.target.partner, ask.prompt.api()),
        headers: headers::for_passthrough(ask, mode)?,
        body: json::splice(ask.prompt.body(), edited.edits),
        mode,
    };
    let answer = if mode == ask.prompt.mode() {
        let usage = if edit::adds_usage(ask, mode) { StreamUsage::Strip } else { StreamUsage::Keep };
        Answer::forwarded(ask, mode, usage, codec::accountant(ask))
    } else {
        codec::assembled(ask)
    };
    Ok(Exchanged { exchange: Exchange::Partner(outgoing, answer), adjusted: edited.adjusted })
}

/// Whether a whole answer is asked for as a stream: the route wishes it, and nothing that the app asks for would get
/// lost when the pieces are put together.
fn is_assembled(ask: &Ask<'_>) -> bool {
    let is_known = match ask.prompt.api() {
        ClientApi::ChatCompletions | ClientApi::Messages => true,
        ClientApi::Completions | ClientApi::Embeddings | ClientApi::CountTokens | ClientApi::Infer => false,
    };
    let skim = ask.prompt.skim();
    let is_plain = ["n", "logprobs", "modalities"].iter().all(|name| skim.get(ROOT, name).is_none());
    ask.wants_assembly() && ask.prompt.mode() == Mode::Whole && is_known && is_plain
}

#[cfg(test)]
mod tests;
