//! Names of partners -> addresses. A name server that fails or hangs does not take a partner away that is still there.
//!
//! Every dial asks anew, since the system's resolver knows how long an answer is good for and we do not. One question
//! per name is under way at a time: a name server that hangs holds one thread per name, and no other partner waits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaperone_protocol::limits;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::clock;

/// How long the last good answer stands in for one that does not come.
const GRACE: Duration = Duration::from_secs(600);
/// How long an answer is waited for where there is an earlier one. Below any usual limit on connecting.
const PATIENCE: Duration = Duration::from_millis(500);
/// Addresses kept of one name. A name with a thousand is not worth more of them.
const ADDRESSES: usize = 64;
/// Names remembered: more than there are partners.
const NAMES: usize = limits::PARTNERS * 2;

/// A host and a port.
pub(crate) type Name = (String, u16);
/// Addresses, or in words why there are none.
type Found = Result<Arc<[SocketAddr]>, Arc<str>>;
type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;
/// Asks the system's resolver.
pub(super) type Resolver = Arc<dyn Fn(Name) -> Looking + Send + Sync>;

/// The names that were asked for.
#[derive(Clone)]
pub(crate) struct Names {
    resolver: Resolver,
    tasks: TaskTracker,
    known: Arc<Mutex<BTreeMap<Name, Known>>>,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    good: Option<(Arc<[SocketAddr]>, Instant)>,
    /// The question under way, and since when.
    asked: Option<(watch::Receiver<Option<Found>>, Instant)>,
}

