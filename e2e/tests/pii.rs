//! Personal data through the product: what a partner's log holds, what comes back, and where else it shows.
#![cfg(test)]

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chaperone_e2e::checker::{self, samples};
use chaperone_e2e::client::{self, Answer};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::local::{Local, Mode};
use chaperone_e2e::manifest::{self, Manifests};
use chaperone_e2e::partner::log::Arrival;
use chaperone_e2e::partner::script::{Block, Body, Shape, Step};
use chaperone_e2e::partner::{Partner, fails, replies, says};
use chaperone_e2e::raw::Socket;
use chaperone_e2e::sdk::{Clients, Language, Sdk};
use serde_json::{Value, json};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One of each kind, as people write it: its label, the words around it, and what must not arrive.
const CANARIES: [(&str, &str, &str); 19] = [
    ("CREDIT_CARD", "My card is 4111 1111 1111 1111.", "4111 1111 1111 1111"),
    ("IBAN", "Pay to DE89 3704 0044 0532 0130 00, please.", "3704 0044 0532"),
    ("SSN", "My SSN is 536-22-8726.", "536-22-8726"),
    ("PHONE", "Call +49 30 90182000 today.", "30 90182000"),
    ("EMAIL", "Write to ann.lee@example.org soon.", "ann.lee@example.org"),
    ("IP", "It came from 203.0.113.77 last night.", "203.0.113.77"),
    ("MAC_ADDRESS", "The device 00:1B:44:11:3A:B7 is online.", "00:1B:44:11:3A:B7"),
    ("DATE_OF_BIRTH", "She was born on 12 March 1985.", "12 March 1985"),
    ("PASSPORT", "My passport C01X00T47 is valid.", "C01X00T47"),
    ("DRIVER_LICENSE", "My driver's license D1234567 is valid.", "D1234567"),
    ("BANK_ACCOUNT", "The routing number 021000021 is ours.", "021000021"),
    ("NATIONAL_ID", "His NHS number 187 270 3585 is known.", "187 270 3585"),
    ("SECRET", "Use the key AKIAIOSFODNN7EXAMPLE for it.", "AKIAIOSFODNN7EXAMPLE"),
    (
        "CRYPTO_WALLET",
        "Send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now.",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    ),
    ("PERSON", "I met Angela Merkel yesterday.", "Merkel"),
    ("LOCATION", "We live in Amsterdam.", "Amsterdam"),
    ("ORGANIZATION", "She works for Siemens in sales.", "Siemens"),
    ("ADDRESS", "Send it to 221B Baker Street, London NW1 6XE, please.", "221B Baker"),
    ("EMPLOYEE_ID", "The badge E-471100 is lost.", "E-471100"),
];

/// A policy that looks for everything, with one action.
fn everything(action: &str) -> Value {
    json!({"pii": {
        "filter": "Strict", "entities": ["All"], "action": action,
        "custom": [{"name": "EmployeeId", "pattern": "E-[0-9]{6}"}],
    }})
}

fn prose() -> String {
    CANARIES.map(|(_, words, _)| words).join("\n")
}

fn nested() -> String {
    json!({"notes": [prose()], "contact": {"email": "ann.lee@example.org", "ssn": 536_228_726}}).to_string()
}

