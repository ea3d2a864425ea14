#![cfg(test)]
//! The embedded weights reach their figures on `dev/`, where the labelled data is at hand.

use std::io::Write as _;
use std::path::Path;

use chaperone_redact::ner::Tagger;
use chaperone_redact::ner::train::evaluate::{Score, Set};

fn micro_f1(sets: &[Set]) -> f64 {
    let mut sum = Score::default();
    for set in sets.iter().filter(|set| !set.is_running_text()) {
        sum += set.score(Tagger::embedded().unwrap(), 0.0);
    }
    sum.micro().f1()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the data is no part of the repository; only its owner knows where it is"
)]
fn names_reach_66_on_all_and_73_on_the_web_treebank() {
    let Ok(folder) = std::env::var("CHAPERONE_PII_DATA") else {
        writeln!(std::io::stderr(), "not measured: CHAPERONE_PII_DATA does not name the labelled data")
            .unwrap();
        return;
    };
    let dev = Path::new(&folder).join("dev");
    let all = micro_f1(&Set::read_all(&dev).unwrap());
    let web = micro_f1(&Set::read_all(&dev.join("sharealike")).unwrap());
    assert!(all >= 66.0, "all: {all:.1}");
    assert!(web >= 73.0, "web treebank: {web:.1}");
}
