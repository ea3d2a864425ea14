#![cfg(test)]
//! `crds/yaml/` and its copy in the chart are what the types say: `make gen` writes them, nobody edits them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chaperone_crds::definition::{GeneratedFile, chart_files, files};

#[test]
fn the_generated_definitions_match_the_types() {
    assert_current("yaml", files());
}

#[test]
fn the_charts_definitions_match_the_types() {
    assert_current("../charts/chaperone/templates/crds", chart_files());
}

fn assert_current(folder: &str, wanted: Vec<GeneratedFile>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let found: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    let wanted: BTreeMap<String, String> = wanted.into_iter().map(|file| (file.name, file.text)).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "run `make gen`");
    for (name, text) in &wanted {
        assert_eq!(found[name], *text, "{name} is out of date: run `make gen`");
    }
}

#[test]
fn the_stream_for_kubectl_holds_the_same_definitions() {
    let documents = chaperone_crds::read_documents(&chaperone_crds::yaml()).unwrap();
    let kinds: Vec<&str> =
        documents.iter().filter_map(|it| it.value["spec"]["names"]["kind"].as_str()).collect();
    assert_eq!(kinds, ["Partner", "ModelRoute", "TenantQuota"]);
}
