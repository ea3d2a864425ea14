//! Reasoning that only its own partner can read, in an envelope that says who that is.
//!
//! A client sends it back with its next request. It is unwrapped for the same partner, byte for byte; for any other
//! it is dropped. It never becomes visible text.

use chaperone_protocol::adapter::Dialect;

use super::Origin;

/// Tells our envelopes from a vendor's own signatures, and this form of them from later ones.
const TAG: &str = "chaperone1";

/// Wraps what `origin` wants back, for a client that speaks `client`. In the partner's own dialect nothing is wrapped:
/// there it goes back by passthrough, as it came.
pub(crate) fn seal_for(client: Dialect, origin: &Origin, payload: &str) -> String {
    if client == origin.dialect { payload.to_owned() } else { seal(origin, payload) }
}

/// Wraps what `origin` wants back.
pub(crate) fn seal(origin: &Origin, payload: &str) -> String {
    // Neither a dialect's label nor a Partner's name has a colon; the payload may.
    format!("{TAG}:{}:{}:{payload}", label(origin.dialect), origin.partner)
}

/// What was wrapped, if it was for `origin`.
pub(crate) fn open<'a>(envelope: &'a str, origin: &Origin) -> Option<&'a str> {
    let mut fields = envelope.splitn(4, ':');
    let ours = fields.next() == Some(TAG)
        && fields.next() == Some(label(origin.dialect))
        && fields.next() == Some(origin.partner.as_str());
    if ours { fields.next() } else { None }
}

/// Whether a body holds an envelope of ours. No partner can read one, so the body must not pass through as it is.
pub(crate) fn is_in(body: &[u8]) -> bool {
    // As it stands in JSON: a value that begins with the tag.
    memchr::memmem::find(body, concat!("\"", "chaperone1", ":").as_bytes()).is_some()
}

fn label(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Neutral => "neutral",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(dialect: Dialect, partner: &str) -> Origin {
        Origin { dialect, partner: partner.to_owned() }
    }

    #[test]
    fn only_its_own_partner_opens_an_envelope() {
        let alpha = origin(Dialect::Anthropic, "team-a/alpha");
        let sealed = seal(&alpha, "Eq:QB+/=");
        assert_eq!(open(&sealed, &alpha), Some("Eq:QB+/="));
        assert_eq!(open(&sealed, &origin(Dialect::Anthropic, "team-a/beta")), None);
        assert_eq!(open(&sealed, &origin(Dialect::OpenAi, "team-a/alpha")), None);
        assert_eq!(open("EqQBCkYIBBgC", &alpha), None);
        assert_eq!(open(&seal(&alpha, ""), &alpha), Some(""));
        assert!(is_in(format!("{{\"signature\":\"{sealed}\"}}").as_bytes()));
        assert_eq!(seal_for(Dialect::OpenAi, &alpha, "x"), seal(&alpha, "x"));
        assert_eq!(seal_for(Dialect::Anthropic, &alpha, "x"), "x");
    }
}
