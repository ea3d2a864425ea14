//! The API server of a cluster, with the caller's own rights: how it is found, what is read, what its refusals mean.
//!
//! Only with feature `cluster`: a build that only checks and serves files needs no client of Kubernetes.

pub(crate) mod world;

use std::future::Future;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use chaperone_protocol::name::ObjectName;
use kube::api::{ApiResource, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Api, Client, Config, Resource};

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Which cluster.
#[derive(Debug, Clone, clap::Args)]
// Its group would have the name of the command's own, `Args`.
#[group(skip)]
pub(crate) struct Args {
    /// Kubeconfig file [default: that of KUBECONFIG, else ~/.kube/config, else the Pod's own ServiceAccount].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Args {
    /// Whether the caller has said which.
    pub(crate) fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}

/// A cluster that can be asked.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Of the kubeconfig's context.
    pub(crate) namespace: ObjectName,
    address: String,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one namespace.
    Namespace(ObjectName),
    /// In all of them.
    Everywhere,
}

impl Cluster {
    /// The cluster that these arguments mean. Nothing is asked yet.
    ///
    /// # Errors
    /// If no cluster is known, or what is known of it cannot be used.
    pub(crate) async fn of(args: &Args) -> Result<Self> {
        let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
        let unknown = "no cluster is known; --kubeconfig or KUBECONFIG names one";
        let config = match (&args.kubeconfig, &args.context) {
            (Some(path), _) => {
                let kubeconfig = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.context(unknown)?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.context(unknown)?,
            (None, None) => Config::infer().await.context(unknown)?,
        };
        let namespace = config.default_namespace.parse().context("the context's namespace is not a name")?;
        let address = config.cluster_url.to_string();
        Ok(Self { client: Client::try_from(config).context("cannot call the cluster")?, namespace, address })
    }

    /// All objects of a kind of ours, as they came: one that this build cannot read hides no other.
    ///
    /// # Errors
    /// If the API server cannot be asked, or refuses.
    pub(crate) async fn kind<K: Resource<DynamicType = ()>>(
        &self,
        place: &Place,
    ) -> Result<Vec<DynamicObject>> {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = match place {
            Place::Namespace(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource)
            }
            Place::Everywhere => Api::all_with(self.client.clone(), &resource),
        };
        let plural = format!("{}.{}", resource.plural, resource.group);
        self.explained(pages(&api, ListParams::default()), &format!("list {plural}"), place).await
    }

    /// All objects of all namespaces that `api` lists under `params`.
    pub(crate) async fn list<K>(&self, api: &Api<K>, params: ListParams, what: &str) -> Result<Vec<K>>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        self.explained(pages(api, params), &format!("list {what}"), &Place::Everywhere).await
    }

    /// The answer of a call, or what its failure means and what to do about it. `what`: verb and resource.
    pub(crate) async fn explained<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
        what: &str,
        place: &Place,
    ) -> Result<T> {
        call.await.map_err(|error| explain(&error, (what, place), &self.address))
    }
}

/// What `api` lists under `params`, page by page.
async fn pages<K>(api: &Api<K>, params: ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut params = params.limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn explain(error: &kube::Error, (what, place): (&str, &Place), address: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let scope = match place {
                Place::Namespace(namespace) => format!("-n {namespace}"),
                Place::Everywhere => "-A".to_owned(),
            };
            anyhow!(
                "you may not {what}: {}; ask for the right, which `kubectl auth can-i {what} {scope}` shows",
                status.message
            )
        }
        kube::Error::Api(status) if status.code == 401 => anyhow!(
            "the API server at {address} does not accept your credentials: {}; log in again",
            status.message
        ),
        // Of an object, it tells the name; of a kind that is not served, nothing.
        kube::Error::Api(status)
            if status.code == 404 && status.details.as_ref().is_some_and(|it| !it.name.is_empty()) =>
        {
            anyhow!("cannot {what}: {}; has it been deleted?", status.message)
        }
        kube::Error::Api(status) if status.code == 404 => anyhow!(
            "cannot {what}: the cluster does not know it; install the chart, or `chaperone crds | kubectl apply \
             --server-side -f -`"
        ),
        kube::Error::Api(status) => anyhow!("the API server refuses to {what}: {}", status.message),
        other => anyhow!("cannot reach the API server at {address}: {}", causes(other)),
    }
}

/// An error with all that caused it: the outermost says little more than that there is one.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Runs what asks a cluster.
///
/// # Errors
/// As `work`, or if there is no runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn said_of(place: &Place, status: Status) -> String {
        let error = kube::Error::Api(Box::new(status));
        explain(&error, ("list partners.chaperone.dev", place), "https://api.test/").to_string()
    }

    fn said(code: u16) -> String {
        let status = Status { code, message: "no, since".to_owned(), ..Status::default() };
        said_of(&Place::Everywhere, status)
    }

    #[test]
    fn every_refusal_names_its_remedy() {
        for (code, remedy) in [
            (403, "kubectl auth can-i list partners.chaperone.dev -A`"),
            (401, "log in again"),
            (404, "install the chart"),
            (500, "no, since"),
        ] {
            assert!(said(code).contains(remedy), "{code}: {}", said(code));
        }
    }

    #[test]
    fn a_right_is_asked_for_where_it_is_needed() {
        let status = Status { code: 403, ..Status::default() };
        let text = said_of(&Place::Namespace("shop".parse().unwrap()), status);
        assert!(text.contains("`kubectl auth can-i list partners.chaperone.dev -n shop`"), "{text}");
    }

    #[test]
    fn an_object_that_is_gone_is_no_missing_chart() {
        let status = serde_json::json!({
            "code": 404,
            "message": "modelroutes.chaperone.dev \"chat\" not found",
            "details": {"name": "chat", "group": "chaperone.dev", "kind": "modelroutes"},
        });
        let text = said_of(&Place::Everywhere, serde_json::from_value(status).unwrap());
        assert!(text.contains("\"chat\" not found") && !text.contains("install"), "{text}");
    }
}
