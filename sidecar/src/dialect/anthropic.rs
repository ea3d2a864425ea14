//! Anthropic's Messages API.
//!
//! Requests: [`decode_request`] from a client, [`encode_request`] for a partner. Answers: [`Decoder`] of a partner's,
//! [`Encoder`] for a client.

mod block;
mod decoder;
mod encoder;
mod render;
mod request;
mod thinking;
mod usage;
mod wire;

pub(crate) use self::decoder::Decoder;
pub(crate) use self::encoder::Encoder;
pub(crate) use self::render::encode_request;
pub(crate) use self::request::decode_request;
