//! Objects -> what there is to say about them. Pure: the same objects, the same overview.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_crds::condition::{Behind, BehindState, Condition, ConditionStatus, ConditionType, Sidecars};
use chaperone_crds::partner::Breakers;
use chaperone_crds::{ModelRouteSpec, ModelRouteStatus, PartnerSpec, PartnerStatus};
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::live::{self, Live};

/// What a cluster has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Found {
    pub(super) partners: Vec<DynamicObject>,
    /// Partners of other namespaces, which routes name.
    pub(super) elsewhere: Vec<DynamicObject>,
    /// Namespaces that could not be looked at for them.
    pub(super) unseen: BTreeSet<String>,
    pub(super) routes: Vec<DynamicObject>,
    pub(super) quotas: Vec<DynamicObject>,
}

/// All there is to say, sorted by namespace and name.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    pub(super) partners: Vec<PartnerRow>,
    pub(super) routes: Vec<RouteRow>,
    pub(super) quotas: Vec<Row>,
    /// Those that refuse something or are stale, as far as statuses name them.
    pub(super) sidecars: Vec<SidecarRow>,
    /// Sidecars that no status has room to name, by object: at least so many.
    pub(super) unnamed: BTreeMap<String, i32>,
}

/// What every object has.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ready: ConditionStatus,
    /// `12/12`.
    pub(super) programmed: String,
    /// What is wrong with it: condition, reason and message.
    pub(super) problems: Vec<Problem>,
}

/// A condition that does not hold.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem {
    pub(super) condition: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// A Partner.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartnerRow {
    #[serde(flatten)]
    pub(super) row: Row,
    /// Whether its health probe is answered. Unknown: nothing is probed.
    pub(super) healthy: ConditionStatus,
    pub(super) breakers: Option<Breakers>,
}

/// A ModelRoute.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteRow {
    #[serde(flatten)]
    pub(super) row: Row,
    pub(super) alias: String,
    /// Who serves it now, each with its share.
    pub(super) live: Vec<Live>,
}

/// A sidecar that does not have what it should.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SidecarRow {
    pub(super) pod: String,
    pub(super) state: BehindState,
    pub(super) message: String,
    /// As `ModelRoute shop/chat`.
    pub(super) objects: Vec<String>,
}

/// The part of a status that all kinds have.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Common {
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
    sidecars: Option<Sidecars>,
}

impl Found {
    /// The namespaces that routes name, as far as is known by now.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let partners = self.known();
        let routes = self.routes.iter().filter_map(|it| Some((it.namespace()?, part(it, "spec")?)));
        routes.flat_map(|(home, spec)| live::namespaces(&spec, &home, &partners)).collect()
    }

    fn known(&self) -> live::Partners {
        let known = self.partners.iter().chain(&self.elsewhere).filter_map(partner).collect();
        live::Partners { known, unseen: self.unseen.clone() }
    }
}

impl Overview {
    pub(super) fn of(found: &Found) -> Self {
        let mut overview = Self::default();
        let mut behind: BTreeMap<(BehindState, String, String), BTreeSet<String>> = BTreeMap::new();
        let partners = found.known();
        for object in &found.partners {
            let row = overview.row("Partner", object, &mut behind);
            let status: PartnerStatus = part(object, "status").unwrap_or_default();
            let healthy = of_type(&status.conditions, ConditionType::Healthy);
            let healthy = healthy.map_or(ConditionStatus::Unknown, |condition| condition.status);
            overview.partners.push(PartnerRow { row, healthy, breakers: status.breakers });
        }
        for object in &found.routes {
            let row = overview.row("ModelRoute", object, &mut behind);
            let status: ModelRouteStatus = part(object, "status").unwrap_or_default();
            let spec: Option<ModelRouteSpec> = part(object, "spec");
            let is_served = |type_| {
                of_type(&status.conditions, type_).is_none_or(|it| it.status != ConditionStatus::False)
            };
            let serves = is_served(ConditionType::Accepted) && is_served(ConditionType::ResolvedRefs);
            let live =
                spec.as_ref().filter(|_| serves).map(|spec| live::targets(spec, &row.namespace, &partners));
            let alias = spec.map(|spec| spec.alias).unwrap_or_default();
            overview.routes.push(RouteRow { row, alias, live: live.unwrap_or_default() });
        }
        for object in &found.quotas {
            let row = overview.row("TenantQuota", object, &mut behind);
            overview.quotas.push(row);
        }
        overview.partners.sort_by(|one, other| key(&one.row).cmp(&key(&other.row)));
        overview.routes.sort_by(|one, other| key(&one.row).cmp(&key(&other.row)));
        overview.quotas.sort_by(|one, other| key(one).cmp(&key(other)));
        let sidecars = behind.into_iter().map(|((state, pod, message), objects)| SidecarRow {
            pod,
            state,
            message,
            objects: objects.into_iter().collect(),
        });
        overview.sidecars = sidecars.collect();
        overview
    }

