//! `chaperone redact` as a shell sees it: what is found, what is printed, exit codes, pipes.
#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    command.env_clear().arg("redact").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn redact(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The process may end before it has read everything.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// The output for rows with these texts, line by line.
fn lines(arguments: &[&str], texts: &[&str]) -> Vec<Value> {
    let input: String =
        texts.iter().zip(0..).map(|(text, id)| json!({"id": id, "text": text}).to_string() + "\n").collect();
    let output = redact(arguments, input.as_bytes());
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Label and text of each span of the first line.
fn spans(arguments: &[&str], text: &str) -> Vec<(String, String)> {
    let lines = lines(&[&["--format", "jsonl"], arguments].concat(), &[text]);
    let points: Vec<char> = text.chars().collect();
    let at = |span: &Value, name: &str| usize::try_from(span[name].as_u64().unwrap()).unwrap();
    let found = lines[0]["spans"].as_array().unwrap().iter();
    found
        .map(|span| {
            let text = points[at(span, "start")..at(span, "end")].iter().collect();
            (span["entity"].as_str().unwrap().to_owned(), text)
        })
        .collect()
}

#[test]
fn text_is_printed_as_it_was_but_for_the_findings() {
    let text = "\u{1b}[1mHi\u{1b}[0m, mail ann.lee@example.org.\r\n\r\n\tcard 4111 1111 1111 1111, caf\u{e9}  \nno line end";
    let output = redact(&[], text.as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        text.replace("ann.lee@example.org", "****").replace("4111 1111 1111 1111", "****")
    );
    let labels = redact(&["--action", "LABEL"], text.as_bytes());
    assert_eq!(
        stdout(&labels),
        text.replace("ann.lee@example.org", "[EMAIL]").replace("4111 1111 1111 1111", "[CREDIT_CARD]")
    );
    assert!(stderr(&output).is_empty());
}

#[test]
fn spans_are_in_code_points_with_labels_and_scores() {
    let found = lines(&["--format", "jsonl"], &["日本😀 write to ann@example.org", "nothing here", ""]);
    let span = json!({"start": 13, "end": 28, "entity": "EMAIL", "score": 0.95});
    assert_eq!(
        found,
        [json!({"id": 0, "spans": [span]}), json!({"id": 1, "spans": []}), json!({"id": 2, "spans": []})]
    );
}

#[test]
fn balanced_is_the_default_and_finds_names() {
    let text = "Please call Mary Johnson at +1 212 555 0187 about 203.0.113.7 today.";
    let found = spans(&[], text);
    let pair = |label: &str, text: &str| (label.to_owned(), text.to_owned());
    assert_eq!(
        found,
        [pair("PERSON", "Mary Johnson"), pair("PHONE", "+1 212 555 0187"), pair("IP", "203.0.113.7")]
    );
    assert_eq!(spans(&["--filter", "Balanced"], text), found);
    assert_eq!(spans(&["--filter", "lenient"], text), [pair("PHONE", "+1 212 555 0187")]);
    assert_eq!(spans(&["--filter", "off"], text), []);
}

#[test]
fn entities_are_names_or_labels_in_any_case_or_all() {
    let text = "Mary Johnson of Paris, mary@example.org, card 4111 1111 1111 1111";
    let labels = |entities: &str| -> Vec<String> {
        spans(&["--entities", entities], text).into_iter().map(|(label, _)| label).collect()
    };
    assert_eq!(labels("EMAIL"), ["EMAIL"]);
    assert_eq!(labels("creditcard,Email"), ["EMAIL", "CREDIT_CARD"]);
    assert_eq!(labels("credit_card"), ["CREDIT_CARD"]);
    assert!(labels("ALL").contains(&"LOCATION".to_owned()));
    let refused = redact(&["--entities", "Shoe"], b"");
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("CreditCard") && stderr(&refused).contains("All"));
}

