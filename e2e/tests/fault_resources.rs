//! F56 and the first case of F62: memory that runs out, and a process that is asked to end.
#![cfg(test)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::fixture::{Fixture, one_route};
use chaperone_e2e::local::{Local, Mode, chat_request};
use chaperone_e2e::partner::log::Ending;
use chaperone_e2e::partner::script::{Script, Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::{checker, settings, wait};
use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

const CHAT: &str = "/v1/chat/completions";

/// A memory cgroup that exists as long as this value; `None` without the rights for it.
struct MemoryLimit(PathBuf);

impl MemoryLimit {
    fn make(bytes: u64) -> Option<Self> {
        let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let in_v1 = memberships.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
        let (root, path, file) = match in_v1 {
            Some(path) => ("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"),
            None => (
                "/sys/fs/cgroup",
                memberships.lines().find_map(|line| line.strip_prefix("0::"))?,
                "memory.max",
            ),
        };
        let parent = Path::new(root).join(path.trim_start_matches('/'));
        let folder = parent.join(format!("chaperone-e2e-{}", std::process::id()));
        std::fs::create_dir(&folder).ok()?;
        let limit = Self(folder);
        std::fs::write(limit.0.join(file), bytes.to_string()).ok()?;
        Some(limit)
    }

    /// The command that starts another one inside.
    fn wrapper(&self) -> [String; 4] {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        ["/bin/sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Empty once its only process has ended; a folder left behind harms nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn f56_200_prompts_of_1_mib_within_64_mib_are_served_or_refused() -> Result<()> {
    let Some(limit) = MemoryLimit::make(64 * 1024 * 1024) else {
        let message = "f56: needs a memory cgroup; run the tests as root";
        ensure!(!settings::everything_is_required(), "{message}");
        writeln!(std::io::stderr(), "skipped {message}")?;
        return Ok(());
    };
    let partner = Partner::start().await?;
    partner.play(Script { steps: vec![Step { delay_ms: 300, ..says("hello") }], drop_bodies: true }).await?;
    let wrapper = limit.wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let mut local = Local::start_under(&wrapper, one_route("OpenAI", &partner, &json!({}))?).await?;
    let mut body = chat_request("chat", Mode::Whole);
    body["messages"][0]["content"] = json!("x".repeat(1 << 20));
    // Written once: 200 clients that were busy with that would be closed for their slowness.
    let body = body.to_string().into_bytes();
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let (address, body) = (local.data().to_owned(), body.clone());
        requests.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let json = [("content-type", "application/json")];
            client::whole(connection.send(Method::POST, CHAT, &json, body).await?).await
        });
    }
    let answers = requests.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(!local.process().has_ended(), "killed");
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        ensure!(answer.status == 503 && answer.reason() == "memory", "{} {}", answer.status, answer.text());
        ensure!(answer.header("retry-after").is_some(), "refused without Retry-After");
    }
    ensure!(served > 0, "nobody was served");
    checker::nothing_lost(&local, 200).await?;
    local.process().kill().await
}

#[tokio::test]
async fn f62_50_open_streams_finish_after_sigterm_and_new_requests_are_refused() -> Result<()> {
    // The start and the first word leave, the rest is held back.
    let shape = Shape { hold_after: Some(2), ..Shape::default() };
    let mut fixture = Fixture::start("OpenAI", vec![Step { shape, ..says("one two three") }]).await?;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut connection = Connection::open(fixture.local.data()).await?;
        let body = chat_request("chat", Mode::Stream).to_string().into_bytes();
        let answer =
            connection.send(Method::POST, CHAT, &[("content-type", "application/json")], body).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        streams.push((connection, answer));
    }
    let mut idle = Connection::open(fixture.local.data()).await?;
    fixture.local.process().terminate()?;
    wait::until("new requests to be refused", Duration::from_secs(5), || async {
        // A closed port is as good an answer as `draining`.
        let answer = fixture.local.chat().await;
        Ok(answer.map_or(true, |answer| answer.status == 503 && answer.reason() == "draining").then_some(()))
    })
    .await?;
    if let Ok(answer) = idle.post(CHAT, &[], &chat_request("chat", Mode::Whole)).await {
        let (status, reason) = (answer.status, answer.reason());
        ensure!(status == 503 && reason == "draining", "{status} {reason}");
    }
    let arrivals = fixture.partner.arrivals().await?;
    let streams_at_partner = arrivals.iter().filter(|arrival| arrival.json()["stream"] == json!(true));
    let open = streams_at_partner.filter(|arrival| arrival.ending == Ending::Open).count();
    ensure!(open == 50, "{} streams were cut by SIGTERM", 50 - open);
    fixture.partner.release().await?;
    for (_connection, answer) in streams {
        ensure!(
            client::chat_text(&client::whole(answer).await?.text())? == "one two three",
            "a stream was cut"
        );
    }
    let status = fixture.local.process().ended(Duration::from_secs(10)).await?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}