    /// Whether there is nothing to see to.
    pub(super) fn is_well(&self) -> bool {
        let is_behind = !self.sidecars.is_empty() || !self.unnamed.is_empty();
        !is_behind
            && self.rows().all(|(_, row)| row.ready == ConditionStatus::True && row.problems.is_empty())
    }

    /// Every object, with its kind.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        let partners = self.partners.iter().map(|it| ("Partner", &it.row));
        let routes = self.routes.iter().map(|it| ("ModelRoute", &it.row));
        partners.chain(routes).chain(self.quotas.iter().map(|it| ("TenantQuota", it)))
    }

    fn row(
        &mut self,
        kind: &str,
        object: &DynamicObject,
        behind: &mut BTreeMap<(BehindState, String, String), BTreeSet<String>>,
    ) -> Row {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let status: Common = part(object, "status").unwrap_or_default();
        let sidecars = status.sidecars.unwrap_or_default();
        let reference = format!("{kind} {namespace}/{name}");
        for Behind { pod, state, message } in &sidecars.behind {
            let about = (*state, pod.clone(), message.clone());
            behind.entry(about).or_default().insert(reference.clone());
        }
        let named = i32::try_from(sidecars.behind.len()).unwrap_or(i32::MAX);
        let unnamed = sidecars.refused.saturating_add(sidecars.stale).saturating_sub(named);
        if unnamed > 0 {
            self.unnamed.insert(reference, unnamed);
        }
        let ready = of_type(&status.conditions, ConditionType::Ready);
        let is_current = status.observed_generation >= object.metadata.generation;
        let ready =
            ready.filter(|_| is_current).map_or(ConditionStatus::Unknown, |condition| condition.status);
        let mut problems = problems(&status.conditions);
        if !is_current {
            let message = "no operator has looked at its last change; is one running?".to_owned();
            problems.push(Problem {
                condition: "Ready".to_owned(),
                reason: "NotObserved".to_owned(),
                message,
            });
        }
        let programmed = if sidecars.summary.is_empty() { "-".to_owned() } else { sidecars.summary };
        Row { namespace, name, ready, programmed, problems }
    }
}

/// Everything that is False, but for the summary, which says it again.
fn problems(conditions: &[Condition]) -> Vec<Problem> {
    let broken = conditions.iter().filter(|it| it.status == ConditionStatus::False);
    let own = broken.filter(|it| it.type_ != ConditionType::Ready.as_str() && it.reason != "NotAccepted");
    own.map(|it| Problem {
        condition: it.type_.clone(),
        reason: it.reason.clone(),
        message: it.message.clone(),
    })
    .collect()
}

fn of_type(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

fn partner(object: &DynamicObject) -> Option<((String, String), (PartnerSpec, Breakers))> {
    let status: PartnerStatus = part(object, "status").unwrap_or_default();
    let key = (object.namespace()?, object.name_any());
    Some((key, (part(object, "spec")?, status.breakers.unwrap_or_default())))
}

fn part<T: DeserializeOwned>(object: &DynamicObject, name: &str) -> Option<T> {
    serde_json::from_value(plain(object.data.get(name)?)).ok()
}

/// The same without control characters. Whoever writes an object, or has a say in its status, does not write into the
/// terminal of whoever looks at it.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace(char::is_control, " ").into(),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn key(row: &Row) -> (&str, &str) {
    (&row.namespace, &row.name)
}