#[test]
fn rows_give_rows_of_redacted_text() {
    let input = "{\"id\":\"a\",\"text\":\"mail ann@example.org\"}\n\n{\"id\":{\"n\":1},\"text\":\"tab\\tand \\\"quote\\\"\"}";
    let output = redact(&["--action", "label"], input.as_bytes());
    let wanted =
        "{\"id\":\"a\",\"text\":\"mail [EMAIL]\"}\n{\"id\":{\"n\":1},\"text\":\"tab\\tand \\\"quote\\\"\"}\n";
    assert_eq!(stdout(&output), wanted);
    // A log of objects is text: its other fields must not vanish.
    let log = "{\"level\":\"info\",\"text\":\"mail ann@example.org\"}\n";
    assert_eq!(
        stdout(&redact(&["--action", "label"], log.as_bytes())),
        log.replace("ann@example.org", "[EMAIL]")
    );
}

#[test]
fn what_cannot_be_scanned_is_said_on_its_line_and_the_others_go_on() {
    let many = "a@b.example ".repeat(5_000);
    let rows = [json!({"id": 1, "text": many}), json!({"id": 2, "text": "mail ann@example.org"})];
    let input: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    let output = redact(&["--format", "jsonl"], input.as_bytes());
    assert_eq!(code(&output), 3);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["id"], 1);
    assert!(lines[0]["error"].as_str().unwrap().contains("4096") && lines[0].get("spans").is_none());
    assert_eq!(lines[1]["spans"][0]["entity"], "EMAIL");

    let broken = redact(
        &["--format", "jsonl", "--input", "json"],
        b"{\"id\":1,\"text\":\"[1,\"}\n{\"id\":2,\"text\":\"[]\"}\n",
    );
    assert_eq!(code(&broken), 3);
    assert!(stdout(&broken).starts_with("{\"id\":1,\"error\":\"the body is not JSON"), "{}", stdout(&broken));
    assert!(stdout(&broken).ends_with("{\"id\":2,\"spans\":[]}\n"));

    let bytes = redact(&[], b"one\n\n\xff\xfe ann@example.org\n\nthree\n");
    assert_eq!((code(&bytes), stdout(&bytes).as_str()), (3, "one\n\nthree\n"));
    assert!(stderr(&bytes).contains("standard input:3: left out: "), "{}", stderr(&bytes));
}