impl Names {
    /// Names as the system resolves them.
    pub(crate) fn of_the_system(tasks: &TaskTracker) -> Self {
        let resolver: Resolver = Arc::new(|(host, port)| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        });
        Self::new(resolver, tasks)
    }

    pub(super) fn new(resolver: Resolver, tasks: &TaskTracker) -> Self {
        Self { resolver, tasks: tasks.clone(), known: Arc::default() }
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// In words for the log: it does not resolve, and there is no earlier answer that is recent enough.
    pub(crate) async fn resolve(&self, name: &Name) -> Result<Arc<[SocketAddr]>, Arc<str>> {
        let (mut answer, since) = self.ask(name);
        let earlier = self.earlier(name);
        let arrives = async {
            // A sender that is gone without an answer ended with its runtime.
            let found = answer.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
            found.unwrap_or_else(|| Err("the resolver ended".into()))
        };
        let Some(earlier) = earlier else { return arrives.await };
        let left = (since + PATIENCE).saturating_duration_since(clock::now());
        match timeout(left, arrives).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => Ok(earlier),
        }
    }

    /// Joins the question that is under way, or asks.
    fn ask(&self, name: &Name) -> (watch::Receiver<Option<Found>>, Instant) {
        let now = clock::now();
        let mut known = self.lock();
        if !known.contains_key(name) && known.len() >= NAMES {
            known.retain(|_, it| it.asked.is_some());
        }
        let entry = known.entry(name.clone()).or_default();
        if let Some(asked) = &entry.asked {
            return asked.clone();
        }
        let (sender, receiver) = watch::channel(None);
        entry.asked = Some((receiver.clone(), now));
        let (names, name, looking) = (self.clone(), name.clone(), (self.resolver)(name.clone()));
        // Nobody waits for it: it ends with the resolver's own limit, or with the process.
        self.tasks.spawn(async move {
            let found = looking.await;
            let _ = sender.send(Some(names.learn(&name, found)));
        });
        (receiver, now)
    }

    fn learn(&self, name: &Name, found: std::io::Result<Vec<SocketAddr>>) -> Found {
        let mut known = self.lock();
        let entry = known.entry(name.clone()).or_default();
        entry.asked = None;
        let found = found.map_err(|error| Arc::from(error.to_string()))?;
        let addresses: Arc<[SocketAddr]> = found.into_iter().take(ADDRESSES).collect();
        if !addresses.is_empty() {
            entry.good = Some((Arc::clone(&addresses), clock::now()));
        }
        Ok(addresses)
    }

    fn earlier(&self, name: &Name) -> Option<Arc<[SocketAddr]>> {
        let known = self.lock();
        let (addresses, since) = known.get(name)?.good.as_ref()?;
        (clock::now() < *since + GRACE).then(|| Arc::clone(addresses))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    fn name(host: &str) -> Name {
        (host.to_owned(), 443)
    }

    /// `Ok` after a wait, or `Err` at once.
    type Answer = Result<(Duration, Vec<SocketAddr>), ()>;

    /// A name server that answers as it is told.
    #[derive(Clone)]
    struct Server {
        answer: Arc<Mutex<Answer>>,
        asked: Arc<AtomicUsize>,
    }

    fn server() -> (Server, Names) {
        let server = Server { answer: Arc::new(Mutex::new(Err(()))), asked: Arc::default() };
        let told = server.clone();
        let resolver: Resolver = Arc::new(move |(host, _)| {
            told.asked.fetch_add(1, Ordering::SeqCst);
            let answer = told.answer.lock().unwrap().clone();
            Box::pin(async move {
                let (wait, addresses) = answer.map_err(|()| io::Error::other("NXDOMAIN"))?;
                tokio::time::sleep(if host == "other.test" { Duration::ZERO } else { wait }).await;
                Ok(addresses)
            })
        });
        (server, Names::new(resolver, &TaskTracker::new()))
    }

    impl Server {
        fn says(&self, answer: Answer) {
            *self.answer.lock().unwrap() = answer;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f64_a_name_that_stops_resolving_keeps_its_last_good_address_for_its_grace() {
        let (server, names) = server();
        server.says(Ok((Duration::ZERO, vec![address(1)])));
        assert_eq!(names.resolve(&name("api.test")).await.unwrap()[..], [address(1)]);
        server.says(Err(()));
        tokio::time::sleep(GRACE - SECOND).await;
        assert_eq!(names.resolve(&name("api.test")).await.unwrap()[..], [address(1)]);
        tokio::time::sleep(2 * SECOND).await;
        assert!(names.resolve(&name("api.test")).await.is_err());
        assert!(names.resolve(&name("never.test")).await.is_err());
        server.says(Ok((Duration::ZERO, vec![address(2)])));
        assert_eq!(
            names.resolve(&name("api.test")).await.unwrap()[..],
            [address(2)],
            "a new answer counts at once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn f64_a_name_server_that_hangs_is_asked_once_and_delays_nobody_else() {
        let (server, names) = server();
        server.says(Ok((Duration::ZERO, vec![address(1)])));
        names.resolve(&name("api.test")).await.unwrap();
        server.says(Ok((60 * SECOND, vec![address(2)])));
        let began = clock::now();
        for _ in 0..100 {
            assert_eq!(names.resolve(&name("api.test")).await.unwrap()[..], [address(1)]);
        }
        assert_eq!(clock::now() - began, PATIENCE, "the wait is one, not one for each");
        assert_eq!(server.asked.load(Ordering::SeqCst), 2);
        assert!(names.resolve(&name("other.test")).await.is_ok());
        assert_eq!(clock::now() - began, PATIENCE);
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(names.resolve(&name("api.test")).await.unwrap()[..], [address(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn f64_a_thousand_addresses_cost_no_more_than_a_few() {
        let (server, names) = server();
        let many = (0..1_000_u16).map(|number| SocketAddr::from(([198, 51, 100, 1], number))).collect();
        server.says(Ok((Duration::ZERO, many)));
        assert_eq!(names.resolve(&name("api.test")).await.unwrap().len(), ADDRESSES);
        for number in 0..2 * NAMES {
            let _ = names.resolve(&(format!("host-{number}.test"), 443)).await;
        }
        assert!(names.lock().len() <= NAMES);
    }
}
