//! When to compile: soon after a single change, not at each of many. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// After this long without a change the next one is a single one, until it proves otherwise.
const QUIET: Duration = Duration::from_secs(1);
/// From a single change to compiling.
const SINGLE: Duration = Duration::from_millis(10);
/// In a burst: from the last change to compiling.
const SETTLED: Duration = Duration::from_millis(100);
/// In a burst: from the first change to compiling, at most.
const LONGEST: Duration = Duration::from_secs(1);

/// Collects changes.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    last: Option<Instant>,
    pending: Option<Pending>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    first: Instant,
    due: Instant,
    is_single: bool,
}

impl Debounce {
    /// Something has changed.
    pub(super) fn changed(&mut self, now: Instant) {
        let was_quiet = self.last.is_none_or(|last| now >= last + QUIET);
        self.last = Some(now);
        self.pending = Some(match self.pending {
            None if was_quiet => Pending { first: now, due: now + SINGLE, is_single: true },
            None => Pending { first: now, due: now + SETTLED, is_single: false },
            Some(pending) if pending.is_single => pending,
            Some(pending) => Pending { due: (now + SETTLED).min(pending.first + LONGEST), ..pending },
        });
    }

    /// When to compile, if something has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.map(|pending| pending.due)
    }

    /// It is being compiled.
    pub(super) fn taken(&mut self) {
        self.pending = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When compiling happens, in milliseconds, with a change at each of `changes`.
    fn compiled(changes: &[u64]) -> Vec<u128> {
        let start = crate::clock::now();
        let (mut debounce, mut compiled) = (Debounce::default(), Vec::new());
        let mut take = |debounce: &mut Debounce, until: Instant| {
            while let Some(due) = debounce.due().filter(|due| *due <= until) {
                compiled.push((due - start).as_millis());
                debounce.taken();
            }
        };
        for change in changes {
            let now = start + Duration::from_millis(*change);
            take(&mut debounce, now);
            debounce.changed(now);
        }
        take(&mut debounce, start + Duration::from_secs(3_600));
        compiled
    }

    #[test]
    fn a_single_change_is_compiled_after_ten_milliseconds() {
        assert_eq!(compiled(&[0]), [10]);
        assert_eq!(compiled(&[0, 2_000]), [10, 2_010]);
        assert_eq!(compiled(&[0, 5]), [10], "it came in time");
    }

    #[test]
    fn a_burst_is_compiled_when_it_has_settled() {
        assert_eq!(compiled(&[0, 20, 60, 100]), [10, 200]);
    }

    #[test]
    fn f59_configuration_that_flaps_fifty_times_a_second_is_compiled_about_once_a_second() {
        let changes: Vec<u64> = (0..500).map(|index| index * 20).collect();
        let compiled = compiled(&changes);
        assert!((10..=12).contains(&compiled.len()), "{compiled:?}");
        assert!(compiled.windows(2).all(|pair| pair[1] - pair[0] <= 1_020), "{compiled:?}");
    }
}