#[test]
fn a_broken_line_is_named_by_its_number_and_not_shown() {
    for broken in ["canary", "{\"id\":3}", "{\"id\":3,\"text\":5}", "[]", "{\"id\":3,\"text\":\"canary\""] {
        let input = format!(
            "{{\"id\":1,\"text\":\"mail ann@example.org\"}}\n{{\"id\":2,\"text\":\"b\"}}\n{broken}\n"
        );
        let output = redact(&["--format", "jsonl"], input.as_bytes());
        assert_eq!(code(&output), 2, "{broken}");
        assert_eq!(stdout(&output).lines().count(), 2, "what came before is printed");
        assert!(
            stderr(&output).contains("line 3 ") && !stderr(&output).contains("canary"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn surrogates_without_a_partner_are_read_on() {
    let output =
        redact(&["--format", "jsonl"], b"{\"id\":1,\"text\":\"\\ud83d \\ud83d\\ude00 ann@example.org\"}\n");
    assert_eq!(code(&output), 0);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["spans"][0]["start"], &line["spans"][0]["end"]), (&json!(4), &json!(19)));
}

#[test]
fn keys_of_json_are_cues_and_its_numbers_are_read() {
    let body = r#"{"dateOfBirth": "1985-03-12", "shipped": "1985-03-12", "ssn": 536228726, "args": "{\"to\":\"ann@example.org\"}"}"#;
    let wanted = r#"{"dateOfBirth": "[DATE_OF_BIRTH]", "shipped": "1985-03-12", "ssn": "[SSN]", "args": "{\"to\":\"[EMAIL]\"}"}"#;
    let output = redact(&["--input", "json", "--action", "label"], body.as_bytes());
    assert_eq!((code(&output), stdout(&output).as_str()), (0, wanted));
    let found = spans(&["--input", "json"], body);
    let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["1985-03-12", "536228726", "ann@example.org"]);
}

#[test]
fn explanations_say_why_and_why_not_without_the_text() {
    let text = "My SSN is 536-22-8726. The order 4111 1111 1111 1112 has shipped.";
    let line = &lines(&["--format", "jsonl", "--explain"], &[text])[0];
    let why = line["spans"][0]["why"].as_str().unwrap();
    assert!(why.contains("ssn") && why.contains("0.95") && !why.contains("8726"), "{why}");
    let misses = line["nearMisses"].as_array().unwrap();
    let miss = misses.iter().find(|miss| miss["entity"] == "CREDIT_CARD").unwrap();
    assert_eq!((&miss["start"], &miss["end"]), (&json!(33), &json!(52)));
    assert!(miss["why"].as_str().unwrap().contains("Luhn"), "{miss}");

    let output = redact(&["--explain"], format!("first line\n{text}\n").as_bytes());
    let said = stderr(&output);
    assert!(said.contains("standard input:2:11: 11 characters: SSN"), "{said}");
    assert!(said.contains("not CREDIT_CARD") && !said.contains("536-22"), "{said}");
    // Without the option nothing is said, and near misses of what nobody wants never are.
    assert!(lines(&["--format", "jsonl"], &[text])[0].get("nearMisses").is_none());
    let only = &lines(&["--format", "jsonl", "--explain", "--entities", "Email"], &[text])[0];
    assert_eq!((&only["spans"], &only["nearMisses"]), (&json!([]), &json!([])));
}

#[test]
fn files_are_read_in_order_and_a_dash_is_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a"), "first ann@example.org\n").unwrap();
    fs::write(path("b.jsonl"), "{\"id\":1,\"text\":\"bob@example.org\"}\n").unwrap();
    let output = redact(&["--action", "label", &path("a"), "-", &path("b.jsonl")], b"second\n");
    assert_eq!(stdout(&output), "first [EMAIL]\nsecond\n{\"id\":1,\"text\":\"[EMAIL]\"}\n");
    let missing = redact(&[&path("a"), &path("nowhere")], b"");
    assert_eq!((code(&missing), stdout(&missing).as_str()), (2, "first ****\n"));
    assert!(stderr(&missing).contains("nowhere"));
}

#[test]
fn an_answer_comes_before_the_next_question() {
    let mut child = start(&["--format", "jsonl"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        writeln!(stdin, "{{\"id\":{id},\"text\":\"a@b.example\"}}").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{{\"id\":{id},\"spans\":[{{")), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_leaves_ends_the_work() {
    let mut child = start(&["--action", "label"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all("mail ann@example.org\n\n".as_bytes()).unwrap();
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert_eq!(first, "mail [EMAIL]\n");
    drop(reader);
    // Far more than pipes hold: only the process's own end stops it.
    let more = "mail ann@example.org\n\n".repeat(100);
    assert!((0..10_000).any(|_| stdin.write_all(more.as_bytes()).is_err()), "the work goes on for nobody");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = stdout(&redact(&["--help"], b""));
    for part in ["Examples:", "Exit codes:", "--format jsonl", "--entities", "--explain"] {
        assert!(help.contains(part), "{help}");
    }
}

#[test]
fn thousands_of_lines_are_read_in_little_memory_and_order() {
    let input: String =
        (0..5_000).map(|id| format!("{{\"id\":{id},\"text\":\"user{id}@example.org\"}}\n")).collect();
    let output = redact(&["--format", "jsonl", "--entities", "Email"], input.as_bytes());
    let ids = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect::<Vec<_>>();
    assert!(ids.into_iter().eq(0..5_000));
}
