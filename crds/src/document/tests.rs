use serde_json::json;

use super::*;

fn one(text: &str) -> Value {
    read_documents(text).unwrap().remove(0).value
}

fn problem(text: &str) -> (usize, DocumentProblem) {
    let invalid = read_documents(text).unwrap_err();
    (invalid.line, invalid.problem)
}

#[test]
fn a_path_leads_to_the_line_of_its_field_or_of_the_nearest_parent() {
    let text = "# a comment\nkind: Partner\nspec:\n  models:\n  - name: a\n    price:\n      perRequest: '1'\n  - name: b\nmetadata:\n  labels: {a.b/c: d}\n---\nkind: Second\n";
    let documents = read_documents(text).unwrap();
    let line = |path: &str| documents[0].line(path);
    assert_eq!(line("kind"), 2);
    assert_eq!(line("spec"), 3);
    assert_eq!(line("spec.models[0].name"), 5);
    assert_eq!(line("spec.models[0].price.perRequest"), 7);
    assert_eq!(line("spec.models[1].name"), 8);
    assert_eq!(line("spec.models[1].contextTokens"), 8);
    assert_eq!(line("spec.endpoint"), 3);
    assert_eq!(line("metadata.labels[a.b/c]"), 10);
    assert_eq!(line(""), 2);
    assert_eq!(documents[1].line("kind"), 12);
}

#[test]
fn plain_words_mean_what_kubectl_takes_them_for() {
    let value = one(
        "{a: true, b: ~, c: 12, d: -0.5, e: 2026-10-21, f: 5s, g: 1e3, h: 'yes', i: 1.2.3, j: +7, k: , l: 5.0, m: 1e300}",
    );
    let expected = json!({
        "a": true, "b": null, "c": 12, "d": -0.5, "e": "2026-10-21", "f": "5s", "g": 1000, "h": "yes",
        "i": "1.2.3", "j": 7, "k": null, "l": 5, "m": 1e300,
    });
    assert_eq!(value, expected);
}

#[test]
fn a_word_that_two_readers_take_for_different_things_is_refused() {
    for word in ["yes", "No", "ON", "off", "y", "N", "tRue", "0777", "0x1F", "0o17", "0b1", "1_000"] {
        assert_eq!(problem(&format!("a: 1\nb: {word}\n")), (2, DocumentProblem::Ambiguous), "{word}");
    }
    for word in [".inf", "-.Inf", ".nan", "1e999"] {
        assert_eq!(problem(&format!("a: {word}")), (1, DocumentProblem::NotANumber), "{word}");
    }
}

#[test]
fn what_is_not_plain_yaml_is_refused_with_its_line() {
    assert_eq!(problem("a: 1\na: 2\n"), (2, DocumentProblem::DuplicateKey("a".to_owned())));
    assert_eq!(problem("a: &x {b: 1}\nc:\n  <<: *x\n"), (3, DocumentProblem::MergeKey));
    assert_eq!(problem("a: !!binary aGk=\n"), (1, DocumentProblem::Tag));
    assert_eq!(problem("1: a\n"), (1, DocumentProblem::KeyNotText));
    assert_eq!(problem("[a]: b\n"), (1, DocumentProblem::KeyNotText));
    assert!(matches!(problem("a: 1\nb: [1\nc: 2\n"), (_, DocumentProblem::Syntax(_))));
    assert!(matches!(problem("a: *nobody\n"), (1, DocumentProblem::Syntax(_))));
}

#[test]
fn empty_documents_are_skipped() {
    let documents = read_documents("---\n# nothing\n---\na: 1\n---\n").unwrap();
    assert_eq!(documents.iter().map(|it| it.value.clone()).collect::<Vec<_>>(), [json!({"a": 1})]);
    assert_eq!(read_documents("").unwrap(), []);
}

#[test]
fn an_alias_stands_for_its_anchor() {
    assert_eq!(one("a: &x [1, 2]\nb: *x\n"), json!({"a": [1, 2], "b": [1, 2]}));
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    assert_eq!(problem("a: &x [*x]\n"), (1, DocumentProblem::Expanded));
}

#[test]
fn aliases_cannot_expand_without_bound() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let inside = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{inside}]\n");
    }
    assert_eq!(problem(&bomb).1, DocumentProblem::Expanded);
}

#[test]
fn every_bound_is_held_and_reached() {
    let padded = |bytes: usize| format!("a: {}\n", "x".repeat(bytes - "a: \n".len()));
    assert!(read_documents(&padded(FILE_BYTES)).is_ok());
    assert_eq!(problem(&padded(FILE_BYTES + 1)), (1, DocumentProblem::TooLarge));

    assert_eq!(read_documents(&"---\na: 1\n".repeat(DOCUMENTS)).unwrap().len(), DOCUMENTS);
    let too_many = "---\na: 1\n".repeat(DOCUMENTS + 1);
    assert_eq!(problem(&too_many).1, DocumentProblem::TooMany);

    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read_documents(&nested(DEPTH)).is_ok());
    assert_eq!(problem(&nested(DEPTH + 1)).1, DocumentProblem::TooDeep);
}
