//! How an overview reads. Headings and trouble have a style; whoever prints it drops styles where nobody would see them.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use chaperone_crds::condition::{BehindState, ConditionStatus};
use chaperone_crds::partner::Breakers;

use super::live::{Kept, Live};
use super::view::{Overview, PartnerRow, RouteRow, Row, SidecarRow};
use crate::output::table;

const HEADING: Style = Style::new().bold();
const TROUBLE: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const WELL: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));

/// All of it, for people.
pub(super) fn text(overview: &Overview) -> String {
    let mut parts = Vec::new();
    let mut section = |name: &str, rows: usize, table: String| {
        if rows > 0 {
            parts.push(format!("{HEADING}{name}{HEADING:#}\n{table}"));
        }
    };
    let Overview { partners, routes, quotas, sidecars, unnamed: _ } = overview;
    let header = ["NAMESPACE", "NAME", "READY", "HEALTHY", "BREAKERS", "PROGRAMMED"];
    section("Partners", partners.len(), table(header, partners.iter().map(partner)));
    let header = ["NAMESPACE", "ALIAS", "READY", "PROGRAMMED", "SERVED BY"];
    section("Routes", routes.len(), table(header, routes.iter().map(route)));
    let header = ["NAMESPACE", "NAME", "READY", "PROGRAMMED"];
    section("Quotas", quotas.len(), table(header, quotas.iter().map(common)));
    let header = ["POD", "STATE", "WHY", "OBJECTS"];
    section("Sidecars that are behind", sidecars.len(), table(header, sidecars.iter().map(sidecar)));
    if let Some(problems) = problems(overview) {
        parts.push(problems);
    }
    parts.push(summary(overview));
    parts.join("\n")
}

fn partner(PartnerRow { row, healthy, breakers }: &PartnerRow) -> [String; 6] {
    let [namespace, name, ready, programmed] = common(row);
    let healthy = match healthy {
        ConditionStatus::True => "yes",
        ConditionStatus::False => "NO",
        ConditionStatus::Unknown => "not probed",
    };
    [namespace, name, ready, healthy.to_owned(), breakers.as_ref().map_or("-".to_owned(), state), programmed]
}

fn state(breakers: &Breakers) -> String {
    let Breakers { total, refusing, probing, resting } = *breakers;
    let some = [(refusing, "refusing"), (probing, "probing"), (resting, "resting key")];
    let some: Vec<_> = some.iter().filter(|(count, _)| *count > 0).collect();
    match (total, some.as_slice()) {
        (0, []) => "-".to_owned(),
        (_, []) => "admitting".to_owned(),
        (total, some) => {
            let some: Vec<_> = some.iter().map(|(count, state)| format!("{count}/{total} {state}")).collect();
            some.join(", ")
        }
    }
}

fn route(RouteRow { row, alias, live }: &RouteRow) -> [String; 5] {
    let [namespace, _, ready, programmed] = common(row);
    let served: Vec<_> = live.iter().map(|it| served(it, live.len())).collect();
    let served = if served.is_empty() { "nobody".to_owned() } else { served.join("\n") };
    [namespace, alias.clone(), ready, programmed, served]
}

fn served(live: &Live, targets: usize) -> String {
    let Live { target, percent, kept, instead } = live;
    let share = if targets > 1 { format!(" {percent} %") } else { String::new() };
    let Some(Kept { away, sidecars }) = kept else {
        return format!("{target}: unknown, its namespace could not be looked at");
    };
    match (away, instead) {
        (0, _) => format!("{target}{share}"),
        (away, Some(instead)) if away == sidecars => format!("{instead}{share}, instead of {target}"),
        (away, None) if away == sidecars => format!("nobody{share}: {target} is kept away from"),
        (away, Some(instead)) => format!("{target}{share}; on {away}/{sidecars} sidecars {instead}"),
        (away, None) => format!("{target}{share}; on {away}/{sidecars} sidecars nobody"),
    }
}

fn common(row: &Row) -> [String; 4] {
    let ready = match row.ready {
        ConditionStatus::True => "yes",
        ConditionStatus::False => "NO",
        ConditionStatus::Unknown => "unknown",
    };
    [row.namespace.clone(), row.name.clone(), ready.to_owned(), row.programmed.clone()]
}

fn sidecar(row: &SidecarRow) -> [String; 4] {
    let state = match row.state {
        BehindState::Refused => "refuses",
        BehindState::Stale => "stale",
    };
    [row.pod.clone(), state.to_owned(), row.message.clone(), row.objects.join("\n")]
}

fn problems(overview: &Overview) -> Option<String> {
    let mut text = String::new();
    for (kind, row) in overview.rows() {
        for problem in &row.problems {
            let Row { namespace, name, .. } = row;
            let (reason, message) = (&problem.reason, &problem.message);
            // Writing to a String does not fail.
            let _ = writeln!(text, "{TROUBLE}{reason}{TROUBLE:#} {kind} {namespace}/{name}: {message}");
        }
    }
    for (object, count) in &overview.unnamed {
        let _ = writeln!(text, "{TROUBLE}Behind{TROUBLE:#} {object}: {count} more sidecars");
    }
    (!text.is_empty()).then_some(text)
}

fn summary(overview: &Overview) -> String {
    let Overview { partners, routes, quotas, sidecars, unnamed: _ } = overview;
    if overview.rows().next().is_none() {
        return "no partners, routes or quotas here; -A looks at all namespaces\n".to_owned();
    }
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let counts = [(partners.len(), "partner"), (routes.len(), "route"), (quotas.len(), "quota")];
    let counts = counts.map(|(count, what)| plural(count, what)).join(", ");
    if overview.is_well() {
        return format!("{counts}: {WELL}all is well{WELL:#}\n");
    }
    let unready = overview.rows().filter(|(_, row)| row.ready != ConditionStatus::True).count();
    format!("{counts}; {unready} not ready, {} behind\n", plural(sidecars.len(), "sidecar"))
}
