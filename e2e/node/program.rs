//! What runs in containers on the real node: one static program without a dependency, so that its image is one file.
//!
//! - `pause`: does nothing; holds a Pod's namespaces.
//! - `serve ADDRESS TEXT`: answers every connection with TEXT, over HTTP.
//! - `ask ADDRESS`: prints the answer of such a server; fails where there is none.
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address, text] => serve(address, text),
        ["ask", address] => ask(address),
        _ => loop {
            std::thread::park();
        },
    }
}

fn serve(address: &str, text: &str) -> Result<()> {
    for connection in TcpListener::bind(address)?.incoming() {
        let mut connection = connection?;
        // A probe may close without a question.
        let mut request = [0; 4096];
        let asked = connection.read(&mut request).unwrap_or_default();
        if asked > 0 {
            let length = text.len();
            let _ = write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
        }
    }
    Ok(())
}

fn ask(address: &str) -> Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: node\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    println!("{}", answer.rsplit("\r\n").next().unwrap_or_default());
    Ok(())
}
