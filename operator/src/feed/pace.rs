//! How often what one sidecar learned is worked on. Sidecars keep a distance of two seconds between reports; of what comes
//! faster the newest counts, since each report says everything. Pure.

use std::time::Duration;

use chaperone_protocol::wire::feed::Health;
use tokio::time::Instant;

/// One report in this time, in the long run.
const SPACING: Duration = Duration::from_secs(1);
/// Reports at once after a pause: a network that was stuck delivers several.
const BURST: u32 = 3;

/// The reports of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    newest: Option<Health>,
    /// Not before: behind the time by what of the burst is left.
    earliest: Instant,
}

impl Pace {
    /// A stream begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { newest: None, earliest: rested(now) }
    }

    /// A report has come.
    pub(super) fn add(&mut self, health: Health) {
        self.newest = Some(health);
    }

    /// When there is one to work on, if there is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.newest.as_ref().map(|_| self.earliest)
    }

    /// The one to work on now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Health> {
        if now < self.earliest {
            return None;
        }
        let newest = self.newest.take()?;
        self.earliest = self.earliest.max(rested(now)) + SPACING;
        Some(newest)
    }
}

/// The earliest time of who has said nothing for long.
fn rested(now: Instant) -> Instant {
    now.checked_sub(SPACING * (BURST - 1)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::wire::feed::Withheld;

    use super::*;

    fn refusing(name: &str) -> Health {
        Health { breakers: [(name.parse().unwrap(), Withheld::Refusing)].into(), ..Health::default() }
    }

    #[test]
    fn a_flood_is_worked_on_once_a_second_and_its_newest_report_is_never_lost() {
        let begun = crate::clock::now();
        let (mut pace, mut worked_on, mut last) = (Pace::new(begun), 0, None);
        for tick in 0..1_000 {
            pace.add(refusing(&format!("partner-{tick}")));
            if let Some(health) = pace.take(begun + Duration::from_millis(10) * tick) {
                (worked_on, last) = (worked_on + 1, Some(health));
            }
        }
        assert_eq!(worked_on, 12, "a burst of three, and one in each of the seconds that follow");
        assert_ne!(last, Some(refusing("partner-999")));
        let due = pace.due().unwrap();
        assert!(due <= begun + Duration::from_secs(10) + SPACING);
        assert_eq!(pace.take(due), Some(refusing("partner-999")));
        assert_eq!((pace.due(), pace.take(due + SPACING)), (None, None));
    }

    #[test]
    fn reports_at_the_distance_that_sidecars_keep_are_worked_on_at_once() {
        let begun = crate::clock::now();
        let mut pace = Pace::new(begun);
        for second in (0..60).step_by(2) {
            pace.add(refusing("slow"));
            assert!(pace.take(begun + Duration::from_secs(second)).is_some());
        }
        // Three that a network held back.
        let later = begun + Duration::from_secs(66);
        for _ in 0..3 {
            pace.add(refusing("slow"));
            assert!(pace.take(later).is_some());
        }
        pace.add(refusing("slow"));
        assert_eq!(pace.take(later), None);
    }
}
