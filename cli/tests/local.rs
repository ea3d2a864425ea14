//! `chaperone local` as a shell sees it: its streams, its refusals, its exit codes.
#![cfg(test)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/quickstart")
}

fn command(state: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    command.env_clear().args(["local", "--admin", "127.0.0.1:0", "-f"]).arg(folder);
    command.arg("--state").arg(state).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that serves, and says what it does in JSON. Killed with the test.
struct Local {
    child: Child,
    events: BufReader<ChildStderr>,
}

impl Local {
    fn start(state: &Path, folder: &Path) -> Self {
        Self::start_at(state, folder, "127.0.0.1:0")
    }

    fn start_at(state: &Path, folder: &Path, listen: &str) -> Self {
        let mut child = command(state, folder, &["--listen", listen, "--output", "json"]).spawn().unwrap();
        let events = BufReader::new(child.stderr.take().unwrap());
        Self { child, events }
    }

    /// Reads on to an event of this name.
    fn event(&mut self, name: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.events.read_line(&mut line).unwrap(), 0, "it ended before {name}");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Ends it, and gives what it wrote to standard output.
    fn end(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.event("ending");
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks for a chat completion and reads the answer to its end.
fn ask(address: &str) -> String {
    let body = r#"{"model":"chat","messages":[{"role":"user","content":"canary"}]}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    write!(stream, "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The status line of an answer to whoever asks by this name.
fn status_by_name(address: &str, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn standard_output_has_records_alone_and_the_rest_is_json_too() {
    let state = tempfile::tempdir().unwrap();
    let mut local = Local::start(state.path(), &quickstart());
    assert_eq!(local.event("in_force")["routes"], 4);
    let address = local.event("listening")["listen"].as_str().unwrap().to_owned();
    assert!(ask(&address).starts_with("HTTP/1.1 200 "));
    let (code, text) = local.end();
    assert_eq!(code, Some(0));
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["alias"], &records[0]["status"]), (&"chat".into(), &200.into()));
    assert!(!text.contains("canary"));
}

/// A page of any site can reach loopback by a name of its own, whatever the other port is open to.
#[test]
fn each_port_is_asked_by_the_names_that_its_own_address_allows() {
    let state = tempfile::tempdir().unwrap();
    let mut local = Local::start_at(state.path(), &quickstart(), "0.0.0.0:0");
    let event = local.event("listening");
    let data = event["listen"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let admin = event["admin"].as_str().unwrap();
    assert_eq!(status_by_name(admin, "/metrics", "evil.test"), "HTTP/1.1 403 Forbidden");
    assert_eq!(status_by_name(admin, "/metrics", "localhost"), "HTTP/1.1 200 OK");
    let served = status_by_name(&data, "/v1/models", "gateway.test");
    assert!(served.starts_with("HTTP/1.1 ") && !served.contains(" 403 "), "{served}");
}

#[test]
fn a_second_process_on_one_state_folder_is_told_which_has_it() {
    let state = tempfile::tempdir().unwrap();
    let mut local = Local::start(state.path(), &quickstart());
    local.event("listening");
    let second = command(state.path(), &quickstart(), &["--listen", "127.0.0.1:0"]).output().unwrap();
    let expected = format!("in use by process {}; name another folder by --state", local.child.id());
    assert!(refused(&second).contains(&expected));
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let state = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refused(&command(state.path(), &quickstart(), &["--listen", &address]).output().unwrap());
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
}

#[test]
fn an_error_is_json_where_that_was_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let output =
        command(state.path(), &quickstart(), &["--output", "json", "-f", "/nowhere"]).output().unwrap();
    let error: Value = serde_json::from_str(&refused(&output)).unwrap();
    assert!(error["error"].as_str().unwrap().starts_with("cannot read /nowhere"), "{error}");
}

#[test]
fn an_edit_that_is_refused_says_what_stays_in_force() {
    let [state, folder] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let text = std::fs::read_to_string(quickstart().join("chaperone.yaml")).unwrap();
    let file = folder.path().join("chaperone.yaml");
    std::fs::write(&file, &text).unwrap();
    let mut local = Local::start(state.path(), folder.path());
    local.event("listening");
    std::fs::write(&file, text.replace("targets: [{partner: primary}]", "targets: [{partner: nobody}]"))
        .unwrap();
    let findings = local.event("findings");
    assert_eq!(
        (&findings["errors"], &findings["findings"][0]["reason"]),
        (&1.into(), &"UnknownPartner".into())
    );
    assert_eq!(local.event("kept")["object"], "ModelRoute quickstart/chat");
    assert_eq!(local.event("in_force")["routes"], 4);
}
