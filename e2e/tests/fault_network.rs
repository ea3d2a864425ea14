//! F52: what another Pod reaches of a sidecar that is started with nothing but what it must be told.
#![cfg(test)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::netns::{self, Namespace};
use chaperone_e2e::{process, tier, wait};

const PATIENCE: Duration = Duration::from_secs(20);
const DATA: u16 = 4141;
const ADMIN: u16 = 4142;

/// The head and body of the answer to a GET, as a process in that namespace gets it.
fn get(from: &Namespace, host: &str, port: u16, path: &str) -> Result<String> {
    from.run(|| {
        let mut stream = TcpStream::connect((host, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

#[tokio::test]
async fn f52_another_pod_cannot_connect_to_the_data_port_nor_read_debug_pages() -> Result<()> {
    let test = "f52_another_pod_cannot_connect_to_the_data_port_nor_read_debug_pages";
    let Some((pod, other)) = netns::pair().await? else {
        return tier::cannot_run(test, "needs root, util-linux and iproute2");
    };
    let state = tempfile::tempdir()?;
    let ca = TestCa::new()?;
    let environment = [
        ("CHAPERONE_FEED_ADDRESS", "127.0.0.1:1"),
        ("CHAPERONE_FEED_SERVER_NAME", "feed.test"),
        ("CHAPERONE_FEED_CA", &ca.pem()),
        ("CHAPERONE_STATE_DIR", state.path().to_str().context("a path in text")?),
    ];
    let sidecar = pod.spawn("sidecar", &process::sidecar_binary()?, &environment)?;
    let alive = wait::until("the sidecar to live", PATIENCE, || async {
        Ok(get(&pod, "127.0.0.1", ADMIN, "/livez").ok().filter(|answer| answer.starts_with("HTTP/1.1 200")))
    });
    alive.await.with_context(|| sidecar.tail())?;

    // The Pod's own containers reach all of it; it has no configuration to serve.
    let models = get(&pod, "127.0.0.1", DATA, "/v1/models")?;
    assert!(models.starts_with("HTTP/1.1 503"), "{models}");
    let page = get(&pod, "127.0.0.1", ADMIN, "/debug/snapshot")?;
    assert!(page.starts_with("HTTP/1.1 404") && page.contains("no configuration yet"), "{page}");

    // Another Pod reaches its probes and metrics.
    for path in ["/livez", "/metrics"] {
        let answer = get(&other, &pod.address, ADMIN, path)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let refused = get(&other, &pod.address, DATA, "/v1/models").unwrap_err();
    let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{refused:#}");
    for path in ["/debug/snapshot", "/debug/breakers"] {
        let answer = get(&other, &pod.address, ADMIN, path)?;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("loopback"), "{path}: {answer}");
    }
    Ok(())
}
