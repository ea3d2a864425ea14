//! Every fault and every rule of resilience has a test of its name, or a line in `pending.txt` that says why not.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Faults: `f1_...` to this one.
const FAULTS: u32 = 72;

/// Rules of resilience by chapter, and how many each has: 2 limits, 4 breakers, 5 outcomes, 6 retries, 7 rates and
/// cooldowns, 8 queues, 10 cost of what ended early, 11 declared faults.
const RULES: [(u32, u32); 9] = [(1, 2), (2, 7), (4, 12), (5, 4), (6, 6), (7, 5), (8, 7), (10, 3), (11, 7)];

/// Folders in which nothing of ours stands.
const FOREIGN: [&str; 3] = ["target", "node_modules", ".git"];

/// How far a line of the list says that tests go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    /// There is none.
    Wholly,
    /// There are some; a part has none.
    Partly,
}

fn required() -> BTreeSet<String> {
    let faults = (1..=FAULTS).map(|number| format!("f{number}"));
    let rules = RULES
        .iter()
        .flat_map(|(chapter, count)| (1..=*count).map(move |number| format!("rule_{chapter}_{number}")));
    faults.chain(rules).collect()
}

/// The list: one line per id, each with a reason.
fn pending(list: &str) -> Result<BTreeMap<String, Pending>> {
    let mut pending = BTreeMap::new();
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (head, reason) = line.split_once(": ").with_context(|| format!("no reason: {line}"))?;
        ensure!(reason.split_whitespace().count() > 2, "not much of a reason: {line}");
        let (id, state) = match head.split_once(' ') {
            None => (head, Pending::Wholly),
            Some((id, "partly")) => (id, Pending::Partly),
            Some(_) => bail!("neither `id:` nor `id partly:`: {line}"),
        };
        ensure!(pending.insert(id.to_owned(), state).is_none(), "{id} stands in the list twice");
    }
    Ok(pending)
}

/// The id in the name of a function, as in `f41_what_it_shows` and `rule_4_6_what_it_shows`.
fn id(name: &str) -> Option<String> {
    let number = |part: &str| part.parse::<u32>().ok();
    let mut parts = name.split('_');
    let first = parts.next()?;
    if first == "rule" {
        let (chapter, rule) = (number(parts.next()?)?, number(parts.next()?)?);
        return parts.next().map(|_| format!("rule_{chapter}_{rule}"));
    }
    let fault = number(first.strip_prefix('f')?)?;
    parts.next().map(|_| format!("f{fault}"))
}

/// The ids of the tests in one file: functions under an attribute that makes them tests.
fn tests_in(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[") {
            is_test |= attribute.starts_with("test]") || attribute.starts_with("tokio::test");
        } else if let Some((_, name)) = line.split_once("fn ") {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            found.extend(id(name).filter(|_| is_test));
            is_test = false;
        }
    }
    found
}

fn tests_under(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !FOREIGN.contains(&name) {
            tests_under(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(tests_in(&std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// What is wrong with the list, given the tests that there are.
fn complaints(
    required: &BTreeSet<String>,
    pending: &BTreeMap<String, Pending>,
    tests: &BTreeSet<String>,
) -> Vec<String> {
    let judge = |id: &String| match (tests.contains(id), pending.get(id)) {
        (true, None | Some(Pending::Partly)) | (false, Some(Pending::Wholly)) => None,
        (false, None) => Some(format!("{id} has neither a test of its name nor a line in pending.txt")),
        (false, Some(Pending::Partly)) => {
            Some(format!("{id} is said to be tested in part, and is not at all"))
        }
        (true, Some(Pending::Wholly)) => {
            Some(format!("{id} has a test: delete its line, or say `{id} partly:`"))
        }
    };
    let known = required.iter().filter_map(judge);
    let all = pending.keys().chain(tests).filter(|id| !required.contains(*id));
    known.chain(all.map(|id| format!("there is no {id}"))).collect()
}

#[test]
fn every_fault_and_every_rule_has_a_test_or_a_reason() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_under(here.parent().context("no workspace")?, &mut tests)?;
    let pending = pending(&std::fs::read_to_string(here.join("pending.txt"))?)?;
    let complaints = complaints(&required(), &pending, &tests);
    ensure!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    Ok(())
}

#[test]
fn what_the_list_gets_wrong_is_told() -> Result<()> {
    let required = ["f1", "f2", "f3", "f4", "rule_4_6"].map(str::to_owned).into();
    let list = pending(
        "# why\n\nf2: nobody wrote it\nf3 partly: half of it lacks\nf9: there is no such\nrule_4_6: not built yet\n",
    )?;
    let tests = tests_in(
        "#[test]\nfn f2_two() {}\n#[tokio::test(start_paused = true)]\nasync fn rule_4_6_one() {}\nfn f1_no_test() {}",
    );
    let complaints = complaints(&required, &list, &tests);
    let about: Vec<&str> = complaints.iter().map(|text| text.split(' ').next().unwrap_or_default()).collect();
    ensure!(about == ["f1", "f2", "f3", "f4", "rule_4_6", "there"], "{complaints:?}");
    for bad in ["f1", "f1: no", "f1 mostly: a reason of four words", "f1: one two three\nf1: one two three"] {
        ensure!(pending(bad).is_err(), "{bad}");
    }
    Ok(())
}

#[test]
fn a_name_has_an_id_only_if_it_says_something_too() {
    let ids =
        ["f41_cl_and_te", "rule_4_6_probe_is_single", "f41", "rule_4_6", "fx_y", "from_x", "rule_of_three"]
            .map(id);
    assert_eq!(ids.map(Option::unwrap_or_default), ["f41", "rule_4_6", "", "", "", "", ""]);
}
