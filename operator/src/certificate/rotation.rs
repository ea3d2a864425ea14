//! Changing the authority, in steps that lose no sidecar. Pure: time, and what sidecars know, are parameters.
//!
//! ```text
//! settled --asked, or old--> announced --every sidecar knows both, or an hour--> signing --a day--> settled
//! ```
//! - *announced*: old and new are published, the old one signs.
//! - *signing*: both are published, the new one signs. The leaf comes with the new authority as the old one signed it, so
//!   that a sidecar that was away, and knows the old one alone, finds its way back; it does so until that leaf is
//!   renewed, after sixty days.
//! - *settled*: one is published and signs.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::issue::{self, AUTHORITY, AUTHORITY_MADE, CA, CA_KEY, CROSS, Data, put, text};

/// The authority that follows: certificate and, while it is announced, key.
const NEXT: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
/// How far the change is, and since when: `announced <time>` or `signing <time>`.
const STEP: &str = "rotation";
/// What was asked for last.
const ASKED: &str = "rotated";

/// Sidecars have this long to return to a leader, and to hear of the new authority, before those that are connected
/// count as all.
pub(super) const RETURNING: Duration = Duration::from_secs(30);
/// One sidecar that never says so must not keep an authority from being changed. Who hears of the new one later than this
/// is let in by its certificate, as whoever was away.
pub(super) const WAITING: SignedDuration = SignedDuration::from_hours(1);
/// How long the old authority is trusted after the new one signs.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// What sidecars know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awareness {
    /// Every connected one trusts all that is published.
    All,
    /// Some do not yet, or nobody can say.
    Some,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Settled,
    Announced { since: Timestamp },
    Signing { since: Timestamp },
}

impl Step {
    fn of(data: &Data) -> Result<Self, String> {
        let Some(written) = text(data, STEP) else { return Ok(Self::Settled) };
        let parsed = written.split_once(' ').and_then(|(step, since)| Some((step, since.parse().ok()?)));
        match parsed {
            Some(("announced", since)) => Ok(Self::Announced { since }),
            Some(("signing", since)) => Ok(Self::Signing { since }),
            _ => Err(format!("its entry {STEP} cannot be read; delete that entry")),
        }
    }
}

/// Whether a change is under way, so that somebody should look often.
pub(super) fn is_under_way(data: &Data) -> bool {
    matches!(Step::of(data), Ok(Step::Announced { .. }))
}

/// The next step, if one is due. `asked` is what the Secret's annotation says, any change of which asks for a change.
///
/// # Errors
/// What keeps it from going on, with a remedy.
pub(super) fn advance(
    data: &Data,
    names: &[String],
    asked: Option<&str>,
    awareness: Awareness,
    now: Timestamp,
) -> Result<Option<Data>, String> {
    match Step::of(data)? {
        Step::Settled => {
            let is_asked = asked.is_some() && asked != text(data, ASKED);
            let made: Option<Timestamp> = text(data, AUTHORITY_MADE).and_then(|made| made.parse().ok());
            let is_old = made.is_some_and(|made| now >= made + AUTHORITY * 2 / 3);
            if is_asked || is_old { announce(data, asked, now).map(Some) } else { Ok(None) }
        }
        Step::Announced { since } if is_known(since, awareness, now) || now >= since + WAITING => {
            sign(data, names, now).map(Some)
        }
        Step::Signing { since } if now >= since + OVERLAP => settle(data).map(Some),
        Step::Announced { .. } | Step::Signing { .. } => Ok(None),
    }
}

fn is_known(since: Timestamp, awareness: Awareness, now: Timestamp) -> bool {
    now >= since + RETURNING && awareness == Awareness::All
}

fn announce(data: &Data, asked: Option<&str>, now: Timestamp) -> Result<Data, String> {
    let old = entry(data, CA)?;
    // Asked for here, and not when it is needed: without it the change could not be finished.
    entry(data, CA_KEY)?;
    let next = issue::new_authority(now)?;
    let mut data = data.clone();
    put(&mut data, CA, format!("{}\n{}", old.trim_end(), next.pem()));
    put(&mut data, NEXT, next.pem());
    put(&mut data, NEXT_KEY, next.key().serialize_pem());
    put(&mut data, STEP, format!("announced {now}"));
    if let Some(asked) = asked {
        put(&mut data, ASKED, asked.to_owned());
    }
    Ok(data)
}

fn sign(data: &Data, names: &[String], now: Timestamp) -> Result<Data, String> {
    let (old, next) = (entry(data, CA_KEY)?, entry(data, NEXT_KEY)?);
    let mut signed = data.clone();
    put(&mut signed, CROSS, issue::cross_signed(old, next, now)?);
    put(&mut signed, CA_KEY, next.to_owned());
    put(&mut signed, STEP, format!("signing {now}"));
    put(&mut signed, AUTHORITY_MADE, now.to_string());
    signed.remove(NEXT_KEY);
    issue::renew_leaf(&mut signed, names, now)?;
    Ok(signed)
}

