//! A drill of a route that stands in a cluster: what is read for it, and where its result goes.

use anyhow::{Context, Result, bail};
use chaperone_crds::ModelRoute;
use chaperone_crds::model_route::LastDrill;
use chaperone_operator::compile::{Contents, compile};
use chaperone_operator::world::ObjectKey;
use chaperone_protocol::name::Alias;
use chaperone_protocol::snapshot::Scope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::card::Card;
use super::{Args, Stage};
use crate::cluster::world::{self, Secrets};
use crate::cluster::{self, Cluster, Place};
use crate::output::Output;

/// Who owns `status.lastDrill`, and nothing else of the object.
const FIELD_MANAGER: &str = "chaperone-drill";
/// Lines of `status.lastDrill.failures`, and characters of one.
const FAILURES: (usize, usize) = (32, 1_024);

/// The route as the sidecars of a scope have it.
///
/// # Errors
/// If the cluster cannot be asked, or the caller may not read what the route names.
pub(super) fn stage(args: &Args, output: &Output) -> Result<Stage> {
    cluster::block_on(async {
        let cluster = Cluster::of(&args.cluster).await?;
        let scope = scope(args, &cluster);
        let secrets = if args.mock { Secrets::Assume } else { Secrets::Read };
        let found = world::read(&cluster, scope.clone(), secrets).await?;
        for problem in &found.unreadable {
            output.aside(&format!("left out, since this version cannot read it: {problem}\n"))?;
        }
        let mut compiled = compile(&found.world);
        let document = compiled.snapshots.remove(&scope).context("the scope was not compiled")?;
        let route = compiled.contents.get(&scope).and_then(|contents| home(contents, &args.alias));
        Ok(Stage { document, keys: found.keys, route })
    })
}

/// Writes what a drill has shown into the status of its route.
///
/// # Errors
/// If the caller may not.
pub(super) fn report(args: &Args, route: Option<&ObjectKey>, card: &Card) -> Result<()> {
    let Some(route) = route else { bail!("no ModelRoute has the alias {:?}", args.alias.as_str()) };
    let last = LastDrill {
        time: Time(Timestamp::now()),
        passed: card.passed,
        failures: card
            .failures
            .iter()
            .take(FAILURES.0)
            .map(|line| line.chars().take(FAILURES.1).collect())
            .collect(),
    };
    let patch = json!({
        "apiVersion": format!("{}/{}", chaperone_crds::GROUP, chaperone_crds::VERSION),
        "kind": "ModelRoute",
        "status": {"lastDrill": last},
    });
    cluster::block_on(async {
        let cluster = Cluster::of(&args.cluster).await?;
        let api: Api<ModelRoute> = Api::namespaced(cluster.client.clone(), route.namespace.as_str());
        let (params, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(patch));
        let written = api.patch_status(route.name.as_str(), &params, &patch);
        let place = Place::Namespace(route.namespace.clone());
        cluster.explained(written, "patch modelroutes.chaperone.dev/status", &place).await.map(drop)
    })
}

fn scope(args: &Args, cluster: &Cluster) -> Scope {
    let namespace = args.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    Scope { namespace, service_account: args.service_account.clone() }
}

/// The object that gives the alias its meaning in that scope.
fn home(contents: &Contents, alias: &Alias) -> Option<ObjectKey> {
    contents.at(&format!("routes.{alias}")).map(|object| object.key)
}
