//! What most tests start with: one partner, one `chaperone local` that routes the alias `chat` to it.
use anyhow::{Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};

use crate::checker::{self, Outcomes};
use crate::client::Connection;
use crate::local::{Local, Mode, chat_request};
use crate::manifest::{self, Manifests};
use crate::partner::Partner;
use crate::partner::script::Step;

/// A partner and the product in front of it.
pub struct Fixture {
    /// The provider.
    pub partner: Partner,
    /// The product.
    pub local: Local,
}

impl Fixture {
    /// Starts both; the partner answers as `steps` say.
    ///
    /// # Errors
    /// If either does not start.
    pub async fn start(adapter: &str, steps: Vec<Step>) -> Result<Self> {
        Self::with_spec(adapter, steps, &json!({})).await
    }

    /// As [`Fixture::start`], with these members added to the Partner's spec.
    ///
    /// # Errors
    /// If either does not start.
    pub async fn with_spec(adapter: &str, steps: Vec<Step>, spec: &Value) -> Result<Self> {
        let partner = Partner::start().await?;
        partner.script(steps).await?;
        let local = Local::start(one_route(adapter, &partner, spec)?).await?;
        Ok(Self { partner, local })
    }

    /// The service is unharmed: a request on this connection is served.
    ///
    /// # Errors
    /// If it is not.
    pub async fn serves_on(&self, connection: &mut Connection) -> Result<()> {
        let answer = connection.post("/v1/chat/completions", &[], &chat_request("chat", Mode::Whole)).await?;
        ensure!(answer.status == StatusCode::OK, "the next request got {} {}", answer.status, answer.text());
        Ok(())
    }

    /// The service is unharmed: a request on a new connection is served.
    ///
    /// # Errors
    /// If it is not.
    pub async fn serves(&self) -> Result<()> {
        self.serves_on(&mut Connection::open(self.local.data()).await?).await
    }

    /// What every test ends with: nothing of `sent` requests is lost, and no secret shows.
    ///
    /// # Errors
    /// If something is, or does.
    pub async fn settle(&self, sent: u64) -> Result<Outcomes> {
        let outcomes = checker::nothing_lost(&self.local, sent).await?;
        checker::no_canary(&self.local, &[]).await?;
        Ok(outcomes)
    }
}

/// The manifests of one route, `chat`, to one Partner, `alpha`, with these members added to its spec.
///
/// # Errors
/// If they cannot be written.
pub fn one_route(adapter: &str, partner: &Partner, spec: &Value) -> Result<Manifests> {
    let manifests = Manifests::new()?;
    let mut object = manifest::partner("alpha", adapter, &partner.endpoint(adapter));
    if let (Some(members), Some(target)) = (spec.as_object(), object["spec"].as_object_mut()) {
        target.extend(members.clone());
    }
    for object in [manifest::secret(), manifest::quota(), object, manifest::route("chat", &["alpha"])] {
        manifests.apply(&object)?;
    }
    Ok(manifests)
}