fn settle(data: &Data) -> Result<Data, String> {
    let next = entry(data, NEXT)?.to_owned();
    let mut settled = data.clone();
    put(&mut settled, CA, next);
    for past in [NEXT, STEP, CROSS] {
        settled.remove(past);
    }
    Ok(settled)
}

fn entry<'d>(data: &'d Data, name: &str) -> Result<&'d str, String> {
    text(data, name).ok_or_else(|| format!("it has no {name}, so its authority cannot be changed; delete it"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    const MADE: &str = "2026-01-01T12:00:00Z";

    fn names() -> Vec<String> {
        vec!["feed.ns.svc".to_owned()]
    }

    fn at(hours: i64) -> Timestamp {
        MADE.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
    }

    fn first() -> Data {
        issue::first(&names(), at(0)).unwrap()
    }

    fn step(data: &Data, asked: Option<&str>, awareness: Awareness, now: Timestamp) -> Option<Data> {
        advance(data, &names(), asked, awareness, now).unwrap()
    }

    /// Whether a sidecar that trusts what `trusted` publishes takes the leaf of `served`.
    fn trusts(trusted: &Data, served: &Data, now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(text(trusted, CA).unwrap().as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(text(served, "tls.crt").unwrap().as_bytes())
            .map(Result::unwrap)
            .collect();
        let name = ServerName::try_from("feed.ns.svc").unwrap();
        let seconds = std::time::Duration::from_secs(now.as_second().unsigned_abs());
        let now = UnixTime::since_unix_epoch(seconds);
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).is_ok()
    }

    #[test]
    fn every_sidecar_finds_its_way_at_every_step_and_back_from_an_absence() {
        let old = first();
        let announced = step(&old, Some("1"), Awareness::Some, at(1)).unwrap();
        let signing = step(&announced, Some("1"), Awareness::All, at(2)).unwrap();
        let settled = step(&signing, Some("1"), Awareness::Some, at(26)).unwrap();
        let states = [(&old, 0), (&announced, 1), (&signing, 2), (&settled, 26)];
        for (known, (from, _)) in states.iter().enumerate() {
            for (served, (to, hours)) in states.iter().enumerate().skip(known) {
                assert!(trusts(from, to, at(*hours)), "known {known}, served {served}");
            }
        }
        assert!(!trusts(&settled, &old, at(26)), "the old authority is not trusted any more");
        assert_ne!(text(&settled, CA), text(&old, CA));
        assert_eq!(text(&settled, CA).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
        assert_eq!(settled.len(), old.len() + 1, "what was asked is all that is added");
        assert!(
            step(&settled, Some("1"), Awareness::All, at(27)).is_none(),
            "once for each time that it is asked"
        );
        assert!(step(&settled, Some("2"), Awareness::All, at(27)).is_some());
    }

    #[test]
    fn nothing_signs_before_every_sidecar_knows_and_nothing_is_dropped_before_a_day() {
        let old = first();
        let announced = step(&old, Some("1"), Awareness::All, at(0)).unwrap();
        let soon = at(0) + SignedDuration::from_secs(29);
        assert!(step(&announced, Some("1"), Awareness::All, soon).is_none(), "sidecars are still returning");
        let last = at(1) - SignedDuration::from_secs(1);
        assert!(step(&announced, Some("1"), Awareness::Some, last).is_none(), "one does not know yet");
        assert_eq!(text(&announced, "tls.crt"), text(&old, "tls.crt"), "the old one signs");
        let signing = step(&announced, Some("1"), Awareness::All, at(1)).unwrap();
        assert!(step(&signing, Some("1"), Awareness::All, at(24)).is_none());
        assert!(step(&signing, Some("1"), Awareness::All, at(25)).is_some());
    }

    #[test]
    fn a_sidecar_that_never_acknowledges_holds_a_change_up_for_an_hour_and_finds_its_way_after_it() {
        let old = first();
        let announced = step(&old, Some("1"), Awareness::Some, at(0)).unwrap();
        let signing = step(&announced, Some("1"), Awareness::Some, at(1)).expect("an hour is enough");
        assert!(trusts(&old, &signing, at(1)), "who knows the old authority alone comes back");
        let settled = step(&signing, Some("1"), Awareness::Some, at(25)).unwrap();
        assert!(trusts(&old, &settled, at(25)), "also after the change");
    }

    #[test]
    fn an_authority_is_replaced_when_two_thirds_of_its_life_are_over() {
        let day = 24;
        assert!(step(&first(), None, Awareness::All, at(2_434 * day)).is_none());
        assert!(step(&first(), None, Awareness::All, at(2_435 * day)).is_some());
    }

    #[test]
    fn somebody_elses_certificate_and_a_broken_step_are_named_with_a_remedy() {
        let now = at(0);
        let error = advance(&Data::new(), &names(), Some("1"), Awareness::All, now).unwrap_err();
        assert!(error.contains("ca.crt") && error.contains("delete it"), "{error}");
        let mut broken = first();
        put(&mut broken, STEP, "halfway".to_owned());
        assert!(
            advance(&broken, &names(), None, Awareness::All, now).unwrap_err().contains("delete that entry")
        );
    }
}
