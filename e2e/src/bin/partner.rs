//! `chaperone-e2e-partner`: a scripted provider as a process of its own.
//! Prints `listening on URL` once it accepts; ends when it is told to.
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

/// `[LISTEN-ADDRESS [CERTIFICATE.pem KEY.pem]]`
#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let tls = match (arguments.next(), arguments.next()) {
        (Some(certificate), Some(key)) => {
            Some(chaperone_e2e::certs::acceptor(&PathBuf::from(certificate), &PathBuf::from(key))?)
        }
        _ => None,
    };
    let listener = TcpListener::bind(&address).await.with_context(|| format!("listening on {address}"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    writeln!(std::io::stdout(), "listening on {scheme}://{}", listener.local_addr()?)?;
    chaperone_e2e::partner::server::serve(listener, tls).await
}
