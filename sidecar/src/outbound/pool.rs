//! Connections to one server that is no partner, over HTTP/1.1.

use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, Tls};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use tokio_util::task::TaskTracker;

use super::connect::{Connector, Offer, Peer};
use super::network::Network;
use super::{IDLE_CONNECTIONS, NotSent, Segments, ask, client};

/// As a partner's, with the same judgement of addresses.
pub(crate) struct Pool(Result<Client<Connector, Segments>, String>);

impl Pool {
    /// For a server that may be on a private address.
    pub(crate) fn near(
        endpoint: &Endpoint,
        tls: &Tls,
        limit: Duration,
        network: (&Keys, &Network),
        tasks: &TaskTracker,
    ) -> Self {
        let peer = Peer { endpoint, tls, addresses: AddressPolicy::AllowPrivate, limit };
        let connector = Connector::to(peer, network, Offer::Http1);
        Self(connector.map(|connector| client(connector, IDLE_CONNECTIONS, tasks)))
    }

    /// Sends a request; ends with the answer's head. Dropping the future cancels the request.
    ///
    /// # Errors
    /// The reason why there is no answer, and for the log what happened.
    pub(crate) async fn send(&self, request: Request<Segments>) -> Result<Response<Incoming>, NotSent> {
        ask(&self.0, request).await
    }
}
