//! What must hold after every test, whatever happened in it.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::local::Local;
use crate::manifest::KEY;
use crate::wait;

/// How long the last record may take to show in the metrics.
const PATIENCE: Duration = Duration::from_secs(10);

/// The three ways in which a request may end. There is no fourth.
const OUTCOMES: [&str; 3] = ["served", "refused", "client_gone"];

/// Sums of `chaperone_requests_total` by outcome.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcomes(pub BTreeMap<String, u64>);

impl Outcomes {
    /// Reads them from a scrape.
    ///
    /// # Errors
    /// If an outcome is none of the three.
    pub fn of(metrics: &str) -> Result<Self> {
        let mut sums = BTreeMap::new();
        for sample in samples(metrics, "chaperone_requests_total") {
            let outcome = sample.label("outcome").unwrap_or_default();
            ensure!(OUTCOMES.contains(&outcome), "fourth outcome {outcome:?}");
            *sums.entry(outcome.to_owned()).or_default() += sample.value;
        }
        Ok(Self(sums))
    }

    /// How many ended in `outcome`.
    #[must_use]
    pub fn count(&self, outcome: &str) -> u64 {
        self.0.get(outcome).copied().unwrap_or_default()
    }

    /// How many ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// One sample of a metric.
pub struct Sample<'a> {
    labels: &'a str,
    /// Its value; counters are whole numbers.
    pub value: u64,
}

impl<'a> Sample<'a> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let (_, rest) = self.labels.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    }
}

/// All samples of one metric in a scrape.
pub fn samples<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
    metrics.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        // Written as a float by some versions of the text format.
        let value = value.split('.').next()?.parse().ok()?;
        Some(Sample { labels, value })
    })
}

/// Nothing lost: accepted = served + refused + `client_gone`, for `sent` requests that have all ended.
///
/// # Errors
/// If the sum is another.
pub async fn nothing_lost(local: &Local, sent: u64) -> Result<Outcomes> {
    let settled = wait::until("all requests to be accounted for", PATIENCE, || async {
        let outcomes = Outcomes::of(&local.metrics().await?)?;
        Ok((outcomes.total() >= sent).then_some(outcomes))
    })
    .await;
    let outcomes = match settled {
        Ok(outcomes) => outcomes,
        Err(_) => {
            bail!("{sent} requests were sent, accounted for are {:?}", Outcomes::of(&local.metrics().await?)?)
        }
    };
    ensure!(outcomes.total() == sent, "{sent} requests were sent, accounted for are {outcomes:?}");
    Ok(outcomes)
}

/// The partner's key, and any further `canaries`, show in no output: streams, metrics, debug pages, state.
///
/// # Errors
/// If one shows; the error says where, never what.
pub async fn no_canary(local: &Local, canaries: &[&str]) -> Result<()> {
    let mut places =
        vec![("output".to_owned(), local.output()), ("metrics".to_owned(), local.metrics().await?)];
    for page in ["/debug/snapshot", "/debug/breakers", "/debug/quotas"] {
        let answer = crate::client::get(local.admin(), page, &[]).await?;
        places.push((page.to_owned(), answer.text()));
    }
    for file in files(local.state())? {
        let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        places.push((file.display().to_string(), text));
    }
    for (place, text) in places {
        let secrets = canaries.iter().copied().chain([KEY]);
        for (number, secret) in secrets.enumerate() {
            ensure!(!text.contains(secret), "canary number {number} shows in {place}");
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = "# TYPE chaperone_requests_total counter\n\
        chaperone_requests_total{alias=\"chat\",partner=\"alpha\",outcome=\"served\",reason=\"\"} 3\n\
        chaperone_requests_total{alias=\"chat\",partner=\"\",outcome=\"refused\",reason=\"memory\"} 2\n\
        chaperone_requests_total_created{outcome=\"lost\"} 9\n";

    #[test]
    fn outcomes_are_summed_by_name() {
        let outcomes = Outcomes::of(SCRAPE).unwrap();
        assert_eq!((outcomes.count("served"), outcomes.count("refused"), outcomes.total()), (3, 2, 5));
    }

    #[test]
    fn a_fourth_outcome_is_an_error() {
        assert!(Outcomes::of("chaperone_requests_total{outcome=\"lost\"} 1\n").is_err());
    }
}
