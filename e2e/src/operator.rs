//! An operator that a test plays: it brings one configuration to whoever asks, and leaves.
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{KeysFor, LeaderFrame};
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certs::{self, TestCa};

/// The name that its certificate is for.
pub const SERVER_NAME: &str = "feed.chaperone.test";
/// An address of its own, where the kernel gives no other test the port once it is left.
pub const HOST: Ipv4Addr = Ipv4Addr::new(127, 61, 0, 1);
/// It is the only leader there ever was.
const EPOCH: u64 = 1;

type Frames = futures::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// The operator. Dropping it closes its port and every stream.
pub struct Operator {
    address: SocketAddr,
    authority: String,
    _serving: JoinSet<()>,
}

impl Operator {
    /// Brings this document, with no keys, to every sidecar that dials.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(document: &[u8]) -> Result<Self> {
        let ca = TestCa::new()?;
        let issued = ca.issue(SERVER_NAME)?;
        let acceptor = certs::acceptor(&issued.certificate, &issued.key)?;
        let listener = TcpListener::bind((HOST, 0)).await?;
        let address = listener.local_addr()?;
        let keys = KeysFor { snapshot: Version::of(document), keys: Keys::default() };
        let frames = [LeaderFrame::Keys(keys), LeaderFrame::Snapshot(document.to_vec())];
        let said = Bytes::from(frames.map(|frame| frame.encode(EPOCH)).concat());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream, said.clone()));
            }
        });
        Ok(Self { address, authority: ca.pem(), _serving: serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, said: Bytes) {
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, said.clone()));
    // How a connection ends is the sidecar's affair.
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
}

/// Says it all, then listens until the sidecar leaves.
async fn answer(request: Request<Incoming>, said: Bytes) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let heard = http_body_util::BodyDataStream::new(request.into_body());
    let silence = heard.filter_map(|_| std::future::ready(None));
    let frames = futures::stream::iter([Ok(Frame::data(said))]).chain(silence);
    Ok(Response::new(StreamBody::new(frames.boxed())))
}
