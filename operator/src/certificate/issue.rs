//! Makes authority and leaf, and tells when a leaf is due. Time is a parameter.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// How long the authority is good.
pub(super) const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 3_652);
/// How long a leaf is good.
const LEAF: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Clocks of sidecars may be behind by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// When the leaf was made: its age is judged without parsing X.509.
const MADE: &str = "made";
/// What the leaf is for, as it was made.
const NAMES: &str = "names";

/// What the Secret holds.
pub(super) type Data = BTreeMap<String, ByteString>;

/// The authorities that callers should trust, in PEM.
pub(super) const CA: &str = "ca.crt";
/// The key of the one that signs.
pub(super) const CA_KEY: &str = "ca.key";
/// When it was made.
pub(super) const AUTHORITY_MADE: &str = "authority-made";
/// That one as the authority before it has signed it: it goes with the leaf while there is one.
pub(super) const CROSS: &str = "cross.crt";

/// A text in `data`.
pub(super) fn text<'d>(data: &'d Data, name: &str) -> Option<&'d str> {
    data.get(name).and_then(|value| std::str::from_utf8(&value.0).ok())
}

/// Puts a text into `data`.
pub(super) fn put(data: &mut Data, name: &str, value: String) {
    data.insert(name.to_owned(), ByteString(value.into_bytes()));
}

/// A new authority with a leaf for `names`.
pub(super) fn first(names: &[String], now: Timestamp) -> Result<Data, String> {
    let authority = new_authority(now)?;
    let mut data = Data::new();
    put(&mut data, CA, authority.pem());
    put(&mut data, CA_KEY, authority.key().serialize_pem());
    put(&mut data, AUTHORITY_MADE, now.to_string());
    renew_leaf(&mut data, names, now)?;
    Ok(data)
}

/// The same authority with a new leaf, if that in `data` is past two thirds of its life or for other names.
pub(super) fn renewed(data: &Data, names: &[String], now: Timestamp) -> Result<Option<Data>, String> {
    let made: Option<Timestamp> = text(data, MADE).and_then(|made| made.parse().ok());
    let is_young = made.is_some_and(|made| now < made + LEAF * 2 / 3);
    if is_young && text(data, NAMES) == Some(names.join(",").as_str()) {
        return Ok(None);
    }
    let mut data = data.clone();
    renew_leaf(&mut data, names, now)?;
    Ok(Some(data))
}

/// An authority that signs itself.
pub(super) fn new_authority(now: Timestamp) -> Result<CertifiedIssuer<'static, KeyPair>, String> {
    let make = || CertifiedIssuer::self_signed(authority(now)?, KeyPair::generate()?);
    make().map_err(|error: rcgen::Error| error.to_string())
}

/// The authority of key `next`, as that of key `old` signs it, in PEM.
pub(super) fn cross_signed(old: &str, next: &str, now: Timestamp) -> Result<String, String> {
    let make = || authority(now)?.signed_by(&KeyPair::from_pem(next)?, &issuer(old, now)?);
    make().map(|certificate| certificate.pem()).map_err(|error: rcgen::Error| error.to_string())
}

/// Puts a new leaf into `data`, signed by its authority.
pub(super) fn renew_leaf(data: &mut Data, names: &[String], now: Timestamp) -> Result<(), String> {
    let Some(key) = text(data, CA_KEY) else {
        return Err("it has no ca.key, so its leaf cannot be renewed; delete it".to_owned());
    };
    let make = || {
        let (authority, key) = (issuer(key, now)?, KeyPair::generate()?);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now, LEAF);
        Ok((params.signed_by(&key, &authority)?, key))
    };
    let (certificate, key) = make().map_err(|error: rcgen::Error| error.to_string())?;
    let chain = certificate.pem() + text(data, CROSS).unwrap_or_default();
    put(data, "tls.crt", chain);
    put(data, "tls.key", key.serialize_pem());
    put(data, MADE, now.to_string());
    put(data, NAMES, names.join(","));
    Ok(())
}

/// Name and key are all that a signature takes from an authority: both are as they were.
fn issuer(key: &str, now: Timestamp) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
    Ok(Issuer::new(authority(now)?, KeyPair::from_pem(key)?))
}

fn authority(now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "chaperone");
    // One below it: the authority that follows, which it signs when the two change places.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, AUTHORITY);
    Ok(params)
}

fn validity(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let date = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = date(now - SKEW);
    params.not_after = date(now + life);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["feed.ns.svc", "webhook.ns.svc"].map(str::to_owned).to_vec()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_leaf_is_renewed_by_the_same_authority_after_two_thirds_of_its_life() {
        let made = time("2026-01-01T12:00:00Z");
        let data = first(&names(), made).unwrap();
        let due = |now: &str| renewed(&data, &names(), time(now)).unwrap();
        assert!(due("2026-03-02T11:00:00Z").is_none());
        let renewed = due("2026-03-02T13:00:00Z").unwrap();
        assert_eq!(renewed["ca.crt"], data["ca.crt"]);
        assert_ne!(renewed["tls.crt"], data["tls.crt"]);
    }

    #[test]
    fn a_leaf_for_other_names_is_due_at_once() {
        let now = time("2026-01-01T12:00:00Z");
        let data = first(&names(), now).unwrap();
        assert!(renewed(&data, &["other.ns.svc".to_owned()], now).unwrap().is_some());
    }

    #[test]
    fn somebody_elses_certificate_is_left_alone_with_a_remedy() {
        let error = renewed(&Data::new(), &names(), time("2026-01-01T12:00:00Z")).err().unwrap();
        assert!(error.contains("delete it"), "{error}");
    }
}
