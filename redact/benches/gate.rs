//! Gates that no clock decides: instructions and allocations.
//!
//! `cargo bench -p chaperone-redact --bench gate` runs itself under valgrind, case by case. Twice the input may
//! cost at most 2.2 times the instructions; per kilobyte no more than `baseline.txt` says, and a tenth. With
//! `-- --update` it writes that file. Without valgrind it says so and counts allocations alone; under `CI=true` that
//! is a failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod cases;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cases::{CASES, Case};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.txt");
/// Twice the input may cost so much more.
const RATIO: f64 = 2.2;
/// Bytes that are worked on before anything is counted.
const WARM: usize = 2_000;
/// How much more than the baseline is no noise.
const TOLERANCE: f64 = 1.1;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [step @ ("run" | "prepare"), name, bytes] => {
            let case = cases::named(name)?;
            // Tables that are built once are not the text's cost.
            case.prepare(WARM)?.run()?;
            let prepared = case.prepare(bytes.parse()?)?;
            if step == "run" {
                prepared.run()?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["--update"] => gate(Mode::Update),
        [] => gate(Mode::Compare),
        _ => bail!("arguments: none, or --update"),
    }
}

/// What is done with the baseline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    Update,
}

struct Cost {
    instructions: Option<f64>,
    allocations: f64,
}

fn gate(mode: Mode) -> Result<ExitCode> {
    let valgrind = Valgrind::find();
    if valgrind == Valgrind::Absent {
        println!("valgrind is absent: instructions are not counted (apt-get install valgrind)");
        ensure!(!is_ci(), "CI must count instructions");
    }
    let baseline = if mode == Mode::Update { BTreeMap::new() } else { read_baseline()? };
    let (mut rows, mut bad) = (String::new(), Vec::new());
    println!("{:<26} {:>9} {:>14} {:>14} {:>7}", "case", "bytes", "instr./kB", "alloc./kB", "2n/n");
    for case in CASES {
        let once = cost(case, case.bytes, valgrind)?;
        let twice = cost(case, case.bytes * 2, valgrind)?;
        let kilobytes = f64::from(u32::try_from(case.bytes)?) / 1000.0;
        let per_kb = once.instructions.map(|count| count / kilobytes);
        let ratio = once.instructions.zip(twice.instructions).map(|(once, twice)| twice / once);
        let allocations = once.allocations / kilobytes;
        let shown =
            |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        println!(
            "{:<26} {:>9} {:>14} {allocations:>14.2} {:>7}",
            case.name,
            case.bytes,
            shown(per_kb, 0),
            shown(ratio, 2)
        );
        rows += &format!("{} {} {allocations:.2}\n", case.name, shown(per_kb, 0));
        if ratio.is_some_and(|ratio| ratio > RATIO) {
            bad.push(format!(
                "{}: twice the input costs {:.2} times the instructions",
                case.name,
                ratio.unwrap_or_default()
            ));
        }
        if let Some((instructions, known)) = baseline.get(case.name) {
            if per_kb.is_some_and(|now| now > instructions * TOLERANCE) {
                bad.push(format!(
                    "{}: {} instructions per kB, baseline {instructions}",
                    case.name,
                    shown(per_kb, 0)
                ));
            }
            if allocations > known * TOLERANCE + 0.05 {
                bad.push(format!("{}: {allocations:.2} allocations per kB, baseline {known}", case.name));
            }
        } else if mode == Mode::Compare {
            bad.push(format!("{}: no baseline; run with -- --update", case.name));
        }
    }
    if mode == Mode::Update {
        ensure!(valgrind == Valgrind::Present, "a baseline needs valgrind");
        fs::write(BASELINE, rows).context("cannot write the baseline")?;
    }
    bad.iter().for_each(|line| println!("FAILED {line}"));
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cost(case: &Case, bytes: usize, valgrind: Valgrind) -> Result<Cost> {
    let prepared = case.prepare(bytes)?;
    prepared.run()?;
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = prepared.run());
    result?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let allocations = counted.count_total as f64;
    let instructions = (valgrind == Valgrind::Present).then(|| {
        Ok::<f64, anyhow::Error>(
            instructions("run", case.name, bytes)? - instructions("prepare", case.name, bytes)?,
        )
    });
    Ok(Cost { instructions: instructions.transpose()?, allocations })
}

/// Instructions of this program, run once with these arguments.
fn instructions(step: &str, name: &str, bytes: usize) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([step, name, &bytes.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {said}");
    let count =
        said.lines().find_map(|line| line.split_once("Collected : ")).context("callgrind counted nothing")?;
    count.1.trim().parse().context("callgrind's count is no number")
}

/// Whether instructions can be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Valgrind {
    Present,
    Absent,
}

impl Valgrind {
    fn find() -> Self {
        let version =
            Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) { Self::Present } else { Self::Absent }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no arguments file; only CI sets this")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn read_baseline() -> Result<BTreeMap<String, (f64, f64)>> {
    let text = fs::read_to_string(BASELINE).context("cannot read the baseline")?;
    let row = |line: &str| {
        let mut cells = line.split(' ');
        Some((cells.next()?.to_owned(), (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
    };
    text.lines().map(|line| row(line).with_context(|| format!("not a row: {line}"))).collect()
}
