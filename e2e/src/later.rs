//! The operator as a later version may be: what the real one sends passes through here, and a snapshot with a certain
//! route comes to require what no sidecar knows.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{Decoder, LeaderFrame, PATH, SidecarFrame};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certs;
use crate::feed::{self, Body};

/// What every document with the route requires.
pub const REQUIRED: &str = "telepathy";

/// The operator that it stands before.
pub struct Operator {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its certificate says.
    pub name: String,
    /// Data of its Secret `chaperone-tls`.
    pub tls: BTreeMap<String, Vec<u8>>,
}

/// Listens with the operator's own certificate; ends with this value.
pub struct Later {
    address: SocketAddr,
    _task: JoinSet<()>,
    _folder: TempDir,
}

/// What streams share.
struct Shared {
    address: String,
    name: String,
    ca: PathBuf,
    alias: String,
    /// Versions of what was changed, and what the operator called them.
    versions: Mutex<BTreeMap<Version, Version>>,
}

impl Later {
    /// Stands before this operator, and changes snapshots with a route of this alias.
    ///
    /// # Errors
    /// If there is no certificate, or no port is free.
    pub async fn before(operator: Operator, alias: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for file in ["ca.crt", "tls.crt", "tls.key"] {
            std::fs::write(folder.path().join(file), operator.tls.get(file).context(file)?)?;
        }
        let acceptor = certs::acceptor(&folder.path().join("tls.crt"), &folder.path().join("tls.key"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            address: operator.address.to_string(),
            name: operator.name,
            ca: folder.path().join("ca.crt"),
            alias: alias.to_owned(),
            versions: Mutex::default(),
        };
        let mut task = JoinSet::new();
        task.spawn(accept(listener, acceptor, Arc::new(shared)));
        Ok(Self { address, _task: task, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            // A sidecar whose connection ends connects again.
            let _ = serve(stream, acceptor, shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    let service = service_fn(move |request| pass(Arc::clone(&shared), request));
    Ok(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await?)
}

/// One stream: the operator's answer, changed, while what the sidecar says goes the other way.
async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>> {
    let operator = (shared.address.as_str(), shared.name.as_str(), shared.ca.as_path());
    let (mut sender, connection) = feed::connect(operator).await?;
    let (head, said) = request.into_parts();
    let token = head.headers.get(header::AUTHORIZATION).context("a token")?;
    let speaking = Arc::clone(&shared);
    let said = changed(said, limits::SIDECAR_FRAME_BYTES, move |json| speaking.as_operator_knows(json));
    let asked =
        Request::post(format!("https://feed{PATH}")).header(header::AUTHORIZATION, token).body(said)?;
    let (head, heard) = sender.send_request(asked).await?.into_parts();
    let ends_with = (sender, connection);
    let heard = changed(heard, limits::LEADER_FRAME_BYTES, move |json| {
        let _ = &ends_with;
        shared.as_a_later_one_says(json)
    });
    Ok(Response::builder().status(head.status).body(heard)?)
}

/// Each frame of a body, changed.
fn changed(
    incoming: Incoming,
    limit: usize,
    change: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> Body {
    let state = (incoming, Decoder::new(limit), change);
    let frames = futures::stream::unfold(state, |(mut incoming, mut decoder, mut change)| async move {
        loop {
            if let Some(json) = decoder.next_frame().ok()? {
                let frame = Frame::data(Bytes::from(change(json)));
                return Some((Ok(frame), (incoming, decoder, change)));
            }
            let received = incoming.frame().await?.ok()?;
            decoder.push(&received.into_data().unwrap_or_default());
        }
    });
    StreamBody::new(futures::StreamExt::boxed(frames))
}

impl Shared {
    fn as_a_later_one_says(&self, json: Vec<u8>) -> Vec<u8> {
        let Ok((epoch, Some(LeaderFrame::Snapshot(sent)))) = LeaderFrame::decode(&json) else {
            return framed(&json);
        };
        let mut document: Value = serde_json::from_slice(&sent).unwrap_or_default();
        if document["routes"].get(&self.alias).is_none() {
            return framed(&json);
        }
        document["requires"] = json!([REQUIRED]);
        let later = document.to_string().into_bytes();
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.insert(Version::of(&later), Version::of(&sent));
        LeaderFrame::Snapshot(later).encode(epoch)
    }

    /// A refusal names the version that the operator has sent.
    fn as_operator_knows(&self, json: Vec<u8>) -> Vec<u8> {
        let Ok(Some(SidecarFrame::Nack(mut nack))) = SidecarFrame::decode(&json) else {
            return framed(&json);
        };
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = versions.get(&nack.version) {
            nack.version = sent.clone();
        }
        SidecarFrame::Nack(nack).encode()
    }
}

/// As it came, whatever it says.
fn framed(json: &[u8]) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], &[0], json].concat()
}
