//! What a scope may have: editions of its snapshot, and its keys, each serialised once for all its sidecars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chaperone_protocol::keys::{Keys, PseudonymKey};
use chaperone_protocol::limits;
use chaperone_protocol::name::CredentialName;
use chaperone_protocol::snapshot::{Scope, Tls, Version};
use chaperone_protocol::wire::Document;
use chaperone_protocol::wire::feed::{Decoder, Held, KeysFor, LeaderFrame};

use crate::compile::{Contents, ObjectRef};
use crate::root::Root;
use crate::world::World;

/// Bytes of serialised keys besides the credentials, at most.
const AROUND: usize = 128;

/// Of an object. One that is deleted and made anew under its name begins to count anew, so that the number alone says
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) uid: Arc<str>,
    pub(crate) number: i64,
}

impl Generation {
    /// Whether this is the other, or a later one of the same object.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.uid == other.uid && self.number >= other.number
    }
}

/// The generations of all objects.
pub(crate) type Generations = BTreeMap<ObjectRef, Generation>;

/// One edition of a scope's snapshot.
#[derive(Debug)]
pub(crate) struct Edition {
    pub(crate) version: Version,
    /// The frame that brings it.
    pub(crate) frame: Bytes,
    /// The credentials that it names.
    pub(crate) credentials: BTreeSet<CredentialName>,
    /// What is in it, as its paths name it.
    pub(crate) contents: Contents,
    /// What is in it, in which generation.
    pub(crate) generations: Arc<Generations>,
    /// What was left out, though nobody knows that it was never good: it was refused before this leadership knew a
    /// good form of it.
    pub(crate) lacks: BTreeSet<ObjectRef>,
    /// What it was compiled from: where a later one fails, its objects are taken from here.
    pub(crate) world: Arc<World>,
    /// Where objects are held back: what it would be if none were.
    pub(crate) whole: Option<Arc<Edition>>,
}

impl Edition {
    /// Serialises what was compiled from `world`, for sidecars of the leader of `epoch`.
    pub(crate) fn new(
        document: &Document,
        contents: Contents,
        world: &Arc<World>,
        generations: &Generations,
        epoch: u64,
    ) -> Self {
        let bytes = document.to_bytes();
        let inside: BTreeSet<_> = contents.objects();
        let generations = generations.iter().filter(|(object, _)| inside.contains(object));
        Self {
            version: Version::of(&bytes),
            frame: LeaderFrame::Snapshot(bytes).encode(epoch).into(),
            credentials: credentials(document),
            generations: Arc::new(
                generations.map(|(object, generation)| (object.clone(), generation.clone())).collect(),
            ),
            contents,
            lacks: BTreeSet::new(),
            world: Arc::clone(world),
            whole: None,
        }
    }

    /// What the frame brings: read back, since few editions are ever asked.
    pub(crate) fn document(&self) -> Option<Document> {
        let mut decoder = Decoder::new(self.frame.len());
        decoder.push(&self.frame);
        match LeaderFrame::decode(&decoder.next_frame().ok()??).ok()? {
            (_, Some(LeaderFrame::Snapshot(bytes))) => serde_json::from_slice(&bytes).ok(),
            _ => None,
        }
    }
}

/// The credentials that this document names.
pub(super) fn credentials(document: &Document) -> BTreeSet<CredentialName> {
    let partners = document.partners.values();
    let named = partners.clone().filter_map(|partner| partner.credential.as_ref());
    let policies = document.routes.values().flat_map(|route| route.pii.values());
    let analyzers = policies.flat_map(|pii| pii.ner.analyzers()).map(|analyzer| &analyzer.tls);
    let shown = partners.map(|partner| &partner.tls).chain(analyzers).flat_map(Tls::credentials);
    named.chain(shown).cloned().collect()
}

/// What keys of scopes are taken and derived from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    /// All credentials that are known.
    pub(crate) keys: Keys,
    /// Keys of namespaces are derived from it. `None`: it cannot be read, and sidecars make up their own.
    pub(crate) root: Option<Root>,
}

impl Secrets {
    /// The keys of `scope`: those of `names`, as far as one frame holds them.
    pub(crate) fn of<'n>(&self, scope: &Scope, names: impl IntoIterator<Item = &'n CredentialName>) -> Keys {
        let mut keys = Keys::default();
        if let Some(root) = &self.root {
            keys.set_pseudonyms(PseudonymKey::derive(root.expose(), &scope.namespace));
        }
        let mut room = limits::KEYS_BYTES - AROUND;
        for name in names {
            let Some(credential) = self.keys.get(name) else { continue };
            // As base64, with the name and what stands between: a frame that is too large would reach nobody.
            let size = name.as_str().len() + credential.expose().len().div_ceil(3) * 4 + 8;
            match room.checked_sub(size) {
                Some(left) => {
                    room = left;
                    keys.insert(name.clone(), credential.clone());
                }
                None => {
                    tracing::error!(%name, "its scope has more keys than a sidecar takes; this one is left out")
                }
            }
        }
        keys
    }
}

/// The keys of a scope.
#[derive(Debug)]
pub(crate) struct KeySet {
    pub(crate) version: Version,
    keys: Keys,
}

impl KeySet {
    /// Takes the keys of a scope.
    pub(crate) fn new(keys: Keys) -> Self {
        Self { version: keys.version(), keys }
    }

    /// The frame that brings them for `snapshot`.
    pub(crate) fn frame(&self, snapshot: &Version, epoch: u64) -> Bytes {
        let keys_for = KeysFor { snapshot: snapshot.clone(), keys: self.keys.clone() };
        LeaderFrame::Keys(keys_for).encode(epoch).into()
    }
}

/// What a stream should have.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) edition: Arc<Edition>,
    pub(crate) keys: Arc<KeySet>,
}

impl Offer {
    /// Its two versions.
    pub(crate) fn held(&self) -> Held {
        Held { snapshot: self.edition.version.clone(), keys: self.keys.version.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_gets_every_credential_that_its_snapshot_names() {
        let tls = |secret: &str| json!({"clientCertificate": format!("pii/{secret}/tls.crt"), "clientKey": format!("pii/{secret}/tls.key")});
        let analyzer = json!({"endpoint": "https://presidio.test", "tls": tls("analyzer"), "timeoutMs": 2000,
            "language": "en", "scorePercent": 40});
        let partner = json!({"adapter": "OpenAI", "endpoint": "https://alpha.test", "credential": "pii/alpha/key",
            "tls": tls("alpha"), "models": {"m": {}}});
        let route = json!({"targets": [{"partner": "alpha", "model": "m", "weight": 1}], "dataClass": "Internal",
            "deadlineMs": 1000, "pii": {"alpha": {"filter": "Balanced", "ner": {"Presidio": [analyzer]}}}});
        let document: Document = serde_json::from_value(json!({"protocol": 1,
            "scope": {"namespace": "pii", "serviceAccount": "app"}, "partners": {"alpha": partner}, "routes": {"chat": route}}))
        .unwrap();
        let named: Vec<_> = credentials(&document).iter().map(ToString::to_string).collect();
        let wanted = ["alpha/key", "alpha/tls.crt", "alpha/tls.key", "analyzer/tls.crt", "analyzer/tls.key"];
        assert_eq!(named, wanted.map(|name| format!("pii/{name}")));
    }
}
