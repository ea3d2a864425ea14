//! `POST /v1/infer`: the neutral form as clients write and read it, in JSON that says what it is.

#[cfg(test)]
mod conforms;
mod encoder;
mod request;
mod schema;

#[cfg(test)]
pub(crate) use self::conforms::conforms;
pub(crate) use self::encoder::Encoder;
pub(crate) use self::request::decode_request;
pub(crate) use self::schema::schemas;
