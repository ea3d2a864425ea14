//! When a certificate ends: `notAfter` (RFC 5280, 4.1.2.5), read from its DER. Judges nothing.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The field `version`, which certificates of version 1 leave out.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// An element of DER, and what follows it.
struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    rest: &'d [u8],
}

/// When this certificate, in DER, ends; `None` if it is none.
pub(super) fn expiry(certificate: &[u8]) -> Option<Timestamp> {
    let signed = element(certificate)?.content;
    let mut fields = element(signed)?.content;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.rest;
    }
    for _serial_number_then_algorithm_then_issuer in 0..3 {
        fields = element(fields)?.rest;
    }
    let validity = element(fields)?.content;
    let not_after = element(element(validity)?.rest)?;
    time(not_after.tag, std::str::from_utf8(not_after.content).ok()?)
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        // Two digits of a year, of which 50 is the first of the last century.
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["feed.ns.svc".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_a_time() {
        for year in [2026, 2049, 2050, 2150] {
            let wanted: Timestamp = format!("{year}-03-01T00:00:00Z").parse().unwrap();
            assert_eq!(expiry(&certificate(year)), Some(wanted));
        }
        assert_eq!(
            time(UTC_TIME, "991231235959Z").map(|time| time.to_string()),
            Some("1999-12-31T23:59:59Z".to_owned())
        );
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(2026);
        // Cut anywhere before the time, or altered to a length beyond its end.
        for end in 0..60 {
            assert_eq!(expiry(&whole[..end]), None);
        }
        for bytes in
            [&[0x30, 0x84, 0, 0, 0, 1][..], &[0x30, 0x83, 0xff, 0xff, 0xff], b"-----BEGIN CERTIFICATE-----"]
        {
            assert_eq!(expiry(bytes), None);
        }
    }
}
