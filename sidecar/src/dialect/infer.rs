//! `POST /v1/infer`: the neutral form as clients write and read it, in JSON that says what it is.

mod encoder;
mod request;
mod schema;

pub(crate) use self::encoder::Encoder;
pub(crate) use self::request::decode_request;
pub(crate) use self::schema::schemas;
