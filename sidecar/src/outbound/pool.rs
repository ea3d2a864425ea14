//! Connections to one server that is no partner, over HTTP/1.1.

use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, Tls};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use tokio_util::task::TaskTracker;

use super::connect::{Addresses, Connector, Offer, Peer};
use super::network::Network;
use super::{IDLE_CONNECTIONS, NotSent, Segments, ask, client};

/// As a partner's. Without a certificate of ours it does not leave the Pod.
pub(crate) struct Pool(Result<Client<Connector, Segments>, String>);

impl Pool {
    /// For a server that may be on a private address where it is shown who asks, and is on loopback otherwise.
    pub(crate) fn near(
        endpoint: &Endpoint,
        tls: &Tls,
        limit: Duration,
        network: (&Keys, &Network),
        tasks: &TaskTracker,
    ) -> Self {
        let is_shown = endpoint.is_tls() && tls.client_certificate.is_some();
        let addresses =
            if is_shown { Addresses::Of(AddressPolicy::AllowPrivate) } else { Addresses::Loopback };
        let peer = Peer { endpoint, tls, addresses, limit };
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::metrics::Metrics;
    use crate::outbound::names::Names;

    const SOON: Duration = Duration::from_secs(5);

    /// A pool for `endpoint`, whose host is at `addresses`.
    fn pool(endpoint: &str, addresses: Vec<SocketAddr>) -> Pool {
        let tasks = TaskTracker::new();
        let system = Network::of_the_system(&tasks, &Metrics::new().unwrap().http2_retired);
        let resolver = Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) }) as _
        });
        let network = Network { names: Names::new(resolver, &tasks), ..system };
        Pool::near(&endpoint.parse().unwrap(), &Tls::default(), SOON, (&Keys::default(), &network), &tasks)
    }

    fn request(uri: &str) -> Request<Segments> {
        Request::post(uri).body(Segments::new(Vec::new()).0).unwrap()
    }

    /// A name is not enough: whoever answers for `localhost` could have prompts sent anywhere.
    #[tokio::test]
    async fn a_server_that_is_shown_no_certificate_is_dialled_on_loopback_alone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let elsewhere = ["10.0.0.7", "198.51.100.7", "fd00::7", "::ffff:198.51.100.7"]
            .map(|address| SocketAddr::new(address.parse().unwrap(), here.port()));
        for scheme in ["http", "https"] {
            let endpoint = format!("{scheme}://localhost:{}", here.port());
            let refused = pool(&endpoint, elsewhere.to_vec()).send(request(&endpoint)).await.err().unwrap();
            assert!(refused.detail.contains("on this machine"), "{}", refused.detail);
            let both = pool(&endpoint, elsewhere.into_iter().chain([here]).collect());
            tokio::select! {
                accepted = timeout(SOON, listener.accept()) => drop(accepted.unwrap().unwrap()),
                sent = both.send(request(&endpoint)) => panic!("nobody answers, but {}", sent.is_ok()),
            }
        }
    }
}
