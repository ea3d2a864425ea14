//! Resolves a partner's name, checks every address, and dials only a checked one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, Partner, Tls};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::network::Network;
use super::tls;

/// Addresses tried of one name.
const ADDRESSES: usize = 4;

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("its name does not resolve: {0}")]
    Name(Arc<str>),
    #[error("all of its addresses are forbidden; set allowPrivate if it is meant to be on a private one")]
    Forbidden,
    #[error("none of its addresses is on this machine, which it must not leave without a client certificate")]
    Elsewhere,
    #[error("connection refused or unreachable: {0}")]
    Tcp(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("HTTP/2: {0}")]
    Http2(hyper::Error),
    /// Of ours: no partner is to blame.
    #[error("no descriptor or port is left: {0}")]
    Exhausted(io::Error),
}

impl ConnectError {
    /// The stable code.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Forbidden | Self::Elsewhere => Reason::PartnerAddressForbidden,
            Self::Exhausted(_) => Reason::Overloaded,
            Self::Timeout(_) | Self::Name(_) | Self::Tcp(_) | Self::Tls(_) | Self::Http2(_) => {
                Reason::PartnerUnavailable
            }
        }
    }
}

/// Dials one partner.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Target>);

/// Which versions of HTTP a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Http1,
    /// HTTP/2, or what a partner over TLS chooses instead. Without TLS there is nothing to choose: the first byte is
    /// HTTP/2 already.
    Http2,
}

/// A new connection, and what is spoken on it.
pub(super) struct Dialled {
    pub(super) stream: Stream,
    pub(super) is_http2: bool,
}

struct Target {
    offer: Offer,
    endpoint: Endpoint,
    addresses: Addresses,
    limit: Duration,
    network: Network,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Which addresses of a name may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Those that a policy admits.
    Of(AddressPolicy),
    /// Loopback, whatever a resolver says of `localhost`: nothing leaves the Pod.
    Loopback,
}

impl Addresses {
    fn admit(self, address: IpAddr) -> bool {
        match self {
            Self::Of(policy) => policy.admits(address),
            Self::Loopback => address.is_loopback(),
        }
    }

    fn none(self) -> ConnectError {
        match self {
            Self::Of(_) => ConnectError::Forbidden,
            Self::Loopback => ConnectError::Elsewhere,
        }
    }
}

/// Who is dialled.
#[derive(Clone, Copy)]
pub(super) struct Peer<'p> {
    pub(super) endpoint: &'p Endpoint,
    pub(super) tls: &'p Tls,
    pub(super) addresses: Addresses,
    /// From dialling to the end of the TLS handshake.
    pub(super) limit: Duration,
}

impl Connector {
    /// # Errors
    /// In words for the log: the partner has no endpoint, or as [`Connector::to`].
    pub(super) fn new(partner: &Partner, network: (&Keys, &Network), offer: Offer) -> Result<Self, String> {
        let peer = Peer {
            endpoint: partner.endpoint.as_ref().ok_or("it has no endpoint")?,
            tls: &partner.tls,
            addresses: Addresses::Of(partner.addresses),
            limit: partner.timeouts.connect,
        };
        Self::to(peer, network, offer)
    }

    /// # Errors
    /// In words for the log: which part of the TLS settings cannot be used.
    pub(super) fn to(
        Peer { endpoint, tls, addresses, limit }: Peer<'_>,
        (keys, network): (&Keys, &Network),
        offer: Offer,
    ) -> Result<Self, String> {
        let tls = if endpoint.is_tls() {
            let name = tls.server_name.as_deref().unwrap_or(endpoint.host()).to_owned();
            let name = ServerName::try_from(name).map_err(|_| "tls.serverName is not a host name")?;
            let config: Arc<ClientConfig> = tls::client_config(tls, keys, offer)?;
            Some((TlsConnector::from(config), name))
        } else {
            None
        };
        let (endpoint, network) = (endpoint.clone(), network.clone());
        Ok(Self(Arc::new(Target { offer, endpoint, addresses, limit, network, tls })))
    }

    /// How long dialling may take.
    pub(super) fn limit(&self) -> Duration {
        self.0.limit
    }

    /// Dials, without a limit.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn dial(&self) -> Result<Dialled, ConnectError> {
        self.0.connect().await
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let target = Arc::clone(&self.0);
        Box::pin(async move {
            let limit = target.limit;
            let dialled = timeout(limit, target.connect()).await;
            Ok(dialled.map_err(|_| ConnectError::Timeout(limit))??.stream)
        })
    }
}

impl Target {
    async fn connect(&self) -> Result<Dialled, ConnectError> {
        #[cfg(test)]
        if let Some(stage) = &self.network.stage {
            let stream = stage(self.endpoint.host()).await.map_err(ConnectError::Tcp)?;
            let is_http2 = self.offer == Offer::Http2;
            return Ok(Dialled { stream: Stream::Played(TokioIo::new(stream)), is_http2 });
        }
        let stream = self.dial(&self.resolve().await?).await?;
        // Without it a token waits 40 ms for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
        match &self.tls {
            None => Ok(Dialled {
                stream: Stream::Plain(TokioIo::new(stream)),
                is_http2: self.offer == Offer::Http2,
            }),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
                Ok(Dialled { stream: Stream::Tls(Box::new(TokioIo::new(stream))), is_http2 })
            }
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let name = (self.endpoint.host().to_owned(), self.endpoint.port());
        let found = self.network.names.resolve(&name).await.map_err(ConnectError::Name)?;
        let may_dial = |address: &&SocketAddr| self.addresses.admit(address.ip());
        let addresses: Vec<_> = found.iter().filter(may_dial).copied().take(ADDRESSES).collect();
        if addresses.is_empty() { Err(self.addresses.none()) } else { Ok(addresses) }
    }

    async fn dial(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(if is_ours(&last) { ConnectError::Exhausted(last) } else { ConnectError::Tcp(last) })
    }
}

/// Whether a failure to dial is our own lack: descriptors of the process or the machine, memory, local ports.
fn is_ours(error: &io::Error) -> bool {
    /// ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL and ENOBUFS as Linux numbers them on x86-64 and aarch64.
    const OURS: [i32; 5] = [12, 23, 24, 99, 105];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

/// A connection, plain or encrypted.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
    #[cfg(test)]
    Played(TokioIo<tokio::io::DuplexStream>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            #[cfg(test)]
            Self::Played(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            #[cfg(test)]
            Self::Played(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            #[cfg(test)]
            Self::Played(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            #[cfg(test)]
            Self::Played(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(test)]
            Self::Played(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
            #[cfg(test)]
            Self::Played(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }
}
