//! What is taken of a Secret that somebody else writes.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::metrics::Metrics;
use crate::played;

struct Taking {
    certificate: Certificate,
    desk: Desk,
    _leadership: watch::Sender<Leadership>,
}

impl Taking {
    fn new() -> Self {
        let client = played::client(|_| None);
        let certificate = Certificate::new(&client, "platform", "tls", ["feed", "webhook"]);
        let (leadership, leads) = watch::channel(Leadership::Standby);
        Self { certificate, desk: Desk::new(leads, Metrics::new().unwrap()), _leadership: leadership }
    }

    fn made(&self, now: Timestamp) -> Data {
        issue::first(&self.certificate.names, now).unwrap()
    }

    fn take(&self, data: &Data, now: Timestamp) -> Result<(), String> {
        let secret = Secret { data: Some(data.clone()), ..Secret::default() };
        self.certificate.take(&secret, &self.desk, now)
    }

    /// The leaf, in DER, and the authorities.
    fn in_use(&self) -> (Option<Vec<u8>>, Option<String>) {
        let leaf = self.certificate.leaf.0.load_full().map(|key| key.cert[0].to_vec());
        (leaf, self.certificate.authority.borrow().clone())
    }
}

#[tokio::test]
async fn leaf_and_authorities_are_taken_together_or_not_at_all() {
    let (taking, now) = (Taking::new(), clock::wall());
    let (first, second) = (taking.made(now), taking.made(now));
    taking.take(&first, now).unwrap();
    let before = taking.in_use();
    assert!(before.0.is_some() && before.1.is_some());

    let mut half = second.clone();
    half.insert(issue::CA.to_owned(), first[issue::CA].clone());
    let mut other_half = first.clone();
    other_half.insert(issue::CA.to_owned(), second[issue::CA].clone());
    let mut without = second.clone();
    without.remove(issue::CA);
    let mut cut = second.clone();
    cut.insert(issue::CA.to_owned(), ByteString(b"-----BEGIN CERTIFICATE-----".to_vec()));
    let named = issue::first(&["feed.elsewhere.svc".to_owned()], now).unwrap();
    for (data, reason) in [
        (half, "not good for who trusts ca.crt"),
        (other_half, "not good for who trusts ca.crt"),
        (without, "has no ca.crt"),
        (cut, "is not PEM"),
        (named, "tls.crt is not for feed.platform.svc"),
    ] {
        let refused = taking.take(&data, now).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
        assert!(taking.in_use() == before, "{reason}");
    }
    taking.take(&second, now).unwrap();
    let after = taking.in_use();
    assert!(after.0 != before.0 && after.1 != before.1);
}

#[tokio::test]
async fn what_is_not_good_now_is_not_taken() {
    let (taking, now) = (Taking::new(), clock::wall());
    for (made, is_taken) in [(-100, false), (0, true), (1, false)] {
        let data = taking.made(now + SignedDuration::from_hours(24 * made));
        assert_eq!(taking.take(&data, now).is_ok(), is_taken, "made {made} days from now");
    }
}
