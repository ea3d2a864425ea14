//! A leader that says what it is told, with a certificate of an authority of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::wire::feed::{Decoder, LeaderFrame, PATH, SidecarFrame};
use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What its certificate is for.
pub(crate) const NAME: &str = "chaperone-feed.platform.svc";

const PATIENCE: Duration = Duration::from_secs(20);

/// Listens until it is dropped.
pub(crate) struct Leader {
    address: SocketAddr,
    ca: String,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    streams: Receiver<Stream>,
    handshakes: Receiver<bool>,
    _runtime: Runtime,
}

/// One stream of a sidecar. Dropping it closes it.
pub(crate) struct Stream {
    token: String,
    heard: Receiver<SidecarFrame>,
    said: Option<mpsc::Sender<Bytes>>,
}

impl Leader {
    pub(crate) fn start() -> Self {
        let (acceptor, ca) = authority();
        let acceptor = Arc::new(Mutex::new(acceptor));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let ((opened, streams), (shaken, handshakes)) = (channel(), channel());
        runtime.spawn(serve(listener, Arc::clone(&acceptor), opened, shaken));
        Self { address, ca, acceptor, streams, handshakes, _runtime: runtime }
    }

    /// From now on another authority signs its certificate.
    pub(crate) fn change_authority(&mut self) {
        let acceptor;
        (acceptor, self.ca) = authority();
        *self.acceptor.lock().unwrap() = acceptor;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    /// The next stream.
    pub(crate) fn accept(&self) -> Stream {
        self.streams.recv_timeout(PATIENCE).expect("a sidecar calls")
    }

    /// Whether the next caller breaks the handshake off.
    pub(crate) fn refuses_handshakes(&self) -> bool {
        !self.handshakes.recv_timeout(PATIENCE).expect("a sidecar calls")
    }
}

impl Stream {
    /// What the sidecar showed.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The sidecar's next frame.
    pub(crate) fn hear(&mut self) -> SidecarFrame {
        self.heard.recv_timeout(PATIENCE).expect("the sidecar says something")
    }

    /// Sends frames.
    pub(crate) fn say(&mut self, epoch: u64, frames: &[LeaderFrame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(epoch)).collect();
        self.said.as_ref().unwrap().blocking_send(bytes.into()).expect("the sidecar listens");
    }

    /// Whether the sidecar ends the stream.
    pub(crate) fn ends(mut self) -> bool {
        self.heard.recv_timeout(PATIENCE).is_err() && self.said.take().is_some()
    }
}

/// A certificate for [`NAME`], and in PEM the authority that signed it.
fn authority() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

async fn serve(
    listener: TcpListener,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    opened: Sender<Stream>,
    shaken: Sender<bool>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, opened, shaken) = (acceptor.lock().unwrap().clone(), opened.clone(), shaken.clone());
        tokio_util::task::TaskTracker::new().spawn(async move {
            let tls = acceptor.accept(tcp).await;
            let _ = shaken.send(tls.is_ok());
            let Ok(tls) = tls else { return };
            let service = service_fn(move |request| {
                let response = open(request, &opened);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

/// What was said, as a body.
struct Frames(mpsc::Receiver<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn open(request: Request<Incoming>, opened: &Sender<Stream>) -> Response<Frames> {
    assert_eq!(request.uri().path(), PATH);
    let bearer = request.headers()[header::AUTHORIZATION].to_str().unwrap();
    let token = bearer.strip_prefix("Bearer ").unwrap().to_owned();
    let (said, saying) = mpsc::channel(8);
    let (hearing, heard) = channel();
    let _ = opened.send(Stream { token, heard, said: Some(said) });
    let mut incoming = request.into_body();
    tokio_util::task::TaskTracker::new().spawn(async move {
        let mut decoder = Decoder::new(limits::SIDECAR_FRAME_BYTES);
        while let Some(Ok(frame)) = incoming.frame().await {
            decoder.push(&frame.into_data().unwrap());
            while let Some(json) = decoder.next_frame().unwrap() {
                let _ = hearing.send(SidecarFrame::decode(&json).unwrap().unwrap());
            }
        }
    });
    Response::new(Frames(saying))
}
