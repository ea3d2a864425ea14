//! The edits of a request that stays in its dialect. No two of them overlap.

use chaperone_protocol::adapter::{Adapter, Dialect};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::units::Tokens;

use crate::adapter::openai;
use crate::dialect::{Instructions, Render, TokenLimit, UsageChunk};
use crate::exchange::{Ask, Mode, StreamOptions};
use crate::json::{self, Edit, Kind, Member, ROOT};
use crate::prompt::{LIMITS, MESSAGE, STREAM_OPTIONS};

/// What is to be changed, and what the app is told of it.
#[derive(Debug, Default)]
pub(super) struct Edited {
    pub(super) edits: Vec<Edit>,
    pub(super) adjusted: Vec<String>,
}

/// All edits for one target.
pub(super) fn edits(ask: &Ask<'_>, render: &Render<'_>) -> Edited {
    let mut editor = Editor { ask, render, done: Edited::default() };
    editor.model();
    editor.limit();
    editor.mode();
    editor.usage();
    editor.roles();
    editor.done
}

/// Whether we ask for the usage of a stream because the app does not. Other dialects bring it unasked.
pub(super) fn adds_usage(ask: &Ask<'_>, mode: Mode) -> bool {
    let is_openai = ask.prompt.api().dialect() == Dialect::OpenAi;
    let is_taken = ask.stream_options == StreamOptions::Taken;
    is_openai && mode == Mode::Stream && ask.prompt.usage() == UsageChunk::Unwanted && is_taken
}

struct Editor<'a> {
    ask: &'a Ask<'a>,
    render: &'a Render<'a>,
    done: Edited,
}

impl<'a> Editor<'a> {
    fn member(&self, name: &str) -> Option<&'a Member> {
        self.ask.prompt.skim().get(ROOT, name)
    }

    /// Gives a member of the request another value, or adds it.
    fn set(&mut self, name: &str, value: &str) {
        let edit = match self.member(name) {
            Some(member) => Edit::new(member.value.clone(), value.to_owned()),
            None => self.insert(format!("\"{name}\":{value}")),
        };
        self.done.edits.push(edit);
    }

    fn insert(&self, member: String) -> Edit {
        let body = self.ask.prompt.body();
        let open = body.iter().position(|byte| *byte == b'{').unwrap_or_default();
        Edit::insert(body, open, &member)
    }

    fn model(&mut self) {
        self.set("model", &json::quote(self.ask.target.model_name.as_str()));
    }

    fn limit(&mut self) {
        let name = match self.ask.prompt.api() {
            ClientApi::ChatCompletions => match self.render.facts.token_limit {
                TokenLimit::MaxTokens => "max_tokens",
                TokenLimit::MaxCompletionTokens => "max_completion_tokens",
            },
            ClientApi::Completions | ClientApi::Messages => "max_tokens",
            ClientApi::Embeddings | ClientApi::CountTokens | ClientApi::Infer => return,
        };
        let bounds = self.render.max_tokens;
        if let Some(asked) = self.ask.prompt.limit() {
            return self.lower(asked, bounds.cap, name);
        }
        let cap = bounds.cap.unwrap_or(Tokens(u64::MAX));
        if let Some(limit) = bounds.default.map(|default| default.min(cap)).or(bounds.cap) {
            self.set(name, &limit.0.to_string());
        }
    }

    /// Lowers each limit that stands in the request, and gives it the name that the model knows.
    fn lower(&mut self, asked: Tokens, cap: Option<Tokens>, known: &str) {
        let is_chat = self.ask.prompt.api() == ClientApi::ChatCompletions;
        let refused = if is_chat && self.ask.target.partner.adapter == Adapter::OpenAI {
            openai::refused_limit(self.ask.target.model_name.as_str())
        } else {
            None
        };
        let skim = self.ask.prompt.skim();
        for member in LIMITS.iter().filter_map(|name| skim.get(ROOT, name)) {
            if refused == Some(member.name) && self.member(known).is_none() {
                self.done.edits.push(Edit::new(member.key.clone(), json::quote(known)));
            }
            let Some(cap) = cap.filter(|cap| member.kind != Kind::Null && self.exceeds(member, *cap)) else {
                continue;
            };
            self.done.edits.push(Edit::new(member.value.clone(), cap.0.to_string()));
        }
        if let Some(cap) = cap.filter(|cap| asked > *cap) {
            self.done.adjusted.push(format!("max_tokens={}", cap.0));
        }
    }

    fn exceeds(&self, member: &Member, cap: Tokens) -> bool {
        let source = self.ask.prompt.body().get(member.value.clone()).unwrap_or_default();
        let limit = std::str::from_utf8(source).ok().and_then(|source| source.parse::<u64>().ok());
        limit.is_none_or(|limit| limit > cap.0)
    }

    /// Asks for a stream where the app wants the whole.
    fn mode(&mut self) {
        if self.render.mode == Mode::Stream && self.ask.prompt.mode() == Mode::Whole {
            self.set("stream", "true");
        }
    }

    /// Asks for the usage of a stream, without which it could not be charged.
    fn usage(&mut self) {
        if self.ask.stream_options == StreamOptions::Refused {
            return self.drop_options();
        }
        if !adds_usage(self.ask, self.render.mode) {
            return;
        }
        let skim = self.ask.prompt.skim();
        let edit = match (self.member("stream_options"), skim.get(STREAM_OPTIONS, "include_usage")) {
            (_, Some(wish)) => Edit::new(wish.value.clone(), "true"),
            (Some(options), None) if options.kind == Kind::Object => {
                Edit::insert(self.ask.prompt.body(), options.value.start, "\"include_usage\":true")
            }
            (Some(_) | None, None) => return self.set("stream_options", "{\"include_usage\":true}"),
        };
        self.done.edits.push(edit);
    }

    /// Leaves out what the partner does not know.
    fn drop_options(&mut self) {
        if let Some(options) = self.member("stream_options") {
            self.done.edits.push(Edit::cut(self.ask.prompt.body(), options));
            self.done.adjusted.push("stream_options=dropped".to_owned());
        }
    }

    /// Calls the developer what the model calls it.
    fn roles(&mut self) {
        let is_known = self.render.facts.instructions == Instructions::Developer;
        if self.ask.prompt.api() != ClientApi::ChatCompletions || is_known {
            return;
        }
        let skim = self.ask.prompt.skim();
        let roles = skim.all(MESSAGE, "role").map(|role| Edit::new(role.value.clone(), "\"system\""));
        self.done.edits.extend(roles);
    }
}
