//! A sidecar that a test plays: one stream to the operator, frame by frame.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::PROTOCOL;
use chaperone_protocol::wire::feed::{
    AUDIENCE, Decoder, Held, Hello, KeysFor, LeaderFrame, PATH, SidecarFrame,
};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::certs;

/// How long the operator may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frames, as they become known.
pub(crate) type Body =
    StreamBody<futures::stream::BoxStream<'static, Result<Frame<Bytes>, std::convert::Infallible>>>;

/// A stream that the operator has accepted. Dropping it closes it.
pub struct Stream {
    said: mpsc::Sender<Bytes>,
    incoming: Incoming,
    decoder: Decoder,
    held: Option<Held>,
    staged: Option<KeysFor>,
    _sender: http2::SendRequest<Body>,
    _connection: JoinSet<()>,
}

/// That the operator does not admit a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub status: StatusCode,
    /// When to come again, if it says so.
    pub retry_after: Option<Duration>,
}

/// A token for the default ServiceAccount of a namespace.
///
/// # Errors
/// If the API server grants none.
pub async fn token(client: &Client, pod: Option<&Pod>, namespace: &str, audience: &str) -> Result<String> {
    let bound = pod.map(|pod| BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    });
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            expiration_seconds: Some(600),
            bound_object_ref: bound,
        }),
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    answer.status.and_then(|status| status.token).context("no token was granted")
}

/// As [`token`], for a Pod and for the operator.
///
/// # Errors
/// As [`token`].
pub async fn token_of(client: &Client, pod: &Pod) -> Result<String> {
    token(client, Some(pod), pod.metadata.namespace.as_deref().unwrap_or_default(), AUDIENCE).await
}

/// A connection to the operator; ends with the tasks.
pub(crate) async fn connect(
    (address, name, ca): (&str, &str, &Path),
) -> Result<(http2::SendRequest<Body>, JoinSet<()>)> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned())?;
    let tls = TlsConnector::from(certs::trusting(ca)?).connect(name, tcp).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    Ok((sender, tasks))
}

impl Stream {
    /// Connects; `Err` of the inner result: the operator does not admit this token, or not now.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn open(
        (address, name, ca): (&str, &str, &Path),
        token: &str,
    ) -> Result<Result<Self, Refused>> {
        let (mut sender, tasks) = connect((address, name, ca)).await?;
        let (said, saying) = mpsc::channel::<Bytes>(8);
        let frames = futures::stream::unfold(saying, |mut saying| async move {
            saying.recv().await.map(|bytes| (Ok(Frame::data(bytes)), saying))
        });
        let request = Request::post(format!("https://feed{PATH}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(StreamBody::new(futures::StreamExt::boxed(frames)))?;
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await??;
        if response.status() != StatusCode::OK {
            let asked = response.headers().get(header::RETRY_AFTER);
            let asked = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            let (status, retry_after) = (response.status(), asked.map(Duration::from_secs));
            return Ok(Err(Refused { status, retry_after }));
        }
        Ok(Ok(Self {
            said,
            incoming: response.into_body(),
            decoder: Decoder::new(limits::LEADER_FRAME_BYTES),
            held: None,
            staged: None,
            _sender: sender,
            _connection: tasks,
        }))
    }

    /// Says a frame.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn say(&self, frame: &SidecarFrame) -> Result<()> {
        self.said.send(frame.encode().into()).await.context("the stream has ended")
    }

    /// Greets as a sidecar that has nothing.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn greet(&self) -> Result<()> {
        self.greet_with(None).await
    }

    /// Greets as a sidecar that has this in force.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn greet_with(&self, have: Option<Held>) -> Result<()> {
        self.say(&SidecarFrame::Hello(Hello { protocol: PROTOCOL, sidecar: "test".to_owned(), have })).await
    }

    /// The next frame; `None`: the stream has ended.
    ///
    /// # Errors
    /// If nothing comes in time, or it is no frame.
    pub async fn hear(&mut self) -> Result<Option<LeaderFrame>> {
        tokio::time::timeout(PATIENCE, self.listen()).await.context("the operator says nothing")?
    }

    /// As [`Stream::hear`], however long it takes.
    ///
    /// # Errors
    /// If it is no frame.
    pub async fn listen(&mut self) -> Result<Option<LeaderFrame>> {
        loop {
            if let Some(json) = self.decoder.next_frame()? {
                return Ok(Some(LeaderFrame::decode(&json)?.1.context("a frame that is known")?));
            }
            match self.incoming.frame().await {
                Some(Ok(frame)) => self.decoder.push(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// The next snapshot, keys apart. It is neither acknowledged nor refused yet.
    ///
    /// # Errors
    /// If something else comes.
    pub async fn snapshot(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.hear().await? {
                Some(LeaderFrame::Keys(keys)) => self.staged = Some(keys),
                Some(LeaderFrame::Snapshot(document)) => return Ok(document),
                Some(LeaderFrame::Unchanged) => {}
                other => bail!("no snapshot, but {other:?}"),
            }
        }
    }

    /// Acknowledges a snapshot with the keys that came with it.
    ///
    /// # Errors
    /// If the stream has ended, or no keys have come yet.
    pub async fn acknowledge(&mut self, document: &[u8]) -> Result<()> {
        let keys = match self.staged.take() {
            Some(staged) => staged.keys.version(),
            None => self.held.as_ref().context("keys have come")?.keys.clone(),
        };
        let held = Held { snapshot: Version::of(document), keys };
        self.held = Some(held.clone());
        self.say(&SidecarFrame::Ack(held)).await
    }
}
