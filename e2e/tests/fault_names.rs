//! F48: a name whose addresses change between two looks.
#![cfg(test)]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use chaperone_e2e::fixture::one_route;
use chaperone_e2e::local::Local;
use chaperone_e2e::name_server::NameServer;
use chaperone_e2e::partner::script::{Framing, Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::settings;
use serde_json::json;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

async fn name_server() -> Result<Option<NameServer>> {
    let server = NameServer::start().await;
    if server.is_none() {
        let message = "f48: needs to bind port 53 and to mount; run the tests as root";
        ensure!(!settings::everything_is_required(), "{message}");
        writeln!(std::io::stderr(), "skipped {message}")?;
    }
    Ok(server)
}

#[tokio::test]
async fn f48_a_name_that_is_rebound_gets_no_connection() -> Result<()> {
    let Some(names) = name_server().await? else { return Ok(()) };
    names.resolve_to(&[LOOPBACK]);
    let partner = Partner::start().await?;
    // Each answer ends its connection, so that each request needs a new one.
    let shape = Shape { framing: Some(Framing::Close), ..Shape::default() };
    partner.script(vec![Step { shape, ..says("hello") }]).await?;
    let wrapper = names.wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let port = partner.address().rsplit(':').next().unwrap_or_default();
    let endpoint = format!("http://rebound.test:{port}/v1");
    let spec = |allows: bool| json!({"endpoint": endpoint, "allowPlaintext": true, "allowPrivate": allows});

    let trusting = Local::start_under(&wrapper, one_route("OpenAI", &partner, &spec(true))?).await?;
    let answer = trusting.chat().await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    names.resolve_to(&[METADATA]);
    let answer = trusting.chat().await?;
    let (status, reason) = (answer.status, answer.reason());
    ensure!(status == 502 && reason == "partner_address_forbidden", "{status} {reason}");
    names.resolve_to(&[METADATA, LOOPBACK]);
    let answer = trusting.chat().await?;
    ensure!(answer.status == 200, "one forbidden address of two: {} {}", answer.status, answer.text());
    let connections = partner.log().await?.connections;
    ensure!(connections == 2, "{connections} connections");

    let wary = Local::start_under(&wrapper, one_route("OpenAI", &partner, &spec(false))?).await?;
    let (mapped, v6) = (IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), IpAddr::V6(Ipv6Addr::LOCALHOST));
    for addresses in [&[LOOPBACK][..], &[v6], &[mapped], &[LOOPBACK, v6, METADATA]] {
        names.resolve_to(addresses);
        let (answer, told) = (wary.chat().await?, format!("{addresses:?}"));
        ensure!(
            answer.reason() == "partner_address_forbidden",
            "{told}: {} {}",
            answer.status,
            answer.text()
        );
    }
    ensure!(partner.log().await?.connections == connections, "a private address was dialled");
    Ok(())
}
