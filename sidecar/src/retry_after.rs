//! How long a partner asks us to wait.
//!
//! Read in this order: `retry-after-ms`, `Retry-After` in seconds, `Retry-After` as a date (RFC 9110 §10.2.3), and for a
//! rate limit without any of them the provider's own reset headers. What is past, negative or garbage is ignored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

/// The longest wait that is believed.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);

/// The wait that an answer asks for. `now` is in seconds since 1970; the answer's own `Date` goes before it, since
/// the two clocks may differ.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap, now: u64) -> Option<Duration> {
    let stated = text(headers, "retry-after-ms").and_then(|value| decimal(value, 0.001));
    let stated = stated.or_else(|| text(headers, "retry-after").and_then(|value| decimal(value, 1.0)));
    let stated = stated.or_else(|| until_date(headers, now));
    let wait = match stated {
        None if status == StatusCode::TOO_MANY_REQUESTS => until_reset(headers),
        found => found,
    };
    wait.map(|wait| wait.min(LONGEST))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// A number of `unit` seconds, if it is above zero.
fn decimal(value: &str, unit: f64) -> Option<Duration> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = value.parse::<f64>().ok().filter(|_| is_plain)? * unit;
    if seconds > 0.0 { Some(Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))) } else { None }
}

fn until_date(headers: &HeaderMap, now: u64) -> Option<Duration> {
    let date = |name| text(headers, name).and_then(|value| httpdate::parse_http_date(value).ok());
    let now: SystemTime = date("date").unwrap_or(UNIX_EPOCH + Duration::from_secs(now));
    date("retry-after")?.duration_since(now).ok().filter(|wait| !wait.is_zero())
}

/// The longest of the resets whose allowance is used up: `x-ratelimit-reset-requests: 6m0s` and its kin.
fn until_reset(headers: &HeaderMap) -> Option<Duration> {
    ["requests", "tokens"]
        .into_iter()
        .filter(|what| text(headers, &format!("x-ratelimit-remaining-{what}")) == Some("0"))
        .filter_map(|what| compound(text(headers, &format!("x-ratelimit-reset-{what}"))?))
        .max()
}

/// A duration as `1h2m3.5s` or `20ms`.
fn compound(mut value: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    while !value.is_empty() {
        let digits = value.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, rest) = value.split_at_checked(digits)?;
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, rest) = rest.split_at_checked(letters)?;
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.saturating_add(decimal(number, unit).unwrap_or_default());
        value = rest;
    }
    Some(total).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_445_412_480; // Wed, 21 Oct 2015 07:28:00 GMT

    fn wait(status: u16, fields: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        retry_after(StatusCode::from_u16(status).unwrap(), &headers.collect(), NOW)
    }

    #[test]
    fn f33_a_wait_is_honoured_capped_or_ignored() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let cases: &[(&str, Option<Duration>)] = &[
            ("1", seconds(1.0)),
            ("0.5", seconds(0.5)),
            ("3600", seconds(300.0)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", seconds(30.0)),
            ("Fri, 21 Oct 2016 07:28:30 GMT", seconds(300.0)),
            ("Wed, 21 Oct 2015 07:27:59 GMT", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("inf", None),
            ("NaN", None),
            ("1e9", None),
            ("999999999999999999999999999999", seconds(300.0)),
        ];
        for (value, expected) in cases {
            assert_eq!(wait(503, &[("retry-after", value)]), *expected, "{value:?}");
        }
    }

    #[test]
    fn milliseconds_go_before_seconds_and_garbage_before_nothing() {
        assert_eq!(
            wait(429, &[("retry-after-ms", "250"), ("retry-after", "9")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wait(429, &[("retry-after-ms", "x"), ("retry-after", "9")]), Some(Duration::from_secs(9)));
    }

    #[test]
    fn the_partners_own_clock_is_preferred() {
        let fields =
            [("retry-after", "Wed, 21 Oct 2015 09:00:10 GMT"), ("date", "Wed, 21 Oct 2015 09:00:00 GMT")];
        assert_eq!(wait(503, &fields), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_rate_limit_falls_back_on_the_allowance_that_is_used_up() {
        let fields = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m2.5s"),
            ("x-ratelimit-remaining-tokens", "5"),
            ("x-ratelimit-reset-tokens", "4m"),
        ];
        assert_eq!(wait(429, &fields), Some(Duration::from_millis(62_500)));
        assert_eq!(wait(503, &fields), None);
        assert_eq!(compound("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(compound("5 parsecs"), None);
    }
}
