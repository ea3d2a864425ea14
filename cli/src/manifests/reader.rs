//! Works through files one by one: documents, variables, admission. Then gives every object its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use chaperone_crds::{GROUP, Object, admit, read_documents};
use chaperone_protocol::limits;
use chaperone_protocol::name::ObjectName;
use serde_json::Value;

use super::world;
use super::{Completeness, Id, Loaded, Manifest, Source, expand, files};
use crate::args::Environment;
use crate::note::{Note, Place};

/// The namespace of objects that name none, where nothing else says which.
const DEFAULT_NAMESPACE: &str = "default";

/// What has been read so far.
pub(super) struct Reader<'e> {
    environment: &'e Environment,
    notes: Vec<Note>,
    admitted: Vec<Manifest>,
    refused: Vec<(Option<Identity>, Arc<Path>)>,
    unreadable: BTreeSet<Arc<Path>>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: &'e Environment) -> Self {
        Self {
            environment,
            notes: Vec::new(),
            admitted: Vec::new(),
            refused: Vec::new(),
            unreadable: BTreeSet::new(),
        }
    }

    pub(super) fn file(&mut self, file: &Path) -> Result<()> {
        let path: Arc<Path> = file.into();
        match files::read(file)?.map_err(|problem| (1, problem)).and_then(|text| {
            read_documents(&text).map_err(|invalid| (invalid.line, invalid.problem.to_string()))
        }) {
            Ok(documents) => {
                for document in documents {
                    self.document(Source { file: Arc::clone(&path), document });
                }
            }
            Err((line, message)) => {
                let place = Place { file: file.to_path_buf(), line };
                self.notes.push(Note::error(place, "InvalidFile", message));
                self.unreadable.insert(path);
            }
        }
        Ok(())
    }

    fn document(&mut self, mut source: Source) {
        if !is_ours(&source.document.value) {
            return;
        }
        let mut value = std::mem::take(&mut source.document.value);
        let identity = Identity::of(&value);
        let name = identity.as_ref().map(ToString::to_string);
        let missing = expand::expand(&mut value, self.environment);
        for (path, problem) in &missing {
            let note = Note::error(source.place(path), "VariableMissing", problem);
            self.notes.push(note.about(name.clone(), path));
        }
        let completeness =
            if missing.is_empty() { Completeness::Complete } else { Completeness::ValuesMissing };
        match (admit(&value), completeness) {
            (Ok(object), Completeness::Complete) | (Ok(object @ Object::Secret(_)), _) => {
                self.admitted.push(Manifest { object, source, completeness });
            }
            // What the variables would have said is not known, so nothing else can be said about the object.
            (_, Completeness::ValuesMissing) => self.refused.push((identity, source.file)),
            (Err(problems), Completeness::Complete) => {
                for problem in problems {
                    let place = source.place(&problem.path);
                    let note = Note::error(place, "Invalid", problem.message);
                    self.notes.push(note.about(name.clone(), &problem.path));
                }
                self.refused.push((identity, source.file));
            }
        }
    }

    pub(super) fn finish(mut self, namespace: Option<ObjectName>) -> Loaded {
        let admitted = std::mem::take(&mut self.admitted);
        let namespace = namespace.unwrap_or_else(|| only_namespace(&admitted));
        let mut objects: BTreeMap<Id, Manifest> = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        for manifest in admitted {
            self.check_size(&manifest);
            let Some(id) = world::id(&manifest.object, &namespace) else {
                let message = "the name is longer than a name may be";
                let place = manifest.source.place("metadata.name");
                self.notes.push(Note::error(place, "Invalid", message).about(None, "metadata.name"));
                self.unreadable.insert(manifest.source.file);
                continue;
            };
            if let Some(first) = objects.get(&id) {
                let message =
                    format!("is already defined at {}; remove one of the two", first.source.place(""));
                let name = format!("{} {}", id.kind, id.key);
                let note = Note::error(manifest.source.place(""), "Duplicate", message);
                self.notes.push(note.about(Some(name), ""));
                ambiguous.insert(id);
                continue;
            }
            objects.insert(id, manifest);
        }
        let mut refused = BTreeSet::new();
        for (identity, file) in self.refused {
            match identity.and_then(|identity| identity.id(&namespace)) {
                Some(id) => drop(refused.insert(id)),
                None => drop(self.unreadable.insert(file)),
            }
        }
        let Self { notes, unreadable, .. } = self;
        Loaded { objects, namespace, refused, unreadable, ambiguous, notes }
    }

    fn check_size(&mut self, manifest: &Manifest) {
        let Object::Secret(secret) = &manifest.object else { return };
        for (key, value) in &secret.data {
            let length = value.expose().len();
            if length > limits::CREDENTIAL_BYTES {
                let message = format!(
                    "value {key:?} has {length} bytes; at most {} are allowed",
                    limits::CREDENTIAL_BYTES
                );
                let note = Note::error(manifest.source.place("data"), "Invalid", message);
                self.notes.push(note.about(None, "data"));
            }
        }
    }
}

/// Whether a document is for us to read. A folder may hold Deployments, which are somebody else's.
fn is_ours(value: &Value) -> bool {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("apiVersion"), text("kind")) {
        (Some(_), Some("Partner" | "ModelRoute" | "TenantQuota")) => true,
        (Some("v1"), Some(kind)) => matches!(kind, "Secret" | "ConfigMap" | "Namespace"),
        (Some(version), Some(_)) => version.split('/').next() == Some(GROUP),
        // Without a kind nobody can tell; the admission says what is missing.
        _ => true,
    }
}

/// What an object that may not have been admitted calls itself.
struct Identity {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Identity {
    fn of(value: &Value) -> Option<Self> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (kind, name) = (text("/kind")?, text("/metadata/name")?);
        Some(Self { kind, namespace: text("/metadata/namespace"), name })
    }

    fn id(&self, default_namespace: &ObjectName) -> Option<Id> {
        let kind = world::KINDS.into_iter().find(|kind| *kind == self.kind)?;
        world::id_of(kind, self.namespace.as_deref(), &self.name, default_namespace)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(formatter, "{kind} {namespace}/{name}"),
            None => write!(formatter, "{kind} {name}"),
        }
    }
}

fn only_namespace(admitted: &[Manifest]) -> ObjectName {
    let mut named: Vec<_> = admitted
        .iter()
        .filter_map(|manifest| world::metadata(&manifest.object).namespace.as_deref())
        .collect();
    named.sort_unstable();
    named.dedup();
    let namespace = if let [only] = named.as_slice() { only } else { DEFAULT_NAMESPACE };
    namespace.parse().unwrap_or_else(|_| DEFAULT_NAMESPACE.parse().expect("the constant is a name"))
}