/// A request with every canary in every place where its dialect has text.
fn request(path: &str, mode: Mode) -> Value {
    let text = prose();
    let mut body = match path {
        "/v1/chat/completions" => json!({"messages": [
            {"role": "system", "content": text},
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": nested()}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": nested()},
            {"role": "user", "content": text},
        ], "user": "ann.lee@example.org", "tools": [{"type": "function", "function": {
            "name": "look_up", "description": text, "parameters": {"type": "object", "properties": {}}}}]}),
        "/v1/messages" | "/v1/messages/count_tokens" => {
            json!({"system": [{"type": "text", "text": text}], "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"notes": text, "nested": nested()}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": nested()}, {"type": "text", "text": text}]},
                {"type": "text", "text": text}]},
        ], "metadata": {"user_id": "ann.lee@example.org"}, "tools": [
            {"name": "look_up", "description": text, "input_schema": {"type": "object", "properties": {}}}]})
        }
        "/v1/completions" => json!({"prompt": text, "user": "ann.lee@example.org"}),
        "/v1/embeddings" => json!({"input": [text, nested()], "user": "ann.lee@example.org"}),
        _ => json!({"modelId": "chat", "prompt": [
            {"role": "system", "content": text},
            {"role": "user", "content": text},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": nested()}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": nested()},
        ], "parameters": {"user": "ann.lee@example.org", "tools": [{"type": "function", "function": {
            "name": "look_up", "description": text, "parameters": {"type": "object", "properties": {}}}}]},
        "metadata": {"userId": "ann.lee@example.org"}}),
    };
    if path != "/v1/infer" {
        body["model"] = json!("chat");
    }
    if path == "/v1/messages" {
        body["max_tokens"] = json!(64);
    }
    if mode == Mode::Stream {
        body["stream"] = json!(true);
    }
    body
}

fn clean(arrival: &Arrival) -> Result<()> {
    let all = format!("{} {:?} {}", arrival.path, arrival.headers, arrival.body);
    for (label, _, value) in CANARIES {
        ensure!(!all.contains(value), "a canary of {label} arrived: {}", arrival.path);
    }
    ensure!(!all.contains("536228726"), "a number in nested JSON arrived: {}", arrival.path);
    Ok(())
}

/// What each adapter serves, and whether as a stream too.
const SERVED: [(&str, &[(&str, Mode)]); 2] = [
    (
        "OpenAI",
        &[
            ("/v1/chat/completions", Mode::Whole),
            ("/v1/chat/completions", Mode::Stream),
            ("/v1/messages", Mode::Whole),
            ("/v1/messages", Mode::Stream),
            ("/v1/completions", Mode::Whole),
            ("/v1/completions", Mode::Stream),
            ("/v1/embeddings", Mode::Whole),
            ("/v1/infer", Mode::Whole),
        ],
    ),
    (
        "Anthropic",
        &[
            ("/v1/chat/completions", Mode::Whole),
            ("/v1/chat/completions", Mode::Stream),
            ("/v1/messages", Mode::Whole),
            ("/v1/messages", Mode::Stream),
            ("/v1/messages/count_tokens", Mode::Whole),
            ("/v1/infer", Mode::Whole),
        ],
    ),
];

