//! What runs in containers on the real node: one static program without a dependency, so that its image is one file.
//! Without a handler for SIGTERM, and as process 1 of its container, it lives on until it is done or killed.
//!
//! - `pause`: does nothing; holds a Pod's namespaces.
//! - `serve ADDRESS TEXT`: answers every connection with TEXT, over HTTP.
//! - `relay ADDRESS MODEL`: answers every connection with what `chat MODEL` would print, with 502 where that fails.
//! - `chat MODEL`: asks where `OPENAI_BASE_URL` points, as an SDK would, and prints the answer.
//! - `stream MODEL`: the same as a stream; prints events as they come, and fails unless the last one is the end.
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address, text] => serve(address, || Ok(text.to_owned())),
        ["relay", address, model] => serve(address, || chat(model)),
        ["chat", model] => chat(model).map(|answer| println!("{answer}")),
        ["stream", model] => stream(model),
        _ => loop {
            std::thread::park();
        },
    }
}

fn serve(address: &str, answer: impl Fn() -> Result<String>) -> Result<()> {
    for connection in TcpListener::bind(address)?.incoming() {
        let mut connection = connection?;
        // A probe may close without a question.
        let mut request = [0; 4096];
        let asked = connection.read(&mut request).unwrap_or_default();
        if asked > 0 {
            let (status, text) = match answer() {
                Ok(text) => ("200 OK", text),
                Err(error) => ("502 Bad Gateway", error.to_string()),
            };
            let length = text.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
            );
        }
    }
    Ok(())
}

fn chat(model: &str) -> Result<String> {
    let mut answer = String::new();
    ask(model, false)?.read_to_string(&mut answer)?;
    Ok(answer)
}

fn stream(model: &str) -> Result<()> {
    let mut last = String::new();
    for line in ask(model, true)?.lines() {
        let line = line?;
        println!("{line}");
        if !line.is_empty() {
            last = line;
        }
    }
    if last == "data: [DONE]" { Ok(()) } else { Err(Error::other(format!("the stream ends in {last:?}"))) }
}

/// The body of the answer. HTTP/1.0 knows no chunks, so that it reaches to the end of the connection.
fn ask(model: &str, is_stream: bool) -> Result<BufReader<TcpStream>> {
    let setting = |name: &str| std::env::var(name).map_err(|_| Error::other(format!("{name} is not set")));
    let (base, key) = (setting("OPENAI_BASE_URL")?, setting("OPENAI_API_KEY")?);
    let rest = base.strip_prefix("http://").unwrap_or(&base);
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let body = format!(
        r#"{{"model": "{model}", "stream": {is_stream}, "messages": [{{"role": "user", "content": "hello from a Pod"}}]}}"#
    );
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST /{path}/chat/completions HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(connection);
    let mut status = String::new();
    answer.read_line(&mut status)?;
    let mut field = String::new();
    while answer.read_line(&mut field)? > 2 {
        field.clear();
    }
    if status.contains(" 200 ") { Ok(answer) } else { Err(Error::other(status)) }
}
