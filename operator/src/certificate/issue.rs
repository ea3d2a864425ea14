//! Makes authority and leaf, and tells when a leaf is due. Time is a parameter.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// How long the authority is good.
const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 3_652);
/// How long a leaf is good.
const LEAF: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Clocks of sidecars may be behind by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// When the leaf was made: its age is judged without parsing X.509.
const MADE: &str = "made";
/// What the leaf is for, as it was made.
const NAMES: &str = "names";

/// Authority and leaf, as they stand in the Secret.
pub(super) struct Bundle {
    data: BTreeMap<String, ByteString>,
}

impl Bundle {
    /// A new authority with a leaf for `names`.
    pub(super) fn new(names: &[String], now: Timestamp) -> Result<Self, String> {
        let make = || CertifiedIssuer::self_signed(authority(now)?, KeyPair::generate()?);
        let authority = make().map_err(|error: rcgen::Error| error.to_string())?;
        let mut data = leaf(names, now, &authority)?;
        data.insert("ca.crt".to_owned(), ByteString(authority.pem().into_bytes()));
        data.insert("ca.key".to_owned(), ByteString(authority.key().serialize_pem().into_bytes()));
        Ok(Self { data })
    }

    /// The same authority with a new leaf, if that in `data` is past two thirds of its life or for other names.
    pub(super) fn due(
        mut data: BTreeMap<String, ByteString>,
        names: &[String],
        now: Timestamp,
    ) -> Result<Option<Self>, String> {
        let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(&value.0).ok());
        let made: Option<Timestamp> = text(MADE).and_then(|made| made.parse().ok());
        let is_young = made.is_some_and(|made| now < made + LEAF * 2 / 3);
        if is_young && text(NAMES) == Some(names.join(",").as_str()) {
            return Ok(None);
        }
        let Some(key) = text("ca.key") else {
            return Err("it has no ca.key, so its leaf cannot be renewed; delete it".to_owned());
        };
        let key = KeyPair::from_pem(key).map_err(|error| error.to_string())?;
        // Name and key are all that a leaf takes from the authority: both are as they were.
        let authority = Issuer::new(authority(now).map_err(|error| error.to_string())?, key);
        let leaf = leaf(names, now, &authority)?;
        data.extend(leaf);
        Ok(Some(Self { data }))
    }

    /// As the Secret holds it.
    pub(super) fn into_data(self) -> BTreeMap<String, ByteString> {
        self.data
    }
}

fn authority(now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "chaperone");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, AUTHORITY);
    Ok(params)
}

fn leaf(
    names: &[String],
    now: Timestamp,
    authority: &Issuer<'_, KeyPair>,
) -> Result<BTreeMap<String, ByteString>, String> {
    let make = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now, LEAF);
        Ok((params.signed_by(&key, authority)?, key))
    };
    let (certificate, key) = make().map_err(|error: rcgen::Error| error.to_string())?;
    let entries = [
        ("tls.crt", certificate.pem()),
        ("tls.key", key.serialize_pem()),
        (MADE, now.to_string()),
        (NAMES, names.join(",")),
    ];
    Ok(entries.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).into())
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
        let data = Bundle::new(&names(), made).unwrap().into_data();
        let due = |now: &str| Bundle::due(data.clone(), &names(), time(now)).unwrap();
        assert!(due("2026-03-02T11:00:00Z").is_none());
        let renewed = due("2026-03-02T13:00:00Z").unwrap().into_data();
        assert_eq!(renewed["ca.crt"], data["ca.crt"]);
        assert_ne!(renewed["tls.crt"], data["tls.crt"]);
    }

    #[test]
    fn a_leaf_for_other_names_is_due_at_once() {
        let now = time("2026-01-01T12:00:00Z");
        let data = Bundle::new(&names(), now).unwrap().into_data();
        assert!(Bundle::due(data, &["other.ns.svc".to_owned()], now).unwrap().is_some());
    }

    #[test]
    fn somebody_elses_certificate_is_left_alone_with_a_remedy() {
        let error = Bundle::due(BTreeMap::new(), &names(), time("2026-01-01T12:00:00Z")).err().unwrap();
        assert!(error.contains("delete it"), "{error}");
    }
}