#[tokio::test]
async fn no_canary_of_any_kind_reaches_a_partner_over_any_api() -> Result<()> {
    for (adapter, served) in SERVED {
        for action in ["Mask", "Pseudonym"] {
            let fixture = Fixture::with_spec(adapter, vec![says("Hello.")], &everything(action)).await?;
            let ids = [("x-correlation-id", "for:ann.lee@example.org")];
            for (path, mode) in served {
                let body = request(path, *mode);
                let answer = client::post(fixture.local.data(), path, &ids, &body).await?;
                ensure!(answer.status == 200, "{adapter} {path}: {} {}", answer.status, answer.text());
            }
            let arrivals = fixture.partner.arrivals().await?;
            ensure!(arrivals.len() == served.len(), "{} arrived", arrivals.len());
            arrivals.iter().try_for_each(clean)?;
            if action == "Pseudonym" {
                for arrival in &arrivals {
                    for (label, _, _) in CANARIES {
                        let placeholder = format!("{label}_");
                        ensure!(arrival.body.contains(&placeholder), "{}: no {placeholder}", arrival.path);
                    }
                }
            }
            checker::no_canary(&fixture.local, &CANARIES.map(|(_, _, value)| value)).await?;
            fixture.settle(served.len() as u64).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_canary_of_any_kind_comes_back_over_any_api() -> Result<()> {
    let spec = json!({"pii": {"filter": "Strict", "responses": {"entities": ["All"], "action": "Label"}}});
    // Patterns of the user's own are about requests.
    let built_in = || CANARIES.iter().filter(|(label, _, _)| *label != "EMPLOYEE_ID");
    for (adapter, served) in SERVED {
        let fixture = Fixture::with_spec(adapter, vec![says("Hello.")], &spec).await?;
        let generates = |path: &str| !path.ends_with("s/count_tokens") && !path.ends_with("embeddings");
        let mut sent = 0;
        for (path, mode) in served.iter().filter(|(path, _)| generates(path)) {
            let mut blocks = vec![Block::Text(prose())];
            if *path != "/v1/completions" {
                let (id, name) = ("call_9".to_owned(), "mail".to_owned());
                blocks.push(Block::Tool { id, name, arguments: nested() });
            }
            let shape = Shape { chunk_bytes: Some(61), ..Shape::default() };
            fixture.partner.script(vec![Step { shape, ..replies(blocks) }]).await?;
            let answer = fixture.local.post(path, &about_ann(path, *mode)).await?;
            sent += 1;
            ensure!(answer.status == 200, "{adapter} {path} {mode:?}: {}", answer.text());
            let said = said(&answer);
            for (label, _, value) in built_in() {
                ensure!(!said.contains(value), "{adapter} {path} {mode:?}: {label} came back: {said}");
                ensure!(
                    said.contains(&format!("[{label}]")),
                    "{adapter} {path} {mode:?}: no {label}: {said}"
                );
            }
        }
        let values: Vec<_> = built_in().map(|(_, _, value)| *value).collect();
        checker::no_canary(&fixture.local, &values).await?;
        fixture.settle(sent).await?;
    }
    Ok(())
}

/// The placeholder of the only e-mail address in what arrived last.
async fn placeholder(partner: &Partner) -> Result<String> {
    let arrivals = partner.arrivals().await?;
    let body = &arrivals.last().context("nothing arrived")?.body;
    let (_, tag) = body.split_once("EMAIL_").with_context(|| format!("no placeholder in {body}"))?;
    Ok(format!("EMAIL_{}", tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>()))
}

const VALUE: &str = "ann.lee@example.org";

fn about_ann(path: &str, mode: Mode) -> Value {
    let mut body = match path {
        "/v1/completions" => json!({"model": "chat", "prompt": format!("Write to {VALUE}")}),
        "/v1/infer" => json!({"modelId": "chat", "prompt": format!("Write to {VALUE}")}),
        _ => {
            json!({"model": "chat", "messages": [{"role": "user", "content": format!("Write to {VALUE}")}], "max_tokens": 64})
        }
    };
    if mode == Mode::Stream {
        body["stream"] = json!(true);
    }
    body
}

/// All strings of all JSON of an answer, whole or streamed, joined: what an SDK would put together.
fn said(answer: &Answer) -> String {
    fn strings(value: &Value, all: &mut String) {
        match value {
            Value::String(text) => *all += text,
            Value::Array(list) => list.iter().for_each(|it| strings(it, all)),
            Value::Object(members) => {
                let texts = [
                    "content",
                    "text",
                    "arguments",
                    "partial_json",
                    "input",
                    "to",
                    "quoted",
                    "delta",
                    "message",
                ];
                let more = ["choices", "tool_calls", "function", "content_block"];
                members
                    .iter()
                    .filter(|(key, _)| texts.contains(&key.as_str()) || more.contains(&key.as_str()))
                    .for_each(|(_, value)| strings(value, all));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = String::new();
    let text = answer.text();
    let events = text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let whole = answer.json().ok();
    whole.into_iter().chain(events).for_each(|value: Value| strings(&value, &mut all));
    all
}

#[tokio::test]
async fn pseudonyms_come_back_in_text_and_in_arguments() -> Result<()> {
    let spec = json!({"pii": {"filter": "Balanced", "entities": ["Email"], "action": "Pseudonym"}});
    for (adapter, served) in SERVED {
        let fixture = Fixture::with_spec(adapter, vec![says("Hello.")], &spec).await?;
        for (path, mode) in served
            .iter()
            .filter(|(path, _)| !path.ends_with("s/count_tokens") && !path.ends_with("embeddings"))
        {
            fixture.partner.script(vec![says("Hello.")]).await?;
            let first = fixture.local.post(path, &about_ann(path, *mode)).await?;
            ensure!(first.status == 200, "{adapter} {path}: {}", first.text());
            let tag = placeholder(&fixture.partner).await?;
            let arguments = json!({"to": tag, "quoted": format!("\"{tag}\"")}).to_string();
            let mut blocks =
                vec![Block::Text(format!("Dear {tag}, see https://a.example/?who={tag} for more."))];
            if !matches!(*path, "/v1/completions" | "/v1/infer") {
                blocks.push(Block::Tool { id: "call_9".to_owned(), name: "mail".to_owned(), arguments });
            }
            let step =
                Step { shape: Shape { chunk_bytes: Some(7), ..Shape::default() }, ..replies(blocks.clone()) };
            fixture.partner.script(vec![step]).await?;
            let answer = fixture.local.post(path, &about_ann(path, *mode)).await?;
            let said = said(&answer);
            ensure!(said.contains(&format!("Dear {VALUE},")), "{adapter} {path} {mode:?}: {said}");
            ensure!(
                said.contains(&format!("?who={tag}")),
                "{adapter} {path} {mode:?}: a URL was restored: {said}"
            );
            if blocks.len() > 1 {
                ensure!(said.matches(VALUE).count() >= 3, "{adapter} {path} {mode:?}: {said}");
                ensure!(said.matches(&tag).count() == 1, "{adapter} {path} {mode:?}: {said}");
            }
        }
        let metrics = fixture.local.metrics().await?;
        ensure!(metrics.lines().any(|line| line.starts_with("chaperone_pii_restored_total ")), "{metrics}");
        ensure!(
            samples(&metrics, "chaperone_pii_unrestored_total").any(|it| it.label("reason") == Some("url")),
            "{metrics}"
        );
        checker::no_canary(&fixture.local, &[VALUE]).await?;
    }
    Ok(())
}

/// How a manifest names a kind: `CREDIT_CARD` is `CreditCard`.
fn kind(label: &str) -> String {
    let word =
        |word: &str| word.chars().take(1).chain(word.to_lowercase().chars().skip(1)).collect::<String>();
    label.split('_').map(word).collect()
}

#[tokio::test]
async fn rule_5_3_two_partners_in_one_chain_see_what_each_may_see() -> Result<()> {
    // Each partner may see every other kind, and none is left out. The pattern of the user's own has no name here.
    let of = |odd: usize| -> Vec<_> { CANARIES[..18].iter().skip(odd).step_by(2).collect() };
    let spec = |odd: usize, action: &str| {
        let kinds: Vec<_> = of(odd).iter().map(|(label, _, _)| kind(label)).collect();
        json!({"filter": "Strict", "entities": kinds, "action": action})
    };
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/infer"] {
        let (alpha, beta) = (Partner::start().await?, Partner::start().await?);
        alpha.script(vec![fails(500, "server_error")]).await?;
        beta.script(vec![says("Hello.")]).await?;
        let manifests = Manifests::new()?;
        let mut first = manifest::partner("alpha", "OpenAI", &alpha.endpoint("OpenAI"));
        first["spec"]["pii"] = spec(0, "Pseudonym");
        let mut second = manifest::partner("beta", "Anthropic", &beta.endpoint("Anthropic"));
        second["spec"]["pii"] = spec(1, "Label");
        let route = manifest::route("chat", &["alpha", "beta"]);
        for object in [manifest::secret(), manifest::quota(), first, second, route] {
            manifests.apply(&object)?;
        }
        let local = Local::start(manifests).await?;
        let answer = local.post(path, &request(path, Mode::Whole)).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.text());
        let (one, other) = (alpha.arrivals().await?, beta.arrivals().await?);
        let (one, other) = (&one.first().context("alpha")?.body, &other.last().context("beta")?.body);
        for (seen, odd, mark) in [(one, 0, "_"), (other, 1, "]")] {
            for (label, _, value) in of(odd) {
                ensure!(!seen.contains(value), "{path}: {label} reached the partner that may not see it");
                ensure!(seen.contains(&format!("{label}{mark}")), "{path}: no {label}{mark} in {seen}");
            }
            for (label, _, value) in of(1 - odd) {
                ensure!(seen.contains(value), "{path}: {label} was kept from the partner that may see it");
            }
        }
    }
    Ok(())
}

/// `card 4111 1111 1111 1111 ok`, as base64.
const ENCODED_CARD: &str = "Y2FyZCA0MTExIDExMTEgMTExMSAxMTExIG9r";

#[tokio::test]
async fn f53_what_a_partner_says_is_redacted_before_it_leaves_however_it_is_cut() -> Result<()> {
    let responses = json!({"entities": ["Email", "Secret", "CreditCard"], "action": "Label"});
    let spec = json!({"pii": {"filter": "Strict", "responses": responses}});
    let words =
        format!("Ask bob.jones@example.net or use AKIAIOSFODNN7EXAMPLE instead of {ENCODED_CARD}, or so.");
    let arguments =
        json!({"to": "bob.jones@example.net", "quoted": format!("\"é\n{ENCODED_CARD}")}).to_string();
    for (adapter, served) in SERVED {
        let fixture = Fixture::with_spec(adapter, vec![says("Hello.")], &spec).await?;
        let mut sent = 0;
        // Pieces of each length: the first of them ends at every place there is.
        for chunk in 1..=words.len() {
            let (id, name, arguments) = ("call_9".to_owned(), "mail".to_owned(), arguments.clone());
            let blocks = vec![Block::Text(words.clone()), Block::Tool { id, name, arguments }];
            let shape = Shape { chunk_bytes: Some(chunk), ..Shape::default() };
            fixture.partner.script(vec![Step { shape, ..replies(blocks) }]).await?;
            let chats = served
                .iter()
                .filter(|(path, _)| matches!(*path, "/v1/chat/completions" | "/v1/messages" | "/v1/infer"));
            let own = if adapter == "OpenAI" { "/v1/chat/completions" } else { "/v1/messages" };
            let is_cut = |path: &str, mode: Mode| mode == Mode::Stream && (path == own || chunk == 5);
            for (path, mode) in chats.filter(|(path, mode)| chunk == 1 || is_cut(path, *mode)) {
                let answer = fixture.local.post(path, &about_ann(path, *mode)).await?;
                sent += 1;
                let said = said(&answer);
                ensure!(
                    said.contains("Ask [EMAIL] or use [SECRET] instead of [CREDIT_CARD], or so."),
                    "{adapter} {path} {mode:?} {chunk}: {said}"
                );
                for canary in ["bob.jones", "AKIAIOSFODNN7", ENCODED_CARD] {
                    ensure!(
                        !answer.text().contains(canary) && !said.contains(canary),
                        "{adapter} {path} {mode:?}"
                    );
                }
                // What infer answers is text alone.
                let wanted = if *path == "/v1/infer" { 1 } else { 2 };
                ensure!(said.matches("[CREDIT_CARD]").count() == wanted, "{adapter} {path}: {said}");
            }
        }
        checker::no_canary(&fixture.local, &["bob.jones", "AKIAIOSFODNN7", ENCODED_CARD]).await?;
        fixture.settle(sent).await?;
    }
    Ok(())
}

/// A request in chunks of `lengths`, again and again, each its own write.
async fn posted_in_chunks(address: &str, body: &str, lengths: &[usize]) -> Result<String> {
    let mut socket = Socket::open(address).await?;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        connection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write(head.as_bytes()).await?;
    let mut rest = body.as_bytes();
    for length in lengths.iter().cycle() {
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        socket.write(&framed).await?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    socket.write(b"0\r\n\r\n").await?;
    Ok(socket.read_to_close(PATIENCE).await.text())
}

#[tokio::test]
async fn f53_a_request_is_redacted_before_it_leaves_however_it_is_cut() -> Result<()> {
    let spec =
        json!({"pii": {"filter": "Strict", "entities": ["Email", "Ssn", "CreditCard"], "action": "Label"}});
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    // Escapes, characters of several bytes, JSON in a string and base64: a cut may fall into any of them.
    let body = concat!(
        r#"{"model":"chat","messages":[{"role":"user","content":"Zoë: ann.lee\u0040example.org, "#,
        r#"ＡＮＮ.lee@example.org"},{"role":"assistant","content":null,"#,
        r#""tool_calls":[{"id":"c","type":"function","function":{"name":"f","#,
        r#""arguments":"{\"to\":\"ann.lee\\u0040example.org\",\"ssn\":536228726}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"c","content":"4111 1111 \u0031111 1111"},"#,
        r#"{"role":"user","content":"see NDExMTExMTExMTExMTExMX4\/Pn4\/Pg\u003d= here"}]}"#
    );
    // Every place is the end of a piece once, with 63 whole bytes on both sides.
    let cuts = (1..=64).map(|first| [vec![first], vec![64; body.len() / 64]].concat());
    let ways: Vec<_> = [vec![body.len()], vec![1], vec![2, 3, 5]].into_iter().chain(cuts).collect();
    for lengths in &ways {
        let answer = posted_in_chunks(fixture.local.data(), body, lengths).await?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{lengths:?}: {answer}");
    }
    let arrivals = fixture.partner.arrivals().await?;
    ensure!(arrivals.len() == ways.len(), "{} arrived", arrivals.len());
    let first = &arrivals[0].body;
    for canary in ["lee", "example.org", "536228726", "4111", "NDExMTEx", "Pn4"] {
        ensure!(!first.contains(canary), "{canary} in {first}");
    }
    ensure!(first.contains(r#"{\"to\":\"[EMAIL]\",\"ssn\":\"[SSN]\"}"#), "{first}");
    ensure!(first.contains(r#""see [CREDIT_CARD] here""#), "{first}");
    for (arrival, lengths) in arrivals.iter().zip(&ways) {
        ensure!(arrival.body == *first, "{lengths:?}: {}", arrival.body);
    }
    fixture.settle(ways.len() as u64).await.map(drop)
}

#[tokio::test]
async fn what_is_blocked_is_refused_before_anything_is_sent() -> Result<()> {
    let spec = json!({"pii": {"filter": "Balanced", "actions": {"Ssn": "Block"}, "nonText": "Block"}});
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let text = json!({"model": "chat", "messages": [{"role": "user", "content": "My SSN is 536-22-8726."}]});
    let image = json!({"model": "chat", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]});
    for (body, words) in [(&text, "SSN (1)"), (&image, "images")] {
        let answer = fixture.local.post("/v1/chat/completions", body).await?;
        ensure!(
            answer.status == 400 && answer.reason() == "pii_blocked",
            "{} {}",
            answer.status,
            answer.text()
        );
        ensure!(answer.text().contains(words) && !answer.text().contains("536-22"), "{}", answer.text());
    }
    ensure!(fixture.partner.arrivals().await?.is_empty(), "something was sent");
    let metrics = fixture.local.metrics().await?;
    let blocked = samples(&metrics, "chaperone_pii_spans_total")
        .any(|it| it.label("entity") == Some("SSN") && it.label("action") == Some("block"));
    ensure!(blocked, "{metrics}");
    fixture.settle(2).await.map(drop)
}

/// A body that no bound lets through: more findings in one value than are kept.
fn unscannable() -> Value {
    let many: String = (0..5_000).map(|at| format!("a{at}@example.org ")).collect();
    json!({"model": "chat", "messages": [{"role": "user", "content": many}]})
}

#[tokio::test]
async fn f49_no_error_path_shows_what_a_request_holds() -> Result<()> {
    let spec = everything("Mask");
    let rejected = Step {
        status: Some(400),
        body: Body::Json(
            json!({"error": {"message": "the prompt is malformed", "type": "invalid_request_error"}}),
        ),
        ..Step::default()
    };
    let scripts = [
        vec![fails(500, "server_error")],
        vec![rejected],
        vec![Step { body: Body::Abort, ..Step::default() }],
        vec![Step { body: Body::Text("not an answer".to_owned()), ..Step::default() }],
        vec![Step { shape: Shape { cut_after_bytes: Some(40), ..Shape::default() }, ..says("Hello there.") }],
    ];
    let canaries = CANARIES.map(|(_, _, value)| value);
    let path = "/v1/chat/completions";
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let mut answers = Vec::new();
    let scanned = fixture.local.post(path, &unscannable()).await?;
    ensure!(scanned.reason() == "pii_unscannable", "{} {}", scanned.status, scanned.text());
    answers.push(scanned);
    for script in scripts {
        fixture.partner.script(script).await?;
        for mode in [Mode::Whole, Mode::Stream] {
            answers.push(fixture.local.post(path, &request(path, mode)).await?);
        }
    }
    let mut unknown = request(path, Mode::Whole);
    unknown["model"] = json!("nobody");
    answers.push(fixture.local.post(path, &unknown).await?);
    let mut broken = request(path, Mode::Whole);
    broken["messages"] = json!(prose());
    answers.push(fixture.local.post(path, &broken).await?);
    for answer in &answers {
        let all = format!("{:?} {}", answer.headers, answer.text());
        if let Some(at) = canaries.iter().position(|canary| all.contains(canary)) {
            bail!("canary number {at} shows in an answer with {}", answer.status);
        }
    }
    checker::no_canary(&fixture.local, &canaries).await?;
    fixture.partner.arrivals().await?.iter().try_for_each(clean)
}

#[tokio::test]
async fn a_conversation_keeps_its_placeholders_and_another_has_its_own() -> Result<()> {
    let spec = json!({"pii": {"filter": "Balanced", "entities": ["Email"], "action": "Pseudonym",
        "pseudonym": {"scope": "Conversation", "hint": true}}});
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let path = "/v1/chat/completions";
    let mut tags = Vec::new();
    for conversation in ["one", "one", "two"] {
        let headers = [("x-chaperone-conversation", conversation)];
        client::post(fixture.local.data(), path, &headers, &about_ann(path, Mode::Whole)).await?;
        let arrivals = fixture.partner.arrivals().await?;
        let body = arrivals.last().context("one arrived")?.json();
        let text = body["messages"][1]["content"].as_str().unwrap_or_default().to_owned();
        ensure!(body["messages"][0]["role"] == "system", "no hint: {body}");
        tags.push(text);
    }
    ensure!(tags[0] == tags[1] && tags[1] != tags[2] && tags[2].contains("EMAIL_"), "{tags:?}");
    let long = "x".repeat(129);
    let headers = [("x-chaperone-conversation", long.as_str())];
    let answer = client::post(fixture.local.data(), path, &headers, &about_ann(path, Mode::Whole)).await?;
    ensure!(answer.status == 400 && answer.reason() == "invalid_request", "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn surrogates_pass_for_values_and_parts_of_names_have_the_names_placeholder() -> Result<()> {
    let spec = json!({"pii": {"filter": "Balanced", "entities": ["Email", "Person"], "action": "Pseudonym",
        "pseudonym": {"format": "Surrogate", "linkNames": true}}});
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let path = "/v1/chat/completions";
    let text = format!("I met Angela Merkel yesterday. Mrs. Merkel wrote from {VALUE} to me.");
    let request = json!({"model": "chat", "messages": [{"role": "user", "content": text}]});
    fixture.local.post(path, &request).await?;
    let arrivals = fixture.partner.arrivals().await?;
    let sent = arrivals.last().context("one arrived")?.json();
    let sent = sent["messages"][0]["content"].as_str().context("no text")?.to_owned();
    let words: Vec<&str> = sent.split(' ').collect();
    let (name, again) = (words[2], words[5]);
    ensure!(name.starts_with("PERSON_") && again == name, "{sent}");
    let surrogate = *words.iter().find(|word| word.ends_with("@example.com")).context("no surrogate")?;
    ensure!(!sent.contains("Merkel") && !sent.contains(VALUE) && !sent.contains("EMAIL_"), "{sent}");
    fixture.partner.script(vec![says(&format!("Write to {surrogate} for {name}."))]).await?;
    let said = said(&fixture.local.post(path, &request).await?);
    ensure!(said == format!("Write to {VALUE} for Angela Merkel."), "{said}");
    Ok(())
}

/// A word that the SDK programs say in every prompt, as a pattern of the user's own.
const WORD: &str = "scripted";

#[tokio::test]
async fn the_official_sdks_get_their_values_back() -> Result<()> {
    let Some(clients) = Clients::find("pseudonyms")? else { return Ok(()) };
    let spec = json!({"pii": {"filter": "Balanced", "action": "Pseudonym",
        "custom": [{"name": "Term", "pattern": WORD}]}});
    for (sdk, adapter, language) in [
        (Sdk::OpenAi, "OpenAI", Language::Python),
        (Sdk::OpenAi, "Anthropic", Language::Node),
        (Sdk::Anthropic, "Anthropic", Language::Python),
        (Sdk::Anthropic, "OpenAI", Language::Node),
    ] {
        let fixture = Fixture::with_spec(adapter, vec![says("Hello.")], &spec).await?;
        clients.run(sdk, language, fixture.local.data(), &["text:whole"]).await?;
        let arrivals = fixture.partner.arrivals().await?;
        let body = &arrivals.first().context("nothing arrived")?.body;
        let (_, tag) = body.split_once("TERM_").with_context(|| format!("no placeholder in {body}"))?;
        let tag: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        let tag = format!("TERM_{tag}");
        let call = |id: &str, name: &str, key: &str| Block::Tool {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: json!({ key: tag }).to_string(),
        };
        let calls = vec![
            Block::Text(format!("So {tag} it is.")),
            call("call_A1", "get_weather", "city"),
            call("call_B2", "get_time", "zone"),
        ];
        let once = Step { times: Some(1), ..replies(calls) };
        for scenario in ["tools:whole", "tools:stream"] {
            fixture.partner.script(vec![once.clone(), says(&format!("Done, {tag}."))]).await?;
            let seen = clients.run(sdk, language, fixture.local.data(), &[scenario]).await?;
            let seen = json!(seen).to_string();
            ensure!(!seen.contains(&tag), "{sdk:?} {adapter} {scenario}: {seen}");
            let finals = seen.contains("So scripted it is.") && seen.contains("Done, scripted.");
            ensure!(finals, "{sdk:?} {adapter} {scenario}: {seen}");
            ensure!(seen.matches(WORD).count() >= 4, "{sdk:?} {adapter} {scenario}: {seen}");
        }
        for arrival in fixture.partner.arrivals().await? {
            ensure!(!arrival.body.contains(WORD), "{sdk:?} {adapter}: {}", arrival.body);
        }
    }
    Ok(())
}
