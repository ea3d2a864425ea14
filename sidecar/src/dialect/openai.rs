//! OpenAI's chat completions, and those of everything compatible; legacy completions and embeddings for the Mock.
//!
//! Requests: [`decode_request`] from a client, [`encode_request`] for a partner. Answers: [`Decoder`] of a partner's,
//! [`Encoder`] for a client.

mod chunk;
pub(crate) mod completions;
mod decoder;
pub(crate) mod embeddings;
mod encoder;
pub(crate) mod message;
pub(crate) mod parameter;
mod render;
mod request;
mod usage;
mod wire;

pub(crate) use self::decoder::Decoder;
pub(crate) use self::encoder::Encoder;
pub(crate) use self::render::encode_request;
pub(crate) use self::request::decode_request;
