//! The scripted partner itself: what the other tests take for the truth.
#![cfg(test)]

use std::time::Duration;

use anyhow::Result;
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::local::{Mode, chat_request, messages_request};
use chaperone_e2e::partner::log::{Arrival, Ending};
use chaperone_e2e::partner::script::{Block, Body, ErrorBody, Shape, Step};
use chaperone_e2e::partner::{Partner, fails, replies, says};
use chaperone_e2e::raw;
use http::Method;
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";
const NEW: (&str, &str) = ("anthropic-version", "2026-10-21");
const OLD: (&str, &str) = ("anthropic-version", "2023-06-01");

#[tokio::test]
async fn steps_are_taken_in_order_and_every_arrival_is_logged() -> Result<()> {
    let partner = Partner::start().await?;
    partner.script(vec![Step { times: Some(1), ..fails(503, "server_error") }, says("second")]).await?;
    let mut connection = Connection::open(partner.address()).await?;
    let first = connection.post(CHAT, &[("x-mark", "one")], &chat_request("gpt-test", Mode::Whole)).await?;
    let second = connection.post(CHAT, &[], &chat_request("gpt-test", Mode::Stream)).await?;
    assert_eq!((first.status.as_u16(), client::chat_text(&second.text())?.as_str()), (503, "second"));
    // The client may have an answer's last byte before the partner has noted that it was sent.
    let all_sent = |arrivals: &[Arrival]| arrivals.iter().all(|arrival| arrival.ending == Ending::Whole);
    let arrivals = partner.arrivals_until("both answers to be sent whole", all_sent).await?;
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[0].header("X-Mark"), Some("one"));
    assert_eq!(arrivals[1].json()["stream"], json!(true));
    assert_eq!(arrivals[0].connection, arrivals[1].connection);
    Ok(())
}

#[tokio::test]
async fn the_new_api_version_refuses_sampling_and_the_old_one_takes_it() -> Result<()> {
    let partner = Partner::start().await?;
    let mut request = messages_request("claude-test", Mode::Whole);
    request["temperature"] = json!(1.0);
    for (version, status) in [(&[NEW][..], 400), (&[OLD], 200), (&[], 400)] {
        let answer = client::post(partner.address(), "/v1/messages", version, &request).await?;
        assert_eq!(answer.status.as_u16(), status, "{version:?}");
    }
    Ok(())
}

#[tokio::test]
async fn reasoning_is_taken_back_only_with_a_signature_that_was_issued() -> Result<()> {
    let partner = Partner::start().await?;
    let thinking = Block::Thinking { text: "Well.".to_owned(), signature: "SIGNED".to_owned() };
    partner.script(vec![replies(vec![thinking])]).await?;
    for (signature, status) in [("SIGNED", 200), ("FORGED", 400)] {
        let mut request = messages_request("claude-test", Mode::Whole);
        request["messages"] = json!([
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Well.", "signature": signature}]},
            {"role": "user", "content": "Go on."},
        ]);
        let answer = client::post(partner.address(), "/v1/messages", &[NEW], &request).await?;
        assert_eq!(answer.status.as_u16(), status, "{signature}");
    }
    Ok(())
}

/// Asks for a stream from a partner that says three words in this shape.
async fn stream_in(shape: Shape) -> Result<(Partner, Connection, http::Response<hyper::body::Incoming>)> {
    let partner = Partner::start().await?;
    partner.script(vec![Step { shape, ..says("one two three") }]).await?;
    let mut connection = Connection::open(partner.address()).await?;
    let body = chat_request("gpt-test", Mode::Stream).to_string().into_bytes();
    let answer = connection.send(Method::POST, CHAT, &[], body).await?;
    Ok((partner, connection, answer))
}

#[tokio::test]
async fn a_held_answer_goes_on_when_it_is_released() -> Result<()> {
    let shape = Shape { hold_after: Some(2), ..Shape::default() };
    let (partner, _connection, answer) = stream_in(shape).await?;
    assert_eq!(partner.arrivals().await?[0].ending, Ending::Open);
    partner.release().await?;
    assert_eq!(client::chat_text(&client::whole(answer).await?.text())?, "one two three");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_shows_in_the_log() -> Result<()> {
    let shape = Shape { stall_after: Some(2), ..Shape::default() };
    let (partner, connection, answer) = stream_in(shape).await?;
    drop((connection, answer));
    let is_gone = |arrivals: &[_]| {
        arrivals
            .iter()
            .all(|arrival: &chaperone_e2e::partner::log::Arrival| arrival.ending == Ending::ClientGone)
    };
    partner.arrivals_until("the client to be gone", is_gone).await?;
    Ok(())
}

#[tokio::test]
async fn a_cut_answer_has_exactly_the_bytes_that_were_asked_for() -> Result<()> {
    let partner = Partner::start().await?;
    let shape = Shape { cut_after_bytes: Some(4), ..Shape::default() };
    partner
        .script(vec![Step { body: Body::Text("0123456789".to_owned()), shape, ..Step::default() }])
        .await?;
    let mut socket = raw::Socket::open(partner.address()).await?;
    let request = raw::post(CHAT, &chat_request("gpt-test", Mode::Whole).to_string());
    socket.write(request.as_bytes()).await?;
    let received = socket.read_to_close(Duration::from_secs(5)).await;
    assert!(received.is_closed, "still open: {}", received.text());
    assert!(received.text().ends_with("content-length: 10\r\n\r\n0123"), "{}", received.text());
    Ok(())
}

#[tokio::test]
async fn an_error_comes_in_the_dialect_of_the_path() -> Result<()> {
    let partner = Partner::start().await?;
    let error = ErrorBody { kind: "overloaded_error".to_owned(), ..ErrorBody::default() };
    partner.script(vec![Step { status: Some(529), body: Body::Error(error), ..Step::default() }]).await?;
    let request = messages_request("claude-test", Mode::Whole);
    let answer = client::post(partner.address(), "/v1/messages", &[NEW], &request).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["type"]), (529, &json!("error")));
    Ok(())
}

#[tokio::test]
async fn a_partner_on_tls_shows_a_certificate_of_the_test_authority() -> Result<()> {
    let ca = TestCa::new()?;
    let partner = Partner::start_tls(&ca, "partner.test").await?;
    partner.script(vec![says("over TLS")]).await?;
    assert_eq!(partner.arrivals().await?.len(), 0);
    Ok(())
}
