use std::path::Path;

use super::render;
use super::view::{Found, Overview};

/// The objects of a case, and how they read: `out.txt` for people without colour, `out.json` for programs.
fn case(name: &str) -> Overview {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status/cases").join(name);
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let found: Found = serde_json::from_str(&read("in.json")).unwrap();
    let overview = Overview::of(&found);
    let text = anstream::adapter::strip_str(&render::text(&overview)).to_string();
    let json = serde_json::to_string_pretty(&overview).unwrap() + "\n";
    for (file, now) in [("out.txt", text), ("out.json", json)] {
        assert_eq!(now, read(file), "{name}/{file} differs; it is now:\n{now}");
    }
    overview
}

#[test]
fn a_fleet_without_trouble_is_well() {
    assert!(case("well").is_well());
}

#[test]
fn trouble_is_named_with_whom_it_concerns_and_who_serves_instead() {
    assert!(!case("trouble").is_well());
}

#[test]
fn nothing_at_all_is_no_trouble() {
    assert!(case("empty").is_well());
}

#[test]
fn partners_of_other_namespaces_are_looked_at_and_what_may_not_be_is_not_called_well() {
    let overview = case("elsewhere");
    let partners: Vec<_> = overview.partners.iter().map(|it| it.row.namespace.as_str()).collect();
    assert_eq!(partners, ["shop"], "they are looked at for the routes alone");
}

#[test]
fn the_namespaces_that_routes_name_are_found_through_partners_that_are_known() {
    let mut found: Found = serde_json::from_str(include_str!("cases/elsewhere/in.json")).unwrap();
    let all = ["hidden", "platform", "reserve", "shop"];
    assert_eq!(found.namespaces().iter().collect::<Vec<_>>(), all);
    found.elsewhere.clear();
    assert_eq!(found.namespaces().iter().collect::<Vec<_>>(), ["hidden", "platform", "shop"]);
}

#[test]
fn nobody_writes_into_the_terminal_of_who_looks() {
    let text = include_str!("cases/trouble/in.json");
    let evil = text.replace("its stream is lost", "\\u001b]0;evil\\u0007\\u009b31m\\nReady");
    assert_ne!(text, evil);
    let overview = Overview::of(&serde_json::from_str(&evil).unwrap());
    let shown = anstream::adapter::strip_str(&render::text(&overview)).to_string();
    assert!(shown.contains(" ]0;evil  31m Ready"), "{shown}");
    let json = serde_json::to_string_pretty(&overview).unwrap();
    assert!(!json.contains("\\u001b") && !json.contains('\u{9b}'), "{json}");
}

#[test]
fn the_order_in_which_objects_arrive_does_not_matter() {
    let text = include_str!("cases/trouble/in.json");
    let mut found: Found = serde_json::from_str(text).unwrap();
    found.partners.reverse();
    found.routes.reverse();
    assert_eq!(Overview::of(&found), Overview::of(&serde_json::from_str(text).unwrap()));
}
