//! When the operator is told what was learned of partners: soon after a change, and not too often. Pure.

use std::time::Duration;

use chaperone_protocol::wire::feed::Health;
use tokio::time::Instant;

/// Between two reports: what changes meanwhile is told together.
const SPACING: Duration = Duration::from_secs(2);

/// The reports of one stream. Each stream is told everything anew: its leader may be another.
#[derive(Debug)]
pub(super) struct Reports {
    /// When to look whether there is anything to tell. `None`: nothing has happened.
    due: Option<Instant>,
    /// Not before.
    earliest: Instant,
    said: Health,
}

impl Reports {
    /// A stream begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: Some(now), earliest: now, said: Health::default() }
    }

    /// Something may have changed.
    pub(super) fn news(&mut self, now: Instant) {
        self.due.get_or_insert(now.max(self.earliest));
    }

    /// When to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks: what to say, if it is anything else than before.
    pub(super) fn look(&mut self, health: Health, now: Instant) -> Option<Health> {
        self.due = None;
        if health == self.said {
            return None;
        }
        self.earliest = now + SPACING;
        self.said.clone_from(&health);
        Some(health)
    }
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::wire::feed::Withheld;

    use super::*;

    fn refusing(names: &[&str]) -> Health {
        let breakers = names.iter().map(|name| (name.parse().unwrap(), Withheld::Refusing)).collect();
        Health { breakers, ..Health::default() }
    }

    #[test]
    fn what_changes_within_two_seconds_is_told_together() {
        let start = crate::clock::now();
        let mut reports = Reports::new(start);
        assert_eq!(reports.due(), Some(start), "what was learned before the stream is told too");
        assert_eq!(reports.look(refusing(&["alpha"]), start), Some(refusing(&["alpha"])));
        assert_eq!(reports.due(), None);
        for milliseconds in [10, 20, 30] {
            reports.news(start + Duration::from_millis(milliseconds));
        }
        assert_eq!(reports.due(), Some(start + SPACING));
        let both = refusing(&["alpha", "beta"]);
        assert_eq!(reports.look(both.clone(), start + SPACING), Some(both));
    }

    #[test]
    fn a_change_is_told_at_once_after_a_quiet_time_and_what_is_well_is_not_told() {
        let start = crate::clock::now();
        let mut reports = Reports::new(start);
        assert_eq!(reports.look(Health::default(), start), None, "an absence of news is not sent");
        let later = start + Duration::from_millis(10);
        reports.news(later);
        assert_eq!(reports.due(), Some(later), "nothing was sent that it should keep away from");
        assert!(reports.look(refusing(&["alpha"]), later).is_some());
        let recovered = later + 10 * SPACING;
        reports.news(recovered);
        assert_eq!(reports.due(), Some(recovered));
        assert_eq!(reports.look(Health::default(), recovered), Some(Health::default()));
    }
}
