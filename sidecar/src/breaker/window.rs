//! Verdicts of the last seconds, in ten buckets.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: usize = 10;

/// Successes and failures by the time of their verdict.
#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: VecDeque<Bucket>,
    next: u64,
}

#[derive(Debug)]
struct Bucket {
    number: u64,
    began: Instant,
    completed: u64,
    failures: u64,
}

impl Window {
    /// Counts one verdict, and says in which bucket.
    pub(super) fn add(&mut self, length: Duration, now: Instant, failures: u64) -> u64 {
        let bucket = self.current(length, now);
        bucket.completed += 1;
        bucket.failures += failures;
        bucket.number
    }

    /// Turns the success in bucket `counted` into a failure. Where that is forgotten, a failure of its own is counted.
    pub(super) fn turn(&mut self, length: Duration, now: Instant, counted: Option<u64>) {
        self.forget(length, now);
        let found = self.buckets.iter_mut().find(|bucket| Some(bucket.number) == counted);
        match found {
            Some(bucket) => bucket.failures += 1,
            None => {
                self.add(length, now, 1);
            }
        }
    }

    /// Verdicts, and failures among them.
    pub(super) fn counts(&mut self, length: Duration, now: Instant) -> (u64, u64) {
        self.forget(length, now);
        self.buckets.iter().fold((0, 0), |(completed, failures), bucket| {
            (completed + bucket.completed, failures + bucket.failures)
        })
    }

    fn current(&mut self, length: Duration, now: Instant) -> &mut Bucket {
        self.forget(length, now);
        let width = length / u32::try_from(BUCKETS).unwrap_or(u32::MAX);
        let is_open = self.buckets.back().is_some_and(|bucket| now < bucket.began + width);
        if !is_open {
            if self.buckets.len() == BUCKETS {
                self.buckets.pop_front();
            }
            self.next += 1;
            self.buckets.push_back(Bucket { number: self.next, began: now, completed: 0, failures: 0 });
        }
        let last = self.buckets.len() - 1;
        &mut self.buckets[last]
    }

    fn forget(&mut self, length: Duration, now: Instant) {
        while self.buckets.front().is_some_and(|bucket| bucket.began + length <= now) {
            self.buckets.pop_front();
        }
    }
}
