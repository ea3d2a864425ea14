//! Starts what an operator consists of, and ends it in order: first the leadership, so that another takes over at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::args::Args;
use crate::certificate::{Certificate, Leaf};
use crate::controller::{Controller, Handed, Sources};
use crate::desk::Desk;
use crate::feed::server::{self, Feed};
use crate::health::{self, Outcomes};
use crate::identity::Identifier;
use crate::injector::bundle::{self, Bundle, Trust};
use crate::injector::watchdog::{self, Eviction};
use crate::injector::{self, Settings};
use crate::leader::Candidate;
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::report::writer;
use crate::root::RootSecret;
use crate::vital::Vital;
use crate::watched::Watched;

/// How long releasing the Lease may take at the end.
const FAREWELL: Duration = Duration::from_secs(6);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If the API server's address is not known, a port cannot be bound, or a part of the operator ends before.
pub async fn run(args: Args) -> Result<()> {
    let metrics = Metrics::new()?;
    let watched = Arc::new(Watched::of(&args.watch_namespaces, &args.namespace, metrics.unread.clone())?);
    let client = client(&args).await?;
    let feed_listener = bind(args.feed_listen, "feed").await?;
    let admin_listener = bind(args.admin_listen, "admin").await?;
    let candidate = Candidate::new(&client, &args.namespace, &args.lease, args.pod_name.clone());
    let leadership = candidate.leadership();
    let desk = Arc::new(Desk::new(leadership.clone(), metrics));
    let (pods, outcomes) = (Arc::new(Pods::default()), Arc::new(Outcomes::default()));
    let services = [args.feed_service.as_str(), args.webhook_service.as_str()];
    let certificate = Certificate::new(&client, &args.namespace, &args.tls_secret, services);
    let (leaf, authority) = (certificate.leaf(), certificate.authority());
    let root = RootSecret::new(&client, &args.namespace, &args.root_secret);

    // Tasks without an end of their own: they are dropped with the runtime.
    let vital = Vital::new();
    let sources = Sources {
        desk: Arc::clone(&desk),
        watched: Arc::clone(&watched),
        pods: Arc::clone(&pods),
        outcomes: Arc::clone(&outcomes),
        root: root.root(),
        authority: authority.clone(),
    };
    let (controller, handed) = Controller::new(&client, sources, &vital);
    let controller = controller.with_drills_of(args.drill_max_age_hours);
    let Handed { probes, assignment, is_known } = handed;
    vital.spawn("controller", controller.run(leadership.clone()));
    vital.spawn("root", root.run(leadership.clone()));
    vital.spawn("certificate", certificate.run(args.certificate_from, leadership, Arc::clone(&desk)));
    vital.spawn("writer", writer::run(client.clone(), Arc::clone(&desk), assignment));
    vital.spawn("health", health::run(Arc::clone(&desk), probes, outcomes));
    vital.spawn("pods", {
        let (client, watched) = (client.clone(), Arc::clone(&watched));
        let (pods, desk, home) = (Arc::clone(&pods), Arc::clone(&desk), args.namespace.clone());
        async move { pods.run(&client, &watched, &desk, &home).await }
    });

    let injecting = Injecting { client: &client, watched: &watched, desk: &desk, pods: &pods, vital: &vital };
    let trust = match Settings::of(&args) {
        None => None,
        Some(settings) => Some(injecting.start(&args, settings, authority, Arc::clone(&leaf)).await?),
    };
    let probed =
        admin::Probed { leaf: Arc::clone(&leaf), trust, vital: vital.clone(), is_known: is_known.clone() };
    vital.spawn("admin", admin::run(Arc::clone(&desk), probed, admin_listener));

    let (leaving, ending) = (CancellationToken::new(), CancellationToken::new());
    let leading = vital.spawn("election", candidate.run(is_known, leaving.clone()));
    let identifier = Identifier::new(&client, watched);
    let feed = Arc::new(Feed { desk, identifier, pods, tasks: TaskTracker::new() });
    let serving = vital.spawn("feed", server::run(feed, feed_listener, leaf, ending.clone()));

    let outcome = vital.run_until(terminated()).await;
    tracing::info!("ending: the Lease is released, streams are closed");
    leaving.cancel();
    let released = timeout(FAREWELL, leading).await;
    ending.cancel();
    let closed = serving.await.context("the feed did not end well");
    outcome.and(closed)?;
    released.context("the Lease was not released in time")?.context("the election did not end well")
}

/// What the injector's tasks share with others.
struct Injecting<'a> {
    client: &'a Client,
    watched: &'a Arc<Watched>,
    desk: &'a Arc<Desk>,
    pods: &'a Arc<Pods>,
    vital: &'a Vital,
}

impl Injecting<'_> {
    /// Starts them. Returns whether the API server trusts the injector.
    async fn start(
        self,
        args: &Args,
        settings: Settings,
        authority: watch::Receiver<Option<String>>,
        leaf: Arc<Leaf>,
    ) -> Result<watch::Receiver<Trust>> {
        let Self { client, watched, desk, pods, vital } = self;
        let listener = bind(args.webhook_listen, "webhook").await?;
        let (trust, trusted) = watch::channel(Trust::Missing);
        let bundle = Bundle {
            configuration: args.webhook_configuration.clone(),
            issuer: args.certificate_from,
            differs: desk.metrics.bundle_differs.clone(),
        };
        vital.spawn("bundle", bundle::run(client.clone(), bundle, authority.clone(), trust));
        let eviction = if args.evict_uninjected {
            Eviction::On { trust: trusted.clone(), pods: Arc::clone(pods) }
        } else {
            Eviction::Off
        };
        let (watched, home) = (Arc::clone(watched), args.namespace.clone());
        vital.spawn("watchdog", watchdog::run(client.clone(), watched, Arc::clone(desk), home, eviction));
        let injector = Arc::new(injector::server::Injector { settings, authority, desk: Arc::clone(desk) });
        vital.spawn("injector", injector::server::run(injector, listener, leaf));
        Ok(trusted)
    }
}

async fn client(args: &Args) -> Result<Client> {
    let config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).context("cannot read the kubeconfig")?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await.context("no API server is known; --kubeconfig names one")?,
    };
    Ok(Client::try_from(config)?)
}

async fn bind(address: std::net::SocketAddr, what: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening for {what}");
    Ok(listener)
}

async fn terminated() -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
