//! `chaperone status`: what a cluster's partners, routes and sidecars do now, as their statuses have it.
//!
//! Nothing but the objects themselves is read, so that whoever may list them needs no other right. `view` is what there
//! is to say and `live` which target serves, both pure; `render` is how it reads.

mod live;
mod render;
mod view;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use chaperone_crds::{ModelRoute, Partner, TenantQuota};
use chaperone_protocol::name::ObjectName;

use self::view::{Found, Overview};
use crate::args::{FOUND_ERRORS, Format};
use crate::cluster::{self, Cluster, Place};
use crate::output::Output;

/// Shown behind the options.
pub(crate) const EXAMPLES: &str = "Examples:
  chaperone status -n shop
  kubectl chaperone status -A --watch
  chaperone status -A -o json | jq '.sidecars[] | select(.state == \"Refused\")'

Needs the right to list partners, modelroutes and tenantquotas of chaperone.dev, and nothing else. Partners of other
namespaces that routes name are looked at too, where you may.

Exit codes:
  0  everything is ready, and no sidecar refuses anything or is stale
  1  something is not, or is
  2  wrong usage, or a cluster that cannot be asked";

/// Between two looks with `--watch`.
const PACE: Duration = Duration::from_secs(2);

/// Arguments of `chaperone status`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each typed by name")]
pub(crate) struct Args {
    /// Namespace to look at [default: that of the kubeconfig's context].
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    namespace: Option<ObjectName>,
    /// Look at all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Look again every 2 s, and print what has changed; ends by Ctrl-C.
    #[arg(short, long)]
    watch: bool,
    /// As --output.
    #[arg(short = 'o', value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    cluster: cluster::Args,
}

/// Prints how things are.
pub(crate) fn run(args: &Args, output: &Output) -> Result<ExitCode> {
    let output = args.format.map_or(*output, Output::new);
    cluster::block_on(async {
        let cluster = Cluster::of(&args.cluster).await?;
        let place = match (&args.namespace, args.all_namespaces) {
            (_, true) => Place::Everywhere,
            (Some(namespace), false) => Place::Namespace(namespace.clone()),
            (None, false) => Place::Namespace(cluster.namespace.clone()),
        };
        let overview = look(&cluster, &place).await?;
        print(&overview, &output)?;
        if args.watch {
            return watch(&cluster, &place, overview, &output).await;
        }
        Ok(if overview.is_well() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
    })
}

/// Prints whatever differs from before, for ever.
async fn watch(cluster: &Cluster, place: &Place, mut before: Overview, output: &Output) -> Result<ExitCode> {
    let mut trouble = None;
    loop {
        tokio::time::sleep(PACE).await;
        let now = match look(cluster, place).await {
            Ok(now) => now,
            Err(error) => {
                // The next look may succeed. What is said once needs no repeating.
                let text = format!("{error:#}");
                if trouble.as_ref() != Some(&text) {
                    output.error(&error);
                    trouble = Some(text);
                }
                continue;
            }
        };
        trouble = None;
        if now != before {
            if output.format() == Format::Text {
                output.text("\n")?;
            }
            print(&now, output)?;
            before = now;
        }
    }
}

async fn look(cluster: &Cluster, place: &Place) -> Result<Overview> {
    let mut found = Found {
        partners: cluster.kind::<Partner>(place).await?,
        routes: cluster.kind::<ModelRoute>(place).await?,
        quotas: cluster.kind::<TenantQuota>(place).await?,
        ..Found::default()
    };
    if let Place::Namespace(own) = place {
        look_elsewhere(cluster, own, &mut found).await;
    }
    Ok(Overview::of(&found))
}

/// Adds the partners of the other namespaces that routes name. A fallback there may lead on to another.
async fn look_elsewhere(cluster: &Cluster, own: &ObjectName, found: &mut Found) {
    let mut looked = BTreeSet::from([own.to_string()]);
    while let Some(next) = found.namespaces().into_iter().find(|it| !looked.contains(it)) {
        let partners = match next.parse() {
            Ok(namespace) => cluster.kind::<Partner>(&Place::Namespace(namespace)).await.ok(),
            Err(_) => None,
        };
        match partners {
            Some(partners) => found.elsewhere.extend(partners),
            // Most have the right in their own namespace alone.
            None => drop(found.unseen.insert(next.clone())),
        }
        looked.insert(next);
    }
}

fn print(overview: &Overview, output: &Output) -> Result<()> {
    match output.format() {
        Format::Text => output.text(&render::text(overview)),
        Format::Json => output.json(overview),
    }
}

#[cfg(test)]
mod tests;
