//! The server as it runs, on loopback: sockets, TLS and HTTP are real. Strangers come from another address than the API
//! server does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::certificate;
use crate::leader::Leadership;
use crate::metrics::Metrics;

const NAME: &str = "chaperone-webhook.platform.svc";
const API_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// API servers wait for ten seconds.
const SOON: Duration = Duration::from_secs(5);

struct Webhook {
    address: SocketAddr,
    tls: TlsConnector,
    /// End with the runtime.
    tasks: TaskTracker,
}

impl Webhook {
    async fn begin() -> Self {
        let settings = Settings {
            image: "sidecar@sha256:00".to_owned(),
            cpu: "50m".to_owned(),
            memory: "64Mi".to_owned(),
            any_user: false,
            feed_address: "chaperone-feed.platform.svc:443".to_owned(),
            feed_server_name: "chaperone-feed.platform.svc".to_owned(),
        };
        let (leaf, ca) = certificate::for_test(NAME);
        let authority = watch::channel(Some(ca.clone())).1;
        let leadership = watch::channel(Leadership::Standby).1;
        let desk = Arc::new(Desk::new(leadership, Metrics::new().unwrap()));
        let listener = TcpListener::bind((API_SERVER, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = TaskTracker::new();
        tasks.spawn(run(Arc::new(Injector { settings, authority, desk }), listener, leaf));
        Self { address, tls: certificate::connector_for_test(&ca, b"http/1.1"), tasks }
    }

    async fn tcp(&self, from: IpAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn tls(&self, from: IpAddr) -> TlsStream<TcpStream> {
        self.tls.connect(ServerName::try_from(NAME).unwrap(), self.tcp(from).await).await.unwrap()
    }

    async fn connect(&self, from: IpAddr) -> SendRequest<Full<Bytes>> {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.tls(from).await)).await.unwrap();
        self.tasks.spawn(connection);
        sender
    }
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, body: String) -> Response<Incoming> {
    let request = Request::post(PATH).header(header::HOST, NAME).body(Full::from(body)).unwrap();
    let answer = async {
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap()
    };
    timeout(SOON, answer).await.expect("an answer in time")
}

/// Asks of a Pod that wants no sidecar.
async fn review(sender: &mut SendRequest<Full<Bytes>>) {
    review_of(sender, "").await;
}

/// As [`review`], of a Pod with such an annotation.
async fn review_of(sender: &mut SendRequest<Full<Bytes>>, annotation: &str) {
    let gvk = json!({"group": "", "version": "v1", "kind": "Pod"});
    let gvr = json!({"group": "", "version": "v1", "resource": "pods"});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": gvk, "resource": gvr, "namespace": "shop", "operation": "DELETE", "userInfo": {},
        "oldObject": {"metadata": {"annotations": {"example.org/long": annotation}}},
    }});
    let answer = ask(sender, review.to_string()).await;
    assert_eq!((answer.status(), answer.headers().get(header::CONNECTION)), (StatusCode::OK, None));
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["response"]["allowed"], true);
}

#[tokio::test]
async fn strangers_in_any_number_do_not_keep_the_api_server_out() {
    let webhook = Webhook::begin().await;
    let mut kept = webhook.connect(API_SERVER).await;
    review(&mut kept).await;
    let mut strangers = Vec::new();
    for index in 0..CONNECTIONS + 20 {
        strangers.push(webhook.tcp(STRANGER).await);
        // Some know how to ask, and stay for long.
        if index % 64 == 0 {
            let mut cunning = webhook.connect(STRANGER).await;
            review(&mut cunning).await;
        }
    }
    review(&mut kept).await;
    let new = async { review(&mut webhook.connect(API_SERVER).await).await };
    timeout(SOON, new).await.expect("a place for the API server");
}

#[tokio::test]
async fn only_a_review_keeps_a_connection() {
    let webhook = Webhook::begin().await;
    let mut sender = webhook.connect(STRANGER).await;
    let refused = ask(&mut sender, "{}".to_owned()).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers()[header::CONNECTION], "close");
    drop(refused.into_body().collect().await);
    assert!(timeout(SOON, sender.ready()).await.expect("it is closed").is_err());
}

#[tokio::test]
async fn a_connection_without_a_review_ends_after_ten_seconds_and_one_with_a_review_stays() {
    let webhook = Webhook::begin().await;
    let mut kept = webhook.connect(API_SERVER).await;
    review(&mut kept).await;
    let mut silent = webhook.tls(STRANGER).await;
    tokio::time::pause();
    let begun = crate::clock::now();
    // However it is closed.
    let _ = silent.read(&mut [0]).await;
    let waited = crate::clock::now() - begun;
    assert!(waited <= PATIENCE + Duration::from_secs(1), "{waited:?}");
    tokio::time::resume();
    review(&mut kept).await;
}

#[tokio::test]
async fn a_pod_as_large_as_any_is_reviewed() {
    let webhook = Webhook::begin().await;
    review_of(&mut webhook.connect(API_SERVER).await, &"x".repeat(1_500_000)).await;
}

#[tokio::test]
async fn a_pod_of_more_parts_than_any_has_is_refused_with_a_reason() {
    let webhook = Webhook::begin().await;
    let parts = vec!["{}"; 1_300_000].join(",");
    let gvk = r#"{"group":"","version":"v1","kind":"Pod"}"#;
    let body = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"1","kind":{gvk},
        "resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"CREATE","userInfo":{{}},
        "object":{{"spec":{{"containers":[],"volumes":[{parts}]}}}}}}}}"#
    );
    let refused = ask(&mut webhook.connect(API_SERVER).await, body).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let reason = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(reason.starts_with(b"the Pod has more parts"), "{reason:?}");
}
