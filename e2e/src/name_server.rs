//! A name server that answers every question with the addresses of the moment, and a way to have one process ask it.
//!
//! It needs the rights to bind port 53 and to mount: a process under [`NameServer::wrapper`] sees a
//! `/etc/resolv.conf` of its own. Nothing outside that process is changed.
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Types of questions and records: RFC 1035 §3.2.2, RFC 3596.
const A: u16 = 1;
const AAAA: u16 = 28;

/// Shows a process another file as `/etc/resolv.conf`, in a mount namespace of its own.
const MOUNT: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

/// A name server; ends with this value.
pub struct NameServer {
    addresses: Arc<Mutex<Vec<IpAddr>>>,
    settings: NamedTempFile,
    /// Answers until it is dropped.
    _task: JoinSet<()>,
}

impl NameServer {
    /// Starts one on loopback; `None` without the rights for it.
    pub async fn start() -> Option<Self> {
        // Of all addresses of loopback one that no other run of the tests has.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53, high, low);
        let socket = UdpSocket::bind((address, 53)).await.ok()?;
        let mut settings = NamedTempFile::new().ok()?;
        writeln!(settings, "nameserver {address}").ok()?;
        if !can_mount(settings.path()) {
            return None;
        }
        let addresses = Arc::<Mutex<Vec<IpAddr>>>::default();
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&addresses)));
        Some(Self { addresses, settings, _task: task })
    }

    /// From now on every name has these addresses.
    pub fn resolve_to(&self, addresses: &[IpAddr]) {
        if let Ok(mut current) = self.addresses.lock() {
            *current = addresses.to_vec();
        }
    }

    /// The command that starts another one which asks this server.
    #[must_use]
    pub fn wrapper(&self) -> [String; 6] {
        let path = self.settings.path().display().to_string();
        ["unshare", "-m", "/bin/sh", "-c", MOUNT, &path].map(str::to_owned)
    }
}

fn can_mount(settings: &Path) -> bool {
    let mut command = Command::new("unshare");
    command.args(["-m", "/bin/sh", "-c", MOUNT]).arg(settings).arg("true");
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

async fn serve(socket: UdpSocket, addresses: Arc<Mutex<Vec<IpAddr>>>) {
    let mut question = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut question).await {
        let current = addresses.lock().map(|addresses| addresses.clone()).unwrap_or_default();
        if let Some(answer) = question.get(..length).and_then(|question| answer(question, &current)) {
            // Who does not get an answer asks again.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// The answer to one question, of a time to live of 0: RFC 1035 §4.1.
fn answer(question: &[u8], addresses: &[IpAddr]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let id = question.get(..2)?;
    let name = question.get(HEADER..)?.iter().position(|byte| *byte == 0)? + 1;
    let asked = question.get(HEADER..HEADER + name + 4)?;
    let kind = u16::from_be_bytes([*asked.get(name)?, *asked.get(name + 1)?]);
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) if kind == A => Some(address.octets().to_vec()),
            IpAddr::V6(address) if kind == AAAA => Some(address.octets().to_vec()),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect();
    let count = u16::try_from(records.len()).ok()?.to_be_bytes();
    // An answer, recursion available, no error; one question, `count` records, nothing more.
    let mut answer = [id, &[0x81, 0x80, 0, 1], &count, &[0; 4], asked].concat();
    for record in records {
        let length = u16::try_from(record.len()).ok()?.to_be_bytes();
        // The name is that of the question; class IN; time to live 0.
        answer
            .extend_from_slice(&[[0xc0, 0x0c], kind.to_be_bytes(), [0, 1], [0, 0], [0, 0], length].concat());
        answer.extend_from_slice(&record);
    }
    Some(answer)
}
