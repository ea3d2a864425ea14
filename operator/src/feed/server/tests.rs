//! Many sidecars at once, against the server as it runs: TLS, HTTP/2 and frames are real, the API server is played.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chaperone_protocol::limits;
use chaperone_protocol::wire::PROTOCOL;
use chaperone_protocol::wire::feed::{Decoder, Held, Hello, LeaderFrame, SidecarFrame};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use kube::{Client, Config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::*;
use crate::certificate;
use crate::compile::{Kind, compile};
use crate::feed::Hub;
use crate::feed::body::Writer;
use crate::feed::hub::PodFate;
use crate::feed::hub::testing::{object, pass, pod, scope};
use crate::leader::Leadership;
use crate::metrics::Metrics;

const SIDECARS: usize = 1_000;
/// The target is ten seconds, in a build for release on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(180);
const NAME: &str = "chaperone-feed.platform.svc";

/// Reviews that the played API server works on, now and at most.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

fn token(index: usize) -> String {
    let claims = json!({"exp": 4_102_444_800_u64, "pod": index}).to_string();
    format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

/// Believes what a token claims.
async fn review(request: Request<Incoming>, load: &Load) -> Response<Full<Bytes>> {
    // SeqCst: one order for all threads; nothing here is hot.
    let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
    load.most.fetch_max(now, Ordering::SeqCst);
    let mut review: Value = serde_json::from_slice(&request.collect().await.unwrap().to_bytes()).unwrap();
    let claims = review["spec"]["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let pod = claims["pod"].to_string();
    review["status"] = json!({
        "authenticated": true, "audiences": ["chaperone-operator"],
        "user": {"username": "system:serviceaccount:shop:app", "extra": {
            "authentication.kubernetes.io/pod-name": [format!("pod-{pod}")],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")],
        }},
    });
    load.now.fetch_sub(1, Ordering::SeqCst);
    Response::new(Full::new(Bytes::from(review.to_string())))
}

async fn api_server(tasks: &TaskTracker) -> (Client, Arc<Load>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let load = Arc::new(Load::default());
    let (played, connections) = (Arc::clone(&load), tasks.clone());
    // Ends with the runtime.
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let load = Arc::clone(&played);
            let service = service_fn(move |request| {
                let load = Arc::clone(&load);
                async move { Ok::<_, Infallible>(review(request, &load).await) }
            });
            connections.spawn(async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (Client::try_from(config).unwrap(), load)
}

fn connector(ca: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// What the sidecars share.
struct Fleet {
    address: SocketAddr,
    tls: TlsConnector,
    /// What they have in force.
    have: Held,
    tasks: TaskTracker,
}

/// A stream that was told that nothing has changed. Dropping it closes it.
struct Synced {
    _said: Writer,
    _heard: Incoming,
    _sender: hyper::client::conn::http2::SendRequest<Frames>,
}

impl Fleet {
    /// One attempt; `None`: there was no connection, or the operator is busy.
    async fn attempt(&self, token: &str) -> Option<Synced> {
        let tcp = TcpStream::connect(self.address).await.ok()?;
        let tls = self.tls.connect(ServerName::try_from(NAME).unwrap(), tcp).await.ok()?;
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
        let (mut sender, connection) = handshake.ok()?;
        self.tasks.spawn(async move {
            let _ = connection.await;
        });
        let (said, frames) = body::channel();
        let hello = Hello { protocol: PROTOCOL, sidecar: "test".to_owned(), have: Some(self.have.clone()) };
        said.write(&[SidecarFrame::Hello(hello).encode().into()]).await.ok()?;
        let request = Request::post(format!("https://{NAME}{PATH}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(frames)
            .unwrap();
        let response = sender.send_request(request).await.ok()?;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        assert_eq!(response.status(), StatusCode::OK);
        let (mut heard, mut decoder) = (response.into_body(), Decoder::new(limits::LEADER_FRAME_BYTES));
        loop {
            if let Some(json) = decoder.next_frame().unwrap() {
                assert_eq!(LeaderFrame::decode(&json).unwrap(), (7, Some(LeaderFrame::Unchanged)));
                return Some(Synced { _said: said, _heard: heard, _sender: sender });
            }
            decoder.push(heard.frame().await?.ok()?.data_ref()?);
        }
    }

    /// Attempts with the patience of a sidecar until one succeeds; returns how many there were.
    async fn reconnect(self: Arc<Self>, index: usize) -> (Synced, usize) {
        let (token, mut bound, mut attempts) = (token(index), 250, 1);
        loop {
            if let Some(synced) = self.attempt(&token).await {
                return (synced, attempts);
            }
            tokio::time::sleep(Duration::from_millis(clock::random_below(bound))).await;
            (bound, attempts) = ((bound * 2).min(2_000), attempts + 1);
        }
    }
}

/// A leader of epoch 7 that has published, and what its sidecars should have.
fn leading(desk: &Desk) -> Held {
    let (mut hub, now) = (Hub::new(7), clock::now());
    let pass = pass(&[("chat", 1)]);
    hub.publish(&pass, &compile(&pass.world), now);
    let probe = pod("probe");
    let connection = hub.connect(&probe, &scope("shop", "app"), now);
    let have = connection.signal.borrow().offer.as_ref().unwrap().held();
    hub.disconnected(&probe, connection.id, PodFate::Gone, now);
    desk.replace(Some(hub));
    have
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f69_a_thousand_sidecars_that_reconnect_at_once_are_all_served() {
    // Both ends of each connection are in this process.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let tasks = TaskTracker::new();
    let (client, load) = api_server(&tasks).await;
    let leadership = Leadership::Leading { epoch: 7, until: clock::now() + Duration::from_secs(3_600) };
    let (_leader, leadership) = watch::channel(leadership);
    let desk = Arc::new(Desk::new(leadership, Metrics::new().unwrap()));
    let have = leading(&desk);
    let (leaf, ca) = certificate::for_test(NAME);
    let (identifier, pods) = (Identifier::new(&client), Arc::default());
    let feed = Arc::new(Feed { desk: Arc::clone(&desk), identifier, pods, tasks: TaskTracker::new() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ending = CancellationToken::new();
    let serving = tasks.spawn(run(feed, listener, leaf, ending.clone()));

    let fleet = Arc::new(Fleet { address, tls: connector(&ca), have, tasks: tasks.clone() });
    let (begun, mut sidecars, mut streams, mut attempts) = (clock::now(), JoinSet::new(), Vec::new(), 0);
    for index in 0..SIDECARS {
        sidecars.spawn(Arc::clone(&fleet).reconnect(index));
    }
    let all = async {
        while let Some(synced) = sidecars.join_next().await {
            let (stream, tries) = synced.unwrap();
            streams.push(stream);
            attempts += tries;
        }
    };
    timeout(PATIENCE, all).await.expect("all are served");
    let took = clock::now() - begun;
    tracing::info!("{SIDECARS} sidecars within {took:?}, by {attempts} attempts");

    let generations = pass(&[("chat", 1)]).generations;
    let tallies = desk.after(7, |hub| hub.tallies(&generations, &Default::default())).unwrap();
    let tally = &tallies[&object(Kind::ModelRoute, "chat")];
    assert_eq!((tally.programmed, tally.refused, tally.stale), (SIDECARS, 0, 0), "{attempts} attempts in {took:?}");
    assert!(load.most.load(Ordering::SeqCst) <= 32, "reviews at a time: {load:?}");
    drop(streams);
    ending.cancel();
    timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
}
