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
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
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
use crate::watched::Watched;

const SIDECARS: usize = 1_000;
/// The target is ten seconds, in a build for release on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(180);
/// A review takes this long where an API server has much to do: 320 in a second, as many as are asked for at a time.
const REVIEW: Duration = Duration::from_millis(100);
const NAME: &str = "chaperone-feed.platform.svc";

/// Reviews that the played API server works on, now and at most, and has been asked for.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

fn token(index: usize) -> String {
    let claims = json!({"exp": 4_102_444_800_u64, "pod": index}).to_string();
    format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

/// Believes what a token claims.
async fn review(request: Request<Incoming>, load: &Load) -> Response<Full<Bytes>> {
    // SeqCst: one order for all threads; nothing here is hot.
    load.all.fetch_add(1, Ordering::SeqCst);
    let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
    load.most.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(REVIEW).await;
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

/// What the sidecars share.
struct Fleet {
    address: SocketAddr,
    tls: TlsConnector,
    /// What they have in force.
    have: Held,
    tasks: TaskTracker,
}

/// A stream. Dropping it closes it.
struct Open {
    _said: Writer,
    heard: Incoming,
    _sender: hyper::client::conn::http2::SendRequest<Frames>,
}

impl Open {
    /// The first frame that it is sent, and its epoch.
    async fn hear(&mut self) -> Option<(u64, Option<LeaderFrame>)> {
        let mut decoder = Decoder::new(limits::LEADER_FRAME_BYTES);
        loop {
            if let Some(json) = decoder.next_frame().unwrap() {
                return Some(LeaderFrame::decode(&json).unwrap());
            }
            decoder.push(self.heard.frame().await?.ok()?.data_ref()?);
        }
    }
}

impl Fleet {
    /// Opens a stream that says `frames` first; `None`: there was no connection, the operator is busy, or does not let
    /// it in.
    async fn open(&self, token: &str, frames: &[Bytes]) -> Option<Open> {
        let tcp = TcpStream::connect(self.address).await.ok()?;
        let tls = self.tls.connect(ServerName::try_from(NAME).unwrap(), tcp).await.ok()?;
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
        let (mut sender, connection) = handshake.ok()?;
        self.tasks.spawn(async move {
            let _ = connection.await;
        });
        let (said, body) = body::channel();
        said.write(frames).await.ok()?;
        let request = Request::post(format!("https://{NAME}{PATH}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(body)
            .unwrap();
        let response = sender.send_request(request).await.ok()?;
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]
            .contains(&response.status())
        {
            return None;
        }
        assert_eq!(response.status(), StatusCode::OK);
        Some(Open { _said: said, heard: response.into_body(), _sender: sender })
    }

    /// One attempt.
    async fn attempt(&self, token: &str) -> Option<Open> {
        let hello = Hello { protocol: PROTOCOL, sidecar: "test".to_owned(), have: Some(self.have.clone()) };
        let mut open = self.open(token, &[SidecarFrame::Hello(hello).encode().into()]).await?;
        assert_eq!(open.hear().await?, (7, Some(LeaderFrame::Unchanged)));
        Some(open)
    }

    /// Attempts with the patience of a sidecar until one succeeds; returns how many there were.
    async fn reconnect(self: Arc<Self>, index: usize) -> (Open, usize) {
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

/// A leader of epoch 7 that serves, and who speaks to it.
struct Served {
    fleet: Arc<Fleet>,
    desk: Arc<Desk>,
    load: Arc<Load>,
    serving: JoinHandle<()>,
    ending: CancellationToken,
    _leader: watch::Sender<Leadership>,
}

async fn serve() -> Served {
    serve_those(watched(&[])).await
}

fn watched(names: &[String]) -> Watched {
    Watched::of(names, "platform", Metrics::new().unwrap().unread).unwrap()
}

async fn serve_those(watched: Watched) -> Served {
    let tasks = TaskTracker::new();
    let (client, load) = api_server(&tasks).await;
    let leadership = Leadership::Leading { epoch: 7, until: clock::now() + Duration::from_secs(3_600) };
    let (_leader, leadership) = watch::channel(leadership);
    let desk = Arc::new(Desk::new(leadership, Metrics::new().unwrap()));
    let have = leading(&desk);
    let (leaf, ca) = certificate::for_test(NAME);
    let (identifier, pods) = (Identifier::new(&client, Arc::new(watched)), Arc::default());
    let feed = Arc::new(Feed { desk: Arc::clone(&desk), identifier, pods, tasks: TaskTracker::new() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ending = CancellationToken::new();
    let serving = tasks.spawn(run(feed, listener, leaf, ending.clone()));
    let tls = certificate::connector_for_test(&ca, b"h2");
    let fleet = Arc::new(Fleet { address, tls, have, tasks });
    Served { fleet, desk, load, serving, ending, _leader }
}

#[tokio::test]
async fn a_stream_that_does_not_greet_is_ended_after_ten_seconds() {
    let Served { fleet, _leader, .. } = serve().await;
    let mut silent = fleet.open(&token(1), &[]).await.unwrap();
    let mut greeted = fleet.attempt(&token(2)).await.unwrap();
    tokio::time::pause();
    let begun = clock::now();
    let heard = silent.hear().await;
    assert!(
        matches!(&heard, Some((7, Some(LeaderFrame::GoAway(away)))) if away.reason == GoAwayReason::Protocol),
        "{heard:?}"
    );
    let waited = clock::now() - begun;
    assert!(waited <= Duration::from_secs(11), "{waited:?}");
    assert!(timeout(Duration::from_secs(1), greeted.hear()).await.is_err(), "who has greeted stays");
}

#[tokio::test]
async fn a_sidecar_of_a_namespace_that_is_not_watched_is_sent_away() {
    let refused = |desk: &Desk| desk.metrics.refused.with_label_values(&["not_watched"]).get();
    for (named, is_let_in) in [("shop", true), ("elsewhere", false)] {
        let Served { fleet, desk, load, _leader, .. } = serve_those(watched(&[named.to_owned()])).await;
        assert_eq!(fleet.open(&token(1), &[]).await.is_some(), is_let_in, "{named}");
        assert_eq!(refused(&desk), u64::from(!is_let_in));
        // It comes again, for as long as nobody edits anything.
        drop(fleet.open(&token(1), &[]).await);
        assert_eq!(load.all.load(Ordering::SeqCst), 1, "reviews");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f69_a_thousand_sidecars_that_reconnect_at_once_are_all_served() {
    // Both ends of each connection are in this process.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let Served { fleet, desk, load, serving, ending, _leader } = serve().await;
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
    // Each attempt costs both sides a handshake: whoever must wait does so on the connection that it has.
    assert!(attempts < 2 * SIDECARS, "{attempts} attempts in {took:?}");

    let generations = pass(&[("chat", 1)]).generations;
    let tallies = desk.after(7, |hub| hub.tallies(&generations, &Default::default())).unwrap();
    let tally = &tallies[&object(Kind::ModelRoute, "chat")];
    assert_eq!(
        (tally.programmed, tally.refused, tally.stale),
        (SIDECARS, 0, 0),
        "{attempts} attempts in {took:?}"
    );
    assert!(load.most.load(Ordering::SeqCst) <= 32, "reviews at a time: {load:?}");
    drop(streams);
    ending.cancel();
    timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
}
