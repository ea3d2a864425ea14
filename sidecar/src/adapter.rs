//! The contract that every kind of partner keeps, and what is peculiar to each: its URLs, its authentication, its
//! errors, its models.
//!
//! The contract is [`provider_id`], [`infer`], [`health_check`] and [`get_schema`]; `conformance.rs` holds every adapter
//! to it. No model name and no error code of a provider appears outside `adapter/`.

pub(crate) mod anthropic;
#[cfg(test)]
mod conformance;
pub(crate) mod error;
mod health;
pub(crate) mod mock;
pub(crate) mod openai;

use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::pair::{self, ClientApi};
use chaperone_protocol::snapshot::Partner;
use http::header::InvalidHeaderValue;
use http::{HeaderName, HeaderValue};

pub(crate) use self::health::health_check;
use crate::dialect::{self, Facts};
use crate::exchange::{self, Ask, Exchanged};
use crate::refusal::Refusal;

/// Who answers, in headers, records, metrics and answers: the Partner's name.
pub(crate) fn provider_id(partner: &Partner) -> &PartnerName {
    &partner.name
}

/// A request as its target's partner gets it, and the reader of that partner's answer, whole or streamed.
///
/// # Errors
/// The target cannot carry the request: another one might.
pub(crate) fn infer(ask: &Ask<'_>) -> Result<Exchanged, Refusal> {
    exchange::exchange(ask)
}

/// JSON Schemas of what [`ClientApi::Infer`] takes and gives where `partner` serves `alias`.
pub(crate) fn get_schema(partner: &Partner, alias: &str) -> Vec<u8> {
    dialect::infer::schemas(partner.adapter, alias, partner.schema_version.as_deref())
}

/// The path at which a partner serves an endpoint. Empty where there is none: such a partner is not dialled.
pub(crate) fn path(partner: &Partner, api: ClientApi) -> String {
    let endpoint = partner.endpoint.as_ref();
    endpoint.and_then(|endpoint| pair::partner_path(api, partner.adapter, endpoint)).unwrap_or_default()
}

/// What is known about a model by its name. What its Partner declares goes before it.
pub(crate) fn facts(adapter: Adapter, model: &str) -> Facts {
    match adapter {
        Adapter::Anthropic => anthropic::facts(model),
        Adapter::OpenAI => openai::facts(model),
        Adapter::Mock => mock::FACTS,
    }
}

/// The header that carries a partner's key. Its value is marked as sensitive: it cannot be printed.
///
/// # Errors
/// If the key has bytes that no header may carry.
pub(crate) fn credential(
    adapter: Adapter,
    key: &[u8],
) -> Result<(HeaderName, HeaderValue), InvalidHeaderValue> {
    let (name, mut value) = match adapter {
        Adapter::Anthropic => (HeaderName::from_static("x-api-key"), HeaderValue::from_bytes(key)?),
        Adapter::OpenAI | Adapter::Mock => {
            (http::header::AUTHORIZATION, HeaderValue::from_bytes(&[b"Bearer ", key].concat())?)
        }
    };
    value.set_sensitive(true);
    Ok((name, value))
}

/// Facts of models, by the beginning of their names. The first that fits stands, and `newest`
/// where none does.
pub(crate) fn by_prefix<T: Copy>(table: &[(&str, T)], newest: T, model: &str) -> T {
    // Compatible servers call models `owner/model`.
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    table.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(newest, |(_, facts)| *facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_where_its_adapter_wants_it_and_cannot_be_printed() {
        let (name, value) = credential(Adapter::OpenAI, b"sk-canary").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer sk-canary"[..]));
        assert!(!format!("{value:?}").contains("canary"));
        let (name, value) = credential(Adapter::Anthropic, b"sk-canary").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-api-key", &b"sk-canary"[..]));
        assert!(credential(Adapter::OpenAI, b"two\nlines").is_err());
    }
}
