//! How long a request may take up to its commit point. Pure.

use std::time::Duration;

use chaperone_protocol::reason::Reason;
use http::HeaderMap;

use crate::exchange::Mode;
use crate::refusal::Refusal;

/// Ours, in milliseconds.
const OWN: &str = "x-chaperone-deadline";
/// What the official SDKs send, in seconds: Node's timeout of a request, and Python's of a read. A whole answer is
/// one read, so both say when the app will hang up. Of a stream they say nothing about its beginning.
const SDKS: [&str; 2] = ["x-stainless-timeout", "x-stainless-read-timeout"];

/// The shortest of the route's deadline, the app's own, and its SDK's for a whole answer.
///
/// # Errors
/// The app's own is no number: an app that asked for a limit must not wait without one.
pub(super) fn of(route: Duration, headers: &HeaderMap, mode: Mode) -> Result<Duration, Refusal> {
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let own = value(OWN).map(|value| value.parse().map(Duration::from_millis));
    let own = own.transpose().map_err(|_| {
        Refusal::new(Reason::InvalidRequest, "x-chaperone-deadline must be a number of milliseconds")
    })?;
    let sdk = SDKS.into_iter().filter(|_| mode == Mode::Whole).filter_map(value).filter_map(seconds);
    Ok(sdk.chain(own).fold(route, Duration::min))
}

/// SDKs add their header unasked, and may round a part of a second down to 0: what is not above it says nothing.
fn seconds(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn deadline(fields: &[(&'static str, &'static str)], mode: Mode) -> Option<u128> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        of(Duration::from_secs(300), &headers, mode).ok().map(|deadline| deadline.as_millis())
    }

    #[test]
    fn rule_2_6_the_shortest_of_all_limits_is_the_deadline() {
        let cases: &[(&[(&str, &str)], u128)] = &[
            (&[], 300_000),
            (&[("x-chaperone-deadline", "2000")], 2_000),
            (&[("x-chaperone-deadline", "900000")], 300_000),
            (&[("x-stainless-timeout", "60")], 60_000),
            (&[("x-stainless-timeout", "600")], 300_000),
            (&[("x-stainless-read-timeout", "1.5")], 1_500),
            (&[("x-stainless-timeout", "60"), ("x-chaperone-deadline", "70000")], 60_000),
        ];
        for (fields, expected) in cases {
            assert_eq!(deadline(fields, Mode::Whole), Some(*expected), "{fields:?}");
        }
    }

    #[test]
    fn rule_2_6_an_sdks_timeout_says_nothing_of_a_stream() {
        assert_eq!(deadline(&[("x-stainless-timeout", "1")], Mode::Stream), Some(300_000));
        assert_eq!(deadline(&[("x-chaperone-deadline", "1")], Mode::Stream), Some(1));
    }

    #[test]
    fn only_our_own_header_is_held_to_its_form() {
        for value in ["0", "-1", "NaN", "inf", "1e400", "soon", ""] {
            assert_eq!(deadline(&[("x-stainless-timeout", value)], Mode::Whole), Some(300_000), "{value}");
            let own = deadline(&[("x-chaperone-deadline", value)], Mode::Whole);
            assert_eq!(own, if value == "0" { Some(0) } else { None }, "{value}");
        }
    }
}
